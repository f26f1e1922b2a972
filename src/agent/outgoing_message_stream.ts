/**
 * A stream that somebody has given to a plain OutgoingMessage, as its sink: Node writes into `message.socket` as soon as that
 * says by `_httpMessage` whose it is. Owns nothing: the stream is the caller's and is never ended.
 *
 * @module
 */

import type { MessageSink } from "./outgoing_message_output.ts";

/** What is needed of it. */
export interface WritableLike {
  /** Whose message it carries. */
  readonly _httpMessage?: unknown;
  /** It takes bytes. */
  readonly writable?: boolean;
  /** Bytes that it has and nobody took. */
  readonly writableLength: number;
  /** Takes bytes, and says when they are gone. */
  write(chunk: Uint8Array | string, callback: () => void): boolean;
}

/** See the file's comment. */
export class StreamSink implements MessageSink {
  readonly #stream: WritableLike;
  readonly #onDrain: () => void;

  /** Into `stream`; `onDrain` is called when it has nothing left. */
  constructor(stream: WritableLike, onDrain: () => void) {
    this.#stream = stream;
    this.#onDrain = onDrain;
  }

  get pendingBytes(): number {
    return this.#stream.writableLength;
  }

  write(chunk: Uint8Array | string): void {
    this.#stream.write(chunk, () => {
      if (this.pendingBytes === 0) this.#onDrain();
    });
  }

  // As Node: an empty piece, by whose callback the end of the message is told.
  end(): void {
    this.write("");
  }
}

/** The stream into which `message` may write; undefined: `socket` is none, or another's. */
export function streamFor(message: object, socket: unknown): WritableLike | undefined {
  const stream = socket as Partial<WritableLike> | null | undefined;
  const isIts = stream?._httpMessage === message && stream.writable === true;
  return isIts && typeof stream.write === "function" ? stream as WritableLike : undefined;
}
