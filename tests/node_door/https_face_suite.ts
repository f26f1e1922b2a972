import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import https, { Agent } from "@holdfast/agent/https";
import { equal, is, match } from "uvu/assert";
import { ca, good, otherCa } from "../certs/certs.ts";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { closed, responseTo, textOf } from "./http_log.ts";

const test = suite("https: end to end");

/** An https server that says what it was asked; `body` is given its port and the paths asked for so far. */
async function withOrigin(body: (port: number, asked: readonly string[]) => Promise<void>): Promise<void> {
  const asked: string[] = [];
  const server = https.createServer(good, async (request, response) => {
    asked.push(request.url!);
    let text = "";
    for await (const chunk of request) text += chunk;
    response.end(`${request.method} ${request.url} ${text}`);
  });
  const { port, close } = await listening(server);
  try {
    await body(port, asked);
  } finally {
    await close();
  }
}

test("https.request() sends a body over TLS and reads the answer", () =>
  withOrigin(async (port) => {
    const request = https.request({
      host: "localhost",
      port,
      ca,
      agent: false,
      method: "POST",
      path: "/a?b",
    });
    const answer = responseTo(request);
    request.write("one ");
    request.end("two");
    const response = await answer;
    equal([response.statusCode, await textOf(response)], [200, "POST /a?b one two"]);
    is(request.protocol, "https:");
    await closed(request);
  }));

test("the socket of a request says where both of its ends are", () =>
  withOrigin(async (port) => {
    const request = https.get({ host: "127.0.0.1", port, ca, agent: false });
    const response = await responseTo(request);
    for (const each of [request.socket, response.socket] as Socket[]) {
      equal([each.remoteAddress, each.remotePort, each.remoteFamily, each.localAddress], [
        "127.0.0.1",
        port,
        "IPv4",
        "127.0.0.1",
      ]);
      const { address, port: localPort } = each.address() as AddressInfo;
      equal([address, localPort], ["127.0.0.1", each.localPort]);
    }
    response.resume();
    await closed(request);
  }));

test("https.get() takes a URL, and a kept connection serves the second request", () =>
  withOrigin(async (port) => {
    const agent = new Agent({ keepAlive: true, ca });
    try {
      const reused: boolean[] = [];
      for (const path of ["/first", "/second"]) {
        const request = https.get(`https://localhost:${port}${path}`, { agent });
        is(await textOf(await responseTo(request)), `GET ${path} `);
        await closed(request);
        reused.push(request.reusedSocket);
      }
      equal(reused, [false, true]);
    } finally {
      agent.destroy();
    }
  }));

test("an authority that is not trusted is an 'error', and nothing is sent", () =>
  withOrigin(async (port, asked) => {
    const request = https.get({ host: "localhost", port, ca: otherCa, agent: false });
    const [error] = await once(request, "error") as [Error & { code?: string }];
    is(error.code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    is(request.res, null);
    await closed(request);
    equal(asked, []);
  }));

test("a handshake that fails is EPROTO to who has written, as in Node, and OpenSSL's word to who has not", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  const { port, close } = await listening(server);
  for (const agent of [false, new Agent({ keepAlive: true })] as const) {
    for (const writes of [true, false]) {
      const request = https.request({ host: "127.0.0.1", port, ca, agent: agent as never });
      if (writes) request.end();
      const [error] = await once(request, "error") as [Error & { code: string; syscall?: string }];
      if (writes) {
        equal([error.name, error.code, error.syscall], ["Error", "EPROTO", "write"]);
        match(error.message, /^write EPROTO .*wrong version number/);
        is((error.cause as { code?: string }).code, "ERR_SSL_WRONG_VERSION_NUMBER");
      } else is(error.code, "ERR_SSL_WRONG_VERSION_NUMBER");
      await closed(request);
    }
  }
  await close();
});

test("a TLS version that there is none of is said with what it was", async () => {
  const request = https.get({ host: "127.0.0.1", port: 1, agent: false, minVersion: "TLSv9" as never });
  const [error] = await once(request, "error") as [Error & { code: string }];
  equal([error.code, error.message], [
    "ERR_TLS_INVALID_PROTOCOL_VERSION",
    '"TLSv9" is not a valid minimum TLS protocol version',
  ]);
  await closed(request);
});

test.run();
