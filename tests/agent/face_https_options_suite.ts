/**
 * Each option of https.request(), from the call to the wire: what the server saw, or the request's 'error'. Where a runtime's
 * TLS cannot honour one, it is an error and not dropped.
 */
import https, { type RequestOptions } from "@holdfast/agent/https";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import * as tls from "node:tls";
import { equal, is, match, not } from "uvu/assert";
import { adapters } from "../../src/runtime/mod.ts";
import type { TlsOptions } from "../../src/runtime/socket.ts";
import {
  ca,
  client,
  clientPfxBase64,
  emptyCrl,
  encryptedClientKey,
  expired,
  good,
  type KeyPair,
  otherCa,
  passphrase,
  revokingCrl,
  selfSigned,
  unknownCa,
  wrongHost,
} from "../certs/certs.ts";
import { runScript } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";
import { listening } from "../harness/listening.ts";
import { closed, responseTo, textOf } from "../node_door/http_log.ts";

const test = suite("https: options");

// Requests of node:http's shape show their streams, and go by node:tls.
const { capabilities } = adapters().find((adapter) => adapter.capabilities.adapter === "node")!;

/** For `test.needs`: node:tls of this runtime honours the option. */
const honours = (name: Exclude<keyof TlsOptions, "host">): Record<string, boolean> => ({
  [`tls.${name}`]: capabilities.tlsOptions.has(name),
});
const refuses = (name: Exclude<keyof TlsOptions, "host">): Record<string, boolean> => ({
  [`no tls.${name}`]: !capabilities.tlsOptions.has(name),
});

/** What a server saw of a client. */
interface Seen {
  readonly client?: string;
  readonly servername: string | false | null;
  readonly version: string | null;
  readonly cipher: string;
  readonly alpn: string | false;
}

interface Server {
  readonly port: number;
  /** Requests that it has read. */
  readonly asked: number;
  close(): Promise<void>;
}

/** Answers each request with what it has {@linkcode Seen}. */
async function serve(identity: KeyPair, options: tls.TlsOptions = {}): Promise<Server> {
  let asked = 0;
  const given = { ...identity, ca, requestCert: true, rejectUnauthorized: false, ...options };
  const server = tls.createServer(given, (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => {
      asked++;
      const seen = {
        client: socket.getPeerCertificate()?.subject?.CN,
        servername: (socket as { servername?: string | false }).servername,
        version: socket.getProtocol(),
        cipher: socket.getCipher()?.name,
        alpn: socket.alpnProtocol,
      };
      const body = JSON.stringify(seen);
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
  });
  const { port, close } = await listening(server);
  return {
    port,
    close,
    get asked() {
      return asked;
    },
  };
}

/** No runtime words it as another does, nor for a chain with the authority in it as for one without. */
const NOT_TRUSTED =
  /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|(DEPTH_ZERO_)?SELF_SIGNED_CERT(_IN_CHAIN)?)$/;

type Coded = Error & { code?: string };

/** One request: what the server saw, or the error. */
async function ask(server: Server, options: RequestOptions & Record<string, unknown>): Promise<Seen | Coded> {
  const request = https.get({ host: "localhost", port: server.port, agent: false, ...options });
  try {
    const response = await responseTo(request);
    return JSON.parse(await textOf(response)) as Seen;
  } catch (error) {
    is(server.asked, 0, "nothing was sent");
    return error as Coded;
  } finally {
    await closed(request);
  }
}

/** Asks a server of its own. */
async function one(
  options: RequestOptions & Record<string, unknown>,
  identity: KeyPair = good,
  serverOptions?: tls.TlsOptions,
): Promise<Partial<Seen> & Partial<Coded>> {
  const server = await serve(identity, serverOptions);
  try {
    return await ask(server, options) as Partial<Seen> & Partial<Coded>;
  } finally {
    await server.close();
  }
}

const codeOf = async (...args: Parameters<typeof one>): Promise<string | undefined> =>
  (await one(...args)).code;

// Whom to trust.

