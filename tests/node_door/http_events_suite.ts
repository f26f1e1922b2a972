import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from "@holdfast/agent/http";
import type { Duplex } from "node:stream";
import { equal, is, match, ok as isTrue } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { closed, logOf, responseTo, textOf } from "./http_log.ts";
import { takeUncaught } from "../runtime/uncaught.ts";
import { ok, type WireAnswer, type WireOrigin, wireOrigin } from "./http_origin.ts";

const test = suite("http: order of events");

interface Bench {
  readonly origin: WireOrigin;
  readonly agent: InstanceType<typeof http.Agent>;
  request(options?: RequestOptions): ClientRequest;
}

async function withOrigin(answer: WireAnswer, body: (bench: Bench) => Promise<void>): Promise<void> {
  const origin = await wireOrigin(answer);
  const agent = new http.Agent({ keepAlive: true });
  const request = (options: RequestOptions = {}): ClientRequest =>
    http.request({ host: "127.0.0.1", port: origin.port, agent, ...options });
  try {
    await body({ origin, agent, request });
  } finally {
    agent.destroy();
    await origin.close();
  }
}

test("a keep-alive POST tells socket, prefinish, finish, response, end, close, free, close", async () => {
  await withOrigin((socket) => socket.write(ok()), async ({ agent, request }) => {
    const req = request({ method: "POST" });
    const log = logOf(req);
    agent.on("free", () => log.push("free"));
    req.end("body");
    await closed(req);
    equal(log, [
      "socket",
      "prefinish",
      "finish",
      "response",
      "res end",
      "close",
      "free",
      "res close",
    ]);
  });
});

