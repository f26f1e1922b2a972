import fc from "fast-check";
import "../harness/seed.ts";
import * as assert from "uvu/assert";
import {
  anticipatesBody,
  finalCoding,
  type FramingFields,
  isSendableCoding,
  parseContentLength,
  requestFraming,
  responseFraming,
} from "../../src/agent/core/framing.ts";
import { suite } from "../harness/suite.ts";

const test = suite("framing");

const NOTHING: FramingFields = { contentLength: undefined, transferEncoding: undefined };
const LENGTH: FramingFields = { ...NOTHING, contentLength: "5" };
const CHUNKED: FramingFields = { ...NOTHING, transferEncoding: "chunked" };
const GZIP: FramingFields = { ...NOTHING, transferEncoding: "gzip" };

// RFC 9112 section 6.3, step by step.
const STEPS: [step: string, method: string, status: number, fields: FramingFields, kind: string][] = [
  ["1", "HEAD", 200, LENGTH, "none"],
  ["1", "HEAD", 200, CHUNKED, "none"],
  ["1", "GET", 100, LENGTH, "none"],
  ["1", "GET", 199, CHUNKED, "none"],
  ["1", "GET", 204, LENGTH, "none"],
  ["1", "GET", 304, CHUNKED, "none"],
  ["2", "CONNECT", 200, LENGTH, "none"],
  ["2", "CONNECT", 299, CHUNKED, "none"],
  ["2, not", "CONNECT", 300, LENGTH, "length"],
  ["3", "GET", 200, { contentLength: "5", transferEncoding: "chunked" }, "chunked"],
  ["4", "GET", 200, CHUNKED, "chunked"],
  ["4", "GET", 200, GZIP, "close"],
  ["5", "GET", 200, { ...NOTHING, contentLength: "5, 5" }, "fault"],
  ["6", "GET", 200, LENGTH, "length"],
  ["6", "POST", 500, LENGTH, "length"],
  ["8", "GET", 200, NOTHING, "close"],
  ["8", "DELETE", 205, NOTHING, "close"],
];

for (const [step, method, status, fields, kind] of STEPS) {
  test(`step ${step}: ${status} to ${method} with ${JSON.stringify(fields)} is ${kind}`, () => {
    assert.is(responseFraming(method, status, fields).kind, kind);
  });
}

test("methods are case-sensitive", () => {
  assert.is(responseFraming("head", 200, LENGTH).kind, "length");
});

test("parseContentLength() takes what String() makes of every exact integer, and nothing else", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (length) => {
    assert.is(parseContentLength(String(length)), length);
    assert.is(parseContentLength(`000${length}`), length);
  }));
  fc.assert(fc.property(fc.string(), (value) => {
    assert.is(
      typeof parseContentLength(value) === "number",
      /^[0-9]+$/.test(value) && Number(value) <= 2 ** 53 - 1,
    );
  }));
});

test("finalCoding() reads a list", () => {
  const cases: Record<string, string> = {
    chunked: "chunked",
    "Chunked ": "chunked",
    "gzip,chunked": "chunked",
    ", chunked ,": "chunked",
    "": "other",
    ",": "other",
    gzip: "other",
    "chunked, gzip": "other",
    "chunked gzip": "other",
    "chunked;a=b": "fault",
    "gzip, chunked ; q=1": "fault",
    "chunkedx": "other",
  };
  for (const [list, coding] of Object.entries(cases)) assert.is(finalCoding(list), coding, list);
});

// What trim() takes for whitespace, and RFC 9110 section 5.6.3 does not.
for (const space of ["\x0b", "\x0c", "\x85", "\xa0"]) {
  test(`finalCoding() and isSendableCoding() do not trim ${JSON.stringify(space)}`, () => {
    for (
      const list of [
        `chunked${space}`,
        `${space}chunked`,
        `gzip,${space}chunked`,
        `chunked,${space}`,
        `chunked${space};q=1`,
      ]
    ) {
      assert.is(finalCoding(list), "other", JSON.stringify(list));
      assert.not(isSendableCoding(list), JSON.stringify(list));
    }
    assert.is(finalCoding(`gzip${space}, chunked`), "chunked");
    assert.not(isSendableCoding(`gzip${space}, chunked`));
    assert.not(isSendableCoding(`${space}, chunked`));
  });
}

test("isSendableCoding() takes lists of codings that end in chunked", () => {
  for (
    const list of [
      "chunked",
      " Chunked\t",
      "gzip, chunked",
      ", chunked ,",
      "a;q=1 , chunked",
      'a;b="c",chunked',
    ]
  ) {
    assert.ok(isSendableCoding(list), list);
  }
  for (
    const list of [
      "chunked, chunked",
      "Chunked, gzip, chunked",
      "",
      ",",
      "gzip",
      "chunked, gzip",
      "chunked;q=1",
      "g zip, chunked",
      ";q=1, chunked",
      "é, chunked",
    ]
  ) {
    assert.not(isSendableCoding(list), list);
  }
});

test("requestFraming() never leaves a body without framing, nor frames it twice", () => {
  const anyBody = fc.record({
    present: fc.boolean(),
    length: fc.option(fc.nat(), { nil: undefined }),
    contentLength: fc.option(fc.nat(), { nil: undefined }),
    chunked: fc.boolean(),
  });
  fc.assert(fc.property(fc.constantFrom("GET", "POST", "HEAD", "X"), anyBody, (method, body) => {
    const plan = requestFraming(method, body);
    assert.is(plan.framing === "length", plan.contentLength !== undefined);
    assert.ok(!body.present || plan.framing !== "none");
    assert.ok(!body.chunked || plan.framing === "chunked");
    if (!body.present && !body.chunked && body.contentLength === undefined) {
      assert.is(plan.contentLength, anticipatesBody(method) ? 0 : undefined);
    }
  }));
});

test.run();