for (
  const [name, given] of Object.entries({
    text: ca,
    bytes: new TextEncoder().encode(ca),
    list: [otherCa, ca],
  })
) {
  test(`ca as ${name} is trusted`, async () => {
    is((await one({ ca: given as never })).servername, "localhost");
  });
}

test("without ca, and with another's, the peer is not trusted", async () => {
  match(await codeOf({}) ?? "", NOT_TRUSTED);
  match(await codeOf({ ca: otherCa }) ?? "", NOT_TRUSTED);
  match(await codeOf({ ca }, selfSigned) ?? "", NOT_TRUSTED);
});

test("ca of the agent wins over the request's, as every option of an agent", async () => {
  const agent = new https.Agent({ ca: otherCa });
  match(await codeOf({ ca, agent }) ?? "", NOT_TRUSTED);
  agent.destroy();
});

test("a secureContext brings its own authorities", async () => {
  is((await one({ secureContext: tls.createSecureContext({ ca }) })).servername, "localhost");
});

test("rejectUnauthorized: false lets whoever it is pass, and the socket says so", async () => {
  const server = await serve(unknownCa);
  const request = https.get({
    host: "localhost",
    port: server.port,
    ca,
    rejectUnauthorized: false,
    agent: false,
  });
  const response = await responseTo(request);
  const { authorized, authorizationError } = response.socket as tls.TLSSocket;
  const { code = String(authorizationError) } = authorizationError as unknown as Coded;
  is(authorized, false);
  match(code, NOT_TRUSTED);
  response.resume();
  await closed(request);
  await server.close();
});

test("rejectUnauthorized: false is one request's alone: no other is given its connection", async () => {
  const server = await serve(unknownCa);
  const agent = new https.Agent({ keepAlive: true });
  is((await ask(server, { ca, agent, rejectUnauthorized: false }) as Seen).servername, "localhost");
  const strict = https.get({ host: "localhost", port: server.port, ca, agent });
  const error = await new Promise<Coded>((resolve) => strict.once("error", resolve));
  match(error.code ?? "", NOT_TRUSTED);
  await closed(strict);
  is(server.asked, 1);
  agent.destroy();
  await server.close();
});

