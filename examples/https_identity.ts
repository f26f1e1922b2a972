/**
 * Who is who over TLS: an authority of one's own, a server pinned by its key, a client with a certificate. The certificates are
 * those of the tests.
 *
 * From a checkout:
 *   deno run --allow-net --allow-env examples/https_identity.ts
 *   bun examples/https_identity.ts
 *   node npm/esm/examples/https_identity.js        (after `npm test` or `npm start`, which emit npm/)
 */
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import * as tls from "node:tls";
import type { IncomingMessage } from "../src/http.ts";
import https from "../src/https.ts";
import { ca, client, good } from "../tests/certs/certs.ts";

// A plain TLS server says what it sees; https.createServer() would do as well.
const server = tls.createServer({ ...good, ca, requestCert: true, rejectUnauthorized: false }, (socket) => {
  socket.on("error", () => {});
  socket.once("data", () => {
    const name = socket.authorized ? socket.getPeerCertificate().subject.CN : "a stranger";
    const body = `hello ${name}`;
    socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
});
server.on("tlsClientError", () => {});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

const here = { hostname: "localhost", port: (server.address() as AddressInfo).port, ca };

async function ask(options: https.RequestOptions): Promise<string> {
  const request = https.get({ ...here, ...options });
  try {
    const [response] = await once(request, "response") as [IncomingMessage];
    let text = "";
    for await (const chunk of response) text += chunk;
    return text;
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    return code ?? message;
  }
}

const fingerprint = (certificate: { raw: Uint8Array }): string =>
  createHash("sha256").update(certificate.raw).digest("base64");
const pinned = fingerprint(new X509Certificate(good.cert));

/** As Node's, and the one certificate alone. */
function checkPin(pin: string): (host: string, certificate: tls.PeerCertificate) => Error | undefined {
  return (host, certificate) =>
    tls.checkServerIdentity(host, certificate) ??
      (fingerprint(certificate) === pin ? undefined : new Error(`${certificate.subject.CN} is not the one`));
}

console.log("known authority:  ", await ask({}));
console.log("unknown authority:", await ask({ ca: [] }) === "hello a stranger" ? "let in" : "refused");
console.log("pinned:           ", await ask({ checkServerIdentity: checkPin(pinned) }));
console.log("pinned otherwise: ", await ask({ checkServerIdentity: checkPin("other") }));

const agent = new https.Agent({ ...client, keepAlive: true });
console.log("with certificate: ", await ask({ agent }));
console.log("another name:     ", await ask({ servername: "elsewhere.test" }));

agent.destroy();
https.globalAgent.destroy();
server.close();
