/**
 * NodeSocket: a Socket over a stream of Node's: net.Socket, TLSSocket or any other Duplex.
 *
 * Owns the translation of stream events into the handler's calls, their order, and what waits while paused. Knows
 * neither how the stream was connected nor how it was verified (node.ts, node_tls.ts).
 *
 * Strategy. Our own net sockets read by `onread` into one buffer that all of them share, which is lent to `onData`; any
 * other Duplex reads by 'data'. `pause()` only sets a flag: the next chunk is kept and stops the system's reading, so
 * that a close is still noticed while nothing waits. While something waits, what follows it (end, close) waits behind it.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { type FailureContext, fromNodeError, type SocketError, type SocketPhase } from "./errors.ts";
import type { Socket, SocketHandler, SocketInfo } from "./socket.ts";

/** Above this many pending bytes `write()` asks to wait: the pipe's size of Linux and Node's own mark since 22. */
const writeHighWaterBytes = 64 * 1024;

/** What net.Socket has and another Duplex may lack. */
interface NetMethods {
  ref?(): void;
  unref?(): void;
  setNoDelay?(on: boolean): void;
  setKeepAlive?(on: boolean, initialDelayMs: number): void;
}

/** A Socket over a stream; see the file's comment. */
export class NodeSocket implements Socket {
  handler: SocketHandler;
  /** Where in its life the socket is, for errors. */
  phase: SocketPhase = "connect";
  /** What errors say of the peer. */
  peer: { readonly address?: string | undefined; readonly port?: number | undefined } = {};
  #stream!: Duplex;
  #readsByEvent = false;
  #info: SocketInfo | undefined;
  #connecting = true;
  #destroyed = false;
  #closed = false;
  #paused = false;
  #corked = false;
  #owesDrain = false;
  #endRequested = false;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #held: Uint8Array[] = [];
  #heldEnd = false;
  #heldClose = false;
  #flushing = false;
  #error: SocketError | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;

  /** Makes the socket; `attach` gives it its stream in the same turn. */
  constructor(handler: SocketHandler) {
    this.handler = handler;
  }

  /** True until `onOpen` or `onClose`. */
  get connecting(): boolean {
    return this.#connecting;
  }

  /** True from `destroy()` or from the connection's end. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** Bytes not yet taken by the system. */
  get pendingBytes(): number {
    return this.#destroyed ? 0 : this.#earlyBytes + this.#stream.writableLength;
  }

  /** Bytes given to `onData`. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes accepted by `write()`. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Addresses and TLS facts; from just before `onOpen`. */
  get info(): SocketInfo | undefined {
    return this.#info;
  }

  /** The stream underneath. */
  get stream(): Duplex {
    return this.#stream;
  }

