/**
 * Sends a body that is pulled from its source: framing, backpressure and the count against Content-Length. Knows no
 * request and no pool.
 *
 * Strategy: one loop, one piece at a time. A small piece is copied, so that its owner may go on at once; a large one is
 * sent as it is, and the source is asked again only when the socket has let go of it.
 *
 * @module
 */

import {
  BodyCounter,
  CHUNK_END,
  chunkHead,
  encodeChunk,
  encodeLastChunk,
} from "./core/request_serializer.ts";
import type { ExchangeControl } from "./exchange.ts";
import type { ByteSource } from "./request_body.ts";

/** Up to this size a piece is copied. */
const MAX_COPIED_BYTES = 16_384;

/** Who is told of an upload. */
export interface UploadOwner {
  /** Until the next call the peer is not waited for (false), or it alone is (true). */
  onUploadWaiting(isForPeer: boolean): void;
  /** All of the body has been given to the socket. */
  onUploadEnd(): void;
  /** The source failed, or does not fit its Content-Length. */
  onUploadError(error: Error): void;
}

/** See the file's comment. */
export class Upload {
  readonly #source: ByteSource;
  readonly #control: ExchangeControl;
  readonly #isChunked: boolean;
  readonly #counter: BodyCounter;
  readonly #owner: UploadOwner;
  #isStopped = false;
  #onDrained: (() => void) | undefined;

  /** `contentLength`: undefined for a chunked body. */
  constructor(
    source: ByteSource,
    control: ExchangeControl,
    contentLength: number | undefined,
    owner: UploadOwner,
  ) {
    this.#source = source;
    this.#control = control;
    this.#isChunked = contentLength === undefined;
    this.#counter = new BodyCounter(contentLength, true);
    this.#owner = owner;
  }

  /** Sends all of it; never rejects. */
  async run(): Promise<void> {
    try {
      this.#owner.onUploadWaiting(false);
      for (let piece = await this.#source.next(); piece !== undefined; piece = await this.#source.next()) {
        if (this.#isStopped) return;
        if (piece.length > 0 && !this.#send(piece)) await this.#drained();
        if (this.#isStopped) return;
      }
      if (this.#isStopped) return;
      this.#counter.end();
    } catch (error) {
      return this.#fail(error as Error);
    }
    this.#isStopped = true;
    if (this.#isChunked) this.#control.write(encodeLastChunk());
    this.#control.end();
    this.#owner.onUploadEnd();
  }

  /** The socket has taken all bytes. */
  onDrain(): void {
    const onDrained = this.#onDrained;
    this.#onDrained = undefined;
    onDrained?.();
  }

  /** Nobody wants the rest: the source is closed. */
  stop(reason: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#source.close(reason);
    this.onDrain();
  }

  /** False: wait until the socket has taken it. */
  #send(piece: Uint8Array): boolean {
    this.#counter.add(piece.length);
    const control = this.#control;
    if (piece.length <= MAX_COPIED_BYTES) {
      return control.write(this.#isChunked ? encodeChunk(piece) : new Uint8Array(piece));
    }
    if (this.#isChunked) control.write(chunkHead(piece.length), true);
    control.write(piece, this.#isChunked);
    if (this.#isChunked) control.write(CHUNK_END);
    return control.socket.pendingBytes === 0;
  }

  async #drained(): Promise<void> {
    this.#owner.onUploadWaiting(true);
    await new Promise<void>((resolve) => this.#onDrained = resolve);
    // Stopped while it waited: the owner may be in its next attempt, whose deadlines are not this one's.
    if (!this.#isStopped) this.#owner.onUploadWaiting(false);
  }

  #fail(error: Error): void {
    if (this.#isStopped) return;
    this.stop(error);
    this.#owner.onUploadError(error);
  }
}
