import * as assert from "uvu/assert";
import { ProtocolError } from "../../src/agent/core/errors.ts";
import { HeadTemplate } from "../../src/agent/core/head_template.ts";
import { decodeLatin1, encodeLatin1 } from "../../src/agent/core/latin1.ts";
import { type ResponseHead, ResponseParser } from "../../src/agent/core/response_parser.ts";
import { suite } from "../harness/suite.ts";
import { LogSink, parserLog } from "./parser_log.ts";

const test = suite("ResponseParser");

/** A parser that has read `text`, armed for a GET; what it said and what it left. */
function parsed(text: string, sink: LogSink = new LogSink()): { parser: ResponseParser; consumed: number } {
  const parser = new ResponseParser();
  parser.start("GET");
  return { parser, consumed: parser.parse(encodeLatin1(text), sink) };
}

/** A sink that keeps the chunks as they come and stops where it is told. */
class ChunkSink extends LogSink {
  readonly chunks: Uint8Array[] = [];
  wants = true;
  override onBody(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    super.onBody(chunk);
    return this.wants;
  }
}

function errorOf(run: () => void): ProtocolError {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
  throw new Error("Nothing was thrown");
}

test("heads kept unread tell their own fields when many like them have been read since", () => {
  const template = new HeadTemplate();
  const heads: ResponseHead[] = [];
  const sink = new LogSink();
  sink.onHead = (head): void => void heads.push(head);
  const pairs = (i: number): string[] => [
    ...["Content-Length", String(i % 11 === 0 ? 0 : i % 120)],
    ...["X-Id", `id-${"\xe9".repeat(i % 3)}${i}`],
    ...["Server", "s"],
    ...["Connection", i % 50 === 49 ? "close" : "keep-alive"],
    ...["Date", `${i % 7}`],
  ];
  const parsers = [new ResponseParser({}, template), new ResponseParser({ maxHeadersCount: 2 }, template)];
  for (let i = 0; i < 400; i++) {
    const parser = parsers[i % 2]!;
    const lines = pairs(i).map((text, at) => text + (at % 2 === 0 ? ": " : "\r\n")).join("");
    parser.start("HEAD");
    parser.parse(encodeLatin1(`HTTP/1.1 200 OK ${i < 200}\r\n${lines}\r\n`), sink);
  }
  heads.forEach((head, i) => {
    assert.equal(head.headers.rawHeaders, i % 2 === 0 ? pairs(i) : pairs(i).slice(0, 4));
    assert.is(head.statusText, `OK ${i < 200}`);
    assert.is(head.connection, i % 50 === 49 ? "close" : "keep-alive");
    assert.is(head.hasContentLength, true);
  });
});

test("what one parser forgives is not forgiven by another that shares its memory", () => {
  const template = new HeadTemplate();
  const message = encodeLatin1(
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  );
  const lenient = { limits: { leniency: { chunkedLength: true } }, template };
  for (let i = 0; i < 4; i++) {
    assert.match(parserLog([message], lenient), /^framing chunked$/m);
    assert.match(parserLog([message], { template }), "HPE_INVALID_TRANSFER_ENCODING");
  }
});

test("a head that a shared memory knows is held to the parser's own limits", () => {
  const template = new HeadTemplate();
  const message = encodeLatin1("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\r\n\r\n");
  assert.match(parserLog([message, message], { template }), /complete/);
  const tooMany = parserLog([message], { limits: { maxHeaderLines: 1 } });
  assert.match(tooMany, "Too many header lines");
  assert.is(parserLog([message], { limits: { maxHeaderLines: 1 }, template }), tooMany);
  const tooLong = parserLog([message], { limits: { maxHeaderBytes: message.length - 1 } });
  assert.match(tooLong, "HPE_HEADER_OVERFLOW");
  assert.is(parserLog([message], { limits: { maxHeaderBytes: message.length - 1 }, template }), tooLong);
});

test("is idle until it is armed: bytes before are surplus", () => {
  const parser = new ResponseParser();
  const sink = new LogSink();
  assert.is(parser.state, "idle");
  assert.is(parser.parse(encodeLatin1("HTTP/1.1 408 Request Timeout\r\n\r\n"), sink), 0);
  parser.finish(sink);
  assert.equal(sink.finish(), []);
});

test("reads exactly one response, then is idle", () => {
  const two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n";
  const { parser, consumed } = parsed(two);
  assert.is(consumed, two.indexOf("xHTTP") + 1);
  assert.is(parser.state, "idle");
  assert.is(parser.parse(encodeLatin1("more"), new LogSink()), 0);
});

