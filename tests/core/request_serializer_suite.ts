import fc from "fast-check";
import "../harness/seed.ts";
import * as assert from "uvu/assert";
import {
  encodeHead,
  encodeLastChunk,
  type HeadersInput,
  type RequestFacts,
  serializeRequest,
} from "../../src/agent/core/request_serializer.ts";
import { Llhttp } from "../fuzz/codec_llhttp.ts";
import { suite } from "../harness/suite.ts";
import { codeOf, formsOf, text } from "./header_forms.ts";

const test = suite("serializeRequest()");

function factsOf(facts?: Partial<RequestFacts>): RequestFacts {
  return { method: "GET", target: "/", host: "h", connection: "omit", ...facts };
}

function textOf(facts?: Partial<RequestFacts>): string {
  return serializeRequest(factsOf(facts)).text;
}

function linesOf(facts?: Partial<RequestFacts>): string[] {
  return textOf(facts).split("\r\n").slice(1, -2);
}

test("sends a request line, Host and nothing else", () => {
  assert.is(textOf(), "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
});

test("sends method and target as they are", () => {
  assert.match(textOf({ method: "x-Any", target: "*" }), /^x-Any \* HTTP\/1\.1\r\n/);
  assert.match(textOf({ method: "CONNECT", target: "a:443" }), /^CONNECT a:443 HTTP\/1\.1\r\n/);
  assert.match(textOf({ target: "http://a/b?c" }), /^GET http:\/\/a\/b\?c HTTP\/1\.1\r\n/);
});

for (const method of ["", " ", "G ET", "GET\r\n", "GET\0", "G\xe9T", "G:T", undefined, null, 1, {}]) {
  test(`refuses the method ${JSON.stringify(method)}`, () => {
    assert.is(codeOf(() => textOf({ method: method as string })), "ERR_INVALID_HTTP_TOKEN");
  });
}

for (
  const target of [
    "",
    " ",
    "/a b",
    "/a\r\nX: y",
    "/a\nb",
    "/\0",
    "/\t",
    "/\u0100",
    "/\u{1f600}",
    undefined,
    5,
  ]
) {
  test(`refuses the target ${JSON.stringify(target)}`, () => {
    assert.is(codeOf(() => textOf({ target: target as string })), "ERR_UNESCAPED_CHARACTERS");
  });
}

test("lets latin1 pass in targets and values, byte for byte", () => {
  const head = serializeRequest(factsOf({ target: "/\xe9\x80\xff", headers: { A: "\xe9\x80\xff\t" } }));
  assert.is(text(encodeHead(head)), "GET /\xe9\x80\xff HTTP/1.1\r\nHost: h\r\nA: \xe9\x80\xff\t\r\n\r\n");
});

for (const [form, headers] of formsOf([["host", "a"], ["x", "y"], ["content-length", "3"]]).entries()) {
  test(`sends one Host and one framing line, form ${form}`, () => {
    const head = serializeRequest(factsOf({ method: "POST", headers, body: 3 }));
    assert.is(head.text, "POST / HTTP/1.1\r\nhost: a\r\nx: y\r\ncontent-length: 3\r\n\r\n");
    assert.is(head.framing, "length");
    assert.is(head.contentLength, 3);
  });
}

for (const [form, headers] of formsOf([["x", "y"], ["z", ["1", "2"]]]).entries()) {
  test(`adds exactly one Host where the user gave none, form ${form}`, () => {
    assert.equal(linesOf({ headers }), ["Host: h", "x: y", "z: 1", "z: 2"]);
  });
}

test("reads a Headers, each set-cookie by itself", () => {
  const headers = new Headers([["A", "b"], ["Set-Cookie", "x"], ["Set-Cookie", "y"]]);
  assert.equal(linesOf({ headers }), ["Host: h", "a: b", "set-cookie: x", "set-cookie: y"]);
});

test("reads no inherited properties of an object", () => {
  assert.equal(linesOf({ headers: Object.create({ A: "b" }, { C: { value: "d", enumerable: true } }) }), [
    "Host: h",
    "C: d",
  ]);
});

for (const headers of [["a"], ["a", "b", "c"], [["a", "b"], "cd"], [["a", "b"], ["c"]], [["a", "b", "c"]]]) {
  test(`refuses the headers ${JSON.stringify(headers)}`, () => {
    assert.is(codeOf(() => textOf({ headers })), "ERR_INVALID_ARG_VALUE");
  });
}

for (const headers of [null, 5, "a: b", true]) {
  test(`refuses headers that are ${JSON.stringify(headers)}`, () => {
    assert.is(codeOf(() => textOf({ headers: headers as unknown as HeadersInput })), "ERR_INVALID_ARG_TYPE");
  });
}

for (const name of ["", " ", "a b", "a:", "a\r\n", "a\0", "\xe9", "a\u0100", "("]) {
  test(`refuses the header name ${JSON.stringify(name)}`, () => {
    for (const headers of formsOf([[name, "v"]])) {
      assert.is(codeOf(() => textOf({ headers })), "ERR_INVALID_HTTP_TOKEN");
    }
  });
}

test("checks names after any number of others", () => {
  for (let i = 0; i < 1_000; i++) {
    assert.equal(linesOf({ headers: { [`x-${i}`]: i } }), ["Host: h", `x-${i}: ${i}`]);
  }
  for (let i = 0; i < 2; i++) {
    assert.is(codeOf(() => textOf({ headers: { "x 1": "v" } })), "ERR_INVALID_HTTP_TOKEN");
  }
});

test("refuses a header name that is no string", () => {
  for (const name of [undefined, null, 5, {}]) {
    assert.is(codeOf(() => textOf({ headers: [[name, "v"]] })), "ERR_INVALID_HTTP_TOKEN");
  }
});

for (const value of ["a\rb", "a\nb", "a\r\nX: y", "\0", "\x01", "\x1f", "\x7f", "\u0100", "\u{1f600}"]) {
  test(`refuses the value ${JSON.stringify(value)}, in Host too`, () => {
    for (const name of ["x", "host", "connection", "cookie", "expect"]) {
      for (const headers of formsOf([[name, value]])) {
        assert.is(codeOf(() => textOf({ headers })), "ERR_INVALID_CHAR", name);
        assert.is(codeOf(() => textOf({ headers: [[name, ["ok", value]]] })), "ERR_INVALID_CHAR", name);
      }
    }
    assert.is(codeOf(() => textOf({ host: value })), "ERR_INVALID_CHAR");
  });
}

test("refuses undefined and symbols as values", () => {
  assert.is(codeOf(() => textOf({ headers: { a: undefined } })), "ERR_HTTP_INVALID_HEADER_VALUE");
  assert.is(codeOf(() => textOf({ headers: { a: [undefined] } })), "ERR_HTTP_INVALID_HEADER_VALUE");
  for (const name of ["a", "host", "cookie", "content-length"]) {
    for (const value of [Symbol("s"), [Symbol("s")], ["a", Symbol("s")]]) {
      assert.is(codeOf(() => textOf({ headers: { [name]: value } })), "ERR_HTTP_INVALID_HEADER_VALUE");
    }
  }
  assert.is(codeOf(() => encodeLastChunk({ a: Symbol("s") })), "ERR_HTTP_INVALID_HEADER_VALUE");
});

test("sends numbers, booleans and null as text", () => {
  assert.equal(linesOf({ headers: { a: 1, b: true, c: null, d: 1.5 } }), [
    "Host: h",
    "a: 1",
    "b: true",
    "c: null",
    "d: 1.5",
  ]);
});

test("converts a value once, and checks what it converted", () => {
  let calls = 0;
  const value = { toString: (): string => calls++ === 0 ? "fine" : "X\r\nInjected: y" };
  assert.equal(linesOf({ headers: { a: value } }), ["Host: h", "a: fine"]);
  assert.is(calls, 1);
  const sly = { toString: (): string => "X\r\nInjected: y" };
  assert.is(codeOf(() => textOf({ headers: { a: sly } })), "ERR_INVALID_CHAR");
});

test("reads method, target and headers once: what was checked is what is sent", () => {
  const readings: string[] = [];
  const once = (name: string, first: unknown): PropertyDescriptor => ({
    enumerable: true,
    get: (): unknown =>
      readings.includes(name) ? "X / HTTP/1.1\r\nInjected: y\r\n\r\nGET" : (readings.push(name), first),
  });
  const facts = Object.defineProperties({}, {
    method: once("method", "GET"),
    target: once("target", "/a"),
    headers: { enumerable: true, value: Object.defineProperties({}, { a: once("a", "b") }) },
  }) as RequestFacts;
  assert.is(serializeRequest(facts).text, "GET /a HTTP/1.1\r\na: b\r\nConnection: keep-alive\r\n\r\n");
  const sly = Object.defineProperties({}, {
    method: { value: "GET" },
    target: { value: "/" },
    host: { get: (): string => "a\r\nInjected: y" },
  }) as RequestFacts;
  assert.is(codeOf(() => serializeRequest(sly)), "ERR_INVALID_CHAR");
});

test("never repeats a value in a message", () => {
  for (
    const headers of [{ authorization: "secret\n" }, { "content-length": "secret" }, {
      "transfer-encoding": "secret",
    }]
  ) {
    try {
      textOf({ headers });
      assert.unreachable();
    } catch (error) {
      assert.not.match(String(error), "secret");
    }
  }
});

test("makes a line of each element of an array, but one Cookie line", () => {
  assert.equal(linesOf({ headers: { a: ["1", 2], Cookie: ["b=1", "c=2"], d: [] } }), [
    "Host: h",
    "a: 1",
    "a: 2",
    "Cookie: b=1; c=2",
  ]);
});

test("sends the user's Host in the place of ours, first, in the user's case", () => {
  assert.equal(linesOf({ headers: { A: "b", HOST: "mine:8080" } }), ["HOST: mine:8080", "A: b"]);
  assert.equal(linesOf({ headers: { host: "" } }), ["host: "]);
});

test("sends no Host where there is none", () => {
  assert.equal(linesOf({ host: undefined }), []);
});

test("makes one of two equal Host lines and refuses different ones", () => {
  assert.equal(linesOf({ headers: [["Host", "a"], ["host", "a"]] }), ["host: a"]);
  for (const headers of [[["Host", "a"], ["host", "b"]], { Host: "a", host: "b" }, { host: ["a", "b"] }]) {
    assert.is(codeOf(() => textOf({ headers })), "ERR_HTTP_INVALID_HEADER_VALUE");
  }
});

test("frames by method and body", () => {
  const framing = (method: string, body: RequestFacts["body"]): string => {
    const head = serializeRequest(factsOf({ method, body }));
    const lines = head.text.split("\r\n").slice(2, -2);
    return `${head.framing} ${lines.join(",")}`.trim();
  };
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT"]) {
    assert.is(framing(method, "none"), "none", method);
  }
  for (const method of ["POST", "PUT", "PATCH", "ANY"]) {
    assert.is(framing(method, "none"), "length Content-Length: 0", method);
  }
  for (const method of ["GET", "DELETE", "POST"]) {
    assert.is(framing(method, 0), "length Content-Length: 0", method);
    assert.is(framing(method, 5), "length Content-Length: 5", method);
    assert.is(framing(method, "stream"), "chunked Transfer-Encoding: chunked", method);
  }
});

