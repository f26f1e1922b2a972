/**
 * The adapter over Bun's own sockets: Bun.connect.
 *
 * Owns what Bun's write() did not take, the pairing of Bun's events with the contract's, and the cover for a connect that
 * Bun cannot cancel. Must not know HTTP, nor whether it runs on Bun: the function comes in as {@linkcode BunLike}, so the
 * file loads everywhere.
 *
 * Strategy: one handler object for all sockets, whose events find theirs in `data`. Events are pushed as they come; what
 * write() leaves waits in a queue for 'drain'.
 *
 * @module
 */

import { bunError, checkPort, type SocketError, type SocketPhase, unsupportedOptionError } from "./errors.ts";
import { unsupportedOption } from "./socket.ts";
import type { Capabilities, Connect, ConnectOptions, Socket, SocketHandler, SocketInfo } from "./socket.ts";

/** The members of Bun's socket that the adapter uses. */
export interface BunSocketLike {
  /** What `connect` was given. */
  data: unknown;
  /** This end. */
  readonly localAddress: string;
  /** This end's port. */
  readonly localPort: number;
  /** The peer. */
  readonly remoteAddress: string;
  /** The peer's port. */
  readonly remotePort: number;
  /** Returns what was taken: 0 when full, -1 when closed. */
  write(chunk: Uint8Array): number;
  /** Sends FIN. */
  shutdown(): void;
  /** Closes both ways. */
  close(): void;
  /** Closes both ways with RST. */
  terminate(): void;
  /** Stops 'data'. */
  pause(): void;
  /** Lets 'data' go on. */
  resume(): void;
  /** Holds the process. */
  ref(): void;
  /** Does not hold the process. */
  unref(): void;
  /** TCP_NODELAY. */
  setNoDelay(on?: boolean): boolean;
  /** SO_KEEPALIVE; the delay in milliseconds. */
  setKeepAlive(on?: boolean, initialDelayMs?: number): boolean;
}

/** The events of Bun's socket that the adapter takes. */
export interface BunHandlersLike {
  /** TCP is ready; TLS is not. */
  open(socket: BunSocketLike): void;
  /** Bytes, in a buffer of their own. */
  data(socket: BunSocketLike, chunk: Uint8Array): void;
  /** The peer's FIN. */
  end(socket: BunSocketLike): void;
  /** The system takes bytes again; also without need (trap 8). */
  drain(socket: BunSocketLike): void;
  /** The socket is gone. */
  close(socket: BunSocketLike, error?: Error): void;
  /** A failure of an open connection, before close(). */
  error(socket: BunSocketLike, error: Error): void;
  /** No connection. */
  connectError(socket: BunSocketLike, error: Error): void;
}

/** The part of the `Bun` namespace that the adapter uses; the real one is assigned to it in tests/types. */
export interface BunLike {
  /** Over TCP. */
  connect(options: {
    hostname: string;
    port: number;
    socket: BunHandlersLike;
    data: unknown;
    allowHalfOpen: boolean;
  }): Promise<BunSocketLike>;
  /** Over a unix socket. */
  connect(options: {
    unix: string;
    socket: BunHandlersLike;
    data: unknown;
    allowHalfOpen: boolean;
  }): Promise<BunSocketLike>;
}

/** What Bun's own sockets honour; RUNTIMES.md holds the measurements. */
export const bunCapabilities: Capabilities = {
  adapter: "bun",
  options: new Set(["path"] as const),
  tlsOptions: new Set(),
  startTlsOptions: new Set(),
  hints: new Set(["noDelay", "keepAlive", "keepAliveInitialDelayMs"] as const),
  // There is no handle before open: onClose comes at once, the handle is closed when it opens or fails (trap 3).
  cancelsConnect: false,
  halfClose: true,
  startTls: false,
  tlsInTls: false,
  tlsOverPath: false,
  seesCloseNotify: false,
  resumesSessions: false,
  ref: true,
  unrefsConnect: false,
  seesCloseWhilePaused: false,
  keepsDataBeforeReset: false,
  resetAfterPauseLooksClean: false,
  tlsResetLooksClean: false,
  reportsExpiredWithCa: true,
  reportsUnreachable: false,
  reportsLocalAddress: true,
  reportsBadKey: true,
  choosesTls13Ciphers: false,
  acceptsCommonName: true,
};

