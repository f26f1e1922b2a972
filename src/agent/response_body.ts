/**
 * The body of a response, as its reader meets it: an async iterable of owned bytes with the usual collectors. Owns who
 * reads, and when the connection waits for him; what came before him is `kept_bytes.ts`'s. Knows no connection, only how to
 * resume or abort one.
 *
 * Strategy: chunks are lent by the socket. They are copied once, except for a forEach() reader, who sees them as they
 * are. Over HIGH_WATER_MARK the connection is paused: a body nobody reads costs that much and no more. A
 * body that is whole before it is asked for, as most are, costs one promise.
 *
 * @module
 */

import { AbortError, bodyUsed } from "./core/errors.ts";
import { KeptBytes, owned } from "./kept_bytes.ts";

/** Bytes kept for a reader who is slower than the network; then the connection is paused. Node's socket default. */
const HIGH_WATER_MARK = 65_536;
/** What dump() reads at most. */
const MAX_DUMPED_BYTES = 131_072;
/** What ends its reading. */
const ENOUGH = new Error("The body is longer than what is worth reading");
/** How the end of a body is found (RFC 9112 section 6.3); "close": by the connection's end, which proves little. */
export type BodyFramingKind = "none" | "length" | "chunked" | "close";

/** What a body asks of the one who fills it. */
export interface BodySource {
  /** `push` returned false, and now there is room. */
  resumeBody(): void;
  /** The reader gives up. */
  abortBody(error: Error): void;
}

/** Where the pieces of a body go. */
export interface BodySink {
  /** A piece, lent for the call. False: no more until the source is asked to resume. */
  push(chunk: Uint8Array): boolean;
  /** Nothing follows. */
  complete(): void;
  /** Nothing follows, and the body is not whole. */
  fail(error: Error): void;
}

/**
 * The body of a response. It is read once, by one of its methods: a second reading fails with a TypeError, code
 * ERR_BODY_USED. The connection serves other requests only when the body has been read to its end or dumped.
 *
 * Every method rejects with the error that cut the body short: SocketError, ProtocolError, TimeoutError, AbortError...
 */
export interface ResponseBody extends AsyncIterable<Uint8Array> {
  /** True from the first call that reads the body. */
  readonly bodyUsed: boolean;
  /**
   * How the end is found. "length" and "chunked" prove that the body is whole, "none" that there is none; "close" ends
   * with the connection, and not every runtime can tell a TLS connection that was cut from one that was closed.
   */
  readonly framing: BodyFramingKind;
  /** Pieces of the body, each the reader's own. Leaving the loop before the end closes the connection. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined>;
  /**
   * Calls `read` with each piece as it comes, uncopied: the bytes are lent, and mean something else once `read`
   * has returned. Where it returns a promise the connection waits for it. What it throws closes the connection and
   * is what forEach rejects with.
   */
  forEach(read: (lent: Uint8Array) => unknown): Promise<void>;
  /** The whole body. */
  bytes(): Promise<Uint8Array>;
  /** The whole body as UTF-8; a byte order mark is left out, what is no UTF-8 becomes U+FFFD. */
  text(): Promise<string>;
  /** The whole body as JSON; rejects with a SyntaxError where it is none. */
  json(): Promise<unknown>;
  /**
   * Drops the body. What is left of it is read, so that the connection can be used again; where that is more than 128 KiB,
   * another connection costs less, and this one is closed. A server that sends without end keeps nobody.
   */
  dump(): Promise<void>;
}

type Reader =
  /** Nobody yet, or an iterator between two steps: what comes is kept. */
  | { readonly kind: "none" }
  /** A step of an iterator that waits for a piece. */
  | { readonly kind: "step"; resolve(result: IteratorResult<Uint8Array, undefined>): void }
  /** Everything, at the end. */
  | { readonly kind: "all"; resolve(): void }
  | EachReader;

