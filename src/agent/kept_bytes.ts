/**
 * What has come of a body before its reader asked for it. Owns that memory and how much of it is copied. Knows no reader and
 * no connection.
 *
 * Strategy: one copy. Where the length is known a body that is to be read whole is copied to its place; short pieces that
 * wait are joined, because a server may send a byte a chunk. A short body waits in a slab, and is copied once more for a
 * reader who may keep it. Where lent bytes outlast the call, a large piece waits for its copy until whoever was told of the
 * response has had his turn: he may well read it as it is.
 *
 * @module
 */

/** Memory for a body of up to this size is made before it comes; for a larger one when half of it is here. */
const MAX_ROOM_BYTES = 1_048_576;
/** A shorter piece is joined to those before it: each would cost some 200 bytes more. */
const SHORT_PIECE_BYTES = 1_024;
/** The room in which short pieces are joined. */
const JOINED_PIECE_BYTES = 4_096;
/** A smaller piece is copied in less time than it takes to put that off. */
const MIN_LENT_BYTES = 8_192;
/** How many turns of the microtask queue a reader has: those of an async function or two around the request. */
const LENT_TURNS = 8;
const EMPTY = new Uint8Array(0);

/** See the file's comment. */
export class KeptBytes {
  /** How much is kept. */
  bytes = 0;
  readonly #length: number;
  readonly #outlastsCall: boolean;
  #chunks: Uint8Array[] = [];
  /** Short pieces, behind those in `#chunks`. */
  #joining: Uint8Array | undefined;
  #joiningBytes = 0;
  /** Memory for the whole body; what is kept is its beginning, and the only chunk. */
  #room: Uint8Array | undefined;
  /** All that is kept, and not ours. */
  #lent: Uint8Array | undefined;
  /** The first chunk lies in the slab: it is copied for a reader who may keep it. */
  #isInSlab = false;
  /** A piece was given to a reader: what is kept is not the body's beginning. */
  #hasGiven = false;

  /** `length`: of the whole body, or Infinity; `outlastsCall`: lent bytes stay as they are while microtasks run. */
  constructor(length: number, outlastsCall: boolean) {
    this.#length = length;
    this.#outlastsCall = outlastsCall;
  }

  /** Takes a lent piece in; `isForAll`: a reader waits for the whole. */
  keep(chunk: Uint8Array, isForAll: boolean): void {
    const mayWait = this.#outlastsCall && !isForAll && this.bytes === 0 && chunk.length >= MIN_LENT_BYTES;
    if (mayWait) {
      this.#lent = chunk;
      this.bytes = chunk.length;
      this.#copyLater(LENT_TURNS);
      return;
    }
    this.#copyLent();
    this.#copy(chunk, isForAll);
  }

  /** A piece went to the reader without being kept. */
  pass(): void {
    this.#hasGiven = true;
  }

  /** The first piece, and the caller's; undefined: nothing is kept. */
  shift(): Uint8Array | undefined {
    this.#copyLent();
    const isInSlab = this.#isInSlab;
    const chunk = this.#shift();
    return isInSlab ? new Uint8Array(chunk!) : chunk;
  }

  /** The same, lent. */
  shiftLent(): Uint8Array | undefined {
    const lent = this.#lent;
    if (lent === undefined) return this.#shift();
    this.#hasGiven = true;
    this.forget();
    return lent;
  }

  #shift(): Uint8Array | undefined {
    if (this.#chunks.length === 0) this.#endJoining();
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#hasGiven = true;
    this.#isInSlab = false;
    this.#room = undefined;
    this.bytes -= chunk.length;
    return chunk;
  }

  /** All of it, and the caller's; nothing is kept then. */
  take(): Uint8Array {
    this.#copyLent();
    this.#endJoining();
    // Several are joined to one that is nobody else's.
    const isInSlab = this.#isInSlab && this.#chunks.length === 1;
    const all = this.takeLent();
    return isInSlab ? new Uint8Array(all) : all;
  }

