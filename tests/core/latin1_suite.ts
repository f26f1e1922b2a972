import * as assert from "uvu/assert";
import { decodeLatin1, encodeLatin1, encodeLatin1With } from "../../src/agent/core/latin1.ts";
import { suite } from "../harness/suite.ts";

const test = suite("latin1");

const ALL = Uint8Array.from({ length: 256 }, (_, byte) => byte);

test("decodes each byte to the character of its number, 0x80 to 0x9f too", () => {
  const text = decodeLatin1(ALL, 0, 256);
  assert.is(text.length, 256);
  for (let byte = 0; byte < 256; byte++) assert.is(text.charCodeAt(byte), byte);
});

test("decodes a part, and an empty one", () => {
  assert.is(decodeLatin1(ALL, 0x41, 0x44), "ABC");
  assert.is(decodeLatin1(ALL, 7, 7), "");
  assert.is(decodeLatin1(new Uint8Array(0), 0, 0), "");
});

test("decodes a view that begins in the midst of its buffer", () => {
  assert.is(decodeLatin1(ALL.subarray(0x41), 1, 3), "BC");
});

test("decodeLatin1() copies: the text stays when the bytes change", () => {
  const bytes = Uint8Array.of(0x41, 0x42);
  const text = decodeLatin1(bytes, 0, 2);
  bytes.fill(0);
  assert.is(text, "AB");
});

test("encodes each character to its byte", () => {
  const bytes = encodeLatin1(decodeLatin1(ALL, 0, 256));
  assert.equal(Array.from(bytes), Array.from(ALL));
  assert.is(encodeLatin1("").length, 0);
});

test("encodes text that is ASCII but for one character, wherever it stands", () => {
  for (const odd of ["\x7f", "\x80", "\xe9", "\xff"]) {
    for (let at = 0; at <= 8; at++) {
      const text = "abcdefgh".slice(0, at) + odd + "abcdefgh".slice(at);
      const bytes = Array.from(text, (character) => character.charCodeAt(0));
      assert.equal(Array.from(encodeLatin1(text)), bytes);
      for (let tail = 0; tail < 4; tail++) {
        assert.equal(Array.from(encodeLatin1With(text, new Uint8Array(tail).fill(1))), [
          ...bytes,
          ...new Array(tail).fill(1),
        ]);
      }
    }
  }
});

test("puts bytes behind a text, by copy", () => {
  const tail = Uint8Array.of(1, 2);
  const bytes = encodeLatin1With("A\xff", tail);
  tail.fill(9);
  assert.equal(Array.from(bytes), [0x41, 0xff, 1, 2]);
});

test.run();
