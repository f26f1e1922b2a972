/** Agents of others under our https requests, and proxies of theirs to secure origins. */
import https, { type RequestOptions } from "@holdfast/agent/https";
import { Agent as BaseAgent } from "agent-base";
import { HttpsAgent as KeepAliveAgent } from "agentkeepalive";
import { HttpsProxyAgent } from "https-proxy-agent";
import * as builtin from "node:http";
import * as builtinHttps from "node:https";
import * as net from "node:net";
import * as tls from "node:tls";
import { SocksProxyAgent } from "socks-proxy-agent";
import { equal, is, throws } from "uvu/assert";
import { ca, good, otherCa } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { type Listening, listening } from "../harness/listening.ts";
import { closed, logOf, responseTo, textOf } from "../node_door/http_log.ts";

const test = suite("https: agents of others");

function secureOrigin(): Promise<Listening> {
  return listening(builtinHttps.createServer({ ...good, keepAliveTimeout: 0 }, (request, response) => {
    let text = "";
    request.on("data", (chunk) => text += chunk);
    request.on("end", () => response.end(`${request.method} ${request.url} ${text}`));
  }));
}

/** Joins two sockets; the end of either is the end of both. */
function join(one: net.Socket, other: net.Socket): void {
  one.pipe(other);
  other.pipe(one);
  for (const [socket, peer] of [[one, other], [other, one]] as const) {
    socket.on("error", () => peer.destroy());
    socket.on("close", () => peer.destroy());
  }
}

/** A proxy that opens tunnels, to whatever name on this host. */
async function connectProxy(tunnels: string[]): Promise<Listening> {
  const proxy = builtin.createServer();
  proxy.on("connect", (request, client: net.Socket) => {
    tunnels.push(request.url ?? "");
    const upstream = net.connect(Number(request.url!.split(":").pop()), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      join(upstream, client);
    });
  });
  return await listening(proxy);
}

/** SOCKS5 without authentication (RFC 1928): a greeting, then one CONNECT. */
async function socksProxy(port: number): Promise<Listening> {
  return await listening(net.createServer((client) => {
    client.once("data", () => {
      client.write(new Uint8Array([5, 0]));
      client.once("data", () => {
        const upstream = net.connect(port, "127.0.0.1", () => {
          client.write(new Uint8Array([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          join(upstream, client);
        });
      });
    });
  }));
}

async function answers(options: RequestOptions, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const request = https.request({ host: "localhost", method: "POST", path: "/x", ca, ...options });
    request.end(String(i));
    texts.push(await textOf(await responseTo(request)));
    await closed(request);
  }
  return texts;
}

const twice = ["POST /x 0", "POST /x 1"];

test("the runtime's own https.Agent keeps our requests' sockets", async () => {
  const origin = await secureOrigin();
  const agent = new builtinHttps.Agent({ keepAlive: true });
  equal(await answers({ port: origin.port, agent }, 2), twice);
  is(origin.accepted, 1);
  agent.destroy();
  await origin.close();
});

test("the runtime's own https.Agent verifies: 'error', 'close'", async () => {
  const origin = await secureOrigin();
  const agent = new builtinHttps.Agent();
  const request = https.get({ host: "localhost", port: origin.port, agent, ca: otherCa });
  const log = logOf(request);
  await closed(request);
  equal(log.filter((line) => line.startsWith("error") || line === "close").map((line) => line.slice(0, 38)), [
    "error UNABLE_TO_VERIFY_LEAF_SIGNATURE ",
    "close",
  ]);
  agent.destroy();
  await origin.close();
});

test("agentkeepalive keeps our https requests' sockets", async () => {
  const origin = await secureOrigin();
  const agent = new KeepAliveAgent();
  equal(await answers({ port: origin.port, agent: agent as never }, 2), twice);
  is(origin.accepted, 1);
  agent.destroy();
  await origin.close();
});

class Direct extends BaseAgent {
  readonly secure: boolean[] = [];

  connect(_request: unknown, options: tls.ConnectionOptions & { secureEndpoint: boolean }): net.Socket {
    this.secure.push(options.secureEndpoint);
    const { port } = options;
    return tls.connect({ port: port!, host: "127.0.0.1", servername: "localhost", ca });
  }
}

test("an agent made with agent-base is told that the request is secure, with and without a protocol", async () => {
  const origin = await secureOrigin();
  const agent = new Direct();
  equal(await answers({ port: origin.port, agent: agent as never }, 1), twice.slice(0, 1));
  const request = https.get(`https://localhost:${origin.port}/y`, { agent: agent as never });
  is(await textOf(await responseTo(request)), "GET /y ");
  await closed(request);
  equal(agent.secure, [true, true]);
  agent.destroy();
  await origin.close();
});

test("one of agent-base 6 is told so too", () => {
  const told: unknown[] = [];
  const agent = {
    callback(): void {},
    protocol: "http:",
    defaultPort: 80,
    addRequest(_request: unknown, options: Record<string, unknown>): void {
      told.push(options["secureEndpoint"], options["port"]);
    },
  };
  https.get({ agent: agent as never }).on("error", () => {}).destroy();
  equal(told, [true, 443]);
});

test("its default port is 443 for a secure request", () => {
  const agent = new Direct();
  const request = https.request({ host: "localhost", agent: agent as never });
  request.on("error", () => {}).destroy();
  is(request.getHeader("host"), "localhost");
  agent.destroy();
});

test("https-proxy-agent tunnels our https requests, and the origin is verified", async () => {
  const origin = await secureOrigin();
  const tunnels: string[] = [];
  const proxy = await connectProxy(tunnels);
  const agent = new HttpsProxyAgent(`http://127.0.0.1:${proxy.port}`, { keepAlive: true });
  equal(await answers({ port: origin.port, agent: agent as never }, 2), twice);
  equal(tunnels, [`localhost:${origin.port}`]);
  is(origin.accepted, 1);
  const refused = https.get({
    host: "localhost",
    port: origin.port,
    agent: new HttpsProxyAgent(`http://127.0.0.1:${proxy.port}`) as never,
  });
  const [error] = await new Promise<[Error & { code?: string }]>((resolve) =>
    refused.once("error", (reason) => resolve([reason]))
  );
  is(error.code, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  await closed(refused);
  agent.destroy();
  await proxy.close();
  await origin.close();
});

test("socks-proxy-agent carries our https requests", async () => {
  const origin = await secureOrigin();
  const proxy = await socksProxy(origin.port);
  const agent = new SocksProxyAgent(`socks5://127.0.0.1:${proxy.port}`);
  equal(await answers({ port: origin.port, agent: agent as never }, 1), twice.slice(0, 1));
  agent.destroy();
  await proxy.close();
  await origin.close();
});

test("an agent of the other scheme is refused, whoever made it", () => {
  const code = (error: Error): boolean => (error as { code?: string }).code === "ERR_INVALID_PROTOCOL";
  throws(() => https.get({ agent: new builtin.Agent() }), code);
  class Plain {
    get protocol(): string {
      return "http:";
    }
    addRequest(): void {}
  }
  throws(() => https.get({ agent: new Plain() }), code);
  throws(() => https.get("http://localhost/"), code);
});

test.run();
