/**
 * OutgoingMessage: what a ClientRequest shares with any other message that is written (Node's http document, "Class:
 * http.OutgoingMessage").
 *
 * Owns the headers until the head is made, the bytes until a sink takes them, and the promises of a writable stream: backpressure,
 * write callbacks, 'drain', 'prefinish', 'finish'. Knows no connection: whoever has one attaches it as a {@linkcode MessageSink}.
 *
 * Strategy: pieces wait as they were given until there is a sink; then what is small goes as one write. Before the first
 * write(), end() or flushHeaders() nothing goes at all. Members that begin with "_" are Node's own: streams and libraries
 * look at some of them.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import { Stream } from "node:stream";
import { invalidArgType } from "./core/errors.ts";
import { encodeLatin1, encodeLatin1With } from "./core/latin1.ts";
import { CHUNK_END, chunkHead, encodeChunk, MAX_JOINED_BODY_BYTES } from "./core/request_serializer.ts";
import {
  alreadyFinished,
  bodyNotAnnounced,
  cannotPipe,
  headersSent,
  lengthMismatch,
  notImplemented,
  nullChunk,
  streamDestroyed,
  writeAfterEnd,
} from "./outgoing_message_errors.ts";
import { renderHead } from "./outgoing_message_head.ts";
import { OutgoingHeaders, type OutgoingHeaderValue } from "./outgoing_message_headers.ts";
import { renderTrailers } from "./outgoing_message_trailers.ts";
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

/** A string or bytes. */
export type OutgoingChunk = string | Uint8Array;

/** Options of {@linkcode OutgoingMessage}. */
export interface OutgoingMessageOptions {
  /** Bytes from which write() returns false; default 65,536. */
  readonly highWaterMark?: number | undefined;
}

/** Node's default for byte streams since 22, on every runtime. */
const HIGH_WATER_MARK = 65_536;

/** Longest body that is kept to be sent again: what a socket takes in one go, so that no upload is held in memory. */
const MAX_REPLAYED_BYTES = 65_536;

const NO_HEADERS: readonly [string, unknown][] = [];

/** See the file's comment. */
export class OutgoingMessage extends Stream {
  /** Pieces that wait for a sink. */
  outputData: OutputEntry[] = [];
  /** Their size: bytes, or characters. */
  outputSize = 0;
  /** True until the message is destroyed or ended by its connection. */
  writable = true;
  /** destroy() was called, or the connection is gone. */
  destroyed = false;
  /** end() was called. @deprecated Use `writableEnded`. */
  finished = false;
  /** The body goes in chunks. */
  chunkedEncoding = false;
  /** The connection is wanted for further messages. */
  shouldKeepAlive = true;
  /** A body of unknown length goes in chunks. */
  useChunkedEncodingByDefault = true;
  /** A Date line is added: servers' business, always false here. */
  sendDate = false;
  /** More or fewer bytes than the Content-Length says are an error (ERR_HTTP_CONTENT_LENGTH_MISMATCH). */
  strictContentLength = false;
  /** The head says `Connection: close`. */
  _last = false;
  /** No Keep-Alive line was given. */
  _defaultKeepAlive = true;
  /** The user took the Connection line away. */
  _removedConnection = false;
  /** The user took the Content-Length line away. */
  _removedContLen = false;
  /** The user took the Transfer-Encoding line away. */
  _removedTE = false;
  /** The Content-Length, or the bytes of the body where end() brought all of it. */
  _contentLength: number | null = null;
  /** False for an answer that must not have a body; always true in a request. */
  _hasBody = true;
  /** The head, once made. */
  _header: string | null = null;
  /** The head has gone to the sink. */
  _headerSent = false;
  /** 'close' was emitted. */
  _closed = false;
  /** Names, in lower case, whose values are joined into one line. */
  protected _uniqueHeaders: ReadonlySet<string> | undefined;
  readonly #highWaterMark: number;
  #headers: OutgoingHeaders | undefined;
  #socket: unknown = null;
  #errored: Error | null = null;
  #sink: MessageSink | undefined;
  #trailers: string = "";
  #corked = 0;
  /** Where in `outputData` what cork() holds begins. */
  #corkedFrom = 0;
  #needDrain = false;
  /** The head has been asked for: it may go. */
  #isHeadWanted = false;
  /** The last byte has gone to the sink. */
  #isEndSent = false;
  #bodyBytes = 0;
  #declaredLength: number | undefined;
  /** Of what is with the sink. */
  #callbacks: WriteCallback[] = [];
  #isSettleScheduled = false;
  /** What has gone, as long as it may have to go again; undefined: it will not, or is too much. */
  #sent: OutputEntry[] | undefined;
  #isPrefinishEmitted = false;
  /** Of a head that may have to be made again because a body came after all. */
  #headStart: { startLine: string; fields: Iterable<readonly [unknown, unknown]> | undefined } | undefined;

