/**
 * Chunks that wait to be written, as one.
 *
 * Owns how many of them are joined. Must not know what they are written to.
 *
 * @module
 */

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
