import * as assert from "uvu/assert";
import { HeadScanner } from "../../src/agent/core/head_scanner.ts";
import { HeadTemplate } from "../../src/agent/core/head_template.ts";
import { cutFields } from "../../src/agent/core/headers.ts";
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

/** Names and values of the head just matched. */
function fieldsOf(template: HeadTemplate): string[] {
  const { image, text, marks } = template.matched!;
  return image === undefined ? cutFields(text, marks) : image.fields(image.keep());
}

test("gives the fields of the head just matched", () => {
  const template = learnt([head("a", "1"), head("b", "2")]);
  for (const [date, id] of [["c", "3"], ["long", "4"], ["x", "longer"], ["", ""], ["y", "5"]] as const) {
    const bytes = head(date, id);
    assert.ok(matches(template, bytes));
    assert.equal(fieldsOf(template), ["Date", date, "X-Id", id, "Server", "s"]);
    assert.is(template.matched!.image?.fieldCount ?? 3, 3);
  }
});

test("gives the fields of values of every length and byte, with and without the image", () => {
  const bytesOfAll = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte))
    .filter((character) => /[\x21-\x7e\x80-\xff]/.test(character));
  for (let length = 1; length < 24; length++) {
    const template = learnt([head("a".repeat(length), "1"), head("b".repeat(length), "23")]);
    for (const character of bytesOfAll) {
      const [date, id] = [character.repeat(length), `${character}x`];
      assert.ok(matches(template, head(date, id)));
      assert.is(template.matched!.image === undefined, false);
      const kept = template.matched!.image!.keep();
      assert.is(template.matched!.image!.value(0), date);
      assert.is(template.matched!.image!.value(2), "s");
      // What was kept is not the next head's.
      assert.ok(matches(template, head("z".repeat(length), "zz")));
      assert.equal(template.matched!.image!.fields(kept), ["Date", date, "X-Id", id, "Server", "s"]);
    }
  }
});

test("each of the first controls and DEL, at each place of a value, is left to the scanner", () => {
  const template = learnt([head("a", "0123456789"), head("a", "9876543210")]);
  for (const byte of [...Array(0x20).keys(), 0x7f].filter((byte) => byte !== 0x09)) {
    for (let at = 0; at < 10; at++) {
      const id = `${"x".repeat(at)}${String.fromCharCode(byte)}${"\xff".repeat(9 - at)}`;
      assert.not(matches(template, head("a", id)), `${byte} at ${at}`);
    }
  }
});

test("a tab inside a value is taken, at each place but the ends", () => {
  const template = learnt([head("a", "0123456789"), head("a", "9876543210")]);
  for (let at = 0; at < 10; at++) {
    const id = `${"x".repeat(at)}\t${"y".repeat(9 - at)}`;
    assert.is(matches(template, head("a", id)), at > 0 && at < 9, `${at}`);
    if (at > 0 && at < 9) assert.equal(fieldsOf(template), ["Date", "a", "X-Id", id, "Server", "s"]);
  }
});

test("moves the image to lengths that come twice in a row, and not while they alternate", () => {
  const template = learnt([head("a", "1"), head("a", "2")]);
  const imaged = (id: string): boolean => {
    assert.ok(matches(template, head("a", id)));
    assert.equal(fieldsOf(template), ["Date", "a", "X-Id", id, "Server", "s"]);
    return template.matched!.image !== undefined;
  };
  assert.equal(["3", "44", "5", "66", "7"].map(imaged), [true, false, true, false, true]);
  assert.equal(["44", "55", "66", "77", "8"].map(imaged), [false, false, true, true, false]);
});

test("the head of an image is told by every byte of it", () => {
  const template = learnt([head("a", "1"), head("a", "2")]);
  const bytes = head("a", "3");
  for (let at = 0; at < bytes.length; at++) {
    const other = new Uint8Array(bytes);
    other[at]! ^= 0x01;
    // A value that changed may be another.
    const isHole = at === bytes.indexOf(0x33);
    assert.is(matches(template, other), isHole, `${at}`);
    assert.ok(matches(template, bytes));
  }
});

test("an image holds on to nothing of the chunk, nor the fields to the image", () => {
  const template = learnt([head("a", "1"), head("a", "2")]);
  const chunk = head("a", "3");
  assert.ok(matches(template, chunk));
  const { image } = template.matched!;
  const kept = image!.keep();
  chunk.fill(0x78);
  const fields = image!.fields(kept);
  fields[0] = "written over";
  assert.equal(image!.fields(kept), ["Date", "a", "X-Id", "3", "Server", "s"]);
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

test("knows eight shapes in any order, and finds each by its own values", () => {
  const shape = (kind: number, id: string): Uint8Array => head("a", id, `s\r\nX: ${"y".repeat(kind)}`);
  const kinds = Array.from({ length: 8 }, (_, kind) => kind + 1);
  const template = learnt([
    ...kinds.map((kind) => shape(kind, "1")),
    ...kinds.map((kind) => shape(kind, "2")),
  ]);
  for (let i = 0; i < 200; i++) {
    const kind = 1 + (i * 7 + (i >> 3)) % 8;
    const id = `${i % 3 === 0 ? "long" : ""}${i}`;
    assert.ok(matches(template, shape(kind, id)), `${i}`);
    assert.equal(fieldsOf(template), ["Date", "a", "X-Id", id, "Server", "s", "X", "y".repeat(kind)]);
  }
  assert.ok(template.isOpen);
});

test("the least recent of nine shapes is forgotten", () => {
  const shape = (kind: number): Uint8Array => head("a", "1", `s${"\r\nX: y".repeat(kind)}`);
  const template = learnt(Array.from({ length: 9 }, (_, kind) => shape(kind)));
  assert.not(matches(template, shape(0)));
  for (let kind = 1; kind < 9; kind++) assert.ok(matches(template, shape(kind)));
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
