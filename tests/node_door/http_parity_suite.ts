/** Details of Node's client that programs lean on, one by one: what each test says, node:http does. */
import http, { type ClientRequest, type IncomingMessage } from "@holdfast/agent/http";
import { Buffer } from "node:buffer";
import * as builtin from "node:http";
import { createServer, type Socket, Socket as NetSocket } from "node:net";
import { constants } from "node:os";
import { pipeline, Readable, Writable } from "node:stream";
import { equal, instance, is, match, throws } from "uvu/assert";
import { setMaxHeaderSize } from "../../src/agent/client_request_options.ts";
import { suite } from "../harness/suite.ts";
import { closed, logOf, responseTo, textOf } from "./http_log.ts";
import { ok, type WireAnswer, type WireOrigin, wireOrigin } from "./http_origin.ts";

const test = suite("http: Node's details");

type Agent = InstanceType<typeof http.Agent>;
type Ask = (options?: Record<string, unknown>) => ClientRequest;

/** The first four bytes of nine, and nothing behind them. */
const part: WireAnswer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");

async function withAgent(
  options: Record<string, unknown>,
  answer: WireAnswer,
  body: (ask: Ask, agent: Agent, origin: WireOrigin) => Promise<void>,
): Promise<void> {
  const origin = await wireOrigin(answer);
  const agent = new http.Agent(options);
  const ask: Ask = (more) => http.request({ host: "127.0.0.1", port: origin.port, agent, ...more });
  try {
    await body(ask, agent, origin);
  } finally {
    agent.destroy();
    await origin.close();
  }
}

const answerOk: WireAnswer = (socket) => socket.write(ok());

function errorOf(request: ClientRequest): Promise<Error & Record<string, unknown>> {
  return new Promise((resolve) => request.once("error", (error) => resolve(error as never)));
}

// The agent's views and options.

test("a connection that closes is in agent.sockets until its request is told 'close'", async () => {
  const ends: WireAnswer = (socket) => socket.end(ok("ok", "Connection: close"));
  await withAgent({ keepAlive: true }, ends, async (ask, agent, { port }) => {
    const req = ask().end();
    let open: number | undefined;
    req.on("response", (res) => {
      res.on("end", () => open = agent.sockets[`127.0.0.1:${port}:`]?.length);
      res.resume();
    });
    let atClose: unknown;
    req.on("close", () => atClose = agent.sockets[`127.0.0.1:${port}:`]);
    await closed(req);
    equal([open, atClose], [1, undefined]);
  });
  await withAgent({ keepAlive: true }, part, async (ask, agent, { port }) => {
    const req = ask().end();
    await responseTo(req);
    req.destroy();
    is(agent.sockets[`127.0.0.1:${port}:`]?.length, 1);
    await closed(req);
  });
});

test("a name with two addresses costs one connection", async () => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.on("error", () => {});
    socket.on("data", () => socket.write(ok()));
    socket.on("end", () => socket.end());
  });
  // Both families, where the system has them.
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as { port: number };
  const req = http.get({ host: "localhost", port, agent: false });
  is(await textOf(await responseTo(req)), "ok");
  await closed(req);
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  is(connections, 1);
});

test("maxSockets written to 0 holds every request back until it is raised", async () => {
  await withAgent({ keepAlive: true }, answerOk, async (ask, agent, origin) => {
    agent.maxSockets = 0;
    const held = ask().end();
    await new Promise((resolve) => setTimeout(resolve, 10));
    equal([origin.connections, agent.requests[`127.0.0.1:${origin.port}:`]?.length], [0, 1]);
    agent.maxSockets = 2;
    const answers = await Promise.all([responseTo(held), responseTo(ask().end())]);
    equal(await Promise.all(answers.map(textOf)), ["ok", "ok"]);
  });
});

test("0 in the options is no cap, and keepAliveMsecs may be Infinity", async () => {
  await withAgent(
    { keepAlive: true, maxSockets: 0, keepAliveMsecs: Infinity },
    answerOk,
    async (ask, agent) => {
      equal([agent.maxSockets, agent.keepAliveMsecs], [Infinity, Infinity]);
      for (let i = 0; i < 2; i++) await textOf(await responseTo(ask().end()));
    },
  );
});