  /** The same, lent. */
  takeLent(): Uint8Array {
    this.#endJoining();
    const all = this.#lent ?? (this.#chunks.length === 1 ? this.#chunks[0]! : this.#joined());
    this.forget();
    return all;
  }

  /** Nobody wants it. */
  forget(): void {
    this.#chunks = [];
    this.#isInSlab = false;
    this.#joining = undefined;
    this.#joiningBytes = 0;
    this.#room = undefined;
    this.#lent = undefined;
    this.bytes = 0;
  }

  #copyLater(turns: number): void {
    queueMicrotask(() => {
      if (this.#lent === undefined) return;
      if (turns > 1) this.#copyLater(turns - 1);
      else this.#copyLent();
    });
  }

  #copyLent(): void {
    const lent = this.#lent;
    if (lent === undefined) return;
    this.#lent = undefined;
    this.bytes = 0;
    this.#copy(lent, false);
  }

  #copy(chunk: Uint8Array, isForAll: boolean): void {
    if (this.#room === undefined && this.#isWorthRoom(chunk.length, isForAll)) this.#makeRoom();
    const room = this.#room;
    if (room === undefined) this.#copyPiece(chunk);
    else room.set(chunk, this.bytes);
    this.bytes += chunk.length;
    if (room !== undefined) this.#chunks = [room.subarray(0, this.bytes)];
  }

  #copyPiece(chunk: Uint8Array): void {
    const { length } = chunk;
    // Most bodies are one piece: the first is never joined.
    if (length >= SHORT_PIECE_BYTES || this.bytes === 0) {
      this.#endJoining();
      this.#isInSlab ||= length < SHORT_PIECE_BYTES;
      this.#chunks.push(length < SHORT_PIECE_BYTES ? inSlab(chunk) : owned(chunk));
      return;
    }
    if (this.#joiningBytes + length > JOINED_PIECE_BYTES) this.#endJoining();
    this.#joining ??= new Uint8Array(JOINED_PIECE_BYTES);
    this.#joining.set(chunk, this.#joiningBytes);
    this.#joiningBytes += length;
  }

  #endJoining(): void {
    if (this.#joining === undefined) return;
    this.#chunks.push(this.#joining.slice(0, this.#joiningBytes));
    this.#joining = undefined;
    this.#joiningBytes = 0;
  }

  /** All that came is kept, more will come, and half of the whole is there, or the whole is little and wanted by a reader. */
  #isWorthRoom(comingBytes: number, isForAll: boolean): boolean {
    const bytes = this.bytes + comingBytes;
    // One copy of a whole is as good.
    if (this.#hasGiven || (bytes === this.#length && this.bytes === 0)) return false;
    return bytes * 2 >= this.#length || (isForAll && this.#length <= MAX_ROOM_BYTES);
  }

  #makeRoom(): void {
    this.#endJoining();
    this.#room = this.#joined(this.#length);
    this.#isInSlab = false;
  }

  #joined(length: number = this.bytes): Uint8Array {
    if (length === 0) return EMPTY;
    const all = new Uint8Array(length);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

/** Room for short bodies until they are read: an ArrayBuffer for each costs three times as much, and again when it is collected. */
const SLAB_BYTES = 8_192;
let slab = new ArrayBuffer(SLAB_BYTES);
let slabUsed = 0;

function inSlab(chunk: Uint8Array): Uint8Array {
  const { length } = chunk;
  if (slabUsed + length > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES);
    slabUsed = 0;
  }
  const copy = new Uint8Array(slab, slabUsed, length);
  copy.set(chunk);
  // Each begins where a word of memory does.
  slabUsed += (length + 7) & ~7;
  return copy;
}

/** A copy. For 64 KiB slice() takes two thirds of the constructor's time, but a Buffer's shares its memory. */
export function owned(chunk: Uint8Array): Uint8Array {
  const isLarge = chunk.length >= SHORT_PIECE_BYTES && chunk.constructor === Uint8Array;
  return isLarge ? chunk.slice() : new Uint8Array(chunk);
}