for (const method of ["TRACE", "CONNECT"]) {
  test(`refuses a body with ${method}`, () => {
    for (const body of [1, "stream"] as const) {
      assert.is(codeOf(() => textOf({ method, body })), "ERR_HTTP_BODY_NOT_ALLOWED");
    }
  });
}

test("Content-Length of the user frames a stream", () => {
  const head = serializeRequest(
    factsOf({ method: "POST", headers: { "Content-Length": " 7 " }, body: "stream" }),
  );
  assert.is(head.framing, "length");
  assert.is(head.contentLength, 7);
  assert.match(head.text, "Content-Length: 7\r\n");
});

for (const value of ["", "a", "-1", "+1", "1.0", "1e3", "0x1", "1,1", "9007199254740992"]) {
  test(`refuses Content-Length ${JSON.stringify(value)}`, () => {
    const headers = { "content-length": value };
    assert.is(
      codeOf(() => textOf({ method: "POST", headers, body: "stream" })),
      "ERR_HTTP_INVALID_HEADER_VALUE",
    );
  });
}

// What trim() takes for whitespace, and RFC 9110 section 5.6.3 does not; VT and FF are no field text to begin with.
for (const space of ["\x85", "\xa0"]) {
  test(`refuses ${JSON.stringify(space)} around a framing value, and sees no word in it elsewhere`, () => {
    const around = (value: string): string[] => [`${value}${space}`, `${space}${value}`];
    const codings = [...around("chunked"), ...around("gzip").map((coding) => `${coding}, chunked`)];
    for (const [name, values] of [["transfer-encoding", codings], ["content-length", around("5")]] as const) {
      for (const value of values) {
        const facts: Partial<RequestFacts> = { method: "POST", headers: { [name]: value }, body: "stream" };
        assert.is(codeOf(() => textOf(facts)), "ERR_HTTP_INVALID_HEADER_VALUE", JSON.stringify(value));
        assert.is(
          codeOf(() => textOf({ ...facts, strictContentLength: false })),
          "ERR_HTTP_INVALID_HEADER_VALUE",
        );
      }
    }
    for (const connection of around("close")) {
      assert.not(serializeRequest(factsOf({ headers: { connection: `x, ${connection}` } })).connectionClose);
    }
    for (const expect of around("100-continue")) {
      assert.not(serializeRequest(factsOf({ body: 3, headers: { expect } })).expectContinue);
    }
  });
}

