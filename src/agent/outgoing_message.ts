/**
 * OutgoingMessage: what a ClientRequest shares with any other message that is written (Node's http document, "Class:
 * http.OutgoingMessage").
 *
 * Owns the public members, the headers until the head is made, and the head. Knows no connection: whoever has one attaches
 * it as a {@linkcode MessageSink}. The body's lengths are outgoing_message_body.ts's, the bytes and the promises of a
 * writable stream (backpressure, write callbacks, 'drain', 'finish') outgoing_message_output.ts's.
 *
 * Strategy: pieces wait as they were given until there is a sink; then what is small goes as one write. Before the first
 * write(), end() or flushHeaders() nothing goes at all. Members that begin with "_" are Node's own: streams and libraries
 * look at some of them.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import { Stream } from "node:stream";
import { invalidArgType } from "./core/errors.ts";
import { isInstance } from "./incoming_message_instances.ts";
import { checkChunk, OutgoingBody, type OutgoingChunk } from "./outgoing_message_body.ts";
import { cannotPipe, headersSent, notImplemented } from "./outgoing_message_errors.ts";
import type { Leniency } from "./core/leniency.ts";
import { renderHead } from "./outgoing_message_head.ts";
import { OutgoingHeaders, type OutgoingHeaderValue } from "./outgoing_message_headers.ts";
import {
  type MessageSink,
  OutgoingOutput,
  type OutputEntry,
  type WriteCallback,
} from "./outgoing_message_output.ts";
import { streamFor, StreamSink } from "./outgoing_message_stream.ts";
import { renderTrailers } from "./outgoing_message_trailers.ts";

/** Options of {@linkcode OutgoingMessage}. */
export interface OutgoingMessageOptions {
  /** Bytes from which write() returns false; default 65,536. */
  readonly highWaterMark?: number | undefined;
}

