import http, { type ClientRequest, type RequestOptions } from "@holdfast/agent/http";
import { equal, is, match, not, ok as isTrue, throws } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { closed, responseTo, textOf } from "./http_log.ts";
import { ok, type WireAnswer, wireOrigin, withWireOrigin } from "./http_origin.ts";

const test = suite("http: messages");

/** Sends one request and returns what came over the wire. */
async function wireOf(options: RequestOptions, send: (req: ClientRequest) => void): Promise<string> {
  const origin = await wireOrigin((socket) => socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
  try {
    const req = http.request({ host: "127.0.0.1", port: origin.port, agent: false, ...options });
    send(req);
    await textOf(await responseTo(req));
    await closed(req);
    return origin.received[0]!.replaceAll(String(origin.port), "PORT");
  } finally {
    await origin.close();
  }
}

function codeOf(body: () => unknown): string | undefined {
  try {
    body();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
}

/** A request that goes nowhere. */
function idle(options: RequestOptions = {}): ClientRequest {
  return http.request({ createConnection: () => undefined, ...options });
}

test("a GET has a Host and a Connection line, and no body", async () => {
  is(
    await wireOf({ path: "/a?b" }, (req) => req.end()),
    "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\n\r\n",
  );
});

test("a body given to end() has a Content-Length, one that is written goes in chunks", async () => {
  match(
    await wireOf({ method: "POST" }, (req) => req.end("häuser")),
    /Content-Length: 7\r\n\r\nh\xc3\xa4user$/,
  );
  match(
    await wireOf({ method: "POST" }, (req) => {
      req.write("one");
      req.end("two");
    }),
    /Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n$/,
  );
  match(await wireOf({ method: "POST" }, (req) => req.end()), /Content-Length: 0\r\n\r\n$/);
});

test("a GET's body is framed as any other", async () => {
  match(await wireOf({}, (req) => req.end("GET /smuggled HTTP/1.1\r\n\r\n")), "Content-Length: 26\r\n");
  match(
    await wireOf({ method: "DELETE" }, (req) => req.write("x") && req.end()),
    "Transfer-Encoding: chunked\r\n",
  );
});

test("CONNECT's data is the tunnel's", async () => {
  await withWireOrigin((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"), async (origin) => {
    const req = http.request({
      host: "127.0.0.1",
      port: origin.port,
      method: "CONNECT",
      path: "a:1",
      agent: false,
    });
    req.end("raw");
    const stream = await new Promise<{ destroy(): void }>((resolve) =>
      req.once("connect", (_, socket) => resolve(socket))
    );
    stream.destroy();
    match(origin.received[0]!, /Connection: close\r\n\r\nraw$/);
  });
});

test("cork() makes one chunk of several writes", async () => {
  const wire = await wireOf({ method: "POST" }, (req) => {
    req.flushHeaders();
    req.cork();
    req.write("one");
    req.write("two");
    req.uncork();
    req.end();
  });
  match(wire, /\r\n\r\n6\r\nonetwo\r\n0\r\n\r\n$/);
});

test("trailers follow a chunked body", async () => {
  const wire = await wireOf({ method: "POST", headers: { trailer: "x-sum" } }, (req) => {
    req.addTrailers({ "x-sum": "1" });
    req.end("body");
  });
  match(wire, /\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n$/);
});

test("headers may be an object, pairs or a flat list; the order is the caller's", async () => {
  match(
    await wireOf({ headers: { "X-A": "1", "x-b": ["2", "3"] } }, (req) => req.end()),
    "X-A: 1\r\nx-b: 2\r\nx-b: 3\r\n",
  );
  match(await wireOf({ headers: [["x-a", "1"], ["x-a", "2"]] }, (req) => req.end()), "x-a: 1\r\nx-a: 2\r\n");
  match(await wireOf({ headers: ["x-a", "1", "X-B", "2"] }, (req) => req.end()), "x-a: 1\r\nX-B: 2\r\n");
});

test("setDefaultHeaders: false sends what the caller gave, and nothing else", async () => {
  is(
    await wireOf({ setDefaultHeaders: false, headers: { "x-a": "1" } }, (req) => req.end()),
    "GET / HTTP/1.1\r\nx-a: 1\r\n\r\n",
  );
});

test("two framing lines never leave, nor two hosts", async () => {
  const wire = await wireOf(
    { method: "POST", headers: { "content-length": "3", "transfer-encoding": "chunked" } },
    (req) => req.end("abc"),
  );
  not.match(wire, /content-length/i);
  is(codeOf(() => idle({ headers: ["host", "a", "host", "b"] })), "ERR_HTTP_INVALID_HEADER_VALUE");
  is(
    codeOf(() => idle({ headers: ["content-length", "1", "content-length", "2"] })),
    "ERR_HTTP_INVALID_HEADER_VALUE",
  );
});

test("a value is checked as it is sent, whatever toString() said before", () => {
  let calls = 0;
  const value = { toString: () => calls++ === 0 ? "fine" : "x\r\nInjected: 1" };
  const req = idle();
  req.setHeader("x-a", value as unknown as string);
  is(codeOf(() => req.end()), "ERR_INVALID_CHAR");
});

test("the errors of a caller's mistakes have Node's codes", () => {
  is(codeOf(() => http.request({ path: "/a b" })), "ERR_UNESCAPED_CHARACTERS");
  is(codeOf(() => http.request({ method: "G ET" })), "ERR_INVALID_HTTP_TOKEN");
  is(codeOf(() => http.request({ protocol: "https:" })), "ERR_INVALID_PROTOCOL");
  is(codeOf(() => http.request("ftp://a/")), "ERR_INVALID_PROTOCOL");
  is(codeOf(() => http.request("nonsense")), "ERR_INVALID_URL");
  is(codeOf(() => http.request({ agent: 1 as never })), "ERR_INVALID_ARG_TYPE");
  is(codeOf(() => http.request({ host: 1 as never })), "ERR_INVALID_ARG_TYPE");
  is(codeOf(() => http.request({ timeout: "1" as never })), "ERR_INVALID_ARG_TYPE");
  is(codeOf(() => http.request({ timeout: -1 })), "ERR_OUT_OF_RANGE");
  is(codeOf(() => http.request({ maxHeaderSize: -1 })), "ERR_OUT_OF_RANGE");
  is(codeOf(() => http.request({ insecureHTTPParser: 1 as never })), "ERR_INVALID_ARG_TYPE");
  const req = idle();
  is(codeOf(() => req.setHeader("a b", "1")), "ERR_INVALID_HTTP_TOKEN");
  is(codeOf(() => req.setHeader("a", undefined as never)), "ERR_HTTP_INVALID_HEADER_VALUE");
  is(codeOf(() => req.setHeader("a", "b\n")), "ERR_INVALID_CHAR");
  is(codeOf(() => req.write(null as never)), "ERR_STREAM_NULL_VALUES");
  is(codeOf(() => req.write(1 as never)), "ERR_INVALID_ARG_TYPE");
  is(codeOf(() => req.addTrailers({ "a b": "1" })), "ERR_INVALID_HTTP_TOKEN");
  is(
    codeOf(() => idle({ headers: { trailer: "a", "content-length": 1 } }).end()),
    "ERR_HTTP_TRAILER_INVALID",
  );
  req.flushHeaders();
  is(codeOf(() => req.setHeader("a", "1")), "ERR_HTTP_HEADERS_SENT");
  is(codeOf(() => req.removeHeader("a")), "ERR_HTTP_HEADERS_SENT");
  is(codeOf(() => new http.OutgoingMessage().end()), "ERR_METHOD_NOT_IMPLEMENTED");
});

test("strictContentLength refuses a body that is longer or shorter", () => {
  const req = idle({ method: "POST", headers: { "content-length": 3 } });
  req.strictContentLength = true;
  is(codeOf(() => req.write("abcd")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
  is(codeOf(() => req.end("ab")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
});

test("write() after end() is an error event, end() after 'finish' tells its callback", async () => {
  await withWireOrigin((socket) => socket.write(ok()), async (origin) => {
    const req = http.request({ host: "127.0.0.1", port: origin.port, method: "POST", agent: false });
    const codes: unknown[] = [];
    req.on("error", (error) => codes.push((error as { code?: string }).code));
    req.end();
    req.write("late", (error) => codes.push((error as { code?: string }).code));
    await new Promise((resolve) => req.once("finish", resolve));
    req.end((error?: { code?: string }) => codes.push(error?.code));
    await textOf(await responseTo(req));
    equal(codes, ["ERR_STREAM_WRITE_AFTER_END", "ERR_STREAM_WRITE_AFTER_END", "ERR_STREAM_ALREADY_FINISHED"]);
    await closed(req);
  });
});

test("pipe() from a request is an error", () => {
  const req = idle();
  throws(() => req.pipe(req as never), (error: { code?: string }) => error.code === "ERR_STREAM_CANNOT_PIPE");
});

test("the header methods find names in any case and keep the caller's", () => {
  const req = idle({ setHost: false });
  req.setHeader("X-A", 1);
  req.appendHeader("x-a", "2");
  req.setHeaders(new Map([["X-B", "3"]]));
  equal(req.getHeader("x-A"), [1, "2"]);
  equal(req.getHeaderNames(), ["x-a", "x-b"]);
  equal(req.getRawHeaderNames(), ["X-A", "X-B"]);
  isTrue(req.hasHeader("x-B"));
  req.removeHeader("x-a");
  equal({ ...req.getHeaders() }, { "x-b": "3" });
  is(codeOf(() => req.setHeaders([] as never)), "ERR_INVALID_ARG_TYPE");
});

test("many headers are found, replaced in their place and taken away", () => {
  const req = idle({ setHost: false });
  const names = Array.from({ length: 40 }, (_, i) => `X-${i}`);
  for (const name of names) req.setHeader(name, `${name} first`);
  for (const name of names) req.setHeader(name.toLowerCase(), name);
  for (const name of names.slice(0, 30)) {
    is(req.getHeader(name), name);
    req.removeHeader(name);
    is(req.getHeader(name), undefined);
  }
  req.setHeader("X-0", "again");
  equal(req.getRawHeaderNames(), [...names.slice(30).map((name) => name.toLowerCase()), "X-0"]);
  is(req.getHeader("x-39"), "X-39");
});

test("a value that is an object is checked as what it becomes when it is sent", () => {
  let text = "harmless";
  const req = idle();
  req.setHeader("X-A", { toString: () => text } as never);
  text = "a\r\nX-B: b";
  is(codeOf(() => req.flushHeaders()), "ERR_INVALID_CHAR");
});

test("headers of a response are shown by Node's rules", async () => {
  const fields = [
    "X-A: 1",
    "x-a: 2",
    "Set-Cookie: a",
    "Set-Cookie: b",
    "ETag: 1",
    "ETag: 2",
    "Cookie: a",
    "Cookie: b",
  ];
  await withWireOrigin((socket) => socket.end(ok("", ...fields)), async (origin) => {
    for (const joinDuplicateHeaders of [false, true]) {
      const req = http.get({ host: "127.0.0.1", port: origin.port, agent: false, joinDuplicateHeaders });
      const res = await responseTo(req);
      equal(res.headers, {
        "x-a": "1, 2",
        "set-cookie": ["a", "b"],
        etag: joinDuplicateHeaders ? "1, 2" : "1",
        cookie: "a; b",
        "content-length": "0",
      });
      equal(res.headersDistinct["etag"], ["1", "2"]);
      equal(res.rawHeaders.slice(0, 4), ["X-A", "1", "x-a", "2"]);
      res.resume();
      await closed(req);
    }
  });
});

test("the response of a connection that closes has its socket at the end and behind it, one that is kept has none", async () => {
  await withWireOrigin((socket) => socket.write(ok()), async ({ port }) => {
    const kept = new http.Agent({ keepAlive: true });
    for (const agent of [false, kept] as const) {
      const req = http.get({ host: "127.0.0.1", port, agent });
      const response = await responseTo(req);
      const atEnd = new Promise((resolve) => response.on("end", () => resolve(response.socket)));
      await textOf(response);
      await closed(req);
      is(await atEnd, req.socket);
      is(response.socket, agent === false ? req.socket : null);
      is(response.connection, response.socket);
    }
    kept.destroy();
  });
});

test("trailers are there at the end", async () => {
  const answer: WireAnswer = (socket) =>
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
  await withWireOrigin(answer, async (origin) => {
    const req = http.get({ host: "127.0.0.1", port: origin.port, agent: false });
    const res = await responseTo(req);
    is(await textOf(res), "ok");
    equal(res.trailers, { "x-sum": "1" });
    equal(res.rawTrailers, ["X-Sum", "1"]);
    await closed(req);
  });
});

test("maxHeaderSize, maxHeadersCount and insecureHTTPParser hold for their request", async () => {
  const long = `X-Long: ${"x".repeat(20_000)}`;
  await withWireOrigin((socket) => socket.end(ok("", long, "A: 1", "B: 2")), async (origin) => {
    const options = { host: "127.0.0.1", port: origin.port, agent: false };
    const refused = http.get(options);
    const error = await new Promise<{ code?: string }>((resolve) => refused.once("error", resolve));
    is(error.code, "HPE_HEADER_OVERFLOW");
    const req = http.get({ ...options, maxHeaderSize: 40_000 });
    req.maxHeadersCount = 2;
    const res = await responseTo(req);
    equal(Object.keys(res.headers), ["x-long", "a"]);
    res.resume();
    await closed(req);
  });
  await withWireOrigin((socket) => socket.end("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), async (origin) => {
    const options = { host: "127.0.0.1", port: origin.port, agent: false };
    const refused = http.get(options);
    const error = await new Promise<{ code?: string }>((resolve) => refused.once("error", resolve));
    match(error.code!, /^HPE_/);
    const res = await responseTo(http.get({ ...options, insecureHTTPParser: true }));
    is(res.statusCode, 200);
    res.resume();
    await closed(res.req as ClientRequest);
  });
});

test("httpValidation loosens the values of headers, both ways, and at its last step the parser", async () => {
  const bell = ok("", "A: \x07");
  await withWireOrigin((socket) => socket.end(bell), async (origin) => {
    const options = { host: "127.0.0.1", port: origin.port, agent: false };
    for (const validation of ["strict", "relaxed", "insecure"] as const) {
      const req = http.request({ ...options, httpValidation: validation });
      const set = (): unknown => req.setHeader("x-bell", "\x01");
      if (validation === "strict") is(codeOf(set), "ERR_INVALID_CHAR");
      else set();
      for (const never of ["\0", "a\r\nb: c", "a\n", "\u0100"]) {
        is(codeOf(() => req.setHeader("x-never", never)), "ERR_INVALID_CHAR");
      }
      is(req.httpValidation, validation);
      req.end();
      if (validation === "strict") {
        const error = await new Promise<{ code?: string }>((resolve) => req.once("error", resolve));
        match(error.code!, /^HPE_/);
      } else {
        const res = await responseTo(req);
        is(res.headers["a"], "\x07");
        res.resume();
        await closed(req);
        isTrue(origin.heads.at(-1)!.includes("x-bell: \x01"));
      }
    }
  });
  await withWireOrigin((socket) => socket.end("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), async (origin) => {
    const options = { host: "127.0.0.1", port: origin.port, agent: false };
    const refused = http.get({ ...options, httpValidation: "relaxed" });
    match((await new Promise<{ code?: string }>((resolve) => refused.once("error", resolve))).code!, /^HPE_/);
    const res = await responseTo(http.get({ ...options, httpValidation: "insecure" }));
    is(res.statusCode, 200);
    res.resume();
    await closed(res.req as ClientRequest);
  });
  for (const httpValidation of ["lax", null, true]) {
    is(codeOf(() => http.request({ httpValidation: httpValidation as never })), "ERR_INVALID_ARG_VALUE");
  }
  is(
    codeOf(() => http.request({ httpValidation: "strict", insecureHTTPParser: false })),
    "ERR_INVALID_ARG_VALUE",
  );
});

test("a message's signal aborts with it", async () => {
  await withWireOrigin(
    (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"),
    async (origin) => {
      const req = http.get({ host: "127.0.0.1", port: origin.port, agent: false });
      const res = await responseTo(req);
      const { signal } = res;
      is(signal.aborted, false);
      res.destroy();
      await closed(req);
      is(signal.aborted, true);
    },
  );
});

test("a write beyond the high water mark returns false, and 'drain' follows", async () => {
  const answer: WireAnswer = () => {};
  await withWireOrigin(answer, async (origin) => {
    const req = http.request({ host: "127.0.0.1", port: origin.port, method: "POST", agent: false });
    req.on("error", () => {});
    is(req.write(new Uint8Array(10_000)), true);
    is(req.write(new Uint8Array(100_000)), false);
    is(req.writableNeedDrain, true);
    await new Promise((resolve) => req.once("drain", resolve));
    is(req.writableNeedDrain, false);
    req.destroy();
    await closed(req);
  });
});

test("a GET lost on a kept connection goes once more over a new one; a POST does not", async () => {
  const answer: WireAnswer = (socket, _request, index) => {
    if (index % 2 === 0) socket.write(ok());
    else socket.destroy();
  };
  for (
    const [method, retry, expected] of [
      ["GET", "idempotent", "ok"],
      ["POST", "idempotent", "ECONNRESET"],
      ["GET", false, "ECONNRESET"],
    ] as const
  ) {
    await withWireOrigin(answer, async (origin) => {
      const agent = new http.Agent({ keepAlive: true });
      const options = { host: "127.0.0.1", port: origin.port, agent };
      const first = http.get(options);
      await textOf(await responseTo(first));
      await closed(first);
      const second = http.request({ ...options, method, retry });
      const sockets: boolean[] = [];
      second.on("socket", () => sockets.push(second.reusedSocket));
      second.end();
      const outcome = await responseTo(second).then(textOf, (error) => error.code);
      is(outcome, expected, `${method}, retry: ${retry}`);
      equal(sockets, expected === "ok" ? [true, false] : [true]);
      await closed(second);
      agent.destroy();
    });
  }
});

test("the default export's globalAgent can be put in its place", () => {
  const before = http.globalAgent;
  const agent = new http.Agent();
  http.globalAgent = agent;
  try {
    is(idle({ createConnection: undefined, host: "127.0.0.1", port: 1 }).on("error", () => {}).agent, agent);
    is(http.globalAgent, agent);
  } finally {
    http.globalAgent = before;
    agent.destroy();
  }
});

test("headers takes nothing that an object inherits for a field", async () => {
  const inherited = Object.prototype as { polluted?: string };
  const head =
    "HTTP/1.1 200 OK\r\nConstructor: a\r\n__proto__: b\r\nPolluted: c\r\npolluted: d\r\nContent-Length: 0\r\n\r\n";
  const origin = await wireOrigin((socket) => socket.end(head));
  try {
    const response = await responseTo(http.get({ host: "127.0.0.1", port: origin.port, agent: false }));
    inherited.polluted = "inherited";
    const { constructor, polluted } = response.headers;
    is(Object.getPrototypeOf(response.headers), Object.prototype);
    equal([constructor, polluted], ["a", "c, d"]);
    response.resume();
  } finally {
    delete inherited.polluted;
    await origin.close();
  }
});

test.run();
