/**
 * The body of a message as it is written: what write() and end() do.
 *
 * Owns the lengths, said and counted, and what is refused: too many bytes, bytes behind the end, a body that the head has
 * not announced. What is taken waits in the {@linkcode OutgoingOutput}.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { invalidArgType } from "./core/errors.ts";
import {
  bodyNotAnnounced,
  lengthMismatch,
  nullChunk,
  streamDestroyed,
  unknownEncoding,
  writeAfterEnd,
} from "./outgoing_message_errors.ts";
import type { OutgoingOutput, OutputOwner, WriteCallback } from "./outgoing_message_output.ts";
import { nextTick } from "../runtime/mod.ts";

/** A string or bytes. */
export type OutgoingChunk = string | Uint8Array;

/** What {@linkcode OutgoingBody} asks of its message, beside what its output does. */
export interface BodyOwner extends OutputOwner {
  finished: boolean;
  /** The Content-Length, or the bytes of the body where end() brought all of it. */
  _contentLength: number | null;
  /** The user's length is kept to. */
  readonly strictContentLength: boolean;
  /** The head says `Connection: close`. */
  readonly _last: boolean;
  /** What follows the head is no body. */
  readonly _isTunnel: boolean;
  /** Bytes that have not gone to the system. */
  readonly writableLength: number;
  /** Bytes from which write() returns false. */
  readonly writableHighWaterMark: number;
  /** A header's value as it was set. */
  getHeader(name: string): unknown;
  /** Makes the head. */
  _implicitHeader(): void;
  /** Makes the head again, for a body of `length` bytes or, null, of unknown length. */
  _remakeHead(length: number | null): void;
  /** For 'error'. */
  emit(event: string, error?: Error): boolean;
}

/** ERR_STREAM_NULL_VALUES, ERR_INVALID_ARG_TYPE. */
export function checkChunk(chunk: unknown): void {
  if (chunk === null) throw nullChunk();
  if (typeof chunk === "string" || chunk instanceof Uint8Array) return;
  throw invalidArgType("chunk", "of type string or an instance of Buffer or Uint8Array", chunk);
}

/** See the file's comment. */
export class OutgoingBody {
  /** write() or end() has brought data. */
  isStarted = false;
  /** The Content-Length that the head says. */
  declaredLength: number | undefined;
  readonly #message: BodyOwner;
  readonly #output: OutgoingOutput;
  #bytes = 0;

  /** Of `message`, into its `output`. */
  constructor(message: BodyOwner, output: OutgoingOutput) {
    this.#message = message;
    this.#output = output;
  }

  /** False where there were more or fewer bytes than the Content-Length said. */
  get isExact(): boolean {
    return this.declaredLength === undefined || this.#bytes === this.declaredLength;
  }

  /** Takes a piece; false: wait for 'drain'. */
  write(
    chunk: OutgoingChunk,
    encoding: BufferEncoding | undefined,
    callback: WriteCallback | undefined,
    isLast: boolean,
  ): boolean {
    const refused = this.#message.finished
      ? writeAfterEnd()
      : this.#message.destroyed
      ? streamDestroyed("write")
      : undefined;
    if (refused !== undefined) {
      this.#refuse(refused, callback);
      return false;
    }
    // Later, when the piece becomes bytes, nobody could be told.
    if (encoding !== undefined && typeof chunk === "string" && !Buffer.isEncoding(encoding)) {
      throw unknownEncoding(encoding);
    }
    const length = typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : chunk.length;
    this.#checkLength(length, isLast);
    if (this.#message._header === null) {
      if (isLast) this.#message._contentLength = length;
      // An empty piece is no body: it sends the head, as flushHeaders() does, and a GET's has no framing.
      this.isStarted = length > 0;
      this.#message._implicitHeader();
    }
    if (length > 0 && !this.#announcesBody) this.#announceBody(isLast ? length : null);
    this.#bytes += length;
    this.#output.wantHead();
    this.#message.outputData.push({ data: chunk, encoding, callback });
    this.#message.outputSize += length;
    this.#output.countFraming(length);
    if (!isLast) this.#output.flush();
    const wantsMore = this.#message.writableLength < this.#message.writableHighWaterMark;
    if (!wantsMore) this.#output.wantDrain();
    return wantsMore;
  }

  get #announcesBody(): boolean {
    return this.#message._header === null || this.#message.chunkedEncoding ||
      this.declaredLength !== undefined ||
      this.#message._isTunnel;
  }

  // The head was made before it was known that a GET has a body; as long as it has not gone it is made again.
  #announceBody(length: number | null): void {
    if (!this.#message._headerSent) {
      this.isStarted = true;
      this.#message._remakeHead(length);
    }
    // The head has gone without framing. Behind `Connection: close` the server reads no further request into it (RFC 9112
    // section 9.6), and it goes as in Node; else it would be the next request.
    if (!this.#announcesBody && !this.#message._last) throw bodyNotAnnounced();
  }

  #checkLength(length: number, isLast: boolean): void {
    if (!this.#message.strictContentLength || this.#declared === undefined) return;
    const sum = this.#bytes + length;
    if (isLast ? sum !== this.#declared : sum > this.#declared) throw lengthMismatch(sum, this.#declared);
  }

  // The Content-Length that was sent, or that will be.
  get #declared(): number | undefined {
    if (this.#message._header !== null) return this.declaredLength;
    const given = this.#message.getHeader("content-length");
    return given === undefined ? undefined : Number(given);
  }

  /** Takes the last piece, if any. */
  end(
    chunk: OutgoingChunk | undefined,
    encoding: BufferEncoding | undefined,
    callback: WriteCallback | undefined,
  ): void {
    if (chunk !== undefined && chunk !== "") {
      if (this.#message.finished) {
        this.#refuse(writeAfterEnd(), callback);
        return;
      }
      checkChunk(chunk);
      this.write(chunk, encoding, undefined, true);
    } else if (this.#message.finished) {
      if (callback !== undefined) this.#output.onFinish(callback);
      return;
    } else {
      this.#checkLength(0, true);
      if (this.#message._header === null) {
        this.#message._contentLength = 0;
        this.#message._implicitHeader();
      }
    }
    if (callback !== undefined) this.#output.onFinish(callback);
    this.#message.finished = true;
    this.#output.wantHead();
    this.#output.end();
  }

  // As Node: the callback is told later; 'error' is not emitted on a message that is destroyed.
  #refuse(error: Error, callback: WriteCallback | undefined): void {
    nextTick(() => {
      callback?.(error);
      if (!this.#message.destroyed) this.#message.emit("error", error);
    });
  }
}
