/**
 * BunSocket: a Socket over one of Bun's connections.
 *
 * Owns what Bun's write() did not take, the pairing of Bun's events with the contract's, and the cover for a connect that
 * Bun cannot cancel. Knows no HTTP.
 *
 * Strategy: one handler object for all sockets, whose events find theirs in `data`. Events are pushed as they come; what
 * write() leaves waits in a queue for 'drain'.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { BunHandlersLike, BunLike, BunSocketLike } from "./bun_like.ts";
import { bunTls } from "./bun_tls.ts";
import { bunError, fromNodeError, type Peer, peerOf, type SocketError, type SocketPhase } from "./errors.ts";
import { addressFamily } from "./addresses.ts";
import type { ConnectOptions, Socket, SocketHandler, SocketInfo, StartTlsOptions } from "./socket.ts";
import { admitStartTls, type StartTlsRules } from "./start_tls.ts";
import { tell, tellData } from "./tell.ts";
import { HIGH_WATER_BYTES, joinChunks, takeFitting } from "./write_queue.ts";

/** Chunks that wait are joined up to this size. */
const JOIN_BYTES = 65536;

function owner(socket: BunSocketLike): BunSocket {
  return socket.data as BunSocket;
}

// Trap 12: without a handshake handler open() would come for a refused certificate too.
const handlers: BunHandlersLike = {
  open: (socket) => owner(socket).onNativeOpen(socket),
  handshake: (socket, isAuthorized, error) => owner(socket).onNativeHandshake(isAuthorized, error),
  data: (socket, chunk) => owner(socket).onNativeData(chunk),
  end: (socket) => owner(socket).onNativeEnd(),
  drain: (socket) => owner(socket).onNativeDrain(),
  close: (socket, error) => owner(socket).onNativeClose(error),
  error: (socket, error) => owner(socket).onNativeError(error),
  // The promise rejects with the same error; given, so that it is not reported as unhandled.
  connectError: () => {},
};

/** A Socket over one of Bun's connections; see the file's comment. Members are documented in socket.ts. */
export class BunSocket implements Socket {
  handler: SocketHandler;
  connecting = true;
  bytesRead = 0;
  bytesWritten = 0;
  pendingBytes = 0;
  info: SocketInfo | undefined;

  readonly #options: ConnectOptions;
  readonly #startTlsRules: StartTlsRules;
  #ignoredHints: readonly string[] | undefined;
  #isTls = false;
  #isUpgrade = false;
  /** When the stage of the connect that is under way began. */
  #stageMs = 0;
  #connectMs: number | undefined;
  #native: BunSocketLike | undefined;
  #isReferenced = true;
  /** The native socket holds the process. */
  #isHolding = true;
  #noDelay: boolean;
  #keepAlive: boolean;
  #keepAliveDelayMs: number;
  // Closed by us, or closed and told: nothing of Bun's is heard any more.
  #isShut = false;
  // Closed by Bun; what waits is still to be told.
  #isGone = false;
  #hasClosed = false;
  #isCalling = false;
  #error: SocketError | undefined;
  #isPaused = false;
  #hasReadEnd = false;
  /** A write was refused by the peer's reset, of which nothing else tells. */
  #hasMetReset = false;
  // What came while paused, in order: bytes, then the end, then the close.
  #waiting: Uint8Array[] = [];
  #endWaits = false;
  #isTellDue = false;
  #queue: Uint8Array[] = [];
  #isFlushDue = false;
  #owesDrain = false;
  #isEnding = false;
  #hasSentFin = false;

  /** Makes the socket; `connect` begins its connection. */
  constructor(options: ConnectOptions, handler: SocketHandler, startTlsRules: StartTlsRules) {
    this.#options = options;
    this.handler = handler;
    this.#noDelay = options.noDelay !== false;
    this.#keepAlive = options.keepAlive === true;
    this.#keepAliveDelayMs = options.keepAliveInitialDelayMs ?? 0;
    this.#startTlsRules = startTlsRules;
  }

  get destroyed(): boolean {
    return this.#isShut || this.#isGone;
  }