test("an expired certificate, and one of another host, are refused", async () => {
  match(await codeOf({ ca }, expired) ?? "", /CERT_HAS_EXPIRED|UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
  is(await codeOf({ ca }, wrongHost), "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("an authority in the chain that nobody has told of is not trusted for being there", async () => {
  const chain = { ...unknownCa, cert: `${unknownCa.cert}\n${otherCa}` };
  is(await codeOf({ ca }, chain), "SELF_SIGNED_CERT_IN_CHAIN");
});

test("checkServerIdentity decides: undefined accepts, and the error that it returns is the request's", async () => {
  const accepted = await one({ ca, checkServerIdentity: () => undefined }, wrongHost);
  is(accepted.servername, "localhost");
  const mine = new Error("not pinned");
  const seen: unknown[] = [];
  const refused = await one({
    ca,
    checkServerIdentity: (host: string, certificate: tls.PeerCertificate) => {
      seen.push(
        host,
        certificate.subject.CN,
        certificate.fingerprint256.length,
        certificate.pubkey instanceof Uint8Array,
      );
      return mine;
    },
  });
  is(refused, mine);
  equal(seen, ["localhost", "localhost", 95, true]);
});

test.needs(honours("crl"), "crl revokes", async () => {
  is(await codeOf({ ca, crl: revokingCrl }), "CERT_REVOKED");
  is((await one({ ca, crl: emptyCrl })).servername, "localhost");
});

/** The environment with `name` set, for processes started meanwhile and for this one. */
async function withEnvironment(name: string, value: string, body: () => Promise<void>): Promise<void> {
  const before = process.env[name];
  process.env[name] = value;
  try {
    await body();
  } finally {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  }
}

test("NODE_EXTRA_CA_CERTS adds to the runtime's roots", async () => {
  const server = await serve(good);
  const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
  await writeFile(join(folder, "ca.pem"), ca);
  await withEnvironment("NODE_EXTRA_CA_CERTS", join(folder, "ca.pem"), async () => {
    const { output } = await runScript("tests/agent/face_https_env.cjs", String(server.port));
    is(output, "authorized: true\n");
  });
  await rm(folder, { recursive: true });
  await server.close();
});

test("NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing: who is not verified is refused", async () => {
  await withEnvironment("NODE_TLS_REJECT_UNAUTHORIZED", "0", async () => {
    match(await codeOf({}) ?? "", NOT_TRUSTED);
  });
});

// Who we are.

const pfx = Uint8Array.from(atob(clientPfxBase64), (letter) => letter.charCodeAt(0));
const identities: Record<string, RequestOptions & Record<string, unknown>> = {
  "cert and key": { ...client },
  "cert and an encrypted key": { cert: client.cert, key: encryptedClientKey, passphrase },
  "cert and a key with its own passphrase": {
    cert: client.cert,
    key: [{ pem: encryptedClientKey, passphrase }],
  },
  pfx: { pfx: pfx as never, passphrase },
};
for (const [name, identity] of Object.entries(identities)) {
  test(`${name} are the client's certificate, which the server verifies`, async () => {
    const { client: seen } = await one({ ca, ...identity }, good, { rejectUnauthorized: true });
    is(seen, "holdfast test client");
  });
}

test("a server that demands a certificate and gets none: 'error', and no answer", async () => {
  const server = await serve(good, { rejectUnauthorized: true });
  const request = https.get({ host: "localhost", port: server.port, ca, agent: false });
  const error = await new Promise<Coded>((resolve) => request.once("error", resolve));
  match(error.code!, /^(ECONNRESET|EPIPE|ERR_SSL_TLSV1(3)?_ALERT_CERTIFICATE_REQUIRED)$/);
  await closed(request);
  is(server.asked, 0);
  await server.close();
});

test("the certificate is the agent's where it is the agent's option, for each of its requests", async () => {
  const server = await serve(good);
  const agent = new https.Agent({ keepAlive: true, ca, ...client });
  const seen = [await ask(server, { agent }), await ask(server, { agent })] as Seen[];
  equal(seen.map((answer) => answer.client), ["holdfast test client", "holdfast test client"]);
  agent.destroy();
  await server.close();
});

test("a connection with one's certificate is never another's", async () => {
  const server = await serve(good);
  const agent = new https.Agent({ keepAlive: true, ca });
  const seen = [await ask(server, { agent, ...client }), await ask(server, { agent })] as Seen[];
  equal(seen.map((answer) => answer.client), ["holdfast test client", undefined]);
  agent.destroy();
  await server.close();
});

test("a pfx with a wrong passphrase is an 'error'", async () => {
  const { message } = await one({ ca, pfx: pfx as never, passphrase: "wrong" });
  match(message ?? "", /mac verif/i);
});

// How.

test("minVersion and maxVersion bound the protocol", async () => {
  is((await one({ ca, maxVersion: "TLSv1.2" })).version, "TLSv1.2");
  is((await one({ ca, minVersion: "TLSv1.3" })).version, "TLSv1.3");
  not.equal(await codeOf({ ca, minVersion: "TLSv1.3" }, good, { maxVersion: "TLSv1.2" }), undefined);
  is(await codeOf({ ca, minVersion: "TLSv9" as never }), "ERR_TLS_INVALID_PROTOCOL_VERSION");
});

test("secureProtocol names one version; an unknown one is an 'error'", async () => {
  is((await one({ ca, secureProtocol: "TLSv1_2_method" })).version, "TLSv1.2");
  is(await codeOf({ ca, secureProtocol: "nonsense" }), "ERR_TLS_INVALID_PROTOCOL_METHOD");
});

test.needs(honours("ciphers"), "ciphers choose the suite", async () => {
  const ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
  is((await one({ ca, maxVersion: "TLSv1.2", ciphers })).cipher, ciphers);
});

for (
  const [name, value] of Object.entries({
    ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384",
    crl: emptyCrl,
    ecdhCurve: "P-384",
    sigalgs: "ecdsa_secp256r1_sha256",
  })
) {
  const option = name as "ciphers";
  test.needs(refuses(option), `${name} is refused where it would be ignored`, async () => {
    is(await codeOf({ ca, [name]: value }), "ERR_UNSUPPORTED_OPTION");
  });
}

test("servername: the host's name, another, none for an address, none where it is ''", async () => {
  const nameOf = async (options: RequestOptions, identity?: KeyPair): Promise<unknown> =>
    (await one({ ca, ...options }, identity)).servername || "none";
  is(await nameOf({}), "localhost");
  is(await nameOf({ host: "127.0.0.1" }), "none");
  is(await nameOf({ host: "127.0.0.1", servername: "localhost" }), "localhost");
  is(await nameOf({ servername: "" }), "none");
  is(await nameOf({ servername: "elsewhere.test" }, wrongHost), "elsewhere.test");
  is(await codeOf({ ca, servername: "elsewhere.test" }), "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("the Host header is the servername where none is given, as in Node", async () => {
  const { servername } = await one({ ca, headers: { host: "elsewhere.test:99" } }, wrongHost);
  is(servername, "elsewhere.test");
});

test("ALPNProtocols are offered, and what was chosen is on the socket", async () => {
  const server = await serve(good, { ALPNProtocols: ["http/1.1"] });
  const options = { host: "localhost", port: server.port, ca, agent: false };
  const request = https.get({ ...options, ALPNProtocols: ["http/1.1"] });
  const response = await responseTo(request);
  is((response.socket as tls.TLSSocket).alpnProtocol, "http/1.1");
  is(JSON.parse(await textOf(response)).alpn, "http/1.1");
  await closed(request);
  await server.close();
});

test.needs(
  { resumesSessions: capabilities.resumesSessions },
  "a session that a socket has told of is resumed, under the same options alone",
  async () => {
    const server = await serve(good);
    const options = { host: "localhost", port: server.port, ca, agent: false };
    const tell = async (given: RequestOptions): Promise<[boolean, Uint8Array | undefined]> => {
      const request = https.get(given);
      let session: Uint8Array | undefined;
      request.on("socket", (socket) => socket.on("session", (told: Uint8Array) => session = told));
      const response = await responseTo(request);
      const isReused = (response.socket as tls.TLSSocket).isSessionReused();
      response.resume();
      await closed(request);
      return [isReused, session];
    };
    const [, session] = await tell(options);
    is((await tell({ ...options, session }))[0], true);
    is((await tell({ ...options, session, rejectUnauthorized: false }))[0], false);
    await server.close();
  },
);

test("the peer's certificate can be pinned at 'secureConnect' of each connection, resumed or not", async () => {
  const server = await serve(good);
  const pin = new X509Certificate(good.cert).fingerprint256;
  for (const host of ["localhost", "127.0.0.1"]) {
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const request = https.get({ host, port: server.port, ca, agent: false });
      request.on("socket", (socket) => {
        const pinned = socket as tls.TLSSocket;
        const look = (): unknown => seen.push(pinned.getPeerCertificate().fingerprint256 === pin);
        if (pinned.connecting) pinned.once("secureConnect", look);
        else request.once("response", look);
      });
      (await responseTo(request)).resume();
      await closed(request);
    }
    equal(seen, [true, true, true]);
  }
  await server.close();
});

test("options of the shared agent may be written: https.globalAgent.options.ca", async () => {
  const server = await serve(good);
  const { options } = https.globalAgent;
  try {
    options.ca = ca;
    const seen = await ask(server, { agent: undefined }) as Seen;
    is(seen.servername, "localhost");
  } finally {
    delete options.ca;
    https.globalAgent.destroy();
  }
  await server.close();
});

test("a bad value is an 'error' of the request, before a socket is opened", async () => {
  const bad = { ca: 5, servername: 5, checkServerIdentity: 5 };
  for (const [name, value] of Object.entries(bad)) {
    const { code, message } = await one({ ca, [name]: value } as never);
    is(code, "ERR_INVALID_ARG_TYPE");
    match(message ?? "", name);
  }
});

test.run();
