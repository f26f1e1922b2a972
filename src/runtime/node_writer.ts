/**
 * NodeWriter: the writing half of a NodeSocket.
 *
 * Owns what is written before the connection is ready, which pieces go to the system together, what is pending and when it
 * has gone, and our FIN. Must not know how the stream is read, nor who is told.
 *
 * Strategy. What is early is kept here and not in the stream, because TLS may refuse the peer after its own check. Pieces
 * announced by `more` are joined by the stream's cork, for the rest of the turn at most.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { systemClock } from "../clock.ts";
import { endsTooSoon } from "./node_capabilities.ts";
import { HIGH_WATER_BYTES } from "./write_queue.ts";

/**
 * From this size on a piece is not joined with what was written before it: a system call of both takes a tenth more than one
 * for each (measured on Linux; at 1 MiB it is the other way round).
 */
const ALONE_BYTES = 2 * 1024 * 1024;

/** Whose half it is. */
export interface WriterOwner {
  /** Nothing is told any more. */
  readonly destroyed: boolean;
  /** Bytes have come from the peer. */
  readonly hasRead: boolean;
  /** What was pending has gone. */
  drained(): void;
}

/** See the file's comment; nothing of it is called once the owner is destroyed, but `drop`. */
export class NodeWriter {
  /** Bytes taken by `write`. */
  bytesWritten = 0;
  /** The FIN has been asked for, or its place taken by another owner's of the stream. */
  hasEnded = false;
  readonly #owner: WriterOwner;
  #stream: Duplex | undefined;
  #isOpen = false;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #isCorked = false;
  #owesDrain = false;

  /** Makes the half; `attach` gives it its stream in the same turn. */
  constructor(owner: WriterOwner) {
    this.#owner = owner;
  }

  /** Gives it its stream, which is not ready yet. */
  attach(stream: Duplex): void {
    this.#stream = stream;
  }

  /** Bytes taken that have not gone to the system. */
  get pendingBytes(): number {
    return this.#earlyBytes + this.#stream!.writableLength;
  }

  /** The connection is ready and verified: what is early goes out. */
  open(): void {
    this.#isOpen = true;
    const chunks = this.#early;
    this.drop();
    const stream = this.#stream!;
    if (chunks.length > 0) {
      this.#owesDrain = true;
      stream.cork();
      for (const chunk of chunks) stream.write(chunk, this.#onWritten);
      stream.uncork();
    }
    if (this.hasEnded) this.#endStream();
  }

  /** As {@linkcode Socket.write}. */
  write(chunk: Uint8Array, more: boolean): boolean {
    if (this.hasEnded) return false;
    // An empty write makes Node's TLS read inside the call (TLSWrap::DoWrite): it may not reach the stream.
    if (chunk.length === 0) return this.pendingBytes < HIGH_WATER_BYTES;
    this.bytesWritten += chunk.length;
    if (!this.#isOpen) {
      this.#early.push(chunk);
      this.#earlyBytes += chunk.length;
      return this.#earlyBytes < HIGH_WATER_BYTES;
    }
    const stream = this.#stream!;
    if (chunk.length >= ALONE_BYTES) this.#uncork();
    else if (more) this.#cork();
    stream.write(chunk, this.#onWritten);
    if (!more) this.#uncork();
    const pending = stream.writableLength;
    if (pending > 0) this.#owesDrain = true;
    return pending < HIGH_WATER_BYTES;
  }

  /** FIN after what is pending. */
  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#uncork();
    if (this.#isOpen) this.#endStream();
  }

  /** Forgets what is early. */
  drop(): void {
    this.#early = [];
    this.#earlyBytes = 0;
  }

  readonly #onWritten = (error?: Error | null): void => {
    // What failed has not gone, though the stream no longer counts it.
    if (error || !this.#owesDrain || this.#owner.destroyed || this.#stream!.writableLength > 0) return;
    this.#owesDrain = false;
    this.#owner.drained();
  };

  #endStream(): void {
    const stream = this.#stream!;
    if (!endsTooSoon || this.#owner.hasRead) stream.end();
    else systemClock.after(0, () => stream.end(), { ref: true });
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream!.cork();
    queueMicrotask(() => this.#uncork());
  }

  #uncork(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#stream!.uncork();
  }
}
