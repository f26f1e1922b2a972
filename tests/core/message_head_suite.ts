/** The rules that renderHead() shares with the serializer; the http face's own are tests/node_door/http_message_suite.ts. */
import * as assert from "uvu/assert";
import { type HeadFacts, renderHead } from "../../src/agent/outgoing_message_head.ts";
import { suite } from "../harness/suite.ts";

const test = suite("renderHead()");

function factsOf(...fields: [unknown, unknown][]): HeadFacts {
  return {
    startLine: "POST / HTTP/1.1",
    fields,
    areChecked: false,
    uniqueHeaders: undefined,
    isKeepAlive: true,
    bodyLength: undefined,
    mayHaveBody: true,
    anticipatesBody: true,
    isTunnel: false,
    omit: { connection: false, contentLength: false, transferEncoding: false },
  };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.instance(error, TypeError);
    return (error as unknown as { code: string }).code;
  }
  return "nothing thrown";
}

// What trim() takes for whitespace, and RFC 9110 section 5.6.3 does not; VT and FF are no field text to begin with.
for (const space of ["\x85", "\xa0"]) {
  test(`refuses ${JSON.stringify(space)} around a framing value, and sees no close in it`, () => {
    const around = (value: string): string[] => [`${value}${space}`, `${space}${value}`];
    for (const value of [...around("chunked"), ...around("gzip").map((coding) => `${coding}, chunked`)]) {
      const head = (): unknown => renderHead(factsOf(["Transfer-Encoding", value]));
      assert.is(codeOf(head), "ERR_HTTP_INVALID_HEADER_VALUE", JSON.stringify(value));
    }
    for (const value of around("5")) {
      const head = (): unknown => renderHead(factsOf(["Content-Length", value]));
      assert.is(codeOf(head), "ERR_HTTP_INVALID_HEADER_VALUE", JSON.stringify(value));
    }
    for (const value of around("close")) assert.not(renderHead(factsOf(["Connection", value])).saysClose);
  });
}

test("takes optional whitespace off a value before it is read (RFC 9110 section 5.6.3)", () => {
  assert.is(renderHead(factsOf(["Content-Length", " 5\t"])).contentLength, 5);
  assert.ok(renderHead(factsOf(["Transfer-Encoding", "gzip ,\tchunked "])).isChunked);
  assert.ok(renderHead(factsOf(["Connection", "x,\tclose "])).saysClose);
});

test("refuses undefined and symbols as values, with a code", () => {
  for (const name of ["a", "host", "cookie", "content-length"]) {
    for (const value of [undefined, Symbol("s"), [Symbol("s")], ["a", Symbol("s")]]) {
      assert.is(codeOf(() => renderHead(factsOf([name, value]))), "ERR_HTTP_INVALID_HEADER_VALUE");
    }
  }
});

test.run();