/** Makes the adapter over the given namespace. */
export function createBunConnect(bun: BunLike): Connect {
  return (options, handler) => {
    const unsupported = unsupportedOption(options, bunCapabilities);
    if (unsupported !== undefined) {
      throw unsupportedOptionError(unsupported, "bun");
    }
    checkPort(options.port);
    const socket = new BunSocket(handler, options);
    socket.connect(bun);
    return socket;
  };
}

const highWaterMarkBytes = 65536;
const joinBytes = 65536;

function owner(socket: BunSocketLike): BunSocket {
  return socket.data as BunSocket;
}

const handlers: BunHandlersLike = {
  open: (socket) => owner(socket).onNativeOpen(socket),
  data: (socket, chunk) => owner(socket).onNativeData(chunk),
  end: (socket) => owner(socket).onNativeEnd(),
  drain: (socket) => owner(socket).onNativeDrain(),
  close: (socket, error) => owner(socket).onNativeClose(error),
  error: (socket, error) => owner(socket).onNativeError(error),
  // The promise rejects with the same error.
  connectError: () => {},
};

class BunSocket implements Socket {
  handler: SocketHandler;
  connecting = true;
  destroyed = false;
  bytesRead = 0;
  bytesWritten = 0;
  pendingBytes = 0;
  info: SocketInfo | undefined;

  readonly #options: ConnectOptions;
  #native: BunSocketLike | undefined;
  #isReferenced = true;
  #isPaused = false;
  #hasReadEnd = false;
  #hasClosed = false;
  #error: SocketError | undefined;
  #queue: Uint8Array[] = [];
  #isFlushDue = false;
  #isEnding = false;
  #hasSentFin = false;

  constructor(handler: SocketHandler, options: ConnectOptions) {
    this.handler = handler;
    this.#options = options;
  }

  connect(bun: BunLike): void {
    const { path, host = "localhost", port = 0 } = this.#options;
    const common = { socket: handlers, data: this, allowHalfOpen: true };
    this.#dial(() =>
      path === undefined
        ? bun.connect({ hostname: host, port, ...common })
        : bun.connect({ unix: path, ...common })
    ).catch((error: unknown) => this.#fail(error, "connect", "connect"));
  }