  /** A message without a head. */
  constructor(options?: OutgoingMessageOptions) {
    super();
    this.#highWaterMark = options?.highWaterMark ?? HIGH_WATER_MARK;
  }

  // What stream.finished() and users ask.

  /** The error of destroy(). */
  get errored(): Error | null {
    return this.#errored;
  }

  /** 'close' was emitted. */
  get closed(): boolean {
    return this._closed;
  }

  /** end() was called and all of it has gone to the system. */
  get writableFinished(): boolean {
    return this.finished && this.outputSize === 0 &&
      (this.#sink === undefined || this.#sink.pendingBytes === 0);
  }

  /** Always false. */
  get writableObjectMode(): boolean {
    return false;
  }

  /** Bytes that have not gone to the system. */
  get writableLength(): number {
    return this.outputSize + (this.#sink?.pendingBytes ?? 0);
  }

  /** Bytes from which write() returns false. */
  get writableHighWaterMark(): number {
    return this.#highWaterMark;
  }

  /** How often uncork() has to be called. */
  get writableCorked(): number {
    return this.#corked;
  }

  /** end() was called. */
  get writableEnded(): boolean {
    return this.finished;
  }

  /** write() has returned false, and 'drain' is still to come. */
  get writableNeedDrain(): boolean {
    return !this.destroyed && !this.finished && this.#needDrain;
  }

  /** The head is made, so headers cannot change any more. */
  get headersSent(): boolean {
    return this._header !== null;
  }

  /** The stream of the connection; null while there is none. */
  get socket(): unknown {
    return this.#socket;
  }

  set socket(socket: unknown) {
    this.#socket = socket;
  }

  /** As `socket`. @deprecated Use `socket`. */
  get connection(): unknown {
    return this.socket;
  }

  set connection(socket: unknown) {
    this.socket = socket;
  }

  /** False where the body had more or fewer bytes than its Content-Length: the connection is of no more use. */
  protected get _isBodyExact(): boolean {
    return this.#declaredLength === undefined || this.#bodyBytes === this.#declaredLength;
  }

  // Headers.

  /** Sets a header. ERR_HTTP_HEADERS_SENT, ERR_INVALID_HTTP_TOKEN, ERR_HTTP_INVALID_HEADER_VALUE, ERR_INVALID_CHAR. */
  setHeader(name: string, value: OutgoingHeaderValue): this {
    this.#changeHeaders("set").set(name, value);
    return this;
  }

  /** Sets each header of a Headers or a Map. As setHeader(). */
  setHeaders(headers: Headers | Map<string, OutgoingHeaderValue>): this {
    this.#changeHeaders("set").setAll(headers as Iterable<readonly [string, unknown]>);
    return this;
  }

  /** Adds a value to a header. As setHeader(). */
  appendHeader(name: string, value: string | readonly string[]): this {
    this.#changeHeaders("append").append(name, value);
    return this;
  }

  /** A header's value as it was set. */
  getHeader(name: string): OutgoingHeaderValue | undefined {
    if (typeof name !== "string") throw invalidArgType("name", "of type string", name);
    return this.#headers?.get(name) as OutgoingHeaderValue | undefined;
  }

  /** Lower-cased names. */
  getHeaderNames(): string[] {
    return this.#headers?.names() ?? [];
  }

  /** Names as they were given. */
  getRawHeaderNames(): string[] {
    return this.#headers?.rawNames() ?? [];
  }

  /** A copy: lower-cased names with their values. */
  getHeaders(): Record<string, OutgoingHeaderValue | undefined> {
    return (this.#headers?.toObject() ?? Object.create(null)) as Record<
      string,
      OutgoingHeaderValue | undefined
    >;
  }

  /** True where it is set. */
  hasHeader(name: string): boolean {
    if (typeof name !== "string") throw invalidArgType("name", "of type string", name);
    return this.#headers?.has(name) ?? false;
  }

  /** Takes a header away, those that would be added by default too. ERR_HTTP_HEADERS_SENT. */
  removeHeader(name: string): void {
    if (typeof name !== "string") throw invalidArgType("name", "of type string", name);
    const headers = this.#changeHeaders("remove");
    switch (name.toLowerCase()) {
      case "connection":
        this._removedConnection = true;
        break;
      case "content-length":
        this._removedContLen = true;
        break;
      case "transfer-encoding":
        this._removedTE = true;
        break;
      case "date":
        this.sendDate = false;
        break;
    }
    headers.delete(name);
  }

  #changeHeaders(verb: string): OutgoingHeaders {
    if (this._header !== null) throw headersSent(verb);
    return this.#headers ??= new OutgoingHeaders();
  }

  /** Headers as they will be sent, by their names as given. */
  _renderHeaders(): Record<string, unknown> {
    if (this._header !== null) throw headersSent("render");
    return Object.fromEntries(this.#headers?.entries() ?? []);
  }

  /** Fields behind a chunked body, sent with its end; replaces those of an earlier call. ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR. */
  addTrailers(headers: Readonly<Record<string, unknown>> | readonly (readonly [string, unknown])[]): void {
    this.#trailers = renderTrailers(headers, this._uniqueHeaders);
  }

  // The head.

  /** Makes the head; subclasses bring it. */
  _implicitHeader(): void {
    throw notImplemented("_implicitHeader()");
  }

  /** Sends the head without waiting for the body. */
  flushHeaders(): void {
    if (this._header === null) this._implicitHeader();
    this.#isHeadWanted = true;
    this.#flush();
  }

  /** Renders the head; `fields` in the place of the headers set. */
  protected _makeHead(startLine: string, fields?: Iterable<readonly [unknown, unknown]>): void {
    if (this._header !== null) throw headersSent("render");
    const length = this._contentLength;
    this.#headStart = { startLine, fields };
    const head = renderHead({
      startLine,
      fields: fields ?? this.#headers?.entries() ?? NO_HEADERS,
      uniqueHeaders: this._uniqueHeaders,
      isKeepAlive: this._wantsKeepAlive,
      bodyLength: length ?? undefined,
      mayHaveBody: this.#isBodyStarted,
      anticipatesBody: this.useChunkedEncodingByDefault,
      isTunnel: this._isTunnel,
      omit: {
        connection: this._removedConnection,
        contentLength: this._removedContLen,
        transferEncoding: this._removedTE,
      },
    });
    this._header = head.text;
    this.chunkedEncoding = head.isChunked;
    this.#declaredLength = head.contentLength;
    if (head.contentLength !== undefined) this._contentLength = head.contentLength;
    if (head.saysClose) this._last = true;
    else if (head.saysKeepAlive) this.shouldKeepAlive = true;
    if (head.hasKeepAlive) this._defaultKeepAlive = false;
    // RFC 9110 section 10.1.1: the answer to Expect is waited for before the body.
    if (head.hasExpect) this.#isHeadWanted = true;
  }

  /** What follows the head is no body. */
  protected get _isTunnel(): boolean {
    return false;
  }

  /** What the Connection line says where the user gave none. */
  protected get _wantsKeepAlive(): boolean {
    return this.shouldKeepAlive;
  }

  /** write() has been called, or end() with data. */
  #isBodyStarted = false;

  // The body.

  /**
   * Sends a piece of the body; false: wait for 'drain'. Strings are UTF-8 by default. ERR_STREAM_NULL_VALUES,
   * ERR_INVALID_ARG_TYPE, ERR_HTTP_CONTENT_LENGTH_MISMATCH; 'error' with ERR_STREAM_WRITE_AFTER_END.
   */
  write(chunk: OutgoingChunk, callback?: WriteCallback): boolean;
  write(chunk: OutgoingChunk, encoding?: BufferEncoding | null, callback?: WriteCallback): boolean;
  write(
    chunk: OutgoingChunk,
    encoding?: BufferEncoding | WriteCallback | null,
    callback?: WriteCallback,
  ): boolean {
    if (typeof encoding === "function") return this.#write(chunk, undefined, encoding, false);
    return this.#write(chunk, encoding ?? undefined, callback, false);
  }

  /**
   * Ends the message, with `chunk` as its last piece; `callback` listens for 'finish'. As write(); `callback` is given
   * ERR_STREAM_ALREADY_FINISHED where that has been.
   */
  end(callback?: WriteCallback): this;
  end(chunk: OutgoingChunk | null | undefined, callback?: WriteCallback): this;
  end(
    chunk: OutgoingChunk | null | undefined,
    encoding?: BufferEncoding | null,
    callback?: WriteCallback,
  ): this;
  end(
    chunk?: OutgoingChunk | WriteCallback | null,
    encoding?: BufferEncoding | WriteCallback | null,
    callback?: WriteCallback,
  ): this {
    if (typeof chunk === "function") return this.#end(undefined, undefined, chunk);
    if (typeof encoding === "function") return this.#end(chunk ?? undefined, undefined, encoding);
    return this.#end(chunk ?? undefined, encoding ?? undefined, callback);
  }

  /** Holds what is written until uncork(). */
  cork(): void {
    if (this.#corked++ === 0) this.#corkedFrom = this.outputData.length;
  }

  /** Sends what cork() has held, as one chunk where the body is chunked. */
  uncork(): void {
    if (this.#corked === 0 || --this.#corked > 0) return;
    this.#joinCorked();
    this.#flush();
  }

  #joinCorked(): void {
    const entries = this.outputData.splice(this.#corkedFrom);
    if (entries.length === 0) return;
    const callbacks = entries.map(({ callback }) => callback).filter((callback) => callback !== undefined);
    this.outputData.push({
      data: Buffer.concat(entries.map(bytesOf)),
      encoding: undefined,
      callback: callbacks.length === 0
        ? undefined
        : (error) => callbacks.forEach((callback) => callback(error)),
    });
  }

  /** Ends the message's connection, now or when it has one. */
  destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#errored = error ?? null;
    const destroySocket = (socket: unknown): void => {
      (socket as { destroy(error?: Error): void }).destroy(error);
    };
    if (this.socket) destroySocket(this.socket);
    else this.once("socket", destroySocket);
    return this;
  }

  /** Sets the connection's time of inactivity, now or when there is one; `callback` listens for 'timeout'. */
  setTimeout(msecs: number, callback?: () => void): this {
    if (callback !== undefined) this.on("timeout", callback);
    const set = (socket: unknown): void => (socket as { setTimeout(ms: number): void }).setTimeout(msecs);
    if (this.socket) set(this.socket);
    else this.once("socket", set);
    return this;
  }

  /** Emits 'error', ERR_STREAM_CANNOT_PIPE: a message is written to. */
  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    this.emit("error", cannotPipe());
    return destination;
  }

  #write(
    chunk: OutgoingChunk,
    encoding: BufferEncoding | undefined,
    callback: WriteCallback | undefined,
    isLast: boolean,
  ): boolean {
    if (chunk === null) throw nullChunk();
    if (typeof chunk !== "string" && !(chunk instanceof Uint8Array)) {
      throw invalidArgType("chunk", "of type string or an instance of Buffer or Uint8Array", chunk);
    }
    const refused = this.finished ? writeAfterEnd() : this.destroyed ? streamDestroyed("write") : undefined;
    if (refused !== undefined) {
      this.#refuse(refused, callback);
      return false;
    }
    const length = typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : chunk.length;
    this.#checkLength(length, isLast);
    if (this._header === null) {
      if (isLast) this._contentLength = length;
      this.#isBodyStarted = true;
      this._implicitHeader();
    }
    if (length > 0 && !this.#announcesBody) this.#announceBody(isLast ? length : null);
    this.#bodyBytes += length;
    this.#isHeadWanted = true;
    this.outputData.push({ data: chunk, encoding, callback });
    this.outputSize += length;
    if (!isLast) this.#flush();
    const wantsMore = this.writableLength < this.#highWaterMark;
    if (!wantsMore) this.#needDrain = true;
    return wantsMore;
  }

  get #announcesBody(): boolean {
    return this._header === null || this.chunkedEncoding || this.#declaredLength !== undefined ||
      this._isTunnel;
  }

  // The head was made before it was known that a GET has a body; as long as it has not gone it is made again.
  #announceBody(length: number | null): void {
    if (!this._headerSent && this.#headStart !== undefined) {
      this._header = null;
      this._contentLength = length;
      this.#isBodyStarted = true;
      this._makeHead(this.#headStart.startLine, this.#headStart.fields);
    }
    // The head has gone without framing. Behind `Connection: close` the server reads no further request into it (RFC 9112
    // section 9.6), and it goes as in Node; else it would be the next request.
    if (!this.#announcesBody && !this._last) throw bodyNotAnnounced();
  }

  #checkLength(length: number, isLast: boolean): void {
    if (!this.strictContentLength || this.#declared === undefined) return;
    const sum = this.#bodyBytes + length;
    if (isLast ? sum !== this.#declared : sum > this.#declared) throw lengthMismatch(sum, this.#declared);
  }

  // The Content-Length that was sent, or that will be.
  get #declared(): number | undefined {
    if (this._header !== null) return this.#declaredLength;
    const given = this.#headers?.get("content-length");
    return given === undefined ? undefined : Number(given);
  }

  #end(
    chunk: OutgoingChunk | undefined,
    encoding: BufferEncoding | undefined,
    callback: WriteCallback | undefined,
  ): this {
    if (chunk !== undefined && chunk !== "") {
      if (this.finished) {
        this.#refuse(writeAfterEnd(), callback);
        return this;
      }
      this.#write(chunk, encoding, undefined, true);
    } else if (this.finished) {
      this.#endAgain(callback);
      return this;
    } else {
      this.#checkLength(0, true);
      if (this._header === null) {
        this._contentLength = 0;
        this._implicitHeader();
      }
    }
    if (callback !== undefined) this.once("finish", callback);
    this.finished = true;
    this.#isHeadWanted = true;
    if (this.#corked > 0) this.#joinCorked();
    this.#corked = 0;
    this.#flush();
    return this;
  }

  #endAgain(callback: WriteCallback | undefined): void {
    if (callback === undefined) return;
    if (this.writableFinished) callback(alreadyFinished("end"));
    else this.once("finish", callback);
  }

  // As Node: the callback is told later; 'error' is not emitted on a message that is destroyed.
  #refuse(error: Error, callback: WriteCallback | undefined): void {
    nextTick(() => {
      callback?.(error);
      if (!this.destroyed) this.emit("error", error);
    });
  }

  // To the sink.

  /** There is a connection: what waits goes, and what is written from now on goes at once. `keepsSent`: it may go again. */
  protected _attachSink(sink: MessageSink, keepsSent: boolean = false): void {
    this.#sink = sink;
    this.#sent = keepsSent ? [] : undefined;
    this.#flush();
    this.#settleIfIdle();
  }

  /** What has gone will not have to go again. */
  protected _forgetSent(): void {
    this.#sent = undefined;
  }

  /** All that has gone is still here. */
  protected get _canRewind(): boolean {
    return this.#sent !== undefined || !this._headerSent;
  }

  /** The connection is gone and another one will come: what has gone waits again. */
  protected _rewind(): void {
    this.outputData.unshift(...this.#sent ?? []);
    this.outputSize = this.outputData.reduce((sum, entry) => sum + sizeOf(entry), 0);
    this.#sink = this.#sent = undefined;
    this._headerSent = this.#isEndSent = false;
  }

  /** The sink's bytes have all gone to the system. */
  protected _onSinkDrain(): void {
    this.#settle();
  }

  /** What waits will not be sent: its callbacks are told ERR_STREAM_DESTROYED. */
  protected _dropOutput(): void {
    if (this.outputData.length === 0 && this.#callbacks.length === 0) return void (this.#sink = undefined);
    const callbacks = this.#callbacks.splice(0);
    for (const { callback } of this.outputData.splice(0)) {
      if (callback !== undefined) callbacks.push(callback);
    }
    this.outputSize = 0;
    this.#sink = undefined;
    if (callbacks.length === 0) return;
    const error = streamDestroyed("write");
    nextTick(() => callbacks.forEach((callback) => callback(error)));
  }

  #flush(): void {
    const sink = this.#sink;
    if (sink === undefined || this.destroyed || this.#isEndSent || !this.#isHeadWanted || this.#corked > 0) {
      return;
    }
    const pieces = this.#takePieces();
    pieces.forEach((piece, index) => sink.write(piece, index + 1 < pieces.length || !this.finished));
    if (this.finished) {
      this.#isEndSent = true;
      sink.end();
      if (!this.#isPrefinishEmitted) this._finish();
      this.#isPrefinishEmitted = true;
    }
    this.#settleIfIdle();
  }

  // What waits, framed and as few pieces as pays.
  #takePieces(): Uint8Array[] {
    let head = "";
    if (!this._headerSent && this._header !== null) {
      head = this._header;
      this._headerSent = true;
    }
    const body = this.#takeBody();
    if (body.length === 0) return head === "" ? [] : [encodeLatin1(head)];
    if (head === "") return body;
    const first = body[0]!;
    if (first.length > MAX_JOINED_BODY_BYTES) return [encodeLatin1(head), ...body];
    body[0] = encodeLatin1With(head, first);
    return body;
  }

  #takeBody(): Uint8Array[] {
    const entries = this.outputData;
    const isEnd = this.finished && this.chunkedEncoding;
    if (entries.length === 0 && !isEnd) return [];
    this.outputData = [];
    const chunks: Uint8Array[] = [];
    for (const { data, encoding, callback } of entries) {
      const bytes = bytesOf({ data, encoding });
      if (bytes.length > 0) chunks.push(bytes);
      if (callback !== undefined) this.#callbacks.push(callback);
    }
    const length = this.outputSize;
    this.outputSize = 0;
    if (this.#sent !== undefined) this.#keep(entries, length);
    const isSmall = length <= MAX_JOINED_BODY_BYTES;
    if (!this.chunkedEncoding) return isSmall && chunks.length > 1 ? [Buffer.concat(chunks, length)] : chunks;
    // Each write is a chunk, as it may be told apart at the other end.
    const framed = chunks.flatMap(asChunk);
    if (isEnd) framed.push(encodeLatin1(`0\r\n${this.#trailers}\r\n`));
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
    if (this.#callbacks.length === 0 && !this.#isEndSent && !this.#needDrain) return;
    this.#isSettleScheduled = true;
    nextTick(() => {
      this.#isSettleScheduled = false;
      if (this.#sink?.pendingBytes === 0) this.#settle();
    });
  }

  #settle(): void {
    if (this.#callbacks.length > 0) {
      for (const callback of this.#callbacks.splice(0)) callback(null);
    }
    if (this.destroyed && !this.finished) return;
    if (this.#isEndSent) return this.#finish();
    if (!this.#needDrain || this.finished || this.outputSize > 0) return;
    this.#needDrain = false;
    this.emit("drain");
  }

  #isFinishEmitted = false;

  /** The last byte has been handed over. */
  _finish(): void {
    this.emit("prefinish");
  }

  #finish(): void {
    if (this.#isFinishEmitted) return;
    this.#isFinishEmitted = true;
    this.emit("finish");
  }

  /** 'finish' was emitted. */
  protected get _isFinishEmitted(): boolean {
    return this.#isFinishEmitted;
  }

  /** The error that `errored` shows. */
  protected _setErrored(error: Error | null): void {
    this.#errored = error;
  }
}

// `captureRejections`: a rejected async listener destroys the message, as in Node.
Object.defineProperty(OutgoingMessage.prototype, EventEmitter.captureRejectionSymbol, {
  value(this: OutgoingMessage, error: Error): void {
    this.destroy(error);
  },
  configurable: true,
  writable: true,
});

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
