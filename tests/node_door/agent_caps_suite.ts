/**
 * The caps as servers count them: from 'connection' to 'close', at every fault that ends a connection, and at every way in
 * which a createConnection may answer.
 */
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { Duplex, PassThrough } from "node:stream";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions } from "@holdfast/agent";
import * as face from "@holdfast/agent/http";
import { ca, good, otherCa } from "../certs/certs.ts";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { pause, until } from "./door_origin.ts";

const test = suite("Agent: caps counted at the server");

type Send = (agent: Agent, port: number, abortMs?: number) => Promise<string>;

const own: Send = async (agent, port, abortMs) => {
  const aborter = new AbortController();
  const timer = abortMs === undefined ? undefined : setTimeout(() => aborter.abort(), abortMs);
  try {
    const { body } = await agent.request(`http://127.0.0.1:${port}/`, {
      signal: aborter.signal,
      retry: false,
    });
    return await body.text();
  } catch (error) {
    return String((error as { code?: string }).code ?? error);
  } finally {
    clearTimeout(timer);
  }
};

const byRequest = (get: typeof http.get): Send => (agent, port, abortMs) =>
  new Promise((resolve) => {
    let outcome = "";
    const request = get({ host: "127.0.0.1", port, agent }, (response) => {
      response.on("error", () => {});
      response.on("data", (chunk) => outcome += chunk);
    });
    const timer = abortMs === undefined ? undefined : setTimeout(() => request.destroy(), abortMs);
    request.on("error", (error: Error & { code?: string }) => outcome ||= String(error.code ?? error));
    request.on("close", () => {
      clearTimeout(timer);
      resolve(outcome);
    });
  });

const FACES: readonly [string, Send][] = [
  ["own", own],
  ["foreign", byRequest(http.get)],
  ["http face", byRequest(face.get as unknown as typeof http.get)],
];

const head = "HTTP/1.1 200 OK\r\n";

/** How a server ends a connection, or has it ended. */
const FAULTS: Readonly<Record<string, (socket: net.Socket) => void>> = {
  "destroys it before it answers": (socket) => socket.destroy(),
  "resets it before it answers": (socket) => void socket.resetAndDestroy(),
  "ends it before it answers": (socket) => void socket.end(),
  "ends it in the midst of a body": (socket) => void socket.end(`${head}Content-Length: 9\r\n\r\nx`),
  "answers with what is not HTTP": (socket) => void socket.write("HELLO\r\n\r\n"),
  "says close and leaves the closing to us": (socket) =>
    void socket.write(`${head}Connection: close\r\nContent-Length: 2\r\n\r\nok`),
  "says close and closes": (socket) =>
    void socket.end(`${head}Connection: close\r\nContent-Length: 2\r\n\r\nok`),
  "ends the body by its FIN": (socket) => void socket.end(`${head}\r\nok`),
  "ends it behind a response that could be followed": (socket) =>
    void socket.end(`${head}Content-Length: 2\r\n\r\nok`),
  "sends more than it was asked for": (socket) => void socket.write(`${head}Content-Length: 2\r\n\r\nokmore`),
  "ends it a moment after its answer": (socket) => {
    socket.write(`${head}Content-Length: 2\r\n\r\nok`);
    setTimeout(() => socket.end(), 1);
  },
};

for (const [fault, act] of Object.entries(FAULTS)) {
  test(`maxSockets and maxTotalSockets hold where a server ${fault}`, async () => {
    const server = net.createServer((socket) => {
      socket.on("data", () => act(socket));
    });
    const one = await listening(server);
    for (const limits of [{ maxSockets: 2 }, { maxTotalSockets: 2 }]) {
      const agent = new Agent({ keepAlive: true, ...limits });
      await Promise.all(
        Array.from({ length: 24 }, (_, n) => FACES[n % 3]![1](agent, one.port)),
      );
      agent.destroy();
      await until(() => one.sockets.size === 0);
    }
    assert.ok(one.peak <= 2, `${one.peak}`);
    await one.close();
  });
}

