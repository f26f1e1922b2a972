/** Packages that take a request function, a transport or a stream, over ours; and agents of others under our requests. */
import http, { type ClientRequest, type RequestOptions } from "@holdfast/agent/http";
import https from "@holdfast/agent/https";
import { Agent as BaseAgent } from "agent-base";
import { HttpAgent as KeepAliveAgent } from "agentkeepalive";
import axios from "axios";
import got from "got";
import { HttpsProxyAgent } from "https-proxy-agent";
import * as builtin from "node:http";
import { createRequire } from "node:module";
import * as net from "node:net";
import { SocksProxyAgent } from "socks-proxy-agent";
import { equal, is } from "uvu/assert";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { type Origin, origin } from "./door_origin.ts";
import { closed, responseTo, textOf } from "./http_log.ts";

const test = suite("http: plugs");

/** It has no types of its own. */
const followRedirects = createRequire(import.meta.url)("follow-redirects") as {
  wrap(
    modules: object,
  ): { http: { get(url: string, options: object, listener: (response: never) => void): unknown } };
};

async function withOrigin(body: (origin: Origin) => Promise<void>): Promise<void> {
  const server = await origin((request, response) => {
    if (request.url === "/from") return void response.writeHead(302, { location: "/to" }).end();
    let text = "";
    request.on("data", (chunk) => text += chunk);
    request.on("end", () => response.end(`${request.method} ${request.url} ${text}`));
  });
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

/** Requests made through ours. */
function counted(): { made: number; request: typeof http.request } {
  const counter = {
    made: 0,
    request: ((...args: Parameters<typeof http.request>) => {
      counter.made++;
      return http.request(...args);
    }) as typeof http.request,
  };
  return counter;
}

test("axios takes our request() as its transport", async () => {
  await withOrigin(async (server) => {
    const transport = counted();
    const agent = new http.Agent({ keepAlive: true });
    for (let i = 0; i < 2; i++) {
      const { data, status } = await axios.post(`http://127.0.0.1:${server.port}/a`, "body", {
        transport,
        httpAgent: agent,
        proxy: false,
      } as never);
      equal([status, data], [200, "POST /a body"]);
    }
    is(transport.made, 2);
    is(server.accepted, 1);
    agent.destroy();
  });
});

test("got takes our request()", async () => {
  await withOrigin(async (server) => {
    const counter = counted();
    const agent = new http.Agent({ keepAlive: true });
    for (let i = 0; i < 2; i++) {
      const body = await got.put(`http://127.0.0.1:${server.port}/b`, {
        request: counter.request as never,
        agent: { http: agent as never },
        body: "body",
        retry: { limit: 0 },
      }).text();
      is(body, "PUT /b body");
    }
    is(counter.made, 2);
    is(server.accepted, 1);
    agent.destroy();
  });
});

test("follow-redirects wraps our modules", async () => {
  await withOrigin(async (server) => {
    const wrapped = followRedirects.wrap({ http, https });
    const agent = new http.Agent({ keepAlive: true });
    const text = await new Promise<string>((resolve, reject) => {
      wrapped.http.get(
        `http://127.0.0.1:${server.port}/from`,
        { agent: agent as never } as never,
        (response: never) => {
          textOf(response).then(resolve, reject);
        },
      );
    });
    is(text, "GET /to ");
    equal(server.paths, ["/from", "/to"]);
    agent.destroy();
  });
});

async function answers(options: RequestOptions, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const req: ClientRequest = http.request({ method: "POST", path: "/x", ...options });
    req.end(String(i));
    texts.push(await textOf(await responseTo(req)));
    await closed(req);
  }
  return texts;
}

test("agentkeepalive keeps our requests' sockets", async () => {
  await withOrigin(async (server) => {
    const agent = new KeepAliveAgent();
    const texts = await answers({ host: "127.0.0.1", port: server.port, agent: agent as never }, 3);
    equal(texts, ["POST /x 0", "POST /x 1", "POST /x 2"]);
    is(server.accepted, 1);
    agent.destroy();
  });
});

test("an agent made with agent-base connects our requests", async () => {
  await withOrigin(async (server) => {
    class Direct extends BaseAgent {
      connect(): Promise<net.Socket> {
        return Promise.resolve(net.connect(server.port, "127.0.0.1"));
      }
    }
    const agent = new Direct();
    equal(await answers({ host: "nowhere.invalid", agent: agent as never }, 2), ["POST /x 0", "POST /x 1"]);
    agent.destroy();
  });
});

test("https-proxy-agent tunnels our requests", async () => {
  await withOrigin(async (server) => {
    const proxy = builtin.createServer();
    const tunnels: string[] = [];
    proxy.on("connect", (request, client) => {
      tunnels.push(request.url ?? "");
      const upstream = net.connect(server.port, "127.0.0.1", () => {
        client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.pipe(client);
        client.pipe(upstream);
      });
      for (const one of [client, upstream]) one.on("error", () => {});
    });
    const { port, close } = await listening(proxy);
    const agent = new HttpsProxyAgent(`http://127.0.0.1:${port}`);
    equal(await answers({ host: "127.0.0.1", port: server.port, agent: agent as never }, 1), ["POST /x 0"]);
    equal(tunnels, [`127.0.0.1:${server.port}`]);
    agent.destroy();
    await close();
  });
});

test("socks-proxy-agent carries our requests", async () => {
  await withOrigin(async (server) => {
    const proxy = net.createServer((client) => {
      // SOCKS5 without authentication (RFC 1928): a greeting, then one CONNECT.
      client.once("data", () => {
        client.write(new Uint8Array([5, 0]));
        client.once("data", () => {
          const upstream = net.connect(server.port, "127.0.0.1", () => {
            client.write(new Uint8Array([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
            upstream.pipe(client);
            client.pipe(upstream);
          });
          upstream.on("error", () => {});
        });
      });
    });
    const { port, close } = await listening(proxy);
    const agent = new SocksProxyAgent(`socks5://127.0.0.1:${port}`);
    equal(await answers({ host: "127.0.0.1", port: server.port, agent: agent as never }, 1), ["POST /x 0"]);
    agent.destroy();
    await close();
  });
});

test.run();
