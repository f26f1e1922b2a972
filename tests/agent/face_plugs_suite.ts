/** Packages that take a request function, a transport, whole modules or a stream, over ours on both schemes. */
import http, { type ClientRequest } from "@holdfast/agent/http";
import https from "@holdfast/agent/https";
import axios from "axios";
import got from "got";
import { createRequire } from "node:module";
import type { Server } from "node:net";
import { equal, is } from "uvu/assert";
import { ca, good } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { listening } from "../harness/listening.ts";
import { textOf } from "../node_door/http_log.ts";

const test = suite("http and https: plugs");

// deno-lint-ignore no-explicit-any -- packages without types, in their own words
type Loaded = any;

// Not through import(): the emitted tests and CommonJS packages agree on require().
const require = createRequire(import.meta.url);

type Scheme = "http" | "https";
const SCHEMES: readonly Scheme[] = ["http", "https"];

/** A running server, plain or over TLS. */
interface EchoOrigin {
  readonly server: ReturnType<typeof http.createServer>;
  readonly url: string;
  readonly accepted: number;
  close(): Promise<void>;
}

/** Says what it was asked; `/from?u` redirects to u. */
async function echoOrigin(scheme: Scheme): Promise<EchoOrigin> {
  const listener: Parameters<typeof http.createServer>[1] = (request, response) => {
    const [path, target] = request.url!.split("?");
    if (path === "/from") return void response.writeHead(307, { location: target }).end();
    let text = "";
    request.on("data", (chunk) => text += chunk);
    request.on("end", () => response.end(`${scheme} ${request.method} ${path} ${text}`));
  };
  const server = scheme === "http"
    ? http.createServer({ keepAliveTimeout: 0 }, listener)
    : https.createServer({ ...good, keepAliveTimeout: 0 }, listener);
  const at = await listening(server as unknown as Server);
  return {
    server,
    url: `${scheme}://localhost:${at.port}`,
    get accepted() {
      return at.accepted;
    },
    close: at.close,
  };
}

/** Our modules with their requests counted. */
function counted(): { made: string[]; http: typeof http; https: typeof https } {
  const made: string[] = [];
  const count = (name: Scheme, module: Loaded): Loaded => {
    const request = (...args: unknown[]): ClientRequest => {
      made.push(name);
      return module.request(...args);
    };
    return { ...module, request, get: (...args: unknown[]) => request(...args).end() };
  };
  return { made, http: count("http", http), https: count("https", https) };
}

const agents = (): { http: http.Agent; https: https.Agent; destroy(): void } => {
  const own = {
    http: new http.Agent({ keepAlive: true }),
    https: new https.Agent({ keepAlive: true, ca }),
  };
  return { ...own, destroy: () => [own.http, own.https].forEach((agent) => agent.destroy()) };
};

for (const scheme of SCHEMES) {
  test(`axios takes our ${scheme} module as its transport, twice over one connection`, async () => {
    const origin = await echoOrigin(scheme);
    const modules = counted();
    const own = agents();
    for (let i = 0; i < 2; i++) {
      const { data, status, request } = await axios.post(`${origin.url}/a`, "body", {
        transport: modules[scheme] as never,
        httpAgent: own.http,
        httpsAgent: own.https,
        proxy: false,
      });
      equal([status, data], [200, `${scheme} POST /a body`]);
      is(request instanceof http.ClientRequest, true);
    }
    equal(modules.made, [scheme, scheme]);
    is(origin.accepted, 1);
    own.destroy();
    await origin.close();
  });

  test(`got takes our ${scheme}.request(), twice over one connection`, async () => {
    const origin = await echoOrigin(scheme);
    const modules = counted();
    const own = agents();
    for (let i = 0; i < 2; i++) {
      const text = await got.put(`${origin.url}/b`, {
        request: modules[scheme].request as never,
        agent: { http: own.http, https: own.https } as never,
        body: "body",
        retry: { limit: 0 },
      }).text();
      is(text, `${scheme} PUT /b body`);
    }
    equal(modules.made, [scheme, scheme]);
    is(origin.accepted, 1);
    own.destroy();
    await origin.close();
  });

  test(`superagent takes our ${scheme} module as its protocol`, async () => {
    const superagent = require("superagent") as Loaded;
    const origin = await echoOrigin(scheme);
    const modules = counted();
    const own = agents();
    const { protocols } = superagent;
    const before = { ...protocols };
    Object.assign(protocols, { "http:": modules.http, "https:": modules.https });
    try {
      for (let i = 0; i < 2; i++) {
        const answer = await superagent.post(`${origin.url}/c`).agent(own[scheme]).type("text").send("body")
          .buffer(true);
        equal([answer.status, String(answer.text ?? answer.body)], [200, `${scheme} POST /c body`]);
      }
    } finally {
      Object.assign(protocols, before);
    }
    equal(modules.made, [scheme, scheme]);
    is(origin.accepted, 1);
    own.destroy();
    await origin.close();
  });

  test(`ws opens its ${scheme === "http" ? "ws" : "wss"} over our createConnection`, async () => {
    const { WebSocket, WebSocketServer } = require("ws") as Loaded;
    const origin = await echoOrigin(scheme);
    const sockets = new WebSocketServer({ server: origin.server });
    sockets.on(
      "connection",
      (socket: Loaded) => socket.on("message", (data: Uint8Array) => socket.send(String(data))),
    );
    const own = agents();
    const { createConnection } = own[scheme];
    const client = new WebSocket(origin.url.replace("http", "ws"), { createConnection, ca });
    const echoed = new Promise<string>((resolve, reject) => {
      client.on("open", () => client.send("ping"));
      client.on("message", (data: Uint8Array) => resolve(String(data)));
      client.on("error", reject);
    });
    is(await echoed, "ping");
    const closed = new Promise((resolve) => client.on("close", resolve));
    client.close();
    await closed;
    own.destroy();
    sockets.close();
    await origin.close();
  });
}

test("follow-redirects wraps our modules and follows from one scheme to the other", async () => {
  const { wrap } = require("follow-redirects") as Loaded;
  const [plain, secure] = [await echoOrigin("http"), await echoOrigin("https")];
  const modules = counted();
  const own = agents();
  const wrapped = wrap({ http: modules.http, https: modules.https });
  const ask = (from: EchoOrigin, to: EchoOrigin): Promise<string> =>
    new Promise((resolve, reject) => {
      const { protocol } = new URL(from.url);
      const request = wrapped[protocol.slice(0, -1)].request(
        `${from.url}/from?${to.url}/to`,
        { method: "POST", agents: own },
        (response: Loaded) => textOf(response).then(resolve, reject),
      );
      request.on("error", reject);
      request.end("body");
    });
  is(await ask(plain, secure), "https POST /to body");
  is(await ask(secure, plain), "http POST /to body");
  equal(modules.made, ["http", "https", "https", "http"]);
  own.destroy();
  await plain.close();
  await secure.close();
});

test("axios follows a redirect over our modules wrapped by follow-redirects", async () => {
  const { wrap } = require("follow-redirects") as Loaded;
  const origin = await echoOrigin("http");
  const modules = counted();
  const own = agents();
  const { data } = await axios.get(`${origin.url}/from?/to`, {
    transport: wrap({ http: modules.http, https: modules.https }).http,
    httpAgent: own.http,
    proxy: false,
  });
  is(data, "http GET /to ");
  equal(modules.made, ["http", "http"]);
  own.destroy();
  await origin.close();
});

test.run();