test("makes one of two equal Content-Length lines and refuses different ones", () => {
  const facts = { method: "POST", body: 1 };
  assert.equal(linesOf({ ...facts, headers: { a: "b", "content-length": ["1", "1"] } }).length, 3);
  assert.is(
    codeOf(() => textOf({ ...facts, headers: { "content-length": ["1", "2"] } })),
    "ERR_HTTP_INVALID_HEADER_VALUE",
  );
});

test("refuses a Content-Length that is not the body's, unless it is not to be checked", () => {
  const facts = { method: "POST", headers: { "content-length": 5 } };
  for (const body of [4, 6, "none"] as const) {
    assert.is(codeOf(() => textOf({ ...facts, body })), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
    assert.match(textOf({ ...facts, body, strictContentLength: false }), "content-length: 5\r\n");
  }
});

test("Transfer-Encoding of the user chunks, and overrides Content-Length (RFC 9112 section 6.3)", () => {
  for (const body of ["none", "stream", 3] as const) {
    const headers = { "Transfer-Encoding": "chunked", "Content-Length": 3 };
    const head = serializeRequest(factsOf({ method: "POST", headers, body }));
    assert.is(head.framing, "chunked");
    assert.is(head.contentLength, undefined);
    assert.is(head.text, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
});

test("makes one line of several Transfer-Encoding lines", () => {
  const headers = [["transfer-encoding", "gzip"], ["A", "b"], ["Transfer-Encoding", "chunked"]];
  assert.equal(linesOf({ method: "POST", headers, body: "stream" }), [
    "Host: h",
    "A: b",
    "Transfer-Encoding: gzip, chunked",
  ]);
});

for (const value of ["gzip", "chunked, gzip", "", "chunked;q=1", "xchunked"]) {
  test(`refuses Transfer-Encoding ${JSON.stringify(value)}: no server finds the end`, () => {
    const headers = { "transfer-encoding": value };
    assert.is(
      codeOf(() => textOf({ method: "POST", headers, body: "stream" })),
      "ERR_HTTP_INVALID_HEADER_VALUE",
    );
  });
}

test("sends an explicit Connection header as it is, and heeds a close in it", () => {
  const close = (headers: HeadersInput | undefined, connection: RequestFacts["connection"]): string => {
    const head = serializeRequest(factsOf({ headers, connection }));
    return `${head.connectionClose} ${head.text.split("\r\n").slice(2, -2).join(" | ")}`.trim();
  };
  assert.is(close(undefined, "omit"), "false");
  assert.is(close(undefined, "keep-alive"), "false Connection: keep-alive");
  assert.is(close(undefined, undefined), "false Connection: keep-alive");
  assert.is(close(undefined, "close"), "true Connection: close");
  assert.is(close({ connection: "Close" }, "keep-alive"), "true connection: Close");
  assert.is(close({ connection: "a , CLOSE" }, "omit"), "true connection: a , CLOSE");
  assert.is(
    close({ connection: ["upgrade", "close"] }, "omit"),
    "true connection: upgrade | connection: close",
  );
  assert.is(close({ connection: "keep-alive" }, "close"), "false connection: keep-alive");
  assert.is(close({ connection: "Upgrade" }, "close"), "false connection: Upgrade");
  assert.is(close({ connection: "closed" }, "omit"), "false connection: closed");
});

test("Expect: 100-continue only with a body, once, and the user's own is heeded", () => {
  const expects = (facts: Partial<RequestFacts>): string => {
    const head = serializeRequest(factsOf({ method: "POST", ...facts }));
    return `${head.expectContinue} ${head.text.match(/expect: .*/gi)?.join() ?? ""}`.trim();
  };
  assert.is(expects({ body: 3, expectContinue: true }), "true Expect: 100-continue");
  assert.is(expects({ body: "stream", expectContinue: true }), "true Expect: 100-continue");
  assert.is(expects({ body: "none", expectContinue: true }), "false");
  assert.is(expects({ body: 0, expectContinue: true }), "false");
  assert.is(expects({ body: 3, headers: { expect: "100-Continue" } }), "true expect: 100-Continue");
  assert.is(
    expects({ body: 3, headers: { expect: "100-Continue" }, expectContinue: true }),
    "true expect: 100-Continue",
  );
  assert.is(expects({ body: 3, headers: { expect: "x" } }), "false expect: x");
});

test("refuses a Trailer header without chunked", () => {
  assert.is(
    codeOf(() => textOf({ method: "POST", headers: { Trailer: "A" }, body: 3 })),
    "ERR_HTTP_TRAILER_INVALID",
  );
  assert.match(textOf({ method: "POST", headers: { Trailer: "A" }, body: "stream" }), "Trailer: A\r\n");
});

const anyName = fc.oneof(
  fc.constantFrom(
    "Host",
    "host",
    "Content-Length",
    "content-LENGTH",
    "Transfer-Encoding",
    "Connection",
    "Expect",
    "Cookie",
    "X-A",
    "Trailer",
  ),
  fc.string({ maxLength: 8 }),
);
const anyValue = fc.oneof(
  fc.constantFrom("a", "5", "chunked", "gzip", "close", "100-continue", "gzip, chunked", "x\r\ny: z", "\xe9"),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.integer(),
  fc.array(fc.constantFrom("1", "a\nb", "5"), { maxLength: 3 }),
);
const anyRequest: fc.Arbitrary<RequestFacts> = fc.record({
  method: fc.oneof(fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD"), fc.string({ maxLength: 5 })),
  target: fc.oneof(fc.constantFrom("/", "/a?b", "*"), fc.string({ unit: "binary", maxLength: 8 })),
  host: fc.oneof(fc.constant("h:80"), fc.string({ maxLength: 5 })),
  headers: fc.array(fc.tuple(anyName, anyValue), { maxLength: 6 }).chain((pairs) =>
    fc.constantFrom(...formsOf(pairs))
  ),
  body: fc.constantFrom("none" as const, "stream" as const, 0, 5, 70_000),
  connection: fc.constantFrom("keep-alive" as const, "close" as const, "omit" as const),
  expectContinue: fc.boolean(),
  strictContentLength: fc.boolean(),
});

/** Header lines of `name` in a head. */
function count(head: string, name: string): number {
  return head.split("\r\n").slice(1).filter((line) => line.toLowerCase().startsWith(`${name}:`)).length;
}

test("whatever is asked for, what comes out is one sound head", () => {
  const llhttp = new Llhttp("llhttp-wasm", "request");
  let sound = 0;
  fc.assert(
    fc.property(anyRequest, (facts) => {
      let head;
      try {
        head = serializeRequest(facts);
      } catch (error) {
        assert.instance(error, TypeError);
        return;
      }
      sound++;
      assert.match(head.text, /^[^\r\n\0]+(?:\r\n[^\r\n\0]+)*\r\n\r\n$/);
      assert.is(count(head.text, "host"), 1);
      assert.is(count(head.text, "content-length"), head.contentLength === undefined ? 0 : 1);
      assert.is(count(head.text, "transfer-encoding"), head.framing === "chunked" ? 1 : 0);
      assert.ok(head.framing !== "none" || facts.body === "none");
      assert.is(
        /^connection:.*\bclose\b/im.test(head.text.replaceAll("\r", "")) || !head.connectionClose,
        true,
      );
      // A server's parser reads the same framing; it knows only the methods that are registered, and paths as targets.
      if (
        !["GET", "POST", "PUT", "DELETE", "HEAD"].includes(facts.method) || !/^\/[!-~]*$/.test(facts.target)
      ) return;
      llhttp.reset();
      assert.is(
        llhttp.execute(encodeHead(head)).replace("PAUSED_UPGRADE", "OK"),
        "OK",
        JSON.stringify(head.text),
      );
    }),
    { numRuns: 3_000 },
  );
  assert.ok(sound > 100, `${sound} sound heads`);
});

test.run();
