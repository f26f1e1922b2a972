/**
 * IncomingMessage: the response as Node shows it (http document, "Class: http.IncomingMessage").
 *
 * Owns the stream of the body and the presentation of head and trailers. Knows no connection: it asks a
 * {@linkcode ResponseSource} to go on or to give up.
 *
 * Strategy: header objects are made when first asked for; the body is pushed as it comes and never decoded.
 *
 * @module
 */

import { Readable } from "node:stream";
import { distinctFields, type HeaderBlock } from "./core/headers.ts";
import type { ResponseHead } from "./core/response_parser.ts";
import { addHeaderLine, type IncomingHttpHeaders, joinHeaders } from "./incoming_message_headers.ts";
import { isInstance } from "./incoming_message_instances.ts";
import { nextTick } from "../runtime/mod.ts";

/** Where a response comes from. */
export interface ResponseSource {
  /** The stream of the connection. */
  readonly socket: unknown;
  /** There is room again. */
  resume(): void;
  /** Sets the connection's time of inactivity and has 'timeout' told. */
  setTimeout(ms: number): void;
  /** The reader gives up before the end. */
  abort(error: Error | null): void;
}

const NOTHING: readonly string[] = [];

/** See the file's comment. */
export class IncomingMessage extends Readable {
  /** The request failed, or one side gave up, before the end. @deprecated Listen for 'close'. */
  aborted = false;
  /** The whole message has come. */
  complete = false;
  /** `"1.1"`. */
  httpVersion: string | null = null;
  /** 1. */
  httpVersionMajor: number | null = null;
  /** 1 or 0. */
  httpVersionMinor: number | null = null;
  /** 200 to 999. */
  statusCode: number | null = null;
  /** The reason phrase. */
  statusMessage: string | null = null;
  /** Only of a request; `""`. */
  url = "";
  /** Only of a request; null. */
  method: string | null = null;
  /** The connection changes its protocol behind this message. */
  upgrade: boolean | null = null;
  /** Join repeated fields of which Node keeps the first. */
  joinDuplicateHeaders: boolean | undefined = false;
  /** The request that this is the response to. */
  req: unknown;
  /** Nobody reads: the body is thrown away. */
  _dumped = false;
  /** read() was called. */
  _consuming = false;
  #socket: unknown;
  #source: ResponseSource | undefined;
  /** Its source, where that ended with this message. */
  #lastSource: ResponseSource | undefined;
  #block: HeaderBlock | undefined;
  #rawHeaders: string[] | undefined;
  #headers: IncomingHttpHeaders | undefined;
  #headersDistinct: Record<string, string[] | undefined> | undefined;
  #trailerBlock: HeaderBlock | undefined;
  #rawTrailers: string[] | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #trailersDistinct: Record<string, string[] | undefined> | undefined;
  #controller: AbortController | undefined;
  /** The stream's end was pushed. */
  #isEndPushed = false;
  /** It has been read up to its end, so that 'end' is under way. */
  #isEndDue = false;

  /** The messages of the runtime's own server count, where an entry point has said so. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return isInstance(this, value);
  }

  /** The message has this class's private state: a prototype alone does not give it. */
  static _isOwn(value: object): boolean {
    return #source in value;
  }

  /** An empty message, as Node's own users make them in tests; `socket` may be any object. */
  constructor(socket?: unknown) {
    const { readableHighWaterMark } = (socket ?? {}) as { readableHighWaterMark?: number };
    super(readableHighWaterMark === undefined ? undefined : { highWaterMark: readableHighWaterMark });
    this.#socket = socket;
  }

  /** Fills the message with a response's head and says where its body comes from. */
  _begin(head: ResponseHead, source: ResponseSource): void {
    this.httpVersionMajor = head.httpVersionMajor;
    this.httpVersionMinor = head.httpVersionMinor;
    this.httpVersion = head.httpVersionMinor === 1 && head.httpVersionMajor === 1
      ? "1.1"
      : `${head.httpVersionMajor}.${head.httpVersionMinor}`;
    this.statusCode = head.status;
    this.statusMessage = head.statusText;
    this.upgrade = false;
    this.#block = head.headers;
    this.#source = source;
  }

  /** The last byte has come. */
  _complete(trailers: HeaderBlock | undefined): void {
    this.complete = true;
    this.#trailerBlock = trailers;
    this.#isEndPushed = true;
    this.push(null);
  }

  /** Nothing that happens here concerns the connection any more. `isLast`: it serves nobody else, and is still shown. */
  _release(isLast: boolean): void {
    if (isLast) this.#lastSource = this.#source;
    else this.#socket = null;
    this.#source = undefined;
  }