test("nothing leaves before the first write(), end() or flushHeaders()", async () => {
  await withOrigin((socket) => socket.write(ok()), async ({ origin, request }) => {
    const req = request();
    await new Promise((resolve) => req.once("socket", resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
    equal(origin.heads, []);
    req.setHeader("x-late", "1");
    req.end();
    await textOf(await responseTo(req));
    match(origin.heads[0]!, "x-late: 1");
  });
});

test("destroy() before a socket tells ECONNRESET and close", async () => {
  await withOrigin(() => {}, async ({ origin, request }) => {
    const req = request();
    const log = logOf(req);
    req.destroy();
    await closed(req);
    equal(log, ["error ECONNRESET socket hang up", "close"]);
    is(origin.connections <= 1, true);
  });
});

test("abort() before a socket tells close and abort, and no error", async () => {
  await withOrigin(() => {}, async ({ request }) => {
    const req = request();
    const log = logOf(req);
    req.abort();
    isTrue(req.aborted && req.destroyed);
    await closed(req);
    equal(log, ["close", "abort"]);
  });
});

test("abort() after the response tells abort, aborted, close, error, close", async () => {
  const answer: WireAnswer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
  await withOrigin(answer, async ({ request }) => {
    const req = request();
    const log = logOf(req);
    req.on("response", () => req.abort());
    req.end();
    await closed(req);
    equal(log.slice(log.indexOf("response") + 1), [
      "abort",
      "res aborted",
      "close",
      "res error ECONNRESET aborted",
      "res close",
    ]);
  });
});

test("res.destroy() by the reader tells aborted, close, close, and no error", async () => {
  const answer: WireAnswer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
  await withOrigin(answer, async ({ request }) => {
    const req = request();
    const log = logOf(req, false);
    req.on("response", (res) => res.destroy());
    req.end();
    await closed(req);
    equal(log.slice(log.indexOf("response") + 1), ["res aborted", "res close", "close"]);
  });
});

test("a body cut short tells aborted, close, error, close, and is not complete", async () => {
  const answer: WireAnswer = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
  await withOrigin(answer, async ({ request }) => {
    const req = request();
    const log = logOf(req);
    req.end();
    await closed(req);
    equal(log.slice(log.indexOf("response") + 1), [
      "res aborted",
      "close",
      "res error ECONNRESET aborted",
      "res close",
    ]);
    is(req.res!.complete, false);
  });
});

test("a body cut short is no error where nobody listens for it", async () => {
  const answer: WireAnswer = (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
  await withOrigin(answer, async ({ request }) => {
    const req = request();
    req.on("response", (res) => res.resume());
    req.end();
    await closed(req);
    is(req.res!.aborted, true);
  });
});

test("a server that hangs up before an answer is ECONNRESET, socket hang up", async () => {
  await withOrigin((socket) => socket.end(), async ({ request }) => {
    const req = request();
    const log = logOf(req);
    req.end();
    await closed(req);
    equal(log.slice(-2), ["error ECONNRESET socket hang up", "close"]);
  });
});

test("1xx tells continue and information, then response", async () => {
  const answer: WireAnswer = (socket) =>
    socket.write(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok()}`);
  await withOrigin(answer, async ({ request }) => {
    const req = request();
    const log = logOf(req);
    const hints: unknown[] = [];
    req.on(
      "information",
      (info) => hints.push(info.statusCode, info.headers, info.rawHeaders, info.httpVersion),
    );
    req.end();
    await closed(req);
    equal(log.filter((line) => !/socket|finish/.test(line)).slice(0, 4), [
      "continue",
      "information 100",
      "information 103",
      "response",
    ]);
    equal(hints.slice(4), [103, { link: "</a>" }, ["Link", "</a>"], "1.1"]);
  });
});

test("Expect: 100-continue sends the head at once and the body when the caller does", async () => {
  const answer: WireAnswer = (socket, _request, index) =>
    socket.write(index === 0 ? "HTTP/1.1 100 Continue\r\n\r\n" : "");
  await withOrigin(answer, async ({ origin, request }) => {
    const req = request({ method: "PUT", headers: { expect: "100-continue", "content-length": 4 } });
    await new Promise<void>((resolve) => req.once("continue", resolve));
    match(origin.heads[0]!, "expect: 100-continue");
    req.end("body");
    await new Promise<void>((resolve) => req.once("finish", resolve));
    // The server reads in its own time.
    while (!origin.received[0]!.endsWith("\r\n\r\nbody")) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    req.on("error", () => {});
    req.destroy();
    await closed(req);
  });
});

test("101 tells upgrade, with a stream that works and has left the agent", async () => {
  const answer: WireAnswer = (socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhead");
    socket.removeAllListeners("data");
    socket.on("data", (chunk) => socket.end(`echo ${chunk}`));
  };
  await withOrigin(answer, async ({ agent, request }) => {
    const req = request({ headers: { connection: "Upgrade", upgrade: "echo" } });
    const log = logOf(req);
    req.end();
    const [res, stream, head] = await new Promise<[IncomingMessage, Duplex, Uint8Array]>((resolve) =>
      req.once("upgrade", (...args) => resolve(args as [IncomingMessage, Duplex, Uint8Array]))
    );
    is(res.statusCode, 101);
    is(new TextDecoder().decode(head), "head");
    equal(Object.keys(agent.sockets), []);
    is(agent.totalSocketCount, 0);
    stream.write("hello");
    let text = "";
    for await (const chunk of stream) text += chunk;
    is(text, "echo hello");
    equal(log.filter((line) => /close|information|response/.test(line)), ["close"]);
    stream.destroy();
  });
});

test("101 that nobody listens for ends the connection", async () => {
  const answer: WireAnswer = (socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  await withOrigin(answer, async ({ request }) => {
    const req = request({ headers: { connection: "Upgrade", upgrade: "echo" } });
    const log = logOf(req);
    req.end();
    await new Promise((resolve) => req.once("close", resolve));
    equal(log.filter((line) => !/socket|finish/.test(line)), ["close"]);
    is(req.res!.complete, true);
  });
});

test("101 that says no protocol and that nobody listens for is an error, and ends the connection", async () => {
  const answer: WireAnswer = (socket) => socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  await withOrigin(answer, async ({ origin, request }) => {
    const req = request();
    const log = logOf(req);
    const failure = new Promise<Error & { code?: string }>((resolve) => req.once("error", resolve));
    const closed = new Promise((resolve) => req.once("close", resolve));
    req.end();
    is((await failure).code, "HPE_INVALID_CONSTANT");
    await closed;
    equal(log.filter((line) => !/socket|finish/.test(line)), [
      "error HPE_INVALID_CONSTANT Parse Error: 101 without Upgrade",
      "close",
    ]);
    is(origin.heads.length, 1);
  });
});

test("CONNECT tells connect, whatever the status", async () => {
  for (const status of ["200 OK", "407 Proxy Authentication Required"]) {
    const answer: WireAnswer = (socket) => socket.write(`HTTP/1.1 ${status}\r\n\r\n`);
    await withOrigin(answer, async ({ origin, request }) => {
      const req = request({ method: "CONNECT", path: "example.com:443" });
      req.end();
      const stream = await new Promise<Duplex>((resolve) =>
        req.once("connect", (_res, socket) => resolve(socket))
      );
      match(origin.heads[0]!, "CONNECT example.com:443 HTTP/1.1");
      stream.destroy();
    });
  }
});

test("an early answer ends the upload, and the request is not an error", async () => {
  const answer: WireAnswer = (socket) => socket.write(ok("too large"));
  await withOrigin(answer, async ({ request }) => {
    const req = request({ method: "POST" });
    const log = logOf(req);
    req.write("the first of many");
    await closed(req);
    equal(log.filter((line) => !/socket/.test(line)), ["response", "res end", "res close", "close"]);
    is(req.write("more"), false);
  });
});

test("a response that nobody listens for is thrown away, and its connection used again", async () => {
  await withOrigin((socket) => socket.write(ok("x".repeat(200_000))), async ({ origin, request }) => {
    for (let i = 0; i < 2; i++) {
      const req = request();
      req.end();
      await closed(req);
    }
    is(origin.connections, 1);
  });
});

test("'end' waits for the reader in each of the three ways", async () => {
  await withOrigin((socket) => socket.write(ok("body")), async ({ origin, request }) => {
    const ways: ((res: IncomingMessage) => void)[] = [
      (res) => res.on("readable", () => void res.read()),
      (res) => res.on("data", () => {}),
      (res) => res.resume(),
    ];
    for (const read of ways) {
      const req = request();
      req.end();
      const res = await responseTo(req);
      let hasEnded = false;
      res.on("end", () => hasEnded = true);
      await new Promise((resolve) => setTimeout(resolve, 10));
      is(hasEnded, false);
      is(req.destroyed, false);
      read(res);
      await closed(req);
      is(hasEnded, true);
    }
    is(origin.connections, 1);
  });
});

test("a signal destroys the request with an AbortError at every stage", async () => {
  const answer: WireAnswer = (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
  await withOrigin(answer, async ({ request }) => {
    const early = new AbortController();
    early.abort();
    const first = request({ signal: early.signal });
    const firstLog = logOf(first);
    await closed(first);
    equal(firstLog, ["error ABORT_ERR The operation was aborted", "close"]);

    const late = new AbortController();
    const second = request({ signal: late.signal });
    const secondLog = logOf(second);
    second.on("response", () => late.abort());
    second.end();
    await closed(second);
    equal(secondLog.slice(secondLog.indexOf("response") + 1), [
      "error ABORT_ERR The operation was aborted",
      "res aborted",
      "close",
      "res error ECONNRESET aborted",
      "res close",
    ]);
  });
});

test("timeout only tells; the user destroys", async () => {
  await withOrigin(() => {}, async ({ request }) => {
    const req = request({ timeout: 20 });
    const log = logOf(req);
    req.on("timeout", () => req.destroy());
    req.end();
    await closed(req);
    equal(log.slice(-3), ["timeout", "error ECONNRESET socket hang up", "close"]);
  });
});

test("setTimeout() tells once, by its callback too", async () => {
  await withOrigin(() => {}, async ({ request }) => {
    const req = request();
    let told = 0;
    req.setTimeout(20, () => {
      told++;
      req.destroy();
    });
    req.on("error", () => {});
    req.end();
    await closed(req);
    is(told, 1);
  });
});

test("a 'response' listener that throws before it reads holds no connection", async () => {
  await withOrigin((socket) => socket.write(ok()), async ({ origin, agent, request }) => {
    agent.maxSockets = 1;
    const thrown: unknown[] = [];
    const restore = takeUncaught((error) => thrown.push(error));
    const req = request();
    req.on("response", () => {
      throw new Error("mine");
    });
    req.end();
    await closed(req);
    const next = request();
    next.end();
    is(await textOf(await responseTo(next)), "ok");
    restore();
    equal(thrown.map(String), ["Error: mine"]);
    is(origin.connections, 1);
  });
});

test("a name that is not found is ENOTFOUND, whether or not the socket is looked at", async () => {
  for (const isSeen of [false, true]) {
    const req = http.get({ host: "nowhere.invalid", agent: false });
    if (isSeen) req.on("socket", () => {});
    const { code, syscall, hostname } = await new Promise<Record<string, unknown>>((resolve) =>
      req.on("error", (error) => resolve(error as unknown as Record<string, unknown>))
    );
    equal([code, syscall, hostname], ["ENOTFOUND", "getaddrinfo", "nowhere.invalid"]);
    await new Promise((resolve) => req.closed ? resolve(undefined) : req.on("close", resolve));
  }
});

test("what a look-up says or throws is the error that is told", async () => {
  const mine = new Error("mine");
  const lookups = [
    (_name: string, _options: object, done: (error: Error) => void) => done(mine),
    (_name: string, _options: object, done: (error: Error) => void) => setTimeout(() => done(mine), 1),
    () => {
      throw mine;
    },
  ];
  for (const lookup of lookups) {
    for (const isSeen of [false, true]) {
      const req = http.get({ host: "some.name", agent: false, lookup: lookup as RequestOptions["lookup"] });
      if (isSeen) req.on("socket", () => {});
      is(await new Promise((resolve) => req.on("error", resolve)), mine);
      await new Promise<void>((resolve) => req.closed ? resolve() : req.on("close", () => resolve()));
    }
  }
});

test.run();
