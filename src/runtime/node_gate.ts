/**
 * Gate: a Duplex over a net.Socket whose reading can be shut.
 *
 * Owns the stream of ciphertext under a TLSSocket, on the runtime whose TLSSocket cannot be paused itself: Deno 2.9's reads
 * on without bound while it is paused, and loses the end if that comes meanwhile (measured: 2 MB read in bursts of five
 * chunks with pauses of 3 ms, by 'data', by `onread` and by 'readable': all bytes come and no 'end'). Knows no TLS.
 *
 * Strategy: the raw stream's own pause, or, where that is a TLSSocket too (TLS inside TLS), the gate under it.
 *
 * @module
 */

import type * as net from "node:net";
import { Duplex } from "node:stream";

/** A Duplex over `raw`; it ends, fails and closes with it. */
export class Gate extends Duplex {
  /** The stream directly underneath. */
  readonly raw: net.Socket;
  readonly #under: Gate | undefined;
  #isShut = false;

  /** Takes over `raw`'s reading; `under` is the gate that `raw`, a TLSSocket, reads through itself. */
  constructor(raw: net.Socket, under?: Gate) {
    super({ allowHalfOpen: true });
    this.raw = raw;
    this.#under = under;
    raw.on("data", (chunk) => {
      if (!this.push(chunk) || this.#isShut) this.#stop();
    });
    raw.on("end", () => this.push(null));
    raw.on("error", (error) => this.destroy(error));
    raw.on("close", () => this.destroy());
  }

  /** The stream that the system knows. */
  get transport(): net.Socket {
    return this.#under?.transport ?? this.raw;
  }

  /** Lets at most one more chunk through until `open()`; an end with nothing before it comes through. */
  shut(): void {
    this.#isShut = true;
  }

  /** Lets bytes through again. */
  open(): void {
    this.#isShut = false;
    this.#start();
  }

  override _read(): void {
    if (!this.#isShut) this.#start();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.raw.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.raw.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.raw.destroy();
    this.#under?.destroy();
    done(error);
  }

  #stop(): void {
    if (this.#under === undefined) this.raw.pause();
    else this.#under.shut();
  }

  #start(): void {
    this.#under?.open();
    this.raw.resume();
  }
}