  /** The stream of the connection; null once that serves others. */
  get socket(): unknown {
    return this.#socket === undefined ? (this.#source ?? this.#lastSource)?.socket : this.#socket;
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

  /** As `socket`. */
  get client(): unknown {
    return this.socket;
  }

  set client(socket: unknown) {
    this.socket = socket;
  }

  /** Names and values in turn, as received. */
  get rawHeaders(): string[] {
    return this.#rawHeaders ??= this.#block?.rawHeaders ?? [];
  }

  set rawHeaders(raw: string[]) {
    this.#rawHeaders = raw;
  }

  /** Lower-cased names with their values, joined as Node's document says. */
  get headers(): IncomingHttpHeaders {
    return this.#headers ??= joinHeaders(this.rawHeaders, this.joinDuplicateHeaders === true);
  }

  set headers(headers: IncomingHttpHeaders) {
    this.#headers = headers;
  }

  /** Lower-cased names with all their values. */
  get headersDistinct(): Record<string, string[] | undefined> {
    return this.#headersDistinct ??= distinctFields(this.rawHeaders);
  }

  set headersDistinct(headers: Record<string, string[] | undefined>) {
    this.#headersDistinct = headers;
  }

  /** As rawHeaders, of what came behind a chunked body; filled at 'end'. */
  get rawTrailers(): string[] {
    return this.#rawTrailers ??= this.#trailerBlock?.rawHeaders ?? [];
  }

  set rawTrailers(raw: string[]) {
    this.#rawTrailers = raw;
  }

  /** As headers, of what came behind a chunked body; filled at 'end'. */
  get trailers(): IncomingHttpHeaders {
    if (this.#trailers !== undefined) return this.#trailers;
    const trailers = joinHeaders(this.#rawTrailers ?? this.#trailerBlock?.rawHeaders ?? NOTHING, false);
    // Before the end they may still come.
    if (this.complete) this.#trailers = trailers;
    return trailers;
  }

  set trailers(trailers: IncomingHttpHeaders) {
    this.#trailers = trailers;
  }

  /** As headersDistinct, of what came behind a chunked body; filled at 'end'. */
  get trailersDistinct(): Record<string, string[] | undefined> {
    if (this.#trailersDistinct !== undefined) return this.#trailersDistinct;
    const trailers = distinctFields(this.#rawTrailers ?? this.#trailerBlock?.rawHeaders ?? NOTHING);
    if (this.complete) this.#trailersDistinct = trailers;
    return trailers;
  }

  set trailersDistinct(trailers: Record<string, string[] | undefined>) {
    this.#trailersDistinct = trailers;
  }

  /** Aborts where the message ends before its time, with 'aborted': for work that is of no use without it. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.destroyed && !this.#hasEnded) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  get #hasEnded(): boolean {
    return this.readableEnded && this.complete;
  }

  /** Sets the connection's time of inactivity; `callback` listens for 'timeout'. */
  setTimeout(msecs: number, callback?: () => void): this {
    if (callback !== undefined) this.on("timeout", callback);
    if (this.#source !== undefined) this.#source.setTimeout(msecs);
    else (this.socket as { setTimeout?(ms: number): void } | null | undefined)?.setTimeout?.(msecs);
    return this;
  }

  /** Throws the body away, so that the connection can serve others. */
  _dump(): void {
    if (this._dumped) return;
    this._dumped = true;
    // What is buffered would be told as 'data'.
    this.removeAllListeners("data");
    this.resume();
  }

  /** {@linkcode Readable}: which has a tick of its own tell 'end' for each read behind the last byte, four for most responses. */
  // deno-lint-ignore no-explicit-any -- node:stream's
  override read(size?: number): any {
    if (this.#isEndDue && this.readableLength === 0) return null;
    const wasDrained = this.#isEndPushed && this.readableLength === 0;
    const chunk = super.read(size);
    this.#isEndDue = this.#isEndPushed && this.readableLength === 0 && (wasDrained || size === undefined);
    return chunk;
  }

  /** {@linkcode Readable}. */
  override _read(): void {
    this._consuming = true;
    this.#source?.resume();
  }

  /** {@linkcode Readable}: before the end it is the connection's end too. */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const source = this.#source;
    if (!this.#hasEnded) {
      this.aborted = true;
      this.emit("aborted");
      this.#controller?.abort();
      source?.abort(error);
    }
    // Node's document, "http.request": an error is emitted only if somebody listens.
    nextTick(() => callback(this.listenerCount("error") > 0 ? error : null));
  }

  /** Adds `n` entries of a flat list to the headers, or, once complete, to the trailers. */
  _addHeaderLines(headers: string[], n: number): void {
    const present = this.complete ? this.#trailers : this.#headers;
    if (this.complete) this.#rawTrailers = headers;
    else this.#rawHeaders = headers;
    if (present === undefined) return;
    for (let i = 0; i + 1 < n; i += 2) this._addHeaderLine(headers[i]!, headers[i + 1]!, present);
  }

  /** Adds a field to an object of headers, by Node's rules for repeated ones. */
  _addHeaderLine(name: string, value: string, target: IncomingHttpHeaders): void {
    addHeaderLine(target, name.toLowerCase(), value, this.joinDuplicateHeaders === true);
  }
}