/** How many strings are cut out of others while `run` runs. */
function countCuts(run: () => void): number {
  const strings = String.prototype;
  const names = ["slice", "substring", "substr"] as const;
  const originals = names.map((name) => strings[name]);
  let cuts = 0;
  names.forEach((name, i) =>
    strings[name] = function (this: string, ...args: [number]): string {
      cuts++;
      return originals[i]!.apply(this, args);
    }
  );
  try {
    run();
  } finally {
    names.forEach((name, i) => strings[name] = originals[i]!);
  }
  return cuts;
}

test("makes no strings of fields that nobody reads", () => {
  const heads: ResponseHead[] = [];
  const sink = {
    onInformational(): void {},
    onHead: (head: ResponseHead): void => void heads.push(head),
    onBody: (): boolean => true,
    onComplete(): void {},
    onUpgrade(): void {},
  };
  const cutsOf = (fields: number): number => {
    const bytes = encodeLatin1(`HTTP/1.1 200 OK\r\n${"X-A: b\r\n".repeat(fields)}Content-Length: 0\r\n\r\n`);
    const parser = new ResponseParser();
    parser.start("GET");
    return countCuts(() => parser.parse(bytes, sink));
  };
  assert.is(cutsOf(40), cutsOf(1));
  // So that a count that sees nothing shows.
  assert.ok(countCuts(() => heads[0]!.headers.rawHeaders) >= 80);
});

test("start() refuses a parser in use", () => {
  const { parser } = parsed("HTTP/1.1 200 OK\r\n");
  assert.throws(() => parser.start("GET"), /in use.*"head"/);
});

test("reads response after response", () => {
  const parser = new ResponseParser();
  for (let i = 0; i < 100; i++) {
    const sink = new LogSink();
    parser.start(i % 3 === 0 ? "HEAD" : "GET");
    const body = i % 3 === 0 ? "" : `${i}`;
    const bytes = encodeLatin1(
      `HTTP/1.1 200 OK\r\nX-Id: ${i}\r\nContent-Length: ${`${i}`.length}\r\n\r\n${body}`,
    );
    assert.is(parser.parse(bytes, sink), bytes.length);
    assert.match(sink.finish().join("\n"), `field X-Id: "${i}"`);
  }
});

test("hands out slices of the input, and the input itself where all of it is body", () => {
  const parser = new ResponseParser();
  const sink = new ChunkSink();
  const first = encodeLatin1("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nab");
  const second = encodeLatin1("cde");
  parser.start("GET");
  parser.parse(first, sink);
  parser.parse(second, sink);
  parser.parse(encodeLatin1("fgh"), sink);
  assert.is(sink.chunks[0]!.buffer, first.buffer);
  assert.is(sink.chunks[1], second);
  assert.is(decodeLatin1(sink.chunks[2]!, 0, sink.chunks[2]!.length), "fg");
});

test("stops where onBody() says false and goes on with what it left", () => {
  const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\nsurplus";
  const bytes = encodeLatin1(text);
  const parser = new ResponseParser();
  const sink = new ChunkSink();
  sink.wants = false;
  parser.start("GET");
  let at = 0;
  let calls = 0;
  while (parser.state !== "idle") {
    at += parser.parse(bytes.subarray(at), sink);
    calls++;
  }
  assert.is(calls, 3);
  assert.is(at, text.length - "surplus".length);
  assert.is(sink.chunks.length, 2);
  assert.is(sink.finish().pop(), "complete");
});

test("completes a body of Content-Length even where the last onBody() says false", () => {
  const sink = new ChunkSink();
  sink.wants = false;
  parsed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", sink);
  assert.is(sink.finish().pop(), "complete");
});

test("parse() of no bytes changes nothing", () => {
  const parser = new ResponseParser();
  const sink = new LogSink();
  const nothing = new Uint8Array(0);
  parser.start("GET");
  for (
    const part of [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: ",
      "chunked\r\n\r\n",
      "1\r\n",
      "a",
      "\r\n0\r\n",
      "\r\n",
    ]
  ) {
    assert.is(parser.parse(nothing, sink), 0);
    parser.parse(encodeLatin1(part), sink);
  }
  assert.is(sink.finish().pop(), "complete");
});