  /** Gives the socket its stream; `byEvent`: the stream has no `onread` and is read by 'data'. */
  attach(stream: Duplex, byEvent: boolean): void {
    this.#stream = stream;
    this.#readsByEvent = byEvent;
    stream.on("error", (error: unknown) => this.fail(error));
    stream.on("end", () => this.#onEnd());
    stream.on("close", () => this.#onClose());
    if (byEvent) stream.on("data", (chunk: Uint8Array) => void this.onRead(chunk));
  }

  /** The connection is ready and verified: early writes go out, then `onOpen`. */
  open(info: SocketInfo): void {
    if (this.#destroyed) return;
    this.phase = "open";
    this.#info = info;
    this.#connecting = false;
    this.#flushEarly();
    this.handler.onOpen();
  }

  /** Ends the socket with the first error; later ones are its consequences. */
  fail(error: unknown): void {
    this.#error ??= fromNodeError(error, this.#failureContext());
    this.#stream.destroy();
  }

  /** Bytes came; false: read no more for now. */
  onRead(chunk: Uint8Array): boolean {
    if (this.#destroyed) return true;
    if (this.#paused || this.#held.length > 0) {
      this.#held.push(this.#readsByEvent ? chunk : chunk.slice());
      if (this.#readsByEvent) this.#stream.pause();
      return false;
    }
    this.#bytesRead += chunk.length;
    this.handler.onData(chunk);
    return true;
  }

  write(chunk: Uint8Array, more: boolean = false): boolean {
    if (this.#destroyed || this.#endRequested) return false;
    if (chunk.length === 0) return this.pendingBytes < writeHighWaterBytes;
    this.#bytesWritten += chunk.length;
    if (this.#connecting) {
      this.#early.push(chunk);
      this.#earlyBytes += chunk.length;
      return this.#earlyBytes < writeHighWaterBytes;
    }
    if (more) this.#cork();
    this.#stream.write(chunk, this.#onWritten);
    if (!more) this.#uncork();
    const pending = this.#stream.writableLength;
    if (pending > 0) this.#owesDrain = true;
    return pending < writeHighWaterBytes;
  }

  end(): void {
    if (this.#endRequested || this.#destroyed) return;
    this.#endRequested = true;
    this.#corked = false;
    if (!this.#connecting) this.#stream.end();
  }

  destroy(error?: Error): void {
    if (this.#closed) return;
    if (error !== undefined && !this.#destroyed) this.#error = fromNodeError(error, this.#failureContext());
    this.#destroyed = true;
    this.#dropWaiting();
    this.#stream.destroy();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    if (this.#held.length > 0) this.#scheduleFlush();
  }

  ref(): void {
    (this.#stream as NetMethods).ref?.();
  }

  unref(): void {
    (this.#stream as NetMethods).unref?.();
  }

  setNoDelay(on: boolean): void {
    (this.#stream as NetMethods).setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    (this.#stream as NetMethods).setKeepAlive?.(on, initialDelayMs);
  }

  readonly #onWritten = (): void => {
    if (!this.#owesDrain || this.#destroyed || this.#stream.writableLength > 0) return;
    this.#owesDrain = false;
    this.handler.onDrain();
  };

  #flushEarly(): void {
    const chunks = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    if (chunks.length > 0) {
      this.#owesDrain = true;
      this.#stream.cork();
      for (const chunk of chunks) this.#stream.write(chunk, this.#onWritten);
      this.#stream.uncork();
    }
    if (this.#endRequested) this.#stream.end();
  }

  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#stream.cork();
    queueMicrotask(() => this.#uncork());
  }

  #uncork(): void {
    if (!this.#corked) return;
    this.#corked = false;
    this.#stream.uncork();
  }

  #onEnd(): void {
    // Bun emits 'end' after our own destroy(): an aborted body would look complete.
    if (this.#destroyed) return;
    if (this.#held.length > 0) this.#heldEnd = true;
    else this.handler.onEnd();
  }

  #onClose(): void {
    if (this.#held.length > 0 && !this.#destroyed) {
      this.#heldClose = true;
      return;
    }
    this.#close();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#destroyed = true;
    this.#connecting = false;
    this.#dropWaiting();
    this.handler.onClose(this.#error);
  }

  #dropWaiting(): void {
    this.#early = [];
    this.#earlyBytes = 0;
    this.#held = [];
    this.#heldEnd = false;
    if (this.#heldClose) {
      this.#heldClose = false;
      queueMicrotask(() => this.#close());
    }
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => this.#flushHeld());
  }

  #flushHeld(): void {
    this.#flushing = false;
    while (this.#held.length > 0) {
      if (this.#paused || this.#destroyed) return;
      const chunk = this.#held.shift()!;
      this.#bytesRead += chunk.length;
      this.handler.onData(chunk);
    }
    if (this.#heldEnd && !this.#destroyed) {
      this.#heldEnd = false;
      this.handler.onEnd();
    }
    if (this.#heldClose) {
      this.#heldClose = false;
      this.#close();
    } else if (!this.#destroyed && !this.#paused) {
      this.#stream.resume();
    }
  }

  #failureContext(): FailureContext {
    return { phase: this.phase, address: this.peer.address, port: this.peer.port };
  }
}