  // Bun throws at once for a bad port: here that is a rejection like any other.
  async #dial(start: () => Promise<BunSocketLike>): Promise<void> {
    await start();
  }

  onNativeOpen(native: BunSocketLike): void {
    if (this.destroyed) return native.terminate();
    this.#native = native;
    native.setNoDelay(this.#options.noDelay !== false);
    if (this.#options.keepAlive === true) {
      native.setKeepAlive(true, this.#options.keepAliveInitialDelayMs ?? 0);
    }
    if (!this.#isReferenced) native.unref();
    if (this.#isPaused) native.pause();
    this.connecting = false;
    this.info = describe(native, this.#options);
    this.handler.onOpen();
    this.#flush();
  }

  onNativeData(chunk: Uint8Array): void {
    if (this.destroyed) return;
    this.bytesRead += chunk.length;
    this.handler.onData(chunk);
  }

  onNativeEnd(): void {
    if (this.destroyed || this.#hasReadEnd) return;
    this.#hasReadEnd = true;
    this.handler.onEnd();
    if (this.#hasSentFin) this.#finish();
  }

  onNativeDrain(): void {
    if (this.pendingBytes > 0 && !this.destroyed) this.#flush();
  }

  onNativeError(error: Error): void {
    this.#error ??= this.#translate(error, "open", "read");
  }

  onNativeClose(error: Error | undefined): void {
    if (this.destroyed) return;
    if (error !== undefined) this.onNativeError(error);
    // After our FIN the peer's comes as close() alone (trap 5).
    if (this.#error === undefined && !this.#hasReadEnd) {
      this.#hasReadEnd = true;
      this.handler.onEnd();
    }
    if (!this.destroyed) this.#finish();
  }

  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.destroyed || this.#isEnding) return false;
    this.bytesWritten += chunk.length;
    this.pendingBytes += chunk.length;
    this.#queue.push(chunk);
    if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(this.#flush);
    }
    void more;
    return this.pendingBytes < highWaterMarkBytes;
  }

  readonly #flush = (): void => {
    this.#isFlushDue = false;
    const native = this.#native;
    if (native === undefined || this.connecting || this.destroyed) return;
    const hadPending = this.pendingBytes > 0;
    while (this.#queue.length > 0) {
      const chunk = this.#takeChunk();
      const written = native.write(chunk);
      if (written < 0) return;
      this.pendingBytes -= written;
      if (written < chunk.length) {
        this.#queue.unshift(chunk.subarray(written));
        return;
      }
    }
    if (this.#isEnding && !this.#hasSentFin) {
      this.#hasSentFin = true;
      native.shutdown();
    }
    if (hadPending) this.handler.onDrain();
    if (this.#hasSentFin && this.#hasReadEnd) this.#finish();
  };

  #takeChunk(): Uint8Array {
    const queue = this.#queue;
    if (queue.length === 1 || queue[0]!.length + queue[1]!.length > joinBytes) return queue.shift()!;
    let length = 0;
    let count = 0;
    for (; count < queue.length && length + queue[count]!.length <= joinBytes; count++) {
      length += queue[count]!.length;
    }
    const joined = new Uint8Array(length);
    let offset = 0;
    for (const chunk of queue.splice(0, count)) {
      joined.set(chunk, offset);
      offset += chunk.length;
    }
    return joined;
  }

  end(): void {
    if (this.destroyed || this.#isEnding) return;
    this.#isEnding = true;
    queueMicrotask(this.#flush);
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    const reason = error === undefined
      ? undefined
      : this.#translate(error, this.connecting ? "connect" : "open");
    this.#shut();
    queueMicrotask(() => this.#close(reason));
  }

  #fail(error: unknown, phase: SocketPhase, syscall: string): void {
    if (this.destroyed) return;
    this.#error ??= this.#translate(error, phase, syscall);
    this.#finish();
  }

  #finish(): void {
    if (!this.destroyed) this.#shut();
    this.#close(this.#error);
  }

  #shut(): void {
    this.destroyed = true;
    this.connecting = false;
    this.pendingBytes = 0;
    this.#queue = [];
    this.#native?.close();
  }

  #close(error: SocketError | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.handler.onClose(error);
  }

  #translate(error: unknown, phase: SocketPhase, syscall?: string): SocketError {
    const { path, host, port } = this.#options;
    return bunError(error, {
      phase,
      syscall,
      address: path ?? this.info?.remoteAddress ?? host ?? "localhost",
      port: path === undefined ? port : undefined,
    });
  }

  pause(): void {
    this.#isPaused = true;
    this.#native?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#native?.resume();
  }

  ref(): void {
    this.#isReferenced = true;
    this.#native?.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#native?.unref();
  }

  setNoDelay(on: boolean): void {
    this.#native?.setNoDelay(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.#native?.setKeepAlive(on, initialDelayMs);
  }
}

function describe(native: BunSocketLike, options: ConnectOptions): SocketInfo {
  const isUnix = options.path !== undefined;
  const remoteAddress = isUnix ? undefined : native.remoteAddress;
  return {
    adapter: "bun",
    localAddress: isUnix ? undefined : native.localAddress,
    localPort: isUnix ? undefined : native.localPort,
    remoteAddress,
    remotePort: isUnix ? undefined : native.remotePort,
    remoteFamily: remoteAddress === undefined ? undefined : remoteAddress.includes(":") ? 6 : 4,
  };
}
