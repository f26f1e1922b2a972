/** What Node's document shows of its client (http, https), used as it is shown there. */
import http, { type ClientRequest, type RequestOptions } from "@holdfast/agent/http";
import { once } from "node:events";
import * as net from "node:net";
import { Duplex } from "node:stream";
import { equal, is, throws } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { closed, logOf, responseTo, textOf } from "../node_door/http_log.ts";
import { ok, withWireOrigin } from "../node_door/http_origin.ts";

const test = suite("http: uses of Node's document");

/** A port of loopback on which nobody listens. */
async function deadPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return port;
}

function withdrawn(options: RequestOptions): ClientRequest {
  const request = http.get({ host: "127.0.0.1", ...options });
  request.on("socket", (socket) => (socket as net.Socket).emit("agentRemove"));
  return request;
}

test("more than a response, whose request's write is never known to be done: 'close' comes", async () => {
  const agent = new http.Agent({ keepAlive: true });
  agent.createConnection = () =>
    new Duplex({
      read(): void {},
      write(): void {
        this.push(
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
      },
    });
  const request = http.get({ agent }, (response) => void response.resume());
  await closed(request);
  is(request.res?.complete, true);
  agent.destroy();
});

test("agent.destroy() in the tick of the request, or within createConnection, is told to who listens by the end of it", () =>
  withWireOrigin((socket) => socket.end(ok()), async ({ port }) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const requests = [1, 2].map(() => http.get({ host: "127.0.0.1", port, agent }));
    agent.destroy();
    agent.createConnection = (): net.Socket => {
      agent.destroy();
      return net.connect(port, "127.0.0.1");
    };
    requests.push(http.get({ host: "127.0.0.1", port, agent }));
    const codes = requests.map(async (request) => {
      const [error] = await once(request, "error") as [{ code?: string }];
      return error.code;
    });
    equal(await Promise.all(codes), Array(3).fill("ERR_AGENT_DESTROYED"));
  }));

for (const head of ["Connection: close\r\nContent-Length: 2", "Content-Length: 2", "X-Until: EOF"]) {
  // As TLS does on Node, whose writes are known to be done a turn late.
  test(`a response that ends before its request's write is done: 'close' comes, ${head.replace("\r\n", ", ")}`, async () => {
    const agent = new http.Agent({ keepAlive: true });
    agent.createConnection = () =>
      new Duplex({
        read(): void {},
        write(_chunk, _encoding, done): void {
          this.push(`HTTP/1.1 200 OK\r\n${head}\r\n\r\nok`);
          if (head.startsWith("X")) this.push(null);
          setTimeout(done, 20);
        },
      });
    const request = http.get({ agent });
    is(await textOf(await responseTo(request)), "ok");
    await closed(request);
    agent.destroy();
  });
}

test("'agentRemove' before the connection is open: the request goes on outside the agent", () =>
  withWireOrigin((socket) => socket.end(ok()), async ({ port }) => {
    const agent = new http.Agent({ keepAlive: true });
    const request = withdrawn({ port, agent });
    is(await textOf(await responseTo(request)), "ok");
    await closed(request);
    equal([agent.totalSocketCount, Object.keys(agent.freeSockets)], [0, []]);
    agent.destroy();
  }));

test("'agentRemove' before the connection is refused: 'error', 'close'", async () => {
  const agent = new http.Agent();
  const request = withdrawn({ port: await deadPort(), agent });
  const log = logOf(request);
  await closed(request);
  equal(log.filter((line) => line !== "prefinish").map((line) => line.split(" ").slice(0, 2).join(" ")), [
    "socket",
    "error ECONNREFUSED",
    "close",
  ]);
});

test("'agentRemove', and destroy() before the connection is open: 'error', 'close'", () =>
  withWireOrigin((socket) => socket.end(ok()), async ({ port }) => {
    const agent = new http.Agent();
    const request = withdrawn({ port, agent });
    request.on("socket", () => request.destroy());
    const log = logOf(request);
    await closed(request);
    equal(log, ["socket", "error ECONNRESET socket hang up", "close"]);
  }));

