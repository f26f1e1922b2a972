/**
 * The client's socket of the memory network: what `connect()` returns.
 *
 * Owns `startTls`: the connection below is handed on to a new socket and this one is left without. Must not know how
 * bytes move. Strategy: everything is passed on, so one class stands before plain connections, TLS, and TLS in TLS.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { MemorySocket } from "./memory_socket.ts";
import { clientRole, MemoryTlsSocket } from "./memory_tls.ts";
import { assertCanStartTls, readStartTls } from "./start_tls.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Socket, SocketHandler, SocketInfo, StartTlsOptions } from "./socket.ts";

/** A socket that `startTls` may consume. */
export class MemoryClient implements Socket {
  readonly #clock: Clock;
  readonly #capabilities: Capabilities;
  #inner: MemorySocket | MemoryTlsSocket;
  #isConsumed = false;

  /** Stands before `inner`. */
  constructor(inner: MemorySocket | MemoryTlsSocket, capabilities: Capabilities, clock: Clock) {
    this.#inner = inner;
    this.#capabilities = capabilities;
    this.#clock = clock;
  }

  get connecting(): boolean {
    return !this.#isConsumed && this.#inner.connecting;
  }

  get destroyed(): boolean {
    return this.#isConsumed || this.#inner.destroyed;
  }

  get pendingBytes(): number {
    return this.#isConsumed ? 0 : this.#inner.pendingBytes;
  }

  get bytesRead(): number {
    return this.#inner.bytesRead;
  }

  get bytesWritten(): number {
    return this.#inner.bytesWritten;
  }

  get info(): SocketInfo | undefined {
    return this.#inner.info;
  }

  get handler(): SocketHandler {
    return this.#inner.handler;
  }

  set handler(handler: SocketHandler) {
    if (!this.#isConsumed) this.#inner.handler = handler;
  }

  write(chunk: Uint8Array, more?: boolean): boolean {
    return !this.#isConsumed && this.#inner.write(chunk, more);
  }

  end(): void {
    if (!this.#isConsumed) this.#inner.end();
  }

  destroy(error?: Error): void {
    if (!this.#isConsumed) this.#inner.destroy(error);
  }

  pause(): void {
    if (!this.#isConsumed) this.#inner.pause();
  }

  resume(): void {
    if (!this.#isConsumed) this.#inner.resume();
  }

  ref(): void {
    if (!this.#isConsumed) this.#inner.ref();
  }

  unref(): void {
    if (!this.#isConsumed) this.#inner.unref();
  }

  setNoDelay(on: boolean): void {
    if (!this.#isConsumed) this.#inner.setNoDelay(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    if (!this.#isConsumed) this.#inner.setKeepAlive(on, initialDelayMs);
  }

  startTls(given: StartTlsOptions, handler: SocketHandler): Socket {
    const options = readStartTls(given, this.#capabilities);
    assertCanStartTls({
      isConnecting: this.connecting,
      hasEnded: this.destroyed,
      pendingBytes: this.pendingBytes,
      hasUnread: this.#inner.hasUnread,
      // TLS inside TLS it can.
      isTls: false,
    });
    this.#isConsumed = true;
    const tls = new MemoryTlsSocket(this.#inner, clientRole(options, options.host), this.#clock, handler);
    return new MemoryClient(tls, this.#capabilities, this.#clock);
  }
}
