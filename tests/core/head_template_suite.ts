import * as assert from "uvu/assert";
import { HeadScanner } from "../../src/agent/core/head_scanner.ts";
import { HeadTemplate } from "../../src/agent/core/head_template.ts";
import { encodeLatin1 } from "../../src/agent/core/latin1.ts";
import { suite } from "../harness/suite.ts";

const test = suite("HeadTemplate");

const head = (date: string, id: string, server = "s"): Uint8Array =>
  encodeLatin1(`HTTP/1.1 200 OK\r\nDate: ${date}\r\nX-Id: ${id}\r\nServer: ${server}\r\n\r\n`);

/** A template that has learnt `heads`, as the scanner lets it. */
function learnt(heads: readonly Uint8Array[]): HeadTemplate {
  const template = new HeadTemplate();
  const scanner = new HeadScanner(16_384, 2_000, {}, template);
  for (const bytes of heads) {
    scanner.startHead();
    assert.is(scanner.scan(bytes, 0), bytes.length);
  }
  return template;
}

const matches = (template: HeadTemplate, bytes: Uint8Array): boolean =>
  template.match(bytes, 0, bytes.length) === bytes.length;

test("knows the same head again, and another not", () => {
  const template = learnt([head("a", "1")]);
  assert.ok(matches(template, head("a", "1")));
  assert.not(matches(template, head("a", "2")));
});

test("takes for a hole what was seen to change, and keeps it one", () => {
  const template = learnt([head("a", "1"), head("a", "2"), head("b", "2")]);
  assert.ok(matches(template, head("c", "2")));
  assert.ok(matches(template, head("c", "3333")));
  assert.ok(matches(template, head("", "")));
  assert.not(matches(template, head("c", "3", "t")));
});

test("gives the marks of the head just matched", () => {
  const template = learnt([head("a", "1"), head("b", "2")]);
  for (const [date, id] of [["c", "3"], ["long", "4"], ["x", "longer"], ["", ""], ["y", "5"]] as const) {
    const bytes = head(date, id);
    assert.ok(matches(template, bytes));
    const { text, marks } = template;
    const parts = marks.map((mark, i) => i % 2 === 0 ? text.slice(mark, marks[i + 1]) : "").filter((_, i) =>
      i % 2 === 0
    );
    assert.equal(parts, ["Date", date, "X-Id", id, "Server", "s"]);
  }
});

test("a hole takes no byte that the scanner would not take as it stands", () => {
  const template = learnt([head("a", "1"), head("a", "2")]);
  for (
    const id of [" 3", "\t3", "3 ", "3\t", "3\0", "3\x1f", "3\x7f", "3\r", "3\n", "3\r\nX: y", " ", "\t"]
  ) {
    assert.not(matches(template, head("a", id)), JSON.stringify(id));
  }
  for (const id of ["3\t3", "3 3", "\x80\xff", ":"]) {
    assert.ok(matches(template, head("a", id)), JSON.stringify(id));
  }
});

test("matches nothing before the head is whole", () => {
  const template = learnt([head("a", "1"), head("b", "2")]);
  const bytes = head("c", "3");
  for (let end = 0; end < bytes.length; end++) {
    assert.is(template.match(bytes.subarray(0, end), 0, end), -1, `${end}`);
    assert.is(template.match(bytes, 0, end), -1, `${end}`);
  }
});

test("matches in the midst of a chunk", () => {
  const template = learnt([head("a", "1"), head("b", "2")]);
  const bytes = head("c", "3");
  const chunk = new Uint8Array(bytes.length + 20).fill(0x78);
  chunk.set(bytes, 7);
  assert.is(template.match(chunk, 7, chunk.length), 7 + bytes.length);
});

test("gives up where no head is like the one before", () => {
  const template = learnt(Array.from({ length: 20 }, (_, i) => head("a", "1", "s\r\nX: y".repeat(i + 1))));
  assert.not(template.isOpen);
  assert.not(matches(template, head("a", "1", "s\r\nX: y".repeat(20))));
});

test("does not remember a long head", () => {
  const bytes = head("a", "1", "s".repeat(3_000));
  assert.not(matches(learnt([bytes]), bytes));
});

test.run();
