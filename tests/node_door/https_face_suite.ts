import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import https, { Agent } from "@holdfast/agent/https";
import { equal, is } from "uvu/assert";
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

test.run();