/** A piece at a time, as it comes. */
interface EachReader {
  readonly kind: "each";
  read(lent: Uint8Array): unknown;
  resolve(): void;
}

const NOBODY: Reader = { kind: "none" };
const DONE: IteratorResult<Uint8Array, undefined> = { done: true, value: undefined };
const decoder = new TextDecoder();

/** A {@linkcode ResponseBody} with its other end, by which the connection fills it. */
export class BufferedBody implements ResponseBody, BodySink {
  readonly framing: BodyFramingKind;
  readonly #source: BodySource;
  readonly #kept: KeptBytes;
  #state: "open" | "complete" | "failed" = "open";
  #error: Error | undefined;
  #isUsed = false;
  #isPaused = false;
  /** A promise of forEach's reader is pending. */
  #isReading = false;
  #reader: Reader = NOBODY;
  #reject: ((error: unknown) => void) | undefined;
  /** The last step of the iterator: a step that is asked for before it settles comes after it. */
  #lastStep: Promise<IteratorResult<Uint8Array, undefined>> | undefined;

  /**
   * `source` is asked to go on or to give up; `length`: of the whole body, where that is known; `outlastsCall`: what is pushed
   * stays as it is while microtasks run.
   */
  constructor(
    source: BodySource,
    framing: BodyFramingKind,
    length: number = Infinity,
    outlastsCall: boolean = false,
  ) {
    this.#source = source;
    this.framing = framing;
    this.#kept = new KeptBytes(length, outlastsCall);
  }

  /** True from the first call that reads the body. */
  get bodyUsed(): boolean {
    return this.#isUsed;
  }

