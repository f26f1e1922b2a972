import * as assert from "uvu/assert";
import { HeaderBlock } from "../../src/agent/core/headers.ts";
import { suite } from "../harness/suite.ts";

const test = suite("HeaderBlock");

/** A block as the parser makes it: a text and where its fields lie. */
function blockOf(pairs: readonly (readonly [string, string])[], maxFields?: number): HeaderBlock {
  let text = "HTTP/1.1 200 OK\r\n";
  const marks: number[] = [];
  for (const [name, value] of pairs) {
    marks.push(text.length, text.length + name.length);
    text += `${name}: `;
    marks.push(text.length, text.length + value.length);
    text += `${value}\r\n`;
  }
  return new HeaderBlock(`${text}\r\n`, marks, maxFields);
}

// Node's http document, "message.headers": of these the first wins.
const FIRST_WINS = [
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent",
];

test("rawHeaders is flat, in the order and case received, duplicates kept", () => {
  const block = blockOf([["ConTent-Length", "123456"], ["x-A", "1"], ["X-a", "2"], ["x-A", "1"]]);
  assert.equal(block.rawHeaders, ["ConTent-Length", "123456", "x-A", "1", "X-a", "2", "x-A", "1"]);
  assert.is(block.count, 4);
});

test("rawHeaders is a new array at each reading", () => {
  const block = blockOf([["A", "b"]]);
  block.rawHeaders[1] = "written over";
  assert.equal(block.rawHeaders, ["A", "b"]);
  assert.is(block.get("a"), "b");
  block.rawHeaders.length = 0;
  assert.equal(block.rawHeaders, ["A", "b"]);
});

test("headers has lower-cased names, unmodified values and no prototype", () => {
  const { headers } = blockOf([["X-Odd", "VaLue"], ["__proto__", "p"], ["constructor", "c"]]);
  assert.is(Object.getPrototypeOf(headers), null);
  assert.equal(Object.entries(headers), [["x-odd", "VaLue"], ["__proto__", "p"], ["constructor", "c"]]);
});

for (const name of FIRST_WINS) {
  test(`headers keeps the first ${name}, joinDuplicateHeaders joins them`, () => {
    const block = blockOf([[name, "1"], [name.toUpperCase(), "2"]]);
    assert.is(block.headers[name], "1");
    assert.is(block.get(name), "1");
    assert.is(block.toObject({ joinDuplicateHeaders: true })[name], "1, 2");
  });
}

test("headers makes set-cookie an array, even of one", () => {
  assert.equal(blockOf([["Set-Cookie", "a=1"]]).headers["set-cookie"], ["a=1"]);
  const block = blockOf([["Set-Cookie", "a=1"], ["set-cookie", "b=2"]]);
  assert.equal(block.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(block.toObject({ joinDuplicateHeaders: true })["set-cookie"], ["a=1", "b=2"]);
  assert.is(block.get("set-cookie"), "a=1, b=2");
});

test("headers joins cookie by a semicolon and all others by a comma", () => {
  const block = blockOf([["Cookie", "a=1"], ["cookie", "b=2"], ["Via", "x"], ["via", "y"], ["X-A", ""], [
    "x-a",
    "z",
  ]]);
  assert.is(block.headers.cookie, "a=1; b=2");
  assert.is(block.headers.via, "x, y");
  assert.is(block.headers["x-a"], ", z");
  assert.is(block.get("COOKIE"), "a=1; b=2");
  assert.is(block.get("X-a"), ", z");
});

test("headersDistinct has every value of every name", () => {
  const distinct =
    blockOf([["Host", "a"], ["host", "b"], ["Set-Cookie", "c"], ["__proto__", "d"]]).headersDistinct;
  assert.is(Object.getPrototypeOf(distinct), null);
  assert.equal(Object.entries(distinct), [["host", ["a", "b"]], ["set-cookie", ["c"]], ["__proto__", ["d"]]]);
});

test("headers and headersDistinct are new objects at each reading", () => {
  const block = blockOf([["Set-Cookie", "a"]]);
  block.headers["set-cookie"]!.push("b");
  block.headersDistinct["set-cookie"]!.push("b");
  assert.equal(block.headers["set-cookie"], ["a"]);
  assert.equal(block.headersDistinct["set-cookie"], ["a"]);
});

test("get() finds no part of a name", () => {
  const block = blockOf([["X-Ab", "1"]]);
  assert.is(block.get("X-A"), undefined);
  assert.is(block.get("X-Abc"), undefined);
  assert.is(block.get(""), undefined);
});

test("iterates over pairs", () => {
  assert.equal([...blockOf([["A", "1"], ["a", "2"]])], [["A", "1"], ["a", "2"]]);
});

test("shows no more than maxFields", () => {
  const block = blockOf([["A", "1"], ["B", "2"], ["C", "3"]], 2);
  assert.is(block.count, 2);
  assert.equal(block.rawHeaders, ["A", "1", "B", "2"]);
  assert.is(block.get("C"), undefined);
});

/** What stands in for the text: it counts the strings cut out of it. */
class CountingText {
  cuts = 0;
  slice(start: number, end: number): string {
    this.cuts++;
    return "A: b".slice(start, end);
  }
}

test("cuts nothing out of its text before the first reading, and all of it once", () => {
  const text = new CountingText();
  const block = new HeaderBlock(text as unknown as string, [0, 1, 3, 4]);
  assert.is(text.cuts, 0);
  for (let i = 0; i < 3; i++) {
    assert.equal(block.rawHeaders, ["A", "b"]);
    assert.is(block.get("a"), "b");
    assert.is(block.headers["a"], "b");
    assert.is(block.count, 1);
    assert.is(text.cuts, 2);
  }
});

test("EMPTY is empty", () => {
  assert.equal(HeaderBlock.EMPTY.rawHeaders, []);
  assert.is(HeaderBlock.EMPTY.count, 0);
  assert.equal(Object.keys(HeaderBlock.EMPTY.headers), []);
});

test.run();