for (
  const [method, final] of [
    ["onInformational", "200 OK\r\nContent-Length: 3\r\n\r\nabc"],
    ["onHead", "200 OK\r\nContent-Length: 3\r\n\r\nabc"],
    ["onHead", "204 No Content\r\n\r\n"],
    ["onBody", "200 OK\r\nContent-Length: 3\r\n\r\nabc"],
  ] as const
) {
  test(`reset() inside ${method}() stops it: ${final.slice(0, 3)}`, () => {
    const parser = new ResponseParser();
    const sink = new LogSink();
    sink[method] = (): boolean => {
      parser.reset();
      return true;
    };
    parser.start("GET");
    parser.parse(
      encodeLatin1(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 ${final}`),
      sink,
    );
    assert.is(parser.state, "idle");
    assert.not(sink.finish().includes("complete"));
  });
}

test("start() inside onComplete() arms it for the next response, whose bytes parse() does not touch", () => {
  const parser = new ResponseParser();
  const sink = new LogSink();
  const complete = sink.onComplete.bind(sink);
  sink.onComplete = (trailers): void => {
    complete(trailers);
    if (sink.lines.length < 5) parser.start("GET");
  };
  const bytes = encodeLatin1("HTTP/1.1 204 A\r\n\r\nHTTP/1.1 204 B\r\n\r\n");
  parser.start("GET");
  const consumed = parser.parse(bytes, sink);
  assert.is(consumed, bytes.length / 2);
  assert.is(parser.state, "head");
});

test("an error says where it stopped, keeps a copy of the bytes and leaves the parser failed", () => {
  const parser = new ResponseParser();
  const bytes = encodeLatin1("HTTP/1.1 200 OK\r\nA B: c\r\n\r\n");
  parser.start("GET");
  const error = errorOf(() => parser.parse(bytes, new LogSink()));
  assert.is(error.code, "HPE_INVALID_HEADER_TOKEN");
  assert.is(error.message, `Parse Error: ${error.reason}`);
  assert.is(error.bytesParsed, bytes.indexOf(0x20, 18));
  const text = decodeLatin1(bytes, 0, bytes.length);
  bytes.fill(0);
  assert.is(decodeLatin1(error.rawPacket, 0, error.rawPacket.length), text);
  assert.is(parser.state, "failed");
  assert.is(parser.parse(encodeLatin1("HTTP/1.1 200 OK\r\n\r\n"), new LogSink()), 0);
  assert.throws(() => parser.start("GET"), /in use/);
});

test("bytesParsed counts from the chunk in hand, where the head was split too", () => {
  const parser = new ResponseParser();
  parser.start("GET");
  parser.parse(encodeLatin1("HTTP/1.1 200 OK\r\nA"), new LogSink());
  const error = errorOf(() => parser.parse(encodeLatin1("BC D: e\r\n"), new LogSink()));
  assert.is(error.bytesParsed, 2);
  assert.is(error.rawPacket.length, "BC D: e\r\n".length);
});

test("a fault shows at once, not at the end of the head", () => {
  for (const text of ["X", "HTTP/2.1", "HTTP/1.1 2x", "HTTP/1.1 200 OK\nA", "HTTP/1.1 200 OK\r\nA:\x01"]) {
    assert.instance(errorOf(() => parsed(text)), ProtocolError, text);
  }
});

test("an endless head is refused at its limit, having gathered no more", () => {
  const parser = new ResponseParser();
  const chunk = encodeLatin1("x".repeat(1_000));
  parser.start("GET");
  parser.parse(encodeLatin1("HTTP/1.1 200 OK\r\nX: "), new LogSink());
  let taken = 0;
  const error = errorOf(() => {
    for (;;) taken += parser.parse(chunk, new LogSink());
  });
  assert.is(error.code, "HPE_HEADER_OVERFLOW");
  assert.ok(taken < 16_384, `${taken}`);
});

test("the defaults let 2,000 lines and 100 interim responses pass, and not one more", () => {
  const lines = (count: number): string => `HTTP/1.1 204 OK\r\n${"A:\r\n".repeat(count)}\r\n`;
  parsed(lines(2_000));
  assert.is(errorOf(() => parsed(lines(2_001))).code, "HPE_HEADER_OVERFLOW");
  const interim = (count: number): string => "HTTP/1.1 102 Wait\r\n\r\n".repeat(count);
  parsed(interim(100));
  assert.is(errorOf(() => parsed(interim(101))).code, "HPE_INFORMATIONAL_OVERFLOW");
});

test("tells what the keep-alive verdict needs", () => {
  let head: ResponseHead | undefined;
  const sink = new LogSink();
  sink.onHead = (told): void => {
    head = told;
  };
  parsed(
    "HTTP/1.0 200 OK\r\nconnection: a\r\nKEEP-ALIVE: timeout=5\r\nConnection: b\r\nKeep-Alive: max=1\r\nTransfer-Encoding: chunked\r\n\r\n",
    sink,
  );
  assert.is(head!.connection, "a, b");
  assert.is(head!.keepAlive, "timeout=5, max=1");
  assert.is(head!.hasTransferEncoding, true);
  assert.is(head!.hasContentLength, false);
});

test("headers stay readable after the next response was parsed", () => {
  const heads: ResponseHead[] = [];
  const sink = new LogSink();
  sink.onHead = (head): void => {
    heads.push(head);
  };
  const parser = new ResponseParser();
  for (const id of ["1", "22", "333", "22"]) {
    const bytes = encodeLatin1(`HTTP/1.1 204 OK\r\nDate: today\r\nX-Id: ${id}\r\nServer: s\r\n\r\n`);
    parser.start("GET");
    parser.parse(bytes, sink);
    bytes.fill(0x21);
  }
  assert.equal(heads.map((head) => head.headers.get("x-id")), ["1", "22", "333", "22"]);
  assert.equal(heads.map((head) => head.headers.get("server")), ["s", "s", "s", "s"]);
});

/** Logs of `heads` by one template, with a parser of its own each. */
function logsOf(heads: readonly string[], template: HeadTemplate = new HeadTemplate()): string[] {
  return heads.map((head) => parserLog([encodeLatin1(head)], { template }));
}

// Each differs from the one before in what a guess may get wrong.
const SIMILAR = [
  ["A: 1", "B: 2"],
  ["A: 1", "B: 3"],
  ["A: 1", "B: 33333"],
  ["A: 1", "B: "],
  ["A: 1", "B:"],
  ["A: 1", "B:4"],
  ["A: 1", "B:  4"],
  ["A: 1", "B: \t4"],
  ["A: 1", "B: 4 "],
  ["A: 1", "B: 4\x01"],
  ["A: 1", "B: 4\x80"],
  ["A: 1", "B: 4", "C: 5"],
  ["A: 2", "B: 4", "C: 5"],
  ["A: 3", "B: 4", "C: 6"],
  ["A: 3", "B: 4", "c: 6"],
  ["A: 3", "B: 4", "C : 6"],
  ["A: 3\r\nX: y", "B: 4", "C: 6"],
  ["Content-Length: 0", "B: 4", "C: 6"],
  ["Content-Length: 0", "B: 5", "C: 6"],
  ["Content-Length: 00", "B: 5", "C: 6"],
  ["Content-Length: x", "B: 5", "C: 6"],
  ["Content-Length: 1", "B: 5", "C: 6"],
  ["Content-Length: 0", "Connection: close", "C: 6"],
  ["Content-Length: 0", "Connection: keep-alive", "C: 6"],
  ["Content-Length: 0", "Connection: close", "C: 7"],
  ["Content-Length: 0", "Content-Length: 0", "C: 7"],
  ["Content-Length: 0", "Transfer-Encoding: chunked", "C: 7"],
];

test("what was read before changes nothing of what is read now", () => {
  const heads = SIMILAR.map((lines) => `HTTP/1.1 200 OK\r\n${lines.join("\r\n")}\r\n\r\n`);
  const alone = new Map(heads.map((head) => [head, logsOf([head])[0]]));
  // The first two make a guess with a hole where they differ; every third meets it.
  for (const first of heads) {
    for (const second of heads) {
      for (const third of heads) {
        assert.equal(logsOf([first, second, third]), [alone.get(first), alone.get(second), alone.get(third)]);
      }
    }
  }
});

test("a template may be shared between the parsers of one origin", () => {
  const template = new HeadTemplate();
  const parsers = [new ResponseParser({}, template), new ResponseParser({}, template)];
  for (let i = 0; i < 20; i++) {
    const sink = new LogSink();
    const parser = parsers[i % 2]!;
    parser.start("GET");
    parser.parse(encodeLatin1(`HTTP/1.1 200 OK\r\nContent-Length: ${i % 3}\r\nX: ${i}\r\n\r\nabc`), sink);
    assert.is(sink.finish().includes(`framing length ${i % 3}`), true);
    assert.is(sink.lines.includes(`field X: "${i}"`), true);
  }
});

test.run();