test("maxTotalSockets holds between origins that take turns", async () => {
  const total = { now: 0, peak: 0 };
  const origins = await Promise.all([1, 2, 3].map(async () => {
    const server = http.createServer((_request, response) => void response.end("ok"));
    server.on("connection", (socket: net.Socket) => {
      total.peak = Math.max(total.peak, ++total.now);
      socket.on("close", () => total.now--);
    });
    return await listening(server);
  }));
  const agent = new Agent({ keepAlive: true, maxTotalSockets: 2 });
  const all = Array.from(
    { length: 60 },
    (_, n) => FACES[n % 3]![1](agent, origins[n % 3]!.port),
  );
  assert.equal([...new Set(await Promise.all(all))], ["ok"]);
  assert.ok(total.peak <= 2, `${total.peak}`);
  agent.destroy();
  await Promise.all(origins.map((origin) => origin.close()));
});

for (const [name, send] of FACES) {
  test(`an aborted request's connection counts until the server has heard, ${name}`, async () => {
    const one = await listening(http.createServer(() => {}));
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    await Promise.all(Array.from({ length: 16 }, (_, n) => send(agent, one.port, 4 + n * 3)));
    assert.ok(one.peak <= 2, `${one.peak}`);
    agent.destroy();
    await one.close();
  });

  test(`a createConnection that is still at work when its request is given up counts, ${name}`, async () => {
    const one = await listening(http.createServer((_request, response) => void response.end("ok")));
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    let calls = 0;
    agent.createConnection = (_options, callback): undefined => {
      // It dials at once and answers late, whatever has become of the request.
      const stream = net.connect(one.port, "127.0.0.1");
      const isLate = calls++ < 6;
      stream.once("connect", () => setTimeout(() => callback!(null, stream), isLate ? 40 : 1));
    };
    const given = Array.from({ length: 6 }, () => send(agent, one.port, 10));
    const wanted = Array.from({ length: 6 }, () => send(agent, one.port));
    await Promise.all(given);
    assert.equal([...new Set(await Promise.all(wanted))], ["ok"]);
    assert.ok(one.peak <= 2, `${one.peak}`);
    agent.destroy();
    await until(() => one.sockets.size === 0);
    await one.close();
  });

  test(`a createConnection that never answers gives its slot back a second after its request, ${name}`, async () => {
    const one = await listening(http.createServer((_request, response) => void response.end("ok")));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = (): undefined => {};
    const given = send(agent, one.port, 5);
    const wanted = send(agent, one.port);
    await given;
    agent.createConnection = (): net.Socket => net.connect(one.port, "127.0.0.1");
    assert.is(await wanted, "ok");
    agent.destroy();
    await one.close();
  });

  test(`destroy() while a createConnection is at work: its stream is destroyed when it comes, ${name}`, async () => {
    const one = await listening(http.createServer((_request, response) => void response.end("ok")));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { createConnection } = agent;
    const late: net.Socket[] = [];
    agent.createConnection = (_options, callback): undefined => {
      const stream = net.connect(one.port, "127.0.0.1");
      late.push(stream);
      setTimeout(() => callback!(null, stream), 20);
    };
    const all = [send(agent, one.port), send(agent, one.port)];
    await pause(5);
    agent.destroy();
    const expected = name === "own" ? "ERR_AGENT_DESTROYED" : "ECONNRESET";
    for (const outcome of await Promise.all(all)) {
      assert.ok([expected, "ERR_AGENT_DESTROYED"].includes(outcome), outcome);
    }
    agent.createConnection = createConnection;
    assert.is(await send(agent, one.port), "ok");
    assert.equal([one.peak, late.length, late[0]!.destroyed], [1, 1, true]);
    agent.destroy();
    await one.close();
  });

  test(`a createConnection that answers and then throws fails its request and leaves no stream, ${name}`, async () => {
    const one = await listening(http.createServer((_request, response) => void response.end("ok")));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { createConnection } = agent;
    const streams: net.Socket[] = [];
    agent.createConnection = (_options, callback): undefined => {
      streams.push(net.connect(one.port, "127.0.0.1"));
      callback!(null, streams[0]!);
      throw Object.assign(new Error("no"), { code: "ENO" });
    };
    assert.is(await send(agent, one.port), "ENO");
    agent.createConnection = createConnection;
    assert.is(await send(agent, one.port), "ok");
    assert.equal([one.peak, streams[0]!.destroyed], [1, true]);
    agent.destroy();
    await one.close();
  });
}

