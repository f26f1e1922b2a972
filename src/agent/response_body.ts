/**
 * The body of a response, as its reader meets it: an async iterable of owned bytes with the usual collectors. Owns the
 * few bytes that came before anybody asked for them. Knows no connection, only how to resume or abort one.
 *
 * Strategy: chunks are lent by the socket, so each is copied once, on arrival. Over HIGH_WATER_MARK the connection is
 * paused: a body nobody reads costs that much and no more.
 *
 * @module
 */

import { bodyUsed } from "./core/errors.ts";

/** Bytes kept for a reader who is slower than the network; then the connection is paused. Node's socket default. */
const HIGH_WATER_MARK = 65_536;

/** What a body asks of the one who fills it. */
export interface BodySource {
  /** `push` returned false, and now there is room. */
  resume(): void;
  /** The reader gives up. */
  abort(): void;
}

/**
 * The body of a response. It is read once, by one of its methods: a second reading fails with a TypeError, code
 * ERR_BODY_USED. The connection serves other requests only when the body has been read to its end or dumped.
 *
 * Every method rejects with the error that cut the body short: SocketError, ProtocolError, AbortError...
 */
export interface ResponseBody extends AsyncIterable<Uint8Array> {
  /** True from the first call that reads the body. */
  readonly bodyUsed: boolean;
  /** Pieces of the body, each the reader's own. Leaving the loop before the end closes the connection. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined>;
  /** The whole body. */
  bytes(): Promise<Uint8Array>;
  /** The whole body as UTF-8; a byte order mark is left out, what is no UTF-8 becomes U+FFFD. */
  text(): Promise<string>;
  /** The whole body as JSON; rejects with a SyntaxError where it is none. */
  json(): Promise<unknown>;
  /** Reads the body to its end and drops it, so that the connection can be used again. */
  dump(): Promise<void>;
}

/** A {@linkcode ResponseBody} with its other end, by which the connection fills it. */
export class BufferedBody implements ResponseBody {
  readonly #source: BodySource;
  #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;
  #state: "open" | "complete" | "failed" = "open";
  #error: Error | undefined;
  #isUsed = false;
  #isDumped = false;
  #isPaused = false;
  #wake: (() => void) | undefined;

  /** `source` is asked to go on or to give up. */
  constructor(source: BodySource) {
    this.#source = source;
  }

  /** True from the first call that reads the body. */
  get bodyUsed(): boolean {
    return this.#isUsed;
  }

  /** A piece of the body, which is copied. False: no more until `source.resume()`. */
  push(chunk: Uint8Array): boolean {
    if (this.#isDumped) return true;
    // Not chunk.slice(): a Buffer's slice() shares its memory.
    this.#chunks.push(new Uint8Array(chunk));
    this.#bufferedBytes += chunk.length;
    this.#wakeReader();
    if (this.#bufferedBytes <= HIGH_WATER_MARK) return true;
    this.#isPaused = true;
    return false;
  }

  /** Nothing follows. */
  complete(): void {
    this.#state = "complete";
    this.#wakeReader();
  }

  /** Nothing follows, and the body is not whole. */
  fail(error: Error): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#error = error;
    this.#wakeReader();
  }

  /** Pieces of the body, each the reader's own. Leaving the loop early closes the connection. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    this.#use();
    return {
      next: async (): Promise<IteratorResult<Uint8Array, undefined>> => {
        const chunk = await this.#next();
        return chunk === undefined ? { done: true, value: undefined } : { done: false, value: chunk };
      },
      return: (): Promise<IteratorResult<Uint8Array, undefined>> => {
        this.#discard();
        if (this.#state === "open") this.#source.abort();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /** The whole body. */
  async bytes(): Promise<Uint8Array> {
    this.#use();
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (let chunk = await this.#next(); chunk !== undefined; chunk = await this.#next()) {
      chunks.push(chunk);
      length += chunk.length;
    }
    if (chunks.length === 1) return chunks[0]!;
    const all = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  /** The whole body as UTF-8; a byte order mark is left out, what is no UTF-8 becomes U+FFFD. */
  async text(): Promise<string> {
    return new TextDecoder().decode(await this.bytes());
  }

  /** The whole body as JSON; a SyntaxError where it is none. */
  async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  /** Reads the body to its end and drops it, so that the connection can be used again. */
  async dump(): Promise<void> {
    this.#use();
    this.#isDumped = true;
    this.#discard();
    while (await this.#next() !== undefined);
  }

  #use(): void {
    if (this.#isUsed) throw bodyUsed();
    this.#isUsed = true;
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#bufferedBytes -= chunk.length;
        return chunk;
      }
      if (this.#state === "failed") throw this.#error;
      if (this.#state === "complete") return undefined;
      const woken = new Promise<void>((resolve) => this.#wake = resolve);
      this.#resume();
      await woken;
    }
  }

  #discard(): void {
    this.#chunks = [];
    this.#bufferedBytes = 0;
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#source.resume();
  }

  #wakeReader(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
