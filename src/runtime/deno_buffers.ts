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
 * As much as this, the head and the beginning of the body, copied, is all that a connection's first upload of one large piece (as the
 * http face's `end(body)`) writes at first. For
 * {@linkcode FRONT_TURNS} it waits then. What reaches the peer in the first round trip decides how large a receive buffer its kernel gives the
 * connection, for good. Over the loopback, 10 MiB at a time, it makes that 0.8 MB where the head goes alone or the whole body follows
 * at once, and 1.2 to 1.6 MB so, and the uploads cost a fifth less. 6 to 8 KiB do; ARCHITECTURE.md has the figures.
 */
export const FRONT_BYTES: number = 7168;
/** How many turns of the event loop the peer has for {@linkcode FRONT_BYTES}: some 50 us where nothing else is done in them. */
export const FRONT_TURNS: number = 10;
/** From this size on a piece is worth the wait. */
export const UPLOAD_BYTES: number = 1048576;
/** Large buffers kept for the next busy sockets: 4 MB at most. */
const MAX_SPARE_LARGE = 32;
/** Small buffers kept for the next idle sockets: 4 MB at most. */
const MAX_SPARE_SMALL = 4096;

const spareLarge: Uint8Array[] = [];
const spareSmall: Uint8Array[] = [];

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

/** The buffer's read or write has settled. */
export function giveBack(buffer: Uint8Array | undefined): void {
  if (buffer === undefined) return;
  if (buffer.length === SMALL_BYTES) {
    if (spareSmall.length < MAX_SPARE_SMALL) spareSmall.push(buffer);
  } else if (spareLarge.length < MAX_SPARE_LARGE) spareLarge.push(buffer);
}
