/** The reverse door: our request over somebody else's agent, or over a stream of its own. */
import http, { type ClientRequest } from "@holdfast/agent/http";
import * as builtin from "node:http";
import * as net from "node:net";
import { Duplex } from "node:stream";
import { equal, is, match } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { closed, logOf, responseTo, textOf } from "./http_log.ts";
import { ok, type WireAnswer, withWireOrigin } from "./http_origin.ts";

const test = suite("http: the reverse door");

test("the runtime's own Agent keeps and hands out its sockets", async () => {
  await withWireOrigin((socket) => socket.write(ok()), async (origin) => {
    const agent = new builtin.Agent({ keepAlive: true });
    const logs: string[][] = [];
    for (const expected of [false, true, true]) {
      const req = http.request({
        host: "127.0.0.1",
        port: origin.port,
        agent: agent as never,
        method: "POST",
      });
      const log = logOf(req);
      agent.once("free", () => log.push("free"));
      req.end("body");
      await closed(req);
      is(req.reusedSocket, expected);
      logs.push(log);
    }
    is(origin.connections, 1);
    for (const log of logs) {
      equal(log, ["socket", "prefinish", "finish", "response", "res end", "close", "free", "res close"]);
    }
    agent.destroy();
  });
});

test("own and foreign requests take turns on one socket of the runtime's Agent", async () => {
  await withWireOrigin((socket) => socket.write(ok()), async (origin) => {
    const agent = new builtin.Agent({ keepAlive: true });
    const options = { host: "127.0.0.1", port: origin.port, agent };
    for (let turn = 0; turn < 4; turn++) {
      const req = turn % 2 === 0
        ? http.get(options as never)
        : builtin.get(options) as unknown as ClientRequest;
      is(await textOf(await responseTo(req)), "ok");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    is(origin.connections, 1);
    agent.destroy();
  });
});

test("a createConnection of our own agent's is given its request's options under the agent's of then", async () => {
  await withWireOrigin((socket) => socket.end(ok()), async (origin) => {
    const agent = new http.Agent({ maxSockets: 1 });
    const place = { host: "127.0.0.1", port: origin.port, agent };
    await textOf(await responseTo(http.get({ ...place, path: "/before" })));
    const seen: unknown[][] = [];
    const { createConnection } = agent;
    agent.createConnection = (options, callback) => {
      const { host, path, own, added, servername } = options as Record<string, unknown>;
      seen.push([host, path, own, added, servername]);
      return createConnection.call(agent, { ...options, host: "127.0.0.1" }, callback);
    };
    const headers = { host: "name.test:80" };
    const get = (options: object): ClientRequest => http.get({ ...place, ...options } as never);
    const requests = [get({ own: 1 }), get({ own: 2, headers })];
    (agent.options as Record<string, unknown>)["added"] = true;
    requests.push(get({ own: 3 }));
    await Promise.all(requests.map(async (request) => textOf(await responseTo(request))));
    equal(seen, [
      ["127.0.0.1", null, 1, true, ""],
      ["127.0.0.1", null, 2, true, "name.test"],
      ["127.0.0.1", null, 3, true, ""],
    ]);
    // The agent's options win over a request's, and may say where it goes.
    (agent.options as Record<string, unknown>)["host"] = "127.0.0.2";
    await textOf(await responseTo(get({})));
    is(seen.at(-1)![0], "127.0.0.2");
    agent.destroy();
  });
});

test("a socket given back has no listener of ours", async () => {
  await withWireOrigin((socket) => socket.write(ok()), async (origin) => {
    const agent = new builtin.Agent({ keepAlive: true });
    const req = http.get({ host: "127.0.0.1", port: origin.port, agent: agent as never });
    const freed = new Promise<net.Socket>((resolve) => agent.once("free", resolve));
    await textOf(await responseTo(req));
    const socket = await freed;
    equal(["data", "readable", "drain"].map((event) => socket.listenerCount(event)), [0, 0, 0]);
    agent.destroy();
  });
});

test("createConnection may return a stream, call back with one, or fail", async () => {
  await withWireOrigin((socket) => socket.end(ok()), async (origin) => {
    const returned = http.get({ createConnection: () => net.connect(origin.port, "127.0.0.1") });
    is(await textOf(await responseTo(returned)), "ok");
    await closed(returned);
    const called = http.get({
      createConnection: (_options, callback) => {
        const stream = net.connect(origin.port, "127.0.0.1", () => callback(null, stream));
        return undefined;
      },
    });
    is(await textOf(await responseTo(called)), "ok");
    await closed(called);
  });
  for (
    const createConnection of [
      () => {
        throw new Error("no way");
      },
      (_options: unknown, callback: (error: Error) => void) => callback(new Error("no way")),
    ]
  ) {
    const failed = http.get({ createConnection: createConnection as never });
    const log = logOf(failed);
    await closed(failed);
    equal(log, ["error undefined no way", "close"]);
  }
});

test("createConnection may return any Duplex", async () => {
  let written = "";
  const stream: Duplex = new Duplex({
    read(): void {},
    write(chunk, _encoding, done): void {
      written += chunk;
      done();
      stream.push(ok("from a duplex"));
      stream.push(null);
    },
  });
  const req = http.get({ createConnection: () => stream, host: "nowhere" });
  is(await textOf(await responseTo(req)), "from a duplex");
  match(written, "GET / HTTP/1.1\r\nHost: nowhere:80\r\nConnection: close\r\n\r\n");
  await closed(req);
});

test("a socket that connects only by being written to, as mocks are, is written to: from any agent, and from none", async () => {
  class Mock extends net.Socket {
    written = "";

    constructor() {
      super();
      (this as { connecting: boolean }).connecting = true;
    }

    override write(chunk: Uint8Array | string, ...rest: unknown[]): boolean {
      this.written += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1");
      if (this.connecting) queueMicrotask(() => this.#answer());
      (rest.at(-1) as (() => void) | undefined)?.();
      return true;
    }

    #answer(): void {
      if (!this.connecting) return;
      (this as { connecting: boolean }).connecting = false;
      this.emit("connect");
      this.push(ok());
    }
  }
  const make = (): never => new Mock() as never;
  for (const AnyAgent of [http.Agent, builtin.Agent, undefined]) {
    const agent = AnyAgent === undefined
      ? undefined
      : Object.assign(new AnyAgent(), { createConnection: make });
    const req = http.request({
      host: "mock.test",
      method: "POST",
      ...(agent === undefined ? { createConnection: make } : { agent: agent as never }),
    });
    req.end("body");
    is(await textOf(await responseTo(req)), "ok");
    const { written } = req.socket as unknown as Mock;
    match(written, /^POST \/ HTTP\/1.1\r\nHost: mock.test(:80)?\r\n/);
    match(written, /\r\n\r\nbody$/);
    agent?.destroy();
  }
});

test("an agent is any object with addRequest(), which answers by onSocket()", async () => {
  await withWireOrigin((socket) => socket.end(ok()), async (origin) => {
    const agent = {
      addRequest(req: ClientRequest): void {
        req.onSocket(net.connect(origin.port, "127.0.0.1"));
      },
    };
    const req = http.get({ agent: agent as never });
    is(await textOf(await responseTo(req)), "ok");
    await closed(req);
    const failing = http.get({
      agent: { addRequest: (req: ClientRequest) => req.onSocket(null, new Error("no socket")) } as never,
    });
    const log = logOf(failing);
    await closed(failing);
    equal(log, ["error undefined no socket", "close"]);
  });
});

test("upgrade over the runtime's Agent gives its socket, which has left that agent", async () => {
  const answer: WireAnswer = (socket) => {
    socket.removeAllListeners("data");
    socket.on("data", (chunk) => socket.end(`echo ${chunk}`));
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  };
  await withWireOrigin(answer, async (origin) => {
    const agent = new builtin.Agent({ keepAlive: true });
    const req = http.request({
      host: "127.0.0.1",
      port: origin.port,
      agent: agent as never,
      headers: { connection: "Upgrade", upgrade: "echo" },
    });
    req.end();
    const stream = await new Promise<Duplex>((resolve) =>
      req.once("upgrade", (_res, socket) => resolve(socket))
    );
    equal(Object.keys(agent.sockets), []);
    stream.write("hello");
    let text = "";
    for await (const chunk of stream) text += chunk;
    is(text, "echo hello");
    stream.destroy();
    agent.destroy();
  });
});

// As the packages tunnel and tunnel-agent do: they keep the stream of a CONNECT, and hand it out again at its 'free'.
test("an agent serves one request after another over the stream of a CONNECT", async () => {
  const answer: WireAnswer = (socket, { head }, index) =>
    socket.write(head.startsWith("CONNECT") ? "HTTP/1.1 200 OK\r\n\r\n" : ok(`${index}`));
  await withWireOrigin(answer, async (origin) => {
    const connecting = http.request({
      host: "127.0.0.1",
      port: origin.port,
      method: "CONNECT",
      path: "target:80",
      agent: false,
    });
    connecting.end();
    const stream = await new Promise<Duplex>((resolve, reject) => {
      connecting.once("connect", (_res, socket) => resolve(socket));
      connecting.once("error", reject);
    });
    // They do so, too.
    stream.removeAllListeners();
    const waiting: ClientRequest[] = [];
    let isBusy = false;
    stream.on("free", () => {
      const next = waiting.shift();
      isBusy = next !== undefined;
      next?.onSocket(stream);
    });
    const agent = {
      keepAlive: true,
      addRequest(req: ClientRequest): void {
        if (isBusy) return void waiting.push(req);
        isBusy = true;
        req.onSocket(stream);
      },
    };
    const send = async (path: string): Promise<string> =>
      await textOf(await responseTo(http.get({ host: "target", path, agent: agent as never })));
    equal(await Promise.all(["/a", "/b", "/c"].map(send)), ["1", "2", "3"]);
    // It has been idle, with nobody to take it.
    await new Promise((resolve) => setTimeout(resolve, 5));
    is(await send("/d"), "4");
    is(origin.connections, 1);
    stream.destroy();
  });
});

test.run();