  /** Bytes are there that nobody has asked for, and the connection waits for it. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** {@linkcode BodySink}. */
  push(chunk: Uint8Array): boolean {
    const reader = this.#reader;
    switch (reader.kind) {
      case "each":
        if (!this.#isReading) return this.#lend(chunk, reader);
        this.#kept.keep(chunk, true);
        return this.#hasRoom();
      case "step":
        this.#reader = NOBODY;
        this.#kept.pass();
        reader.resolve({ done: false, value: owned(chunk) });
        return true;
      case "all":
      case "none":
        this.#kept.keep(chunk, reader.kind === "all");
        return reader.kind === "all" || this.#hasRoom();
    }
  }

  /** {@linkcode BodySink}. */
  complete(): void {
    if (this.#state !== "open") return;
    this.#state = "complete";
    this.#isPaused = false;
    // A reader of forEach who is still busy ends it himself.
    if (this.#isReading) return;
    const reader = this.#reader;
    this.#reader = NOBODY;
    if (reader.kind === "step") reader.resolve(DONE);
    else if (reader.kind !== "none") reader.resolve();
  }

  /** {@linkcode BodySink}. What came before is still read, unless the user himself ended it. */
  fail(error: Error): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#error = error;
    this.#isPaused = false;
    if (error instanceof AbortError) this.#kept.forget();
    // What is kept is read first, by a reader of forEach who is still busy.
    if (this.#reader === NOBODY || (this.#isReading && this.#kept.bytes > 0)) return;
    this.#reader = NOBODY;
    this.#reject!(error);
  }

  /** All of it, where it is here already and nobody reads it; the body is then used. */
  takeWhole(): Uint8Array | undefined {
    if (this.#isUsed || this.#state !== "complete") return undefined;
    this.#isUsed = true;
    return this.#kept.take();
  }

  /** {@linkcode ResponseBody}. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    this.#use();
    return { next: () => this.#step(), return: () => this.#leave() };
  }

  /** {@linkcode ResponseBody}. */
  forEach(read: (lent: Uint8Array) => unknown): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      // In here an exception rejects.
      this.#use();
      const reader: EachReader = { kind: "each", read, resolve };
      this.#reader = reader;
      this.#reject = reject;
      this.#goOn(reader);
    });
  }

  /** {@linkcode ResponseBody}. */
  bytes(): Promise<Uint8Array> {
    return this.#collect(() => this.#kept.take());
  }

  /** {@linkcode ResponseBody}. */
  text(): Promise<string> {
    return this.#collect(() => decoder.decode(this.#kept.takeLent()));
  }

  /** {@linkcode ResponseBody}. */
  json(): Promise<unknown> {
    return this.#collect(() => JSON.parse(decoder.decode(this.#kept.takeLent())));
  }

  /** {@linkcode ResponseBody}. */
  dump(): Promise<void> {
    if (this.#isUsed || this.#state !== "complete") return this.#dumpRest();
    this.#isUsed = true;
    this.#kept.forget();
    return Promise.resolve();
  }

  async #dumpRest(): Promise<void> {
    let bytes = 0;
    try {
      await this.forEach(({ length }) => {
        bytes += length;
        if (bytes > MAX_DUMPED_BYTES) throw ENOUGH;
      });
    } catch (error) {
      if (error !== ENOUGH) throw error;
    }
  }

  #collect<T>(make: () => T): Promise<T> {
    // Errors are rejections whatever the state, so that callers need one way to catch them.
    if (this.#isUsed) return Promise.reject(bodyUsed());
    this.#isUsed = true;
    if (this.#state === "failed") return Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      // An exception in here rejects: JSON.parse's.
      if (this.#state === "complete") return resolve(make());
      const done = (): void => {
        try {
          resolve(make());
        } catch (error) {
          reject(error);
        }
      };
      this.#reader = { kind: "all", resolve: done };
      this.#reject = reject;
      this.#resume();
    });
  }

  #step(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#reader.kind === "step") {
      // Asked again before the last step settled: in turn, as generators do.
      return this.#lastStep!.then(() => this.#step());
    }
    const chunk = this.#kept.shift();
    if (chunk !== undefined) return Promise.resolve({ done: false, value: chunk });
    if (this.#state === "complete") return Promise.resolve(DONE);
    if (this.#state === "failed") return Promise.reject(this.#error);
    return this.#lastStep = new Promise((resolve, reject) => {
      this.#reader = { kind: "step", resolve };
      this.#reject = reject;
      this.#resume();
    });
  }

  #leave(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#kept.forget();
    if (this.#state === "open") this.#source.abortBody(new AbortError("The body was not read to its end"));
    return Promise.resolve(DONE);
  }

  /** What was kept goes to forEach's reader, up to where it returns a promise; then what comes. */
  #goOn(reader: EachReader): void {
    this.#isReading = false;
    for (let chunk = this.#kept.shiftLent(); chunk !== undefined; chunk = this.#kept.shiftLent()) {
      if (!this.#lend(chunk, reader)) return;
      // It has thrown.
      if (this.#reader !== reader) return;
    }
    if (this.#state === "complete") reader.resolve();
    else if (this.#state === "failed") this.#reject!(this.#error);
    else return this.#resume();
    this.#reader = NOBODY;
  }

  /** A piece for forEach's reader; false: it returned a promise. */
  #lend(chunk: Uint8Array, reader: EachReader): boolean {
    this.#kept.pass();
    try {
      const result = reader.read(chunk);
      if (!isThenable(result)) return true;
      this.#isPaused = this.#isReading = true;
      result.then(() => this.#goOn(reader), (error) => this.#giveUp(error));
      return false;
    } catch (error) {
      this.#giveUp(error);
      return true;
    }
  }

  /** forEach's reader has thrown. */
  #giveUp(error: unknown): void {
    const reject = this.#reject!;
    this.#reader = NOBODY;
    this.#kept.forget();
    if (this.#state === "open") this.#source.abortBody(new AbortError(error));
    reject(error);
  }

  #use(): void {
    if (this.#isUsed) throw bodyUsed();
    this.#isUsed = true;
  }

  #hasRoom(): boolean {
    this.#isPaused = this.#kept.bytes > HIGH_WATER_MARK;
    return !this.#isPaused;
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#source.resumeBody();
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
