/** The foreign door where a request, its listeners or its agent's methods do what they should not. */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import process from "node:process";
import { Duplex } from "node:stream";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { Agent, HttpsAgent } from "@holdfast/agent";
import { ca, good } from "../certs/certs.ts";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { origin, send, until } from "./door_origin.ts";

const test = suite("The foreign door: requests and listeners that misbehave");

/** How a server of raw bytes answers each request: at once, whatever has come of it. */
const early = (socket: net.Socket): void => {
  let seen = "";
  let isOpen = true;
  socket.on("data", (chunk) => {
    seen += chunk.toString("latin1");
    if (!isOpen || !seen.includes("\r\n\r\n")) return;
    isOpen = false;
    // What comes behind the head belongs to its body: a server that reads on would wait for the rest of it.
    setTimeout(() => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      isOpen = true;
      seen = "";
    }, 5);
  });
};

interface Sent {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders | readonly string[];
  readonly chunks: readonly (string | Buffer)[];
}

const LENGTHS: Readonly<Record<string, readonly [isKept: boolean, sent: Sent]>> = {
  "fewer bytes than its Content-Length": [false, { headers: { "content-length": 10 }, chunks: ["abc"] }],
  "none of its Content-Length": [false, { headers: { "content-length": 10 }, chunks: [] }],
  "more bytes than its Content-Length": [false, { headers: { "content-length": 2 }, chunks: ["abc"] }],
  "fewer bytes, the fields as a list": [false, {
    headers: ["Host", "127.0.0.1", "Content-Length", "10"],
    chunks: ["abc"],
  }],
  "a body that nothing frames": [false, { method: "DELETE", chunks: ["abc"] }],
  "what its Content-Length says": [true, { headers: { "content-length": 3 }, chunks: ["abc"] }],
  "a large body in pieces": [true, {
    headers: { "content-length": 600_000 },
    chunks: [1, 2, 3].map(() => Buffer.alloc(200_000)),
  }],
  "a field and a body outside of ASCII": [true, {
    headers: { "content-length": 4, "x-name": "\xe9" },
    chunks: ["\xe9\xe9"],
  }],
  "chunks": [true, { chunks: ["a", "b"] }],
  "no body": [true, { method: "GET", chunks: [] }],
};

function post(module: typeof http | typeof https, options: http.RequestOptions, sent: Sent): Promise<void> {
  return new Promise((resolve, reject) => {
    const { method = "POST", headers = {} } = sent;
    const request = module.request(
      { host: "127.0.0.1", method, headers: headers as http.OutgoingHttpHeaders, ...options },
      (response) => void response.resume(),
    );
    request.on("error", reject);
    request.on("close", () => resolve());
    for (const chunk of sent.chunks) request.write(chunk);
    request.end();
  });
}

for (const scheme of ["http", "https"] as const) {
  for (const [name, [isKept, sent]] of Object.entries(LENGTHS)) {
    test(`${scheme}: ${name}: the connection ${isKept ? "serves on" : "is closed"}`, async () => {
      const isSecure = scheme === "https";
      const server = isSecure
        ? tls.createServer({ key: good.key, cert: good.cert }, early)
        : net.createServer(early);
      const one = await listening(server);
      const agent = new (isSecure ? HttpsAgent : Agent)({ keepAlive: true, maxSockets: 1 });
      const module = isSecure ? https : http;
      const options = { port: one.port, agent, ca, servername: "localhost" };
      for (let round = 0; round < 2; round++) {
        await post(module, options, sent);
        await until(() => agent.stats().active === 0 && agent.stats().closing === 0);
      }
      const { free, opened, closed } = agent.stats();
      assert.equal([opened, free, Object.keys(closed)], isKept ? [1, 1, []] : [2, 0, ["request-close"]]);
      agent.destroy();
      await one.close();
    });
  }
}

/** What is thrown while `run` is under way and nobody catches. */
async function uncaughtOf(run: () => Promise<void>): Promise<string[]> {
  const caught: string[] = [];
  const before = process.listeners("uncaughtException");
  const note = (error: Error): void => void caught.push(error.message);
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", note);
  try {
    await run();
  } finally {
    process.off("uncaughtException", note);
    for (const listener of before) process.on("uncaughtException", listener);
  }
  return caught;
}

test("a request whose error nobody hears leaves its place, where the server has ended", async () => {
  const one = await origin((request) => void request.socket.end());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let code: string | undefined;
  const caught = await uncaughtOf(async () => {
    http.get({ host: "127.0.0.1", port: one.port, agent });
    ({ code } = await send({ port: one.port, agent }));
  });
  assert.is(code, "ECONNRESET");
  assert.is(caught.length, 1);
  await until(() => agent.totalSocketCount === 0);
  agent.destroy();
  await one.close();
});

