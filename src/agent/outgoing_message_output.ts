/**
 * The bytes of a message on their way out: from the pieces that wait to what the sink takes.
 *
 * Owns the sink, what cork() holds, what may have to go again, and when callbacks, 'drain' and 'finish' are due. Knows
 * neither headers nor lengths: the head is a string that it puts before the first piece.
 *
 * Strategy: pieces wait as they were given, where Node's readers look for them (`outputData`); they are encoded, framed and
 * joined in one place, when they go.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { encodeLatin1, encodeLatin1With } from "./core/latin1.ts";
import { CHUNK_END, chunkHead, encodeChunk, MAX_JOINED_BODY_BYTES } from "./core/request_serializer.ts";
import { alreadyFinished, streamDestroyed } from "./outgoing_message_errors.ts";
import { nextTick } from "../runtime/mod.ts";

/** What carries a message's bytes away. */
export interface MessageSink {
  /** Bytes accepted and not yet taken by the system. When they fall to 0, `_onSinkDrain()` is to be called. */
  readonly pendingBytes: number;
  /** Takes all; `more`: another piece follows in this turn. */
  write(chunk: Uint8Array, more: boolean): void;
  /** The message is complete. */
  end(): void;
}

/** Told once a piece has gone to the system, or could not. */
export type WriteCallback = (error?: Error | null) => void;

/** A piece of the body that waits. */
export interface OutputEntry {
  /** As it was given. */
  data: string | Uint8Array;
  /** Of a string; default "utf8". */
  encoding: BufferEncoding | undefined;
  /** The caller's. */
  callback: WriteCallback | undefined;
}

/** What {@linkcode OutgoingOutput} asks of its message. */
export interface OutputOwner {
  /** Pieces that wait for a sink. */
  outputData: OutputEntry[];
  /** Their size. */
  outputSize: number;
  /** The head has gone to the sink. */
  _headerSent: boolean;
  /** The head, once made. */
  readonly _header: string | null;
  /** end() was called. */
  readonly finished: boolean;
  /** Nothing goes any more. */
  readonly destroyed: boolean;
  /** The error of destroy(). */
  readonly errored: Error | null;
  /** The body goes in chunks. */
  readonly chunkedEncoding: boolean;
  /** The last byte has been handed over. */
  _finish(): void;
  /** Emits 'drain', 'finish'. */
  emit(event: string): boolean;
}

/** "0", an empty line and what ends it. */
const LAST_CHUNK_BYTES = 5;

/** Longest body that is kept to be sent again: what a socket takes in one go, so that no upload is held in memory. */
const MAX_REPLAYED_BYTES = 65_536;

/** See the file's comment. */
export class OutgoingOutput {
  /** Lines of the fields behind a chunked body. */
  trailers = "";
  readonly #message: OutputOwner;
  #sink: MessageSink | undefined;
  #corked = 0;
  /** Where in `outputData` what cork() holds begins. */
  #corkedFrom = 0;
  #needsDrain = false;
  /** The head has been asked for: it may go. */
  #isHeadWanted = false;
  /** The last byte has gone to the sink. */
  #isEndSent = false;
  /** Of what is with the sink. */
  #callbacks: WriteCallback[] = [];
  /** Of end(). */
  #endCallbacks: WriteCallback[] = [];
  #isDropped = false;
  /** What the chunks' own lines add to `outputSize`. */
  #framingSize = 0;
  #isSettleScheduled = false;
  /** What has gone, as long as it may have to go again; undefined: it will not, or is too much. */
  #sent: OutputEntry[] | undefined;
  #isAnnounced = false;
  #isPrefinishEmitted = false;
  #isFinished = false;

  /** Of `message`, whose pieces it takes. */
  constructor(message: OutputOwner) {
    this.#message = message;
  }

  /** Bytes that the system has not: what waits, as it will go, and what the sink has. */
  get length(): number {
    const { _header, _headerSent, outputSize, finished, chunkedEncoding } = this.#message;
    const head = this.#isHeadWanted && !_headerSent && _header !== null ? _header.length : 0;
    const end = finished && chunkedEncoding && !this.#isEndSent ? LAST_CHUNK_BYTES + this.trailers.length : 0;
    return outputSize + this.#framingSize + head + end + (this.#sink?.pendingBytes ?? 0);
  }