/** As Node's document has its users do. */
class Own extends http.Agent {
  override createConnection(
    ...args: Parameters<http.Agent["createConnection"]>
  ): ReturnType<http.Agent["createConnection"]> {
    return super.createConnection(...args);
  }
}

test("an agent with a createConnection of its own emits 'free' for each request's socket", () =>
  withWireOrigin((socket) => socket.write(ok()), async ({ port, ...origin }) => {
    const agent = new Own({ keepAlive: true });
    const freed: unknown[] = [];
    agent.on("free", (socket, { host }) => freed.push(socket instanceof net.Socket, host));
    for (let i = 0; i < 2; i++) {
      const request = http.get({ host: "127.0.0.1", port, agent });
      is(await textOf(await responseTo(request)), "ok");
      await closed(request);
    }
    equal(freed, [true, "127.0.0.1", true, "127.0.0.1"]);
    equal([origin.heads.length, agent.totalSocketCount], [2, 1]);
    agent.destroy();
  }));

test("and understands 'agentRemove' on it, before and after it is open", () =>
  withWireOrigin((socket) => socket.write(ok()), async ({ port }) => {
    const agent = new Own({ keepAlive: true });
    for (const event of ["lookup", "connect"]) {
      const request = http.get({ host: "127.0.0.1", port, agent });
      const socket = await new Promise<net.Socket>((resolve) => request.once("socket", resolve));
      if (event === "connect") socket.once("connect", () => socket.emit("agentRemove"));
      else socket.emit("agentRemove");
      is(await textOf(await responseTo(request)), "ok");
      await closed(request);
      equal([agent.totalSocketCount, Object.keys(agent.freeSockets)], [0, []]);
      socket.destroy();
    }
    agent.destroy();
  }));

test("a server that begins to listen behind the request, in the same turn, is reached", async () => {
  for (const host of ["127.0.0.1", "localhost"]) {
    const port = await deadPort();
    const request = http.get({ host, port, agent: false });
    const server = http.createServer((_request, response) => response.end("here"));
    server.listen(port);
    is(await textOf(await responseTo(request)), "here");
    await closed(request);
    await new Promise<void>((resolve) => void server.close(() => resolve()));
  }
});