test("a getName() that gives no string names its sockets all the same", async () => {
  const one = await origin((_request, response) => void response.end());
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.getName = (): string => 5 as unknown as string;
  await send({ port: one.port, agent });
  assert.equal(Object.keys(agent.freeSockets), ["5"]);
  assert.is((await send({ port: one.port, agent })).reused, true);
  agent.destroy();
  await one.close();
});

const GIVING_UP: Readonly<Record<string, (request: http.ClientRequest, agent: Agent) => void>> = {
  "destroy()": (request) => void request.destroy(),
  "destroy(error)": (request) => void request.destroy(new Error("enough")),
  "abort()": (request) => request.abort(),
  "destroy() at its timeout": (request) => void request.setTimeout(1, () => void request.destroy()),
  "destroy() of its socket": (request) => void request.socket!.destroy(),
  "the agent's destroy()": (_request, agent) => agent.destroy(),
};

for (const [name, giveUp] of Object.entries(GIVING_UP)) {
  test(`${name} on a used connection: the request is over, and is not sent again`, async () => {
    const one = await origin((request, response) => {
      if (request.url !== "/held") response.end("ok");
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await send({ port: one.port, agent });
    await until(() => agent.stats().free === 1);
    const request = http.get({ host: "127.0.0.1", port: one.port, agent, path: "/held" });
    request.on("error", () => {});
    const closed = new Promise((resolve) => request.once("close", resolve));
    await until(() => one.paths.includes("/held"));
    assert.is(request.reusedSocket, true);
    giveUp(request, agent);
    await closed;
    await until(() => agent.totalSocketCount === 0);
    assert.is(agent.stats().pending, 0);
    assert.equal(one.paths.filter((path) => path === "/held"), ["/held"]);
    agent.destroy();
    await one.close();
  });
}

/** A Duplex that stands for a socket, as libraries make them. */
function wrapped(socket: net.Socket, made: Duplex): Duplex {
  made._read = (): void => void socket.resume();
  made._write = (chunk: Buffer, _encoding: BufferEncoding, done: () => void): void =>
    void socket.write(chunk, () => done());
  made._final = (done): void => void socket.end(() => done());
  made._destroy = (error, done): void => {
    socket.destroy();
    done(error);
  };
  socket.on("data", (chunk) => void made.push(chunk));
  socket.on("end", () => void made.push(null));
  socket.on("error", (error) => void made.destroy(error));
  return made;
}

/** As readable-stream 3, which Node's streams once were: what 'readable' has stopped a listener of 'data' does not start. */
class OldDuplex extends Duplex {
  override off(event: string, listener: (...args: never[]) => void): this {
    EventEmitter.prototype.off.call(this, event, listener as () => void);
    if (event === "readable") process.nextTick(() => this.#update());
    return this;
  }

  #update(): void {
    const { _readableState: state } = this as unknown as { _readableState: { readableListening: boolean } };
    state.readableListening = this.listenerCount("readable") > 0;
    if (this.listenerCount("data") > 0) this.resume();
  }
}

const DUPLEXES: Readonly<Record<string, () => Duplex>> = {
  "a Duplex that emits no 'close'": () => new Duplex({ emitClose: false }),
  "a Duplex of old streams": () => new OldDuplex(),
};

for (const [name, make] of Object.entries(DUPLEXES)) {
  for (const [client, get] of [["foreign", http.get], ["own", undefined]] as const) {
    test(`${name}, ${client}: it is reused, and leaves its place`, async () => {
      const one = await origin((request, response) => {
        response.end("ok");
        if (request.url === "/last") setTimeout(() => request.socket.end(), 5);
      });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      agent.createConnection = ({ port }: { port: number }): Duplex =>
        wrapped(net.connect(port, "127.0.0.1"), make());
      const ask = async (path: string): Promise<void> => {
        if (get !== undefined) return assert.is((await send({ port: one.port, agent, path })).body, "ok");
        const { body } = await agent.request(`http://127.0.0.1:${one.port}${path}`);
        assert.is(await body.text(), "ok");
      };
      for (let round = 0; round < 2; round++) {
        await ask("/first");
        await until(() => agent.stats().free === 1);
        await ask("/last");
        await until(() => agent.totalSocketCount === 0);
      }
      assert.equal([agent.stats().opened, agent.stats().reused], [2, 2]);
      if (get !== undefined) {
        const request = get({ host: "127.0.0.1", port: one.port, agent }).on("error", () => {});
        request.once("socket", () => void request.destroy());
        await until(() => request.destroyed && agent.totalSocketCount === 0);
      }
      agent.destroy();
      await one.close();
    });
  }
}

test("a parked stream that its last user ends carries no request", async () => {
  const one = await origin((_request, response) => void response.end("ok"));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let round = 0; round < 5; round++) {
    assert.is((await send({ port: one.port, agent })).body, "ok");
    await until(() => agent.stats().free === 1);
    for (const stream of Object.values(agent.freeSockets).flat()) stream!.end();
  }
  agent.destroy();
  await one.close();
});

test.run();
