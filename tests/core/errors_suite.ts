import * as assert from "uvu/assert";
import {
  AbortError,
  contentLengthMismatch,
  invalidArgType,
  invalidArgValue,
  invalidHeaderContent,
  invalidHeaderValue,
  invalidToken,
  missingHeaderValue,
  outOfRange,
  ProtocolError,
  TimeoutError,
  unescapedCharacters,
} from "../../src/agent/core/errors.ts";
import { suite } from "../harness/suite.ts";

const test = suite("errors");

test("a caller's mistakes are TypeErrors with Node's codes and messages", () => {
  const cases: [TypeError & { code: string }, string, string][] = [
    [
      invalidToken("Header name", "a b"),
      "ERR_INVALID_HTTP_TOKEN",
      'Header name must be a valid HTTP token ["a b"]',
    ],
    [
      invalidToken("Method", Symbol("s")),
      "ERR_INVALID_HTTP_TOKEN",
      'Method must be a valid HTTP token ["Symbol(s)"]',
    ],
    [invalidHeaderContent("A"), "ERR_INVALID_CHAR", 'Invalid character in header content ["A"]'],
    [
      invalidHeaderValue("A", "it is undefined"),
      "ERR_HTTP_INVALID_HEADER_VALUE",
      'Cannot set header "A": it is undefined',
    ],
    [
      missingHeaderValue("A"),
      "ERR_HTTP_INVALID_HEADER_VALUE",
      'Invalid value "undefined" for header "A"',
    ],
    [
      unescapedCharacters("Request path"),
      "ERR_UNESCAPED_CHARACTERS",
      "Request path contains unescaped characters",
    ],
    [
      invalidArgType("options.agent", "an Agent", 5),
      "ERR_INVALID_ARG_TYPE",
      'The "options.agent" property must be an Agent. Received type number (5)',
    ],
    [
      invalidArgType("headers", "an object", null),
      "ERR_INVALID_ARG_TYPE",
      'The "headers" argument must be an object. Received null',
    ],
    [
      invalidArgType("headers", "an object", isNaN),
      "ERR_INVALID_ARG_TYPE",
      'The "headers" argument must be an object. Received function isNaN',
    ],
    [
      invalidArgValue("options.scheduling", "must be 'fifo' or 'lifo'", "x"),
      "ERR_INVALID_ARG_VALUE",
      "The property 'options.scheduling' must be 'fifo' or 'lifo'. Received 'x'",
    ],
    [
      contentLengthMismatch(5, 4),
      "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
      "Request body of 5 byte(s) does not match the Content-Length of 4 byte(s)",
    ],
  ];
  for (const [error, code, message] of cases) {
    assert.instance(error, TypeError);
    assert.is(error.name, "TypeError");
    assert.is(error.code, code);
    assert.is(error.message, message);
  }
});

test("a number out of its range is a RangeError", () => {
  const error = outOfRange("maxTotalSockets", ">= 1", 0);
  assert.instance(error, RangeError);
  assert.is(error.code, "ERR_OUT_OF_RANGE");
  assert.is(error.message, 'The value of "maxTotalSockets" is out of range. It must be >= 1. Received 0');
});

test("a message never fails for want of a toString()", () => {
  for (
    const value of [Object.create(null), { toString: 5 }, {
      toString: (): string => {
        throw new Error("x");
      },
    }]
  ) {
    assert.type(invalidToken("Method", value).message, "string");
    assert.type(invalidArgType("a", "b", value).message, "string");
  }
});

test("ProtocolError has llhttp's facts", () => {
  const rawPacket = Uint8Array.of(1, 2);
  const error = new ProtocolError("HPE_STRICT", {
    reason: "Expected LF after CR",
    bytesParsed: 1,
    rawPacket,
  });
  assert.instance(error, Error);
  assert.is(error.name, "ProtocolError");
  assert.is(error.message, "Parse Error: Expected LF after CR");
  assert.is(error.code, "HPE_STRICT");
  assert.is(error.bytesParsed, 1);
  assert.is(error.rawPacket, rawPacket);
});

test("TimeoutError says which phase", () => {
  const error = new TimeoutError("headers", 300);
  assert.is(error.name, "TimeoutError");
  assert.is(error.code, "ETIMEDOUT");
  assert.is(error.phase, "headers");
  assert.match(error.message, "headers took more than 300 ms");
});

test("AbortError keeps the signal's reason as its cause", () => {
  const reason = new Error("enough");
  const error = new AbortError(reason);
  assert.is(error.name, "AbortError");
  assert.is(error.code, "ABORT_ERR");
  assert.is(error.cause, reason);
  assert.not("cause" in new AbortError());
});

test.run();
