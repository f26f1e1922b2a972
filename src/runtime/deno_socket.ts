/**
 * DenoSocket: a Socket over one of Deno's connections.
 *
 * Owns the turning of pulled reads into pushed ones, the order of writes (exactly one in flight, the rest of a partial
 * one first) and the first error, which is latched because a read after ECONNRESET says "end". Knows no HTTP.
 *
 * Strategy: promises with two callbacks, no async function on the way of a byte. A read is always pending while the
 * socket is open and not paused, in a small buffer while little comes and in a large one while much does, both from
 * common stores; nothing else is kept for an idle socket, because there may be ten thousand of them. A paused socket is
 * parked on a promise whose continuation was made by the read loop, so that `resume()` does not lead the loop into the
 * caller's asynchronous context.
 *
 * @module
 */

import {
  FRONT_BYTES,
  FRONT_TURNS,
  giveBack,
  JOINED_BYTES,
  SMALL_BYTES,
  takeLarge,
  takeSmall,
  UPLOAD_BYTES,
} from "./deno_buffers.ts";
import { DenoHold } from "./deno_hold.ts";
import type { DenoConnLike, DenoLike, DenoTcpConnLike } from "./deno_like.ts";
import { closeQuietly, DenoOpening } from "./deno_opening.ts";
import { denoError, fromNodeError, type Peer, peerOf, type SocketError, type SocketPhase } from "./errors.ts";
import type { ConnectOptions, Socket, SocketHandler, SocketInfo, StartTlsOptions } from "./socket.ts";
import { admitStartTls, type StartTlsRules } from "./start_tls.ts";
import { tell, tellData } from "./tell.ts";
import { nextTurn } from "../clock.ts";
import { HIGH_WATER_BYTES, joinChunks, takeFitting } from "./write_queue.ts";

/** A Socket over one of Deno's connections; see the file's comment. Members are documented in socket.ts. */
export class DenoSocket implements Socket {
  handler: SocketHandler;
  connecting = true;
  bytesRead = 0;
  bytesWritten = 0;
  pendingBytes = 0;
  info: SocketInfo | undefined;

  readonly #options: ConnectOptions;
  readonly #startTlsRules: StartTlsRules;
  readonly #opening: DenoOpening;
  #hold: DenoHold = new DenoHold();
  #conn: DenoConnLike | undefined;
  #isShut = false;
  #hasClosed = false;
  #error: SocketError | undefined;

  #isPaused = false;
  #isReading = false;
  #hasReadEnd = false;
  #buffer: Uint8Array | undefined;
  #wantsLarge = false;
  #held: number | null | undefined;
  #wake: (() => void) | undefined;

  #queue: Uint8Array[] = [];
  #writing: Uint8Array | undefined;
  #joined: Uint8Array | undefined;
  #isFlushDue = false;
  /** Writes since something was read. */
  #unanswered = 0;
  /** Until the next turn of the loop, or until they are enough, pieces wait for others. */
  #isGathering = false;
  #hasHadFront = false;
  /** Turns of the loop before the rest of the first upload is written. */
  #frontTurns = 0;
  #isEnding = false;
  #finState: "none" | "sending" | "sent" = "none";

  /** Makes the socket; `connect` begins its connection. */
  constructor(
    deno: DenoLike,
    options: ConnectOptions,
    handler: SocketHandler,
    startTlsRules: StartTlsRules,
  ) {
    this.#options = options;
    this.handler = handler;
    this.#startTlsRules = startTlsRules;
    this.#opening = new DenoOpening(deno, options, (conn) => this.#adopt(conn));
  }

  get destroyed(): boolean {
    return this.#isShut || this.#error !== undefined;
  }

  // Opening

  /** Dials when `begin` says so; called once. */
  connect(ignoredHints: readonly string[] | undefined, begin: (dial: () => void) => void): void {
    begin(() => {
      if (!this.#isShut) this.#settle(this.#opening.dial(this.#options), ignoredHints);
    });
  }

  #settle(attempt: Promise<string | null | undefined>, ignoredHints?: readonly string[]): void {
    attempt.then(
      (alpnProtocol) => this.#open(alpnProtocol, ignoredHints),
      (error: unknown) => this.#fail(error, this.#opening.isTls ? "tls" : "connect", "connect"),
    );
  }