async function secure(agent: Agent, port: number): Promise<string> {
  try {
    const { body } = await agent.request(`https://localhost:${port}/`, { retry: false });
    return await body.text();
  } catch (error) {
    return String((error as { code?: string }).code ?? error);
  }
}

for (const runtime of [undefined, "node"] as const) {
  test(`a refused certificate's connection counts until the server has heard, runtime: ${runtime}`, async () => {
    const one = await listening(https.createServer(good, (_request, response) => void response.end("ok")));
    const options: AgentOptions = { keepAlive: true, maxSockets: 2, ca: otherCa, runtime };
    const agent = new Agent(options);
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => secure(agent, one.port)));
    assert.is(new Set(outcomes).size, 1);
    assert.not.equal(outcomes[0], "ok");
    assert.ok(one.peak <= 2, `${one.peak}`);
    agent.destroy();
    await one.close();
  });
}

test("a stream that is refused because it is not encrypted counts until the server has heard", async () => {
  const one = await listening(https.createServer(good, (_request, response) => void response.end("ok")));
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca });
  agent.createConnection = (_options, callback): undefined => {
    const stream = net.connect(one.port, "127.0.0.1");
    stream.once("connect", () => callback!(null, stream));
  };
  const outcomes = await Promise.all([1, 2, 3, 4].map(() => secure(agent, one.port)));
  assert.equal([...new Set(outcomes)], ["ERR_TLS_REQUIRED"]);
  assert.is(one.peak, 1);
  agent.destroy();
  await one.close();
});

/** Answers of a createConnection, by the request's number: each fault beside streams that work. */
const ANSWERS:
  readonly ((port: number, callback: (error: Error | null, stream?: net.Socket) => void) => unknown)[] = [
    (port) => net.connect(port, "127.0.0.1"),
    (port, callback) => void setTimeout(() => callback(null, net.connect(port, "127.0.0.1")), 2),
    () => {
      throw Object.assign(new Error("no"), { code: "ENO" });
    },
    (_, callback) => void setTimeout(() => callback(Object.assign(new Error("no"), { code: "ENO" })), 3),
    () => Promise.reject(Object.assign(new Error("no"), { code: "ENO" })),
    async (port) => {
      await pause(1);
      return net.connect(port, "127.0.0.1");
    },
    (_, callback) => {
      const error = Object.assign(new Error("no"), { code: "ENO" });
      callback(error);
      callback(error);
      setTimeout(() => callback(error), 1);
    },
  ];