test("what server.address() says are options of a request", async () => {
  await withAgent({}, answerOk, async (_ask, _agent, { port }) => {
    const req = new http.ClientRequest({ address: "127.0.0.1", family: "IPv4", port } as never);
    is(await textOf(await responseTo(req.end())), "ok");
  });
  throws(
    () => new http.Agent({ family: "IPv5" } as never),
    (error: { code?: string }) => error.code === "ERR_INVALID_ARG_VALUE",
  );
});

test("a connection to a name has one listener for 'error' between its requests, as in Node", async () => {
  await withAgent({ keepAlive: true }, answerOk, async (ask) => {
    const counts: number[] = [];
    for (let i = 0; i < 2; i++) {
      const req = ask({ host: "localhost", family: 4 });
      req.on("socket", (socket) => counts.push(socket.listenerCount("error")));
      await textOf(await responseTo(req.end()));
      await closed(req);
    }
    equal(counts, [1, 1]);
  });
});

// What is an instance of what.

test("messages of the runtime's own server are instances of our classes, and ours of no subclass", async () => {
  class Special extends http.IncomingMessage {}
  const seen: boolean[] = [];
  const server = builtin.createServer((request, response) => {
    seen.push(request instanceof http.IncomingMessage, response instanceof http.OutgoingMessage);
    seen.push((request as unknown) instanceof Special);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const req = http.get({ host: "127.0.0.1", port, agent: false });
  const res = await responseTo(req);
  res.resume();
  await closed(req);
  await new Promise((resolve) => server.close(resolve));
  equal(seen, [true, true, false]);
  is(res instanceof http.IncomingMessage, true);
  is(new Special() instanceof Special, true);
  for (const value of [null, undefined, 1, {}, () => {}]) {
    is(value as unknown instanceof http.IncomingMessage, false);
  }
});

// Errors.

test("a parse error's packet is a Buffer, and its message Node's", async () => {
  await withAgent({}, (socket) => socket.write("SSH-2.0-x\r\n\r\n"), async (ask) => {
    const error = await errorOf(ask().end());
    equal([error["code"], error.message], [
      "HPE_INVALID_CONSTANT",
      "Parse Error: Expected HTTP/, RTSP/ or ICE/",
    ]);
    is(Buffer.isBuffer(error["rawPacket"]), true);
    is(String(error["rawPacket"]), "SSH-2.0-x\r\n\r\n");
    is(error["reason"], "Expected HTTP/, RTSP/ or ICE/");
  });
});

const SURPLUS: readonly [string, string, string | undefined][] = [
  ["what is no response", `${ok()}surplus`, "HPE_INVALID_CONSTANT"],
  ["a body behind 204", "HTTP/1.1 204 No Content\r\n\r\nbody", "HPE_INVALID_CONSTANT"],
  ["anything behind Connection: close", `${ok("ok", "Connection: close")}surplus`, "HPE_CLOSED_CONNECTION"],
  ["an empty line", `${ok()}\r\n`, undefined],
  ["another response", `${ok()}${ok()}`, undefined],
  ["the first bytes of another response", `${ok()}HTT`, undefined],
];

for (const [what, bytes, code] of SURPLUS) {
  test(`${what} behind a response is ${code ?? "no error"}, and the connection is not used again`, async () => {
    await withAgent({ keepAlive: true }, (socket) => socket.write(bytes), async (ask, _agent, origin) => {
      for (let i = 0; i < 2; i++) {
        const req = ask();
        const log = logOf(req);
        const codes: unknown[] = [];
        req.on("error", (error) => codes.push((error as { code?: string }).code));
        req.end();
        await closed(req);
        equal(codes, code === undefined ? [] : [code]);
        equal(log.filter((line) => /response|res end/.test(line)), ["response", "res end"]);
        is(req.res!.complete, true);
      }
      is(origin.connections, 2);
    });
  });
}

test("a Host header that is no string is ERR_INVALID_ARG_TYPE", () => {
  for (const host of [[], ["a"], 5, {}]) {
    throws(
      () => http.request({ headers: { host } as never }),
      (error: { code?: string }) => error.code === "ERR_INVALID_ARG_TYPE",
    );
  }
});

test("a port that is none, and a socketPath that is no text, are said at the call, where the agent dials by itself", async () => {
  const { Agent } = http;
  const bad: readonly [Record<string, unknown>, string, string][] = [
    [
      { port: 70_000 },
      "ERR_SOCKET_BAD_PORT",
      "Port should be >= 0 and < 65536. Received type number (70000).",
    ],
    [{ port: -1 }, "ERR_SOCKET_BAD_PORT", "Port should be >= 0 and < 65536. Received type number (-1)."],
    [{ port: "x" }, "ERR_SOCKET_BAD_PORT", "Port should be >= 0 and < 65536. Received type string ('x')."],
    [{ port: 1.5 }, "ERR_SOCKET_BAD_PORT", "Port should be >= 0 and < 65536. Received type number (1.5)."],
    [
      { socketPath: 5 },
      "ERR_INVALID_ARG_TYPE",
      'The "options.path" property must be of type string. Received type number (5)',
    ],
  ];
  for (const agent of [undefined, false, new Agent()]) {
    for (const [options, code, message] of bad) {
      throws(
        () => http.request({ host: "127.0.0.1", agent: agent as never, ...options }),
        (error: Error & { code?: string }) => error.code === code && error.message === message,
      );
    }
  }
  // A port is whatever its own dialler makes of it.
  class Dialler extends Agent {}
  Object.defineProperty(Dialler.prototype, "createConnection", { value: () => new NetSocket() });
  for (const options of [{ agent: new Dialler() }, { createConnection: () => new NetSocket() }]) {
    const req = http.request({ ...options as object, port: "named" });
    req.on("error", () => {});
    req.destroy();
    await closed(req);
  }
});

test("a connection refused has the members of a system error, its number among them", async () => {
  const origin = await wireOrigin(() => {});
  await origin.close();
  for (const host of ["127.0.0.1", "localhost"]) {
    const error = await errorOf(http.get({ host, port: origin.port, family: 4, agent: false }));
    const { errno, code, syscall, port } = error;
    equal([errno, code, syscall, port], [
      -constants.errno.ECONNREFUSED,
      "ECONNREFUSED",
      "connect",
      origin.port,
    ]);
  }
});

test("a name that there is none of has the members of a resolver's error", async () => {
  // RFC 6761 section 6.4: never resolved. Without a resolver at hand it is EAI_AGAIN.
  const error = await errorOf(http.get({ host: "a.invalid", port: 1, agent: false }));
  const { code, syscall, hostname, message } = error;
  match(String(code), /^(ENOTFOUND|EAI_AGAIN)$/);
  equal([syscall, hostname, message], ["getaddrinfo", "a.invalid", `getaddrinfo ${code} a.invalid`]);
});

test("an address to bind to that is none is ERR_INVALID_IP_ADDRESS, with what it was", async () => {
  const error = await errorOf(http.get({ host: "127.0.0.1", port: 1, localAddress: "x", agent: false }));
  equal([error["code"], error.message], ["ERR_INVALID_IP_ADDRESS", "Invalid IP address: x"]);
});

test("a symbol is no header's and no trailer's value: a TypeError with a code", () => {
  const message = new http.OutgoingMessage();
  const uses = [
    () => http.validateHeaderValue("x", Symbol("s") as never),
    () => message.setHeader("x", Symbol("s") as never),
    () => message.addTrailers({ x: Symbol("s") as never }),
  ];
  for (const use of uses) {
    throws(use, (error: Error & { code?: string }) => {
      return error instanceof TypeError && error.code === "ERR_HTTP_INVALID_HEADER_VALUE";
    });
  }
});

test("setHeader() and write() of an object of this shape say what is wrong before they touch it", () => {
  const { setHeader, write } = http.OutgoingMessage.prototype as unknown as Record<
    "setHeader" | "write",
    (this: object, ...args: unknown[]) => void
  >;
  const shape = { _header: "GET / HTTP/1.1\r\n\r\n" };
  const codes = [
    [() => setHeader.call(shape, "a", "b"), "ERR_HTTP_HEADERS_SENT"],
    [() => write.call(shape, 1), "ERR_INVALID_ARG_TYPE"],
    [() => write.call(shape, null), "ERR_STREAM_NULL_VALUES"],
  ] as const;
  for (const [use, code] of codes) throws(use, (error: { code?: string }) => error.code === code);
});

test("a head over http.maxHeaderSize is HPE_HEADER_OVERFLOW where the request has no limit of its own", async () => {
  await withAgent({}, (socket) => socket.write(ok("ok", `x: ${"y".repeat(200)}`)), async (ask) => {
    setMaxHeaderSize(100);
    try {
      is((await errorOf(ask().end()))["code"], "HPE_HEADER_OVERFLOW");
      is(await textOf(await responseTo(ask({ maxHeaderSize: 1_000 }).end())), "ok");
    } finally {
      setMaxHeaderSize(16_384);
    }
    is(await textOf(await responseTo(ask().end())), "ok");
  });
});

// What a request and its response tell.

test("writableFinished is false until the head has gone", async () => {
  await withAgent({}, answerOk, async (ask) => {
    const req = ask();
    is(req.writableFinished, false);
    req.end();
    is(req.writableFinished, false);
    await new Promise((resolve) => req.once("finish", resolve));
    is(req.writableFinished, true);
    await textOf(await responseTo(req));
  });
});

test("'prefinish' does not wait for the connection, 'finish' does", async () => {
  const origin = await wireOrigin(() => {});
  await origin.close();
  const req = http.request({ host: "127.0.0.1", port: origin.port, agent: false });
  const log = logOf(req);
  req.end();
  await closed(req);
  equal(log.map((line) => line.split(" ", 2).join(" ")), [
    "socket",
    "prefinish",
    "error ECONNREFUSED",
    "close",
  ]);
});

test("the response's stream has the request's highWaterMark", async () => {
  await withAgent({ keepAlive: true }, (socket) => socket.write(ok("x".repeat(500))), async (ask) => {
    for (const highWaterMark of [128_000, 0, 10]) {
      const res = await responseTo(ask({ highWaterMark }).end());
      is(res.readableHighWaterMark, highWaterMark);
      is((await textOf(res)).length, 500);
    }
  });
});

test("an upgraded stream has no parser, and its response is complete", async () => {
  const answer: WireAnswer = (socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  await withAgent({}, answer, async (ask) => {
    const req = ask({ headers: { connection: "Upgrade", upgrade: "x" } });
    const [res, stream] = await new Promise<[IncomingMessage, { parser?: unknown; destroy(): void }]>(
      (resolve) => {
        req.once("upgrade", (...args) => resolve(args as never));
        req.end();
      },
    );
    equal([stream.parser, res.complete, (res as { upgrade?: unknown }).upgrade], [null, true, true]);
    stream.destroy();
  });
});

test("the error of res.destroy() is the request's error too", async () => {
  await withAgent(
    {},
    part,
    async (ask) => {
      const req = ask().end();
      const log = logOf(req, false);
      const res = await responseTo(req);
      const mine = new Error("mine");
      res.destroy(mine);
      equal([res.errored, res.closed], [mine, false]);
      await closed(req);
      const told = ["res aborted", "error undefined mine", "res error undefined mine", "res close", "close"];
      equal(log.slice(log.indexOf("response") + 1), told);
    },
  );
});

test("a pipeline() that fails ends the request, and is no error of it", async () => {
  await withAgent(
    {},
    part,
    async (ask) => {
      const req = ask().end();
      const log = logOf(req, false);
      const res = await responseTo(req);
      is((req as { upgradeOrConnect?: boolean }).upgradeOrConnect, false);
      const sink = new Writable({ write: (_chunk, _encoding, done) => done(new Error("mine")) });
      const error = await new Promise<Error | null | undefined>((resolve) => pipeline(res, sink, resolve));
      is(error?.message, "mine");
      await closed(req);
      is(req.aborted, true);
      equal(log.filter((line) => line.startsWith("error")), []);
    },
  );
});

test("a stream's own error is told where a request is given up before it has it", async () => {
  const createConnection = (): Socket => {
    const socket = new NetSocket();
    queueMicrotask(() => socket.destroy(new Error("mine")));
    return socket;
  };
  const req = http.get({ createConnection } as never);
  const log = logOf(req);
  await Promise.resolve();
  req.abort();
  await closed(req);
  equal(log, ["error undefined mine", "close", "abort"]);
});

test("req.socket.writableLength holds what the system has not taken", async () => {
  const ends: (() => void)[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on("error", () => {});
    ends.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const req = http.request({ host: "127.0.0.1", port, method: "POST", agent: false });
  req.on("error", () => {});
  const socket = await new Promise<Socket>((resolve) => req.once("socket", resolve as never));
  await new Promise((resolve) => socket.once("connect", resolve as never));
  req.end(new Uint8Array(64 * 1024 * 1024));
  // The peer reads nothing: what the system does not take stays here.
  while (socket.writableLength <= 1024 * 1024) await new Promise((resolve) => setTimeout(resolve, 1));
  req.destroy();
  await closed(req);
  for (const end of ends) end();
  await new Promise<void>((resolve) => void server.close(() => resolve()));
});

test("behind a Connection: close of the request's own, 'close' comes as the server's word has it", async () => {
  const answers = ["", "Connection: close", "Keep-Alive: timeout=0"];
  for (const field of answers) {
    await withAgent(
      { keepAlive: true },
      (socket) => socket.end(ok("ok", ...field === "" ? [] : [field])),
      async (ask, _agent, origin) => {
        const req = ask({ headers: { connection: "close" } }).end();
        const log = logOf(req);
        await closed(req);
        const end = field === "Connection: close" ? ["res close", "close"] : ["close", "res close"];
        equal(log.slice(-3), ["res end", ...end]);
        await textOf(await responseTo(ask({ headers: { connection: "close" } }).end()));
        is(origin.connections, 2);
      },
    );
  }
});

test("a message's signal aborts with 'aborted', and not with the message's end", async () => {
  const whole: WireAnswer = (socket) => socket.write(ok());
  for (const answer of [whole, part]) {
    await withAgent({ keepAlive: true }, answer, async (ask) => {
      const req = ask().end();
      const log = logOf(req, answer === whole);
      const res = await responseTo(req);
      const { signal } = res;
      signal.addEventListener("abort", () => log.push("signal"));
      if (answer === part) setTimeout(() => req.destroy(), 5);
      await closed(req);
      equal(
        log.filter((line) => /^res aborted|signal/.test(line)),
        answer === part ? ["res aborted", "signal"] : [],
      );
      is(signal.aborted, answer === part);
      // Asked for afterwards it says the same.
      const late = new http.IncomingMessage();
      late.destroy();
      is(late.signal.aborted, true);
    });
  }
});

test("a response that changes no protocol says so", async () => {
  await withAgent({}, answerOk, async (ask) => {
    const res = await responseTo(ask().end());
    is((res as { upgrade?: unknown }).upgrade, false);
    is(await textOf(res), "ok");
  });
});

test("who waits for the response, or for pipeline(), is told ahead of what the socket's close brings", async () => {
  await withAgent({}, (socket) => socket.end(ok("ok", "Connection: close")), async (ask) => {
    const req = ask().end();
    const log = logOf(req, false);
    log.push(await textOf(await responseTo(req)));
    await closed(req);
    equal(log.slice(-4), ["res end", "res close", "ok", "close"]);
  });
  await withAgent({}, () => {}, async (ask) => {
    const req = ask({ method: "POST" });
    const log = logOf(req);
    const source = new Readable({
      read(): void {
        this.destroy(new Error("mine"));
      },
    });
    req.once("socket", () => pipeline(source, req, (error) => log.push(`pipeline ${error!.message}`)));
    await closed(req);
    equal(log, ["socket", "abort", "pipeline mine", "error ECONNRESET socket hang up", "close"]);
  });
});

// Streams for an OutgoingMessage.

test("a plain OutgoingMessage writes into a stream that says that it is its own", async () => {
  class Message extends http.OutgoingMessage {
    _implicitHeader(): void {}
  }
  const written: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done): void {
      written.push(String(chunk));
      setTimeout(done, 1);
    },
  });
  const message = new Message();
  Object.assign(message, { socket: stream });
  equal(written, []);
  Object.assign(stream, { _httpMessage: message });
  Object.assign(message, { socket: stream });
  const finished = new Promise((resolve) => message.once("finish", resolve));
  message.end("hello");
  await finished;
  equal(written, ["hello", ""]);
  instance(message, http.OutgoingMessage);
});

test("the message of an option that is no number names the option alone", () => {
  throws(() => new http.Agent({ maxTotalSockets: "x" } as never), (error: Error) => {
    match(error.message, 'The "maxTotalSockets" argument must be of type number');
    return true;
  });
});

test.run();