test("what a reader gives up with is the request's 'error' too", () =>
  withWireOrigin(
    (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
    async ({ port }) => {
      const request = http.get({ host: "127.0.0.1", port, agent: false });
      const log = logOf(request, false);
      const response = await responseTo(request);
      response.on("data", () => response.destroy(new Error("enough")));
      await closed(request);
      equal(log.slice(log.indexOf("res aborted")), [
        "res aborted",
        "error undefined enough",
        "res error undefined enough",
        "res close",
        "close",
      ]);
    },
  ));

test("a connect that fails is a system error as Node's: its name, its members, no others", async () => {
  const port = await deadPort();
  const request = http.get({ host: "127.0.0.1", port });
  const error = await new Promise<Error>((resolve) => request.once("error", resolve));
  is(String(error), `Error: connect ECONNREFUSED 127.0.0.1:${port}`);
  const { errno: _errno, ...members } = { errno: 0, ...error };
  equal(members, {
    code: "ECONNREFUSED",
    syscall: "connect",
    address: "127.0.0.1",
    port,
  });
});

test("the stream of a plain connection has none of TLSSocket's methods: programs ask by them", () =>
  withWireOrigin((socket) => socket.end(ok()), async ({ port }) => {
    for (const host of ["127.0.0.1", "localhost"]) {
      const request = http.get({ host, port, family: 4, agent: false });
      const socket = await new Promise<object>((resolve) => request.once("socket", resolve));
      await responseTo(request).then(textOf);
      const names = ["getPeerCertificate", "getProtocol", "getCipher", "getSession", "encrypted"];
      equal(names.map((name) => (socket as Record<string, unknown>)[name]), names.map(() => undefined));
      await closed(request);
    }
  }));

test("an agent's option that is null counts as unset", () =>
  withWireOrigin((socket) => socket.write(ok()), async ({ port }) => {
    const names = [
      "keepAlive",
      "timeout",
      "maxSockets",
      "maxFreeSockets",
      "scheduling",
      "keepAliveMsecs",
      "family",
    ];
    const agent = new http.Agent(Object.fromEntries(names.map((name) => [name, null])) as never);
    equal([agent.keepAlive, agent.maxSockets, agent.maxFreeSockets, agent.scheduling], [
      false,
      Infinity,
      256,
      "lifo",
    ]);
    const request = http.get({ host: "127.0.0.1", port, agent });
    is(await textOf(await responseTo(request)), "ok");
    agent.destroy();
    await closed(request);
  }));

test("a bad argument is thrown at once, and nothing is sent", () =>
  withWireOrigin((socket) => socket.end(ok()), async ({ port, heads }) => {
    const agent = new http.Agent();
    const options = { host: "127.0.0.1", port, agent };
    const request = http.request({ ...options, method: "POST" });
    request.on("error", () => {});
    const calls: [string, () => unknown][] = [
      ["ERR_UNKNOWN_ENCODING", () => request.write("a", "nonsense" as never)],
      ["ERR_UNKNOWN_ENCODING", () => request.end("a", "nonsense" as never)],
      ["ERR_INVALID_ARG_TYPE", () => http.request({ ...options, signal: {} as never })],
      ["ERR_INVALID_ARG_TYPE", () => http.request(options, "callback" as never)],
      ["ERR_INVALID_ARG_TYPE", () => http.get(`http://127.0.0.1:${port}/`, { agent }, 5 as never)],
    ];
    for (const [code, call] of calls) {
      throws(call, (error: Error) => (error as { code?: string }).code === code);
    }
    request.destroy();
    await closed(request);
    equal([agent.totalSocketCount, heads], [0, []]);
    agent.destroy();
  }));

test("a server's messages are instances of the classes here, as are a client's", async () => {
  const seen: boolean[] = [];
  class Mine extends http.IncomingMessage {}
  const server = http.createServer((request, response) => {
    seen.push(request instanceof http.IncomingMessage, response instanceof http.OutgoingMessage);
    seen.push(request instanceof Mine, request instanceof http.ClientRequest);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const request = http.get({ host: "127.0.0.1", port, agent: false });
  const response = await responseTo(request);
  response.resume();
  equal(seen, [true, true, false, false]);
  equal([request instanceof http.OutgoingMessage, request instanceof http.ClientRequest], [true, true]);
  equal([response instanceof http.IncomingMessage, response instanceof Mine], [true, false]);
  equal([new Mine() instanceof Mine, new Mine() instanceof http.IncomingMessage], [true, true]);
  await closed(request);
  await new Promise<void>((resolve) => void server.close(() => resolve()));
});

test("a bad header says so in Node's words", () => {
  const thrown = (body: () => void): unknown => {
    try {
      body();
    } catch (error) {
      return String(error);
    }
  };
  equal([
    thrown(() => http.validateHeaderName("")),
    thrown(() => http.validateHeaderName("a b", "Label")),
    thrown(() => http.validateHeaderValue("x-a", undefined)),
    thrown(() => http.validateHeaderValue("x-a", "\u028a")),
  ], [
    'TypeError [ERR_INVALID_HTTP_TOKEN]: Header name must be a valid HTTP token [""]',
    'TypeError [ERR_INVALID_HTTP_TOKEN]: Label must be a valid HTTP token ["a b"]',
    'TypeError [ERR_HTTP_INVALID_HEADER_VALUE]: Invalid value "undefined" for header "x-a"',
    'TypeError [ERR_INVALID_CHAR]: Invalid character in header content ["x-a"]',
  ]);
});

test.run();
