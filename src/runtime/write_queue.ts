/**
 * What waits to be written: how much of it is much, and how much goes at once.
 *
 * Owns the mark and the joining. Must not know what is written to.
 *
 * @module
 */

/** From this many pending bytes on `write()` asks to wait: Node's own mark since 22, a pipe's size on Linux. */
export const HIGH_WATER_BYTES: number = 64 * 1024;

/** Takes whole chunks off the front of `queue`, which is not empty: the first, and those behind it up to `mostBytes` in all. */
export function takeFitting(queue: Uint8Array[], mostBytes: number): Uint8Array[] {
  let count = 1;
  let length = queue[0]!.length;
  for (; count < queue.length; count++) {
    length += queue[count]!.length;
    if (length > mostBytes) break;
  }
  return queue.splice(0, count);
}

/** A copy of all of `chunks`, in bytes of its own or at the front of `into`, where they fit. */
export function joinChunks(chunks: readonly Uint8Array[], into?: Uint8Array): Uint8Array {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const joined = into === undefined ? new Uint8Array(length) : into.subarray(0, length);
  let at = 0;
  for (const chunk of chunks) {
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}