  // False: the socket was destroyed while the connection was on its way.
  #adopt(conn: DenoConnLike): boolean {
    if (this.#isShut) {
      closeQuietly(conn);
      return false;
    }
    this.#conn = conn;
    this.#hold.adopt(conn);
    return true;
  }

  #open(alpnProtocol: string | null | undefined, ignoredHints: readonly string[] | undefined): void {
    if (this.#isShut) return;
    this.connecting = false;
    this.info = this.#opening.describe(this.#conn!, alpnProtocol, ignoredHints);
    this.#flush();
    tell(this.handler, this.handler.onOpen);
    this.#next();
  }

  // Reading

  // Goes on with the read loop: the only caller of #read, so that two reads are never pending.
  #next(): void {
    if (this.#isShut || this.#isReading || this.#hasReadEnd || this.#wake !== undefined) return;
    if (this.#isPaused) {
      new Promise<void>((resolve) => this.#wake = resolve).then(() => this.#next());
    } else if (this.#held !== undefined) {
      const count = this.#held;
      this.#held = undefined;
      this.#deliver(count);
    } else {
      this.#read();
    }
  }

  #read(): void {
    this.#isReading = true;
    this.#buffer = this.#wantsLarge ? takeLarge() : takeSmall();
    this.#conn!.read(this.#buffer).then(this.#onRead, this.#onReadError);
  }

  readonly #onRead = (count: number | null): void => {
    this.#isReading = false;
    if (this.#isShut) return this.#releaseBuffer();
    if (this.#isPaused) {
      this.#held = count;
      return this.#next();
    }
    this.#deliver(count);
  };

  #deliver(count: number | null): void {
    if (count === null) return this.#endReading(this.#opening.isTls ? true : undefined);
    const buffer = this.#buffer!;
    this.#unanswered = 0;
    this.bytesRead += count;
    // Much came: the next read gets a large buffer; little came, or the socket was parked in a pool: a small one.
    this.#wantsLarge = count >= SMALL_BYTES;
    if (count > 0) tellData(this.handler, buffer.subarray(0, count));
    this.#wantsLarge &&= this.#hold.isReferenced;
    this.#releaseBuffer();
    this.#next();
  }

  #releaseBuffer(): void {
    giveBack(this.#buffer);
    this.#buffer = undefined;
  }

  #endReading(authenticated?: boolean): void {
    this.#releaseBuffer();
    this.#hasReadEnd = true;
    if (this.#error !== undefined) return this.#finish();
    tell(this.handler, this.handler.onEnd, authenticated);
    if (this.#finState === "sent" && !this.#isShut) this.#finish();
  }

  readonly #onReadError = (error: unknown): void => {
    this.#isReading = false;
    this.#releaseBuffer();
    if (this.#isShut) return;
    // TLS ended without close_notify: an end, but not proven to be the peer's (trap 17).
    if (this.#opening.isTls && isUnexpectedEof(error)) return this.#endReading(false);
    this.#fail(error, "open", "read");
  };

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  // Writing

  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.destroyed || this.#isEnding) return false;
    if (chunk.length === 0) return this.pendingBytes < HIGH_WATER_BYTES;
    this.bytesWritten += chunk.length;
    this.pendingBytes += chunk.length;
    const isNext = more !== true && this.#queue.length === 0;
    if (isNext && this.#writing === undefined && !this.#isGathering && !this.connecting) this.#send(chunk);
    else this.#queue.push(chunk);
    if (more !== true) this.#flush();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(() => this.#flush());
    }
    return this.pendingBytes < HIGH_WATER_BYTES;
  }

  #flush(): void {
    this.#isFlushDue = false;
    if (this.connecting || this.destroyed || this.#writing !== undefined || this.#frontTurns > 0) return;
    if (this.#isGathering && !this.#isEnding && this.pendingBytes < JOINED_BYTES) return;
    if (this.#queue.length > 0) this.#send(this.#takeChunk());
    else if (this.#isEnding && this.#finState === "none") this.#sendFin();
  }

  // Whole chunks up to a large buffer are joined: one write for what was written while another was in flight.
  #takeChunk(): Uint8Array {
    if (this.#queue.length === 1) return this.#queue.shift()!;
    if (this.#beginsUpload()) return this.#takeFront();
    const chunks = takeFitting(this.#queue, JOINED_BYTES);
    return chunks.length === 1 ? chunks[0]! : joinChunks(chunks, this.#joined = takeLarge());
  }

  // TLS takes 64 KiB a write; in the middle of an upload it is too late.
  #beginsUpload(): boolean {
    const [head, body] = this.#queue;
    return !this.#hasHadFront && this.#unanswered === 0 && head!.length < FRONT_BYTES &&
      body!.length >= UPLOAD_BYTES &&
      !this.#opening.isTls;
  }

  #takeFront(): Uint8Array {
    const head = this.#queue.shift()!;
    const [body] = this.#queue;
    const copied = FRONT_BYTES - head.length;
    this.#queue[0] = body!.subarray(copied);
    this.#hasHadFront = true;
    this.#frontTurns = FRONT_TURNS;
    return joinChunks([head, body!.subarray(0, copied)], this.#joined = takeLarge());
  }

  #awaitFront(): void {
    nextTurn(() => {
      if (--this.#frontTurns > 0) this.#awaitFront();
      else this.#flush();
    });
  }

  #send(chunk: Uint8Array): void {
    if (++this.#unanswered > 1 && chunk.length <= JOINED_BYTES && !this.#isGathering) this.#gather();
    this.#write(chunk);
  }

  #write(chunk: Uint8Array): void {
    this.#writing = chunk;
    this.#conn!.write(chunk).then(this.#onWritten, this.#onWriteError);
  }

  // A write is mostly done in the same turn: each piece of an upload would be a call of the system.
  #gather(): void {
    this.#isGathering = true;
    nextTurn(() => {
      this.#isGathering = false;
      this.#flush();
    });
  }

  readonly #onWritten = (count: number): void => {
    const chunk = this.#writing!;
    if (this.#isShut) return this.#releaseJoined();
    this.pendingBytes -= count;
    if (count < chunk.length) return this.#write(chunk.subarray(count));
    this.#releaseJoined();
    if (this.pendingBytes === 0) tell(this.handler, this.handler.onDrain);
    // onDrain may have begun the first upload.
    if (this.#writing !== undefined) return;
    if (this.#frontTurns > 0) this.#awaitFront();
    else this.#flush();
  };

  #releaseJoined(): void {
    giveBack(this.#joined);
    this.#joined = undefined;
    this.#writing = undefined;
  }

  readonly #onWriteError = (error: unknown): void => {
    this.#releaseJoined();
    if (this.#isShut) return;
    this.#queue = [];
    this.pendingBytes = 0;
    this.#error ??= denoError(error, { phase: "open", syscall: "write", ...this.#peer() });
    // What the peer sent before it went (an early answer to an upload) is still to be read: the pending read ends with it.
    // Not so while paused, because whoever paused may be waiting for onDrain.
    if (!this.#isReading || this.#isPaused) this.#finish();
  };

  end(): void {
    if (this.destroyed || this.#isEnding) return;
    this.#isEnding = true;
    this.#flush();
  }

  #sendFin(): void {
    this.#finState = "sending";
    this.#conn!.closeWrite().then(() => {
      this.#finState = "sent";
      if (!this.#isShut && this.#hasReadEnd) this.#finish();
    }, this.#onWriteError);
  }

  // Ending

  destroy(error?: Error): void {
    if (this.#isShut) return;
    this.#shut();
    if (error !== undefined) this.#error ??= fromNodeError(error, { phase: this.#phase(), ...this.#peer() });
    queueMicrotask(() => this.#close(this.#error));
  }

  #phase(): SocketPhase {
    return !this.connecting ? "open" : this.#opening.isTls ? "tls" : "connect";
  }

  #fail(error: unknown, phase: SocketPhase, syscall: string): void {
    if (this.#isShut) return;
    this.#error ??= denoError(error, { phase, syscall, ...this.#peer() });
    this.#finish();
  }

  #finish(): void {
    this.#shut();
    this.#close(this.#error);
  }

  #shut(): void {
    this.#isShut = true;
    this.pendingBytes = 0;
    this.#queue = [];
    if (this.#held !== undefined) this.#releaseBuffer();
    this.#opening.abort();
    if (this.#conn !== undefined) closeQuietly(this.#conn);
  }

  #close(error: SocketError | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.connecting = false;
    tell(this.handler, this.handler.onClose, error);
  }

  #peer(): Peer {
    return peerOf(this.#options, this.info?.remoteAddress);
  }

  // Options of an open socket

  ref(): void {
    this.#hold.ref();
  }

  unref(): void {
    this.#hold.unref();
  }

  setNoDelay(on: boolean): void {
    this.#opening.noDelay = on;
    this.#tcp()?.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, _initialDelayMs: number): void {
    this.#opening.keepAlive = on;
    this.#tcp()?.setKeepAlive?.(on);
  }

  // Deno throws BadResource for a connection that is closed; a unix or TLS one has not got the two.
  #tcp(): Partial<DenoTcpConnLike> | undefined {
    return this.#isShut || this.connecting ? undefined : this.#conn as Partial<DenoTcpConnLike> | undefined;
  }

  startTls(given: StartTlsOptions, handler: SocketHandler): Socket {
    const options = admitStartTls(given, this.#startTlsRules, {
      isConnecting: this.connecting,
      hasEnded: this.destroyed || this.#hasReadEnd || this.#isEnding,
      pendingBytes: this.pendingBytes,
      hasUnread: this.#held !== undefined,
      isTls: this.#opening.isTls,
      // Trap 14: with a read pending Deno refuses, and the connection is gone.
      isReading: this.#isReading,
    });
    const conn = this.#conn!;
    this.#isShut = true;
    this.#hasClosed = true;
    const secured = new DenoSocket(
      this.#opening.deno,
      { ...this.#options, host: options.host },
      handler,
      this.#startTlsRules,
    );
    secured.#hold = new DenoHold(this.#hold.isReferenced);
    secured.#conn = conn;
    secured.#settle(secured.#opening.secure(conn, options, options.host));
    return secured;
  }
}

function isUnexpectedEof(error: unknown): boolean {
  return error instanceof Error && error.name === "UnexpectedEof";
}
