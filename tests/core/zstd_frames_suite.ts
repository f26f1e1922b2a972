/** Where zstd data may end, with frames made by hand (RFC 8878 section 3.1). */
import * as assert from "uvu/assert";
import { ZstdFrames } from "../../src/agent/core/zstd_frames.ts";
import { suite } from "../harness/suite.ts";

const test = suite("core/zstd_frames");

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const RAW = 0;
const RLE = 1;
const COMPRESSED = 2;

/** A block: its header and as many bytes as it has. */
function block(type: number, size: number, isLast: boolean): number[] {
  const header = (size << 3) | (type << 1) | (isLast ? 1 : 0);
  const bytes = Array.from({ length: type === RLE ? 1 : size }, () => 0xff);
  return [header & 0xff, (header >> 8) & 0xff, header >> 16, ...bytes];
}

const frames: Readonly<Record<string, number[]>> = {
  "an empty block": [...MAGIC, 0x00, 0x58, ...block(RAW, 0, true)],
  "a single segment with a size of one byte": [...MAGIC, 0x20, 5, ...block(RAW, 5, true)],
  "a size of two bytes and a checksum": [...MAGIC, 0x64, 0, 1, ...block(RAW, 256, true), 1, 2, 3, 4],
  "a size of four bytes and a dictionary of one": [
    ...MAGIC,
    0x81,
    0x58,
    9,
    1,
    0,
    0,
    0,
    ...block(RLE, 1, true),
  ],
  "a size of eight bytes and a dictionary of four": [
    ...[...MAGIC, 0xc3, 0x58, 1, 2, 3, 4, 1, 0, 0, 0, 0, 0, 0, 0],
    ...block(RLE, 100_000, true),
  ],
  "several blocks": [
    ...[...MAGIC, 0x00, 0x58, ...block(COMPRESSED, 70_000, false)],
    ...[...block(RLE, 9, false), ...block(RAW, 3, true)],
  ],
  "a frame to be skipped": [0x5f, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, ...MAGIC],
};

function isWhole(...pieces: Uint8Array[]): boolean {
  const walk = new ZstdFrames();
  for (const piece of pieces) walk.take(piece);
  return walk.isWhole;
}

for (const [name, frame] of Object.entries(frames)) {
  test(`${name}: whole at its last byte alone, in one piece and byte by byte`, () => {
    const bytes = Uint8Array.from(frame);
    const walk = new ZstdFrames();
    const step = bytes.length > 1_000 ? 997 : 1;
    for (let at = 0; at < bytes.length; at++) {
      assert.is(walk.isWhole, false, `after ${at} bytes`);
      if (at % step === 0) assert.is(isWhole(bytes.subarray(0, at)), false, `${at} bytes in one piece`);
      walk.take(bytes.subarray(at, at + 1));
    }
    assert.is(walk.isWhole, true);
    assert.is(isWhole(bytes), true);
    assert.is(isWhole(bytes, bytes), true, "twice");
    assert.is(isWhole(bytes, bytes.subarray(0, 5)), false, "and the beginning of another");
  });
}

test("what is no zstd is for the decoder to refuse", () => {
  assert.is(isWhole(new TextEncoder().encode("plain text")), true);
  assert.is(isWhole(new Uint8Array(3)), false);
  assert.is(isWhole(), false);
});

test.run();