/** What a createConnection may give and no request can use, and the codes that its request may fail with. */
const NO_STREAMS: readonly [string, (port: number) => unknown, string[]][] = [
  ["a number", () => 5, ["ERR_INVALID_ARG_TYPE"]],
  ["an object that is no stream", () => ({}), ["ERR_INVALID_ARG_TYPE"]],
  ["a destroyed socket", (port) => net.connect(port, "127.0.0.1").destroy(), ["ECONNRESET"]],
  [
    "a socket that failed",
    (port) => net.connect(port, "127.0.0.1").on("error", () => {}).destroy(enough()),
    ["ENO"],
  ],
  [
    "a socket that closed long ago",
    async (port) => {
      const socket = net.connect(port, "127.0.0.1").destroy();
      await pause(5);
      return socket;
    },
    ["ECONNRESET"],
  ],
  ["what cannot be read", () => new Duplex({ readable: false, write(): void {} } as object), ["ECONNRESET"]],
  ["what cannot be written", () => new Duplex({ writable: false, read(): void {} } as object), [
    "ECONNRESET",
  ]],
  [
    "what has ended",
    async () => {
      const stream = new PassThrough();
      stream.end().resume();
      await pause(5);
      return stream;
    },
    ["ECONNRESET"],
  ],
];

function enough(): Error {
  return Object.assign(new Error("no"), { code: "ENO" });
}

for (const [name, send] of FACES) {
  test(`every way of a createConnection to answer settles its request and no other, ${name}`, async () => {
    const one = await listening(http.createServer((_request, response) => {
      // So that each request dials.
      response.setHeader("connection", "close").end("ok");
    }));
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    let calls = 0;
    agent.createConnection = ((_options: object, callback: () => void) =>
      ANSWERS[calls++ % ANSWERS.length]!(one.port, callback)) as never;
    const outcomes = await Promise.all(Array.from({ length: 42 }, () =>
      send(agent, one.port)));
    assert.equal([...new Set(outcomes)].sort(), ["ENO", "ok"]);
    assert.equal([calls, outcomes.filter((outcome) => outcome === "ENO").length], [42, 24]);
    assert.ok(one.peak <= 2, `${one.peak}`);
    await until(() => Object.keys(agent.sockets).length === 0);
    assert.equal(Object.keys(agent.requests), []);
    agent.destroy();
    await until(() => agent.totalSocketCount === 0 && one.sockets.size === 0);
    await one.close();
  });

  for (const [what, make, codes] of NO_STREAMS) {
    test(`createConnection that gives ${what} fails its request alone and gives the slot back, ${name}`, async () => {
      const one = await listening(http.createServer((_request, response) => void response.end("ok")));
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      let calls = 0;
      agent.createConnection = ((): unknown =>
        calls++ === 0 ? make(one.port) : net.connect(one.port, "127.0.0.1")) as never;
      const [failed, served] = await Promise.all([send(agent, one.port), send(agent, one.port)]);
      assert.ok(codes.includes(failed), failed);
      assert.is(served, "ok");
      await until(() => Object.keys(agent.sockets).length === 0);
      assert.equal([agent.totalSocketCount, one.peak], [1, 1]);
      agent.destroy();
      await until(() => agent.totalSocketCount === 0 && one.sockets.size === 0);
      await one.close();
    });
  }

  test(`requests that wait are served in the order of their arrival, ${name}`, async () => {
    const order: number[] = [];
    const one = await listening(http.createServer((request, response) => {
      response.setHeader("connection", order.length % 3 === 0 ? "close" : "keep-alive");
      response.end("ok");
      request.resume();
    }));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await Promise.all(
      Array.from({ length: 12 }, async (_, n) => {
        assert.is(await send(agent, one.port), "ok");
        order.push(n);
      }),
    );
    assert.equal(order, [...order.keys()]);
    assert.is(one.peak, 1);
    agent.destroy();
    await one.close();
  });
}

test("maxSockets holds for requests given up at any moment of a dial", async () => {
  const one = await listening(http.createServer((_request, response) => {
    setTimeout(() => response.end("ok"), 1);
  }));
  const agent = new Agent({ keepAlive: true, maxSockets: 3 });
  for (let round = 0; round < 5; round++) {
    await Promise.all(Array.from({ length: 12 }, (_, n) => FACES[n % 3]![1](agent, one.port, n % 4)));
    agent.closeIdle();
  }
  assert.ok(one.peak <= 3, `${one.peak}`);
  agent.destroy();
  await one.close();
});

test.run();