  /** Dials when `begin` says so; called once. */
  connect(
    bun: BunLike,
    ignoredHints: readonly string[] | undefined,
    begin: (dial: () => void) => void,
  ): void {
    this.#ignoredHints = ignoredHints;
    begin(() => {
      if (this.#isShut) return;
      this.#stageMs = systemClock.now();
      this.#dial(bun).catch((error: unknown) => this.#fail(error, "connect", "connect"));
    });
  }

  // Asynchronous, so that what Bun throws at once (key material that it cannot read) is a rejection like any other.
  async #dial(bun: BunLike): Promise<void> {
    const { path, host = "localhost", port = 0, tls } = this.#options;
    this.#isTls = tls !== undefined;
    const common = { socket: handlers, data: this, allowHalfOpen: true };
    if (path !== undefined) await bun.connect({ unix: path, ...common });
    else if (tls === undefined) await bun.connect({ hostname: host, port, ...common });
    else await bun.connect({ hostname: host, port, tls: bunTls(tls, host), ...common });
  }

  // Events

  onNativeOpen(native: BunSocketLike): void {
    // Trap 3: destroyed while Bun was dialling, which nothing can cancel.
    if (this.#isShut) return native.close();
    this.#native = native;
    native.setNoDelay(this.#noDelay);
    if (this.#keepAlive) native.setKeepAlive(true, this.#keepAliveDelayMs);
    this.#hold();
    // TLS over a connection that was there before has no such stage.
    if (!this.#isUpgrade) this.#connectMs = this.#endStage();
    if (!this.#isTls) this.#open(native, undefined);
  }

  onNativeHandshake(isAuthorized: boolean, error: Error | null): void {
    if (this.destroyed || !this.connecting) return;
    if (isAuthorized && (error === null || error === undefined)) this.#open(this.#native!, this.#endStage());
    else this.#fail(error ?? new Error("The peer's certificate was not authorized"), "tls", "connect");
  }

  #endStage(): number {
    const startedMs = this.#stageMs;
    this.#stageMs = systemClock.now();
    return this.#stageMs - startedMs;
  }

  #open(native: BunSocketLike, tlsMs: number | undefined): void {
    if (this.#isPaused) native.pause();
    this.connecting = false;
    const opening = { connectMs: this.#connectMs, tlsMs };
    this.info = {
      ...describe(native, this.#options, this.#isTls),
      ignoredHints: this.#ignoredHints,
      opening,
    };
    this.#send();
    tell(this.handler, this.handler.onOpen);
    this.#flush();
  }

  onNativeData(chunk: Uint8Array): void {
    if (this.#isShut) return;
    // Paused, Bun gives what waits when an RST comes. Its chunks are nobody else's, so they can be kept.
    if (this.#isPaused || this.#waiting.length > 0) this.#waiting.push(chunk);
    else this.#tellData(chunk);
  }

  onNativeEnd(): void {
    // In a handshake it is an error, which follows.
    if (this.#isShut || this.connecting || this.#hasReadEnd || this.#hasMetReset) return;
    if (this.#waiting.length > 0) this.#endWaits = true;
    else this.#tellEnd();
  }

  onNativeDrain(): void {
    // Trap 8: it also comes without need.
    if (this.pendingBytes > 0) this.#flush();
  }

  onNativeError(error: Error): void {
    if (!this.#isShut) this.#error ??= this.#translate(error, this.connecting ? "tls" : "open", "read");
  }

  onNativeClose(error: Error | undefined): void {
    if (this.destroyed) return;
    if (this.#isCalling) return queueMicrotask(() => this.onNativeClose(error));
    if (error !== undefined) this.onNativeError(error);
    // Of what a write has met, what Bun reads from there on is an end without an error.
    else if (this.#hasMetReset) this.#error ??= this.#translate(metReset(), "open", "write");
    if (this.connecting) return this.#fail(disconnectedError(), "tls", "connect");
    this.#isGone = true;
    this.pendingBytes = 0;
    this.#queue = [];
    if (this.#waiting.length === 0) this.#tellGone();
  }

  // Telling

  #tellData(chunk: Uint8Array): void {
    this.bytesRead += chunk.length;
    tellData(this.handler, chunk);
  }

  #tellEnd(): void {
    this.#endWaits = false;
    this.#hasReadEnd = true;
    tell(this.handler, this.handler.onEnd);
    if (this.#hasSentFin && !this.#isShut) this.#finish();
  }

  #tellGone(): void {
    // Trap 5: after our FIN the peer's comes as close() alone.
    if (this.#error === undefined && !this.#hasReadEnd) this.#tellEnd();
    if (!this.#isShut) this.#finish();
  }

  readonly #tellWaiting = (): void => {
    this.#isTellDue = false;
    while (this.#waiting.length > 0) {
      if (this.#isPaused || this.#isShut) return;
      this.#tellData(this.#waiting.shift()!);
    }
    if (this.#endWaits && !this.#isShut) this.#tellEnd();
    if (this.#isGone && !this.#isShut) this.#tellGone();
  };

  // Writing

  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.destroyed || this.#isEnding) return false;
    if (chunk.length > 0) {
      this.bytesWritten += chunk.length;
      this.pendingBytes += chunk.length;
      this.#queue.push(chunk);
    }
    if (more === true) this.#scheduleFlush();
    else if (!this.connecting) this.#send();
    if (this.pendingBytes > 0) this.#owesDrain = true;
    // All went, what waited before as well: of that onDrain has to tell, but not inside this call.
    else if (this.#owesDrain) this.#scheduleFlush();
    return this.pendingBytes < HIGH_WATER_BYTES;
  }

  #scheduleFlush(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    queueMicrotask(this.#flush);
  }

  // Outside of a call to the socket: sends, and tells what came of it.
  readonly #flush = (): void => {
    this.#isFlushDue = false;
    if (this.connecting || this.destroyed) return;
    this.#send();
    if (this.#owesDrain && this.pendingBytes === 0) {
      this.#owesDrain = false;
      tell(this.handler, this.handler.onDrain);
    }
    if (this.#hasSentFin && this.#hasReadEnd && !this.#isShut) this.#finish();
  };

  #send(): void {
    const native = this.#native!;
    this.#isCalling = true;
    while (this.#queue.length > 0) {
      const chunk = this.#takeChunk();
      const written = native.write(chunk);
      if (written > 0) this.pendingBytes -= written;
      // -1: the write has met the peer's reset, and taken it off the system's socket. Behind the peer's end it is none.
      else if (written < 0 && !this.#hasReadEnd) this.#hasMetReset = true;
      if (written >= chunk.length) continue;
      this.#queue.unshift(written > 0 ? chunk.subarray(written) : chunk);
      break;
    }
    if (this.#isEnding && !this.#hasSentFin && this.#queue.length === 0) {
      this.#hasSentFin = true;
      // Trap 5: end() would close both ways and drop what is not written.
      native.shutdown();
    }
    this.#isCalling = false;
    if (this.#isPaused) this.#hold();
  }

  #takeChunk(): Uint8Array {
    if (this.#queue.length === 1) return this.#queue.shift()!;
    const chunks = takeFitting(this.#queue, JOIN_BYTES);
    return chunks.length === 1 ? chunks[0]! : joinChunks(chunks);
  }

  end(): void {
    if (this.destroyed || this.#isEnding) return;
    this.#isEnding = true;
    // Not at once: with the peer's FIN already here this one is the end of the socket, and of that onClose tells.
    this.#scheduleFlush();
  }

  // Ending

  destroy(error?: Error): void {
    if (this.#isShut) return;
    if (error !== undefined) this.#error ??= fromNodeError(error, { phase: this.#phase(), ...this.#peer() });
    this.#shut();
    queueMicrotask(() => this.#close(this.#error));
  }

  #phase(): SocketPhase {
    if (!this.connecting) return "open";
    return this.#isTls && this.#native !== undefined ? "tls" : "connect";
  }

  #fail(error: unknown, phase: SocketPhase, syscall: string): void {
    if (this.#isShut) return;
    this.#error ??= this.#translate(error, phase, syscall);
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
    this.#waiting = [];
    this.#native?.close();
  }

  #close(error: SocketError | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.connecting = false;
    tell(this.handler, this.handler.onClose, error);
  }

  #translate(error: unknown, phase: SocketPhase, syscall?: string): SocketError {
    return bunError(error, { phase, syscall, ...this.#peer() });
  }

  #peer(): Peer {
    return peerOf(this.#options, this.info?.remoteAddress);
  }

  // Flow and options

  pause(): void {
    this.#isPaused = true;
    if (this.connecting) return;
    this.#native?.pause();
    this.#hold();
  }

  resume(): void {
    this.#isPaused = false;
    if (!this.connecting) {
      this.#native?.resume();
      this.#hold();
    }
    if (this.#waiting.length === 0 || this.#isTellDue) return;
    this.#isTellDue = true;
    queueMicrotask(this.#tellWaiting);
  }

  ref(): void {
    this.#isReferenced = true;
    this.#hold();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#hold();
  }

  // As Node's: one that neither reads nor has anything left to write holds no process.
  #hold(): void {
    if (this.#native === undefined) return;
    const isIdle = this.#isPaused && !this.connecting && this.pendingBytes === 0;
    const holds = this.#isReferenced && !isIdle;
    if (holds === this.#isHolding) return;
    this.#isHolding = holds;
    if (holds) this.#native.ref();
    else this.#native.unref();
  }

  setNoDelay(on: boolean): void {
    this.#noDelay = on;
    this.#native?.setNoDelay(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.#keepAlive = on;
    this.#keepAliveDelayMs = initialDelayMs;
    this.#native?.setKeepAlive(on, initialDelayMs);
  }

  startTls(given: StartTlsOptions, handler: SocketHandler): Socket {
    const options = admitStartTls(given, this.#startTlsRules, {
      isConnecting: this.connecting,
      hasEnded: this.destroyed || this.#hasReadEnd || this.#isEnding,
      pendingBytes: this.pendingBytes,
      hasUnread: this.#waiting.length > 0,
      isTls: this.#isTls,
    });
    const native = this.#native!;
    const secured = new BunSocket({ ...this.#options, host: options.host }, handler, this.#startTlsRules);
    secured.#isTls = secured.#isUpgrade = true;
    secured.#isReferenced = this.#isReferenced;
    secured.#stageMs = systemClock.now();
    const tls = bunTls(options, options.host);
    try {
      const pair = native.upgradeTLS({ tls, data: secured, socket: handlers });
      if (pair === undefined) throw new Error("Bun has not started TLS");
      secured.#native ??= pair[1];
    } catch (error) {
      secured.#native = native;
      queueMicrotask(() => secured.#fail(error, "tls", "connect"));
    }
    // Trap 15: the old handlers go on getting the ciphertext and a close(); of a socket that is shut they tell nobody.
    this.#isShut = true;
    this.#hasClosed = true;
    return secured;
  }
}

// Node's words and code for the peer's FIN inside a handshake.
function disconnectedError(): Error {
  const message = "Client network socket disconnected before secure TLS connection was established";
  return Object.assign(new Error(message), { code: "ECONNRESET" });
}

function metReset(): Error {
  return Object.assign(new Error("write ECONNRESET"), { code: "ECONNRESET" });
}

function describe(native: BunSocketLike, options: ConnectOptions, isTls: boolean): SocketInfo {
  const isUnix = options.path !== undefined;
  const remoteAddress = isUnix ? undefined : native.remoteAddress;
  return {
    adapter: "bun",
    // Each chunk has memory of its own.
    lentOutlastsCall: true,
    localAddress: isUnix ? undefined : native.localAddress,
    localPort: isUnix ? undefined : native.localPort,
    remoteAddress,
    remotePort: isUnix ? undefined : native.remotePort,
    remoteFamily: addressFamily(remoteAddress),
    tls: !isTls ? undefined : {
      alpnProtocol: native.alpnProtocol || undefined,
      authorized: true,
      resumed: native.isSessionReused(),
      protocol: native.getTLSVersion(),
    },
  };
}