/** Node's default for byte streams since 22, on every runtime. */
const HIGH_WATER_MARK = 65_536;

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
  /** What is forgiven of what comes, and that values of headers may hold more; undefined: nothing. */
  _leniency: Leniency | undefined;
  /** Names, in lower case, whose values are joined into one line. */
  protected _uniqueHeaders: ReadonlySet<string> | undefined;
  readonly #highWaterMark: number;
  readonly #output: OutgoingOutput = new OutgoingOutput(this);
  readonly #body: OutgoingBody = new OutgoingBody(this, this.#output);
  #headers: OutgoingHeaders | undefined;
  #socket: unknown = null;
  #errored: Error | null = null;
  /** Of a head that may have to be made again because a body came after all. */
  #headStart: { startLine: string; fields: Iterable<readonly [unknown, unknown]> | undefined } | undefined;

  /** The messages of the runtime's own server count, where an entry point has said so. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }

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
    return this.#output.isFinished;
  }

  /** Always false. */
  get writableObjectMode(): boolean {
    return false;
  }

  /** Bytes that have not gone to the system, those of the head and of the chunks' lines among them. */
  get writableLength(): number {
    return this.#output.length;
  }

  /** Bytes from which write() returns false. */
  get writableHighWaterMark(): number {
    return this.#highWaterMark;
  }

  /** How often uncork() has to be called. */
  get writableCorked(): number {
    return this.#output.corked;
  }

  /** end() was called. */
  get writableEnded(): boolean {
    return this.finished;
  }

  /** write() has returned false, and 'drain' is still to come. */
  get writableNeedDrain(): boolean {
    return !this.destroyed && !this.finished && this.#output.needsDrain;
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
    const stream = streamFor(this, socket);
    if (stream !== undefined) this._attachSink(new StreamSink(stream, () => this._onSinkDrain()));
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
    return this.#body.isExact;
  }

  // Headers.

  /** Sets a header. ERR_HTTP_HEADERS_SENT, ERR_INVALID_HTTP_TOKEN, ERR_HTTP_INVALID_HEADER_VALUE, ERR_INVALID_CHAR. */
  setHeader(name: string, value: OutgoingHeaderValue): this {
    // Before what is private: Node's method works on any object of this shape.
    if (this._header) throw headersSent("set");
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

  /** getHeader() by a name in lower case. */
  _peekHeader(key: string): unknown {
    return this.#headers?.getLower(key);
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
    return this.#headers ??= new OutgoingHeaders(this._leniency !== undefined);
  }

  /** Headers as they will be sent, by their names as given. */
  _renderHeaders(): Record<string, unknown> {
    if (this._header !== null) throw headersSent("render");
    return Object.fromEntries(this.#headers?.entries() ?? []);
  }

  /** Fields behind a chunked body, sent with its end; replaces those of an earlier call. ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR. */
  addTrailers(headers: Readonly<Record<string, unknown>> | readonly (readonly [string, unknown])[]): void {
    this.#output.trailers = renderTrailers(headers, this._uniqueHeaders, this._leniency !== undefined);
  }

  // The head.

  /** Makes the head; subclasses bring it. */
  _implicitHeader(): void {
    throw notImplemented("_implicitHeader()");
  }

  /** Sends the head without waiting for the body. */
  flushHeaders(): void {
    if (this._header === null) this._implicitHeader();
    this.#output.wantHead();
    this.#output.flush();
  }

  /** Renders the head; `fields` in the place of the headers set. */
  protected _makeHead(startLine: string, fields?: Iterable<readonly [unknown, unknown]>): void {
    if (this._header !== null) throw headersSent("render");
    const length = this._contentLength;
    this.#headStart = { startLine, fields };
    const head = renderHead({
      startLine,
      fields: fields ?? this.#headers?.entries() ?? NO_HEADERS,
      areChecked: fields === undefined,
      isLenient: this._leniency !== undefined,
      uniqueHeaders: this._uniqueHeaders,
      isKeepAlive: this._wantsKeepAlive,
      bodyLength: length ?? undefined,
      mayHaveBody: this.#body.isStarted,
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
    this.#body.declaredLength = head.contentLength;
    if (head.contentLength !== undefined) this._contentLength = head.contentLength;
    if (head.saysClose) this._last = true;
    else if (head.saysKeepAlive) this.shouldKeepAlive = true;
    if (head.hasKeepAlive) this._defaultKeepAlive = false;
    // RFC 9110 section 10.1.1: the answer to Expect is waited for before the body.
    if (head.hasExpect) this.#output.wantHead();
  }

  /** A body came after all: makes the head again, for one of `length` bytes or, null, of unknown length. */
  _remakeHead(length: number | null): void {
    if (this.#headStart === undefined) return;
    this._header = null;
    this._contentLength = length;
    this._makeHead(this.#headStart.startLine, this.#headStart.fields);
  }

  /** What follows the head is no body. */
  get _isTunnel(): boolean {
    return false;
  }

  /** What the Connection line says where the user gave none. */
  protected get _wantsKeepAlive(): boolean {
    return this.shouldKeepAlive;
  }

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
    checkChunk(chunk);
    if (typeof encoding === "function") return this.#body.write(chunk, undefined, encoding, false);
    return this.#body.write(chunk, encoding || undefined, callable(callback), false);
  }

  /**
   * Ends the message, with `chunk` as its last piece. As write(); `callback` is told ahead of 'finish', with an error where
   * that will not come, and ERR_STREAM_ALREADY_FINISHED where it has been.
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
    if (typeof chunk === "function") this.#body.end(undefined, undefined, chunk);
    else if (typeof encoding === "function") this.#body.end(chunk || undefined, undefined, encoding);
    else this.#body.end(chunk || undefined, encoding || undefined, callable(callback));
    return this;
  }

  /** Holds what is written until uncork(). */
  cork(): void {
    this.#output.cork();
  }

  /** Sends what cork() has held, as one chunk where the body is chunked. */
  uncork(): void {
    this.#output.uncork();
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

  // To the sink.

  /** There is a connection: what waits goes, and what is written from now on goes at once. `keepsSent`: it may go again. */
  protected _attachSink(sink: MessageSink, keepsSent: boolean = false): void {
    this.#output.attach(sink, keepsSent);
  }

  /** There is going to be a connection: what has ended is told as handed over. */
  protected _announceSink(): void {
    this.#output.announce();
  }

  /** What has gone will not have to go again. */
  protected _forgetSent(): void {
    this.#output.forgetSent();
  }

  /** All that has gone is still here. */
  protected get _canRewind(): boolean {
    return this.#output.canRewind;
  }

  /** The connection is gone and another one will come: what has gone waits again. */
  protected _rewind(): void {
    this.#output.rewind();
  }

  /** The sink's bytes have all gone to the system. */
  protected _onSinkDrain(): void {
    this.#output.onSinkDrain();
  }

  /** What waits will not be sent: its callbacks are told ERR_STREAM_DESTROYED. */
  protected _dropOutput(): void {
    this.#output.drop();
  }

  /** The last byte has been handed over. */
  _finish(): void {
    this.emit("prefinish");
  }

  /** 'finish' was emitted. */
  protected get _isFinishEmitted(): boolean {
    return this.#output.isFinished;
  }

  /** The error that `errored` shows. */
  protected _setErrored(error: Error | null): void {
    this.#errored = error;
  }
}

// As in Node what cannot be called is no callback.
function callable(callback: unknown): WriteCallback | undefined {
  return typeof callback === "function" ? callback as WriteCallback : undefined;
}

// `captureRejections`: a rejected async listener destroys the message, as in Node.
Object.defineProperty(OutgoingMessage.prototype, EventEmitter.captureRejectionSymbol, {
  value(this: OutgoingMessage, error: Error): void {
    this.destroy(error);
  },
  configurable: true,
  writable: true,
});
