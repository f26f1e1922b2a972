/**
 * The buffers that Deno's sockets read into and join chunks in.
 *
 * Owns their sizes and the stores of those that nobody uses. Strategy: a buffer is in one pending read or write at a
 * time, and comes back when that has settled, never before: the read of a closed connection may still fill it. The small
 * ones are cut from slabs, because an ArrayBuffer each would cost a third more.
 *
 * @module
 */

/** Size of an idle socket's buffer: a head of common size fits, and 10,000 of them are 10 MB. */
export const SMALL_BYTES: number = 1024;
/** Size of a busy socket's buffer: for 10 MiB this costs a third less than 64 KiB, and twice as much costs the same. */
export const LARGE_BYTES: number = 131072;
/** Up to this size chunks that wait are joined, in a large buffer: more is sooner written twice than copied. */
export const JOINED_BYTES: number = 65536;
/**
 * What is little and followed by at least {@linkcode UPLOAD_BYTES} goes with the beginning of that, copied, so that the first write is
 * as long as this. There is no writev(), and after a head alone the peer takes the rest more slowly, from node:http too when it does without
 * its own. 10 MiB over the loopback against node:http, medians of some 80 rounds: 0.82 to 0.87 times the rate with the head
 * alone, 0.9 with 128 KiB, 0.92 to 1 with 256 KiB, 0.93 with 384 KiB; ARCHITECTURE.md has the order of rounds in which it gains nothing.
 */
export const FRONT_BYTES: number = 262144;
/** See {@linkcode FRONT_BYTES}: up to 384 KiB the copy costs more than it gains. */
export const UPLOAD_BYTES: number = 1048576;
/** Large buffers kept for the next busy sockets: 4 MB at most. */
const MAX_SPARE_LARGE = 32;
/** Small buffers kept for the next idle sockets: 4 MB at most. */
const MAX_SPARE_SMALL = 4096;
/** Buffers kept for the beginnings of the next uploads: 2 MB at most. */
const MAX_SPARE_FRONT = 8;

const spareLarge: Uint8Array[] = [];
const spareSmall: Uint8Array[] = [];
const spareFront: Uint8Array[] = [];

/** A buffer for a busy socket's read, or for chunks that are joined. */
export function takeLarge(): Uint8Array {
  return spareLarge.pop() ?? new Uint8Array(LARGE_BYTES);
}

/** A buffer for an idle socket's read. */
export function takeSmall(): Uint8Array {
  if (spareSmall.length === 0) {
    const slab = new ArrayBuffer(LARGE_BYTES);
    for (let at = 0; at < LARGE_BYTES; at += SMALL_BYTES) {
      spareSmall.push(new Uint8Array(slab, at, SMALL_BYTES));
    }
  }
  return spareSmall.pop()!;
}

/** A buffer for an upload's beginning. */
export function takeFront(): Uint8Array {
  return spareFront.pop() ?? new Uint8Array(FRONT_BYTES);
}

/** The buffer's read or write has settled. */
export function giveBack(buffer: Uint8Array | undefined): void {
  if (buffer === undefined) return;
  if (buffer.length === SMALL_BYTES) {
    if (spareSmall.length < MAX_SPARE_SMALL) spareSmall.push(buffer);
  } else if (buffer.length === FRONT_BYTES) {
    if (spareFront.length < MAX_SPARE_FRONT) spareFront.push(buffer);
  } else if (spareLarge.length < MAX_SPARE_LARGE) spareLarge.push(buffer);
}
