/**
 * Packages that take an agent, unchanged, over ours. Whether a package hands its requests to an agent at all is a fact of
 * the runtime (some replace it by a shim of their own): it is measured with the runtime's own Agent, and a package that
 * does not is left out under its flag.
 */
import * as http from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import { suite } from "../harness/suite.ts";
import { type Origin, origin, until } from "./door_origin.ts";

const test = suite("Packages over the foreign door");

// deno-lint-ignore no-explicit-any -- packages without types, in their own words
type Loaded = any;

// Not through import(): the emitted tests and CommonJS packages agree on require().
const require = createRequire(import.meta.url);
const load = async (name: string): Promise<Loaded> => {
  try {
    return require(name);
  } catch {
    return await import(name);
  }
};

type Fetcher = (agent: http.Agent, url: string) => Promise<string>;

async function text(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  let all = "";
  for await (const chunk of stream) {
    all += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
  }
  return all;
}

const PACKAGES: Readonly<Record<string, Fetcher>> = {
  async axios(agent, url): Promise<string> {
    const axios = await load("axios");
    const { data } = await (axios.default ?? axios).get(url, {
      httpAgent: agent,
      proxy: false,
      adapter: "http",
    });
    return data;
  },
  async got(agent, url): Promise<string> {
    const { got } = await import("got" as string);
    return await got(url, { agent: { http: agent } }).text();
  },
  async "node-fetch"(agent, url): Promise<string> {
    const { default: fetch } = await import("node-fetch" as string);
    return await (await fetch(url, { agent })).text();
  },
  async superagent(agent, url): Promise<string> {
    const superagent = await load("superagent");
    return (await superagent.get(url).agent(agent)).text;
  },
  async needle(agent, url): Promise<string> {
    const needle = await load("needle");
    return (await needle("get", url, { agent })).body.toString();
  },
  async "follow-redirects"(agent, url): Promise<string> {
    const { http: followed } = await load("follow-redirects");
    return await new Promise((resolve, reject) => {
      followed.get(url, { agent, agents: { http: agent } }, (response: http.IncomingMessage) => {
        resolve(text(response));
      }).on("error", reject);
    });
  },
  async "@smithy/node-http-handler"(agent, url): Promise<string> {
    const { NodeHttpHandler } = await load("@smithy/node-http-handler");
    const handler = new NodeHttpHandler({ httpAgent: agent });
    const { hostname, port, pathname } = new URL(url);
    const request = {
      protocol: "http:",
      method: "GET",
      hostname,
      port: Number(port),
      path: pathname,
      headers: {},
      query: {},
    };
    const { response } = await handler.handle(request);
    return await text(response.body);
  },
  async "http-proxy"(agent, url): Promise<string> {
    const { createProxyServer } = await load("http-proxy");
    const proxy = createProxyServer({ target: url, agent });
    const server = http.createServer((request, response) => proxy.web(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    // The proxy passes on what its client says of the connection.
    const client = new http.Agent({ keepAlive: true });
    const answer = await new Promise<string>((resolve, reject) => {
      http.get({ port, host: "127.0.0.1", agent: client }, (response) => resolve(text(response))).on(
        "error",
        reject,
      );
    });
    client.destroy();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    return answer;
  },
};

const answer: http.RequestListener = (request, response) => {
  if (request.url === "/moved") response.writeHead(302, { location: "/" }).end();
  else response.writeHead(200, { "content-type": "text/plain" }).end("hello");
};

/** Does the package give its requests to an agent here? */
async function usesAgents(fetcher: Fetcher): Promise<boolean> {
  const one = await origin(answer);
  let isUsed = false;
  class Spy extends http.Agent {
    override createConnection(...args: Parameters<http.Agent["createConnection"]>): Loaded {
      isUsed = true;
      return super.createConnection(...args);
    }
  }
  const agent = new Spy({ keepAlive: true });
  await fetcher(agent, `http://127.0.0.1:${one.port}/`).catch(() => {});
  agent.destroy();
  await one.close();
  return isUsed;
}

/** Twice over one connection, and four at once over two. */
async function exercise(fetcher: Fetcher, one: Origin): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  const url = `http://127.0.0.1:${one.port}/`;
  for (let round = 0; round < 2; round++) {
    assert.is(await fetcher(agent, url), "hello");
    await until(() => Object.keys(agent.freeSockets).length === 1);
    assert.is(one.accepted, 1);
  }
  const all = await Promise.all([1, 2, 3, 4].map(() => fetcher(agent, url)));
  assert.equal(all, ["hello", "hello", "hello", "hello"]);
  assert.ok(one.peak <= 2, `${one.peak} connections at once, 2 allowed`);
  agent.destroy();
}

for (const [name, fetcher] of Object.entries(PACKAGES)) {
  const flag = `usesAgents(${name})`;
  test.needs({ [flag]: await usesAgents(fetcher) }, `${name} keeps and shares our connections`, async () => {
    const one = await origin(answer);
    await exercise(fetcher, one);
    await one.close();
  });
}

test("follow-redirects follows over our connections", async () => {
  const one = await origin(answer);
  const agent = new Agent({ keepAlive: true });
  assert.is(await PACKAGES["follow-redirects"]!(agent, `http://127.0.0.1:${one.port}/moved`), "hello");
  assert.equal(one.paths, ["/moved", "/"]);
  agent.destroy();
  await one.close();
});

test("ws is handed its stream, which leaves the agent", async () => {
  const { WebSocket, WebSocketServer } = await load("ws");
  const one = await origin(answer);
  const sockets = new WebSocketServer({ server: one.server });
  sockets.on(
    "connection",
    (socket: Loaded) => socket.on("message", (data: Uint8Array) => socket.send(String(data))),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let round = 0; round < 2; round++) {
    const client = new WebSocket(`ws://127.0.0.1:${one.port}/`, { agent });
    const echoed = new Promise<string>((resolve, reject) => {
      client.on("open", () => client.send("ping"));
      client.on("message", (data: Uint8Array) => resolve(String(data)));
      client.on("error", reject);
    });
    assert.is(await echoed, "ping");
    assert.is(agent.totalSocketCount, 0);
    const closed = new Promise((resolve) => client.on("close", resolve));
    client.close();
    await closed;
  }
  agent.destroy();
  sockets.close();
  await one.close();
});

test.run();