  /** A piece of `length` bytes joins what waits. */
  countFraming(length: number): void {
    if (this.#message.chunkedEncoding && length > 0) this.#framingSize += length.toString(16).length + 4;
  }

  /** How often uncork() has to be called. */
  get corked(): number {
    return this.#corked;
  }

  /** The last byte has gone to the sink. */
  get isEndSent(): boolean {
    return this.#isEndSent;
  }

  /** 'drain' is to come. */
  get needsDrain(): boolean {
    return this.#needsDrain;
  }

  /** All has gone to the system: 'finish' was emitted, or is about to be. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** All that has gone is still here. */
  get canRewind(): boolean {
    return this.#sent !== undefined || !this.#message._headerSent;
  }

  /** The head may go, with or without a body. */
  wantHead(): void {
    this.#isHeadWanted = true;
  }

  /** A write() has returned false. */
  wantDrain(): void {
    this.#needsDrain = true;
  }

  /** `callback` is told when all has gone, ahead of 'finish'; with an error where it cannot go, or has gone before. */
  onFinish(callback: WriteCallback): void {
    if (this.#isFinished) callback(alreadyFinished("end"));
    else if (this.#isDropped) nextTick(() => callback(this.#endError));
    else this.#endCallbacks.push(callback);
  }

  get #endError(): Error {
    return this.#message.errored ?? streamDestroyed("end");
  }

  /** Holds what is written until uncork(). */
  cork(): void {
    if (this.#corked++ === 0) this.#corkedFrom = this.#message.outputData.length;
  }

  /** Sends what cork() has held. */
  uncork(): void {
    if (this.#corked === 0 || --this.#corked > 0) return;
    this.#joinCorked();
    this.flush();
  }

  /** The message has ended: sends all, corked or not. */
  end(): void {
    if (this.#corked > 0) this.#joinCorked();
    this.#corked = 0;
    this.flush();
  }

  #joinCorked(): void {
    const entries = this.#message.outputData.splice(this.#corkedFrom);
    if (entries.length === 0) return;
    const callbacks = entries.map(({ callback }) => callback).filter((callback) => callback !== undefined);
    this.#message.outputData.push({
      data: Buffer.concat(entries.map(bytesOf)),
      encoding: undefined,
      callback: callbacks.length === 0 ? undefined : (error) => tellAll(callbacks, error),
    });
  }

  /** There is a connection that is being made: as in Node it takes what is written, so that 'prefinish' need not wait for it. */
  announce(): void {
    this.#isAnnounced = true;
    if (this.#message.finished && !this.#message.destroyed) this.#prefinish();
  }

  #prefinish(): void {
    if (this.#isPrefinishEmitted || this.#isDropped) return;
    this.#isPrefinishEmitted = true;
    this.#message._finish();
  }

  /** There is a connection: what waits goes, and what is written from now on goes at once. `keepsSent`: it may go again. */
  attach(sink: MessageSink, keepsSent: boolean = false): void {
    this.#sink = sink;
    this.#sent = keepsSent ? [] : undefined;
    this.flush();
    this.#settleIfIdle();
  }

  /** What has gone will not have to go again. */
  forgetSent(): void {
    this.#sent = undefined;
  }

  /** The connection is gone and another one will come: what has gone waits again. */
  rewind(): void {
    this.#message.outputData.unshift(...this.#sent ?? []);
    this.#message.outputSize = this.#framingSize = 0;
    for (const entry of this.#message.outputData) {
      this.#message.outputSize += sizeOf(entry);
      this.countFraming(sizeOf(entry));
    }
    this.#sink = this.#sent = undefined;
    this.#message._headerSent = this.#isEndSent = false;
  }

  /** The sink's bytes have all gone to the system. */
  onSinkDrain(): void {
    this.#settle();
  }

  /** What waits will not be sent: its callbacks are told ERR_STREAM_DESTROYED, those of end() the error of destroy(). */
  drop(): void {
    this.#isDropped = true;
    this.#sink = undefined;
    if (
      this.#message.outputData.length === 0 && this.#callbacks.length === 0 && this.#endCallbacks.length === 0
    ) {
      return;
    }
    const callbacks = this.#callbacks.splice(0);
    for (const { callback } of this.#message.outputData.splice(0)) {
      if (callback !== undefined) callbacks.push(callback);
    }
    this.#message.outputSize = this.#framingSize = 0;
    const endCallbacks = this.#endCallbacks.splice(0);
    if (callbacks.length > 0) nextTick(() => tellAll(callbacks, streamDestroyed("write")));
    if (endCallbacks.length > 0) nextTick(() => tellAll(endCallbacks, this.#endError));
  }

  /** Sends what may go. */
  flush(): void {
    const sink = this.#sink;
    if (this.#isAnnounced && sink === undefined && this.#message.finished && !this.#message.destroyed) {
      this.#prefinish();
    }
    if (
      sink === undefined || this.#message.destroyed || this.#isEndSent || !this.#isHeadWanted ||
      this.#corked > 0
    ) {
      return;
    }
    const { finished } = this.#message;
    const head = this.#takeHead();
    // Nothing but a head: most requests.
    if (this.#message.outputData.length === 0 && !(finished && this.#message.chunkedEncoding)) {
      if (head !== "") sink.write(encodeLatin1(head), !finished);
    } else {
      const pieces = this.#takePieces(head);
      pieces.forEach((piece, index) => sink.write(piece, index + 1 < pieces.length || !finished));
    }
    if (finished) {
      this.#isEndSent = true;
      sink.end();
      this.#prefinish();
    }
    this.#settleIfIdle();
  }

  #takeHead(): string {
    const { _headerSent, _header } = this.#message;
    if (_headerSent || _header === null) return "";
    this.#message._headerSent = true;
    return _header;
  }

  // What waits, framed and as few pieces as pays.
  #takePieces(head: string): Uint8Array[] {
    const body = this.#takeBody();
    if (body.length === 0) return head === "" ? [] : [encodeLatin1(head)];
    if (head === "") return body;
    const first = body[0]!;
    if (first.length > MAX_JOINED_BODY_BYTES) return [encodeLatin1(head), ...body];
    body[0] = encodeLatin1With(head, first);
    return body;
  }

  #takeBody(): Uint8Array[] {
    const entries = this.#message.outputData;
    const isEnd = this.#message.finished && this.#message.chunkedEncoding;
    if (entries.length === 0 && !isEnd) return [];
    this.#message.outputData = [];
    const chunks: Uint8Array[] = [];
    for (const { data, encoding, callback } of entries) {
      const bytes = bytesOf({ data, encoding });
      if (bytes.length > 0) chunks.push(bytes);
      if (callback !== undefined) this.#callbacks.push(callback);
    }
    const length = this.#message.outputSize;
    this.#message.outputSize = this.#framingSize = 0;
    if (this.#sent !== undefined) this.#keep(entries, length);
    const isSmall = length <= MAX_JOINED_BODY_BYTES;
    if (!this.#message.chunkedEncoding) {
      return isSmall && chunks.length > 1 ? [Buffer.concat(chunks, length)] : chunks;
    }
    // Each write is a chunk, as it may be told apart at the other end.
    const framed = chunks.flatMap(asChunk);
    if (isEnd) framed.push(encodeLatin1(`0\r\n${this.trailers}\r\n`));
    return isSmall && framed.length > 1 ? [Buffer.concat(framed)] : framed;
  }

  #keep(entries: readonly OutputEntry[], length: number): void {
    const before = this.#sent!.reduce((sum, entry) => sum + sizeOf(entry), 0);
    if (before + length > MAX_REPLAYED_BYTES) this.#sent = undefined;
    else for (const { data, encoding } of entries) this.#sent!.push({ data, encoding, callback: undefined });
  }

  // Callbacks, 'drain' and 'finish' are due when nothing is pending; where nothing ever was, no drain will be told.
  #settleIfIdle(): void {
    if (this.#isSettleScheduled || this.#sink === undefined || this.#sink.pendingBytes > 0) return;
    if (this.#callbacks.length === 0 && !this.#isEndSent && !this.#needsDrain) return;
    this.#isSettleScheduled = true;
    nextTick(() => {
      this.#isSettleScheduled = false;
      if (this.#sink?.pendingBytes === 0) this.#settle();
    });
  }

  #settle(): void {
    if (this.#callbacks.length > 0) tellAll(this.#callbacks.splice(0), null);
    if (this.#message.destroyed && !this.#message.finished) return;
    if (this.#isEndSent) return this.#finish();
    if (!this.#needsDrain || this.#message.finished || this.#message.outputSize > 0) return;
    this.#needsDrain = false;
    this.#message.emit("drain");
  }

  #finish(): void {
    if (this.#isFinished) return;
    const { errored } = this.#message;
    if (errored !== null) return tellAll(this.#endCallbacks.splice(0), errored);
    this.#isFinished = true;
    if (this.#endCallbacks.length > 0) tellAll(this.#endCallbacks.splice(0), null);
    this.#message.emit("finish");
  }
}

// One that throws is the process's uncaught exception; the others are told.
function tellAll(callbacks: readonly WriteCallback[], error: Error | null | undefined): void {
  for (const callback of callbacks) {
    try {
      callback(error);
    } catch (thrown) {
      nextTick(() => {
        throw thrown;
      });
    }
  }
}

function bytesOf({ data, encoding }: Pick<OutputEntry, "data" | "encoding">): Uint8Array {
  return typeof data === "string" ? Buffer.from(data, encoding) : data;
}

function sizeOf({ data, encoding }: OutputEntry): number {
  return typeof data === "string" ? Buffer.byteLength(data, encoding) : data.length;
}

// What is long is not copied.
function asChunk(data: Uint8Array): Uint8Array[] {
  return data.length <= MAX_JOINED_BODY_BYTES
    ? [encodeChunk(data)]
    : [chunkHead(data.length), data, CHUNK_END];
}
