/**
 * The adapter over Deno's own sockets: Deno.connect and Deno.startTls.
 *
 * Owns the turning of pulled reads into pushed ones, the order of writes (exactly one in flight, the rest of a partial
 * one first) and the first error, which is latched because a read after ECONNRESET says "end". Must not know HTTP, nor
 * whether it runs on Deno: the functions come in as {@linkcode DenoLike}, so the file loads everywhere.
 *
 * Strategy: promises with two callbacks bound once a socket, no async function on the way of a byte. A read is always
 * pending while the socket is open and not paused, in a small buffer of its own while little comes and in a large one
 * from a common store while much does. A paused socket is parked on a promise whose continuation was made by the read
 * loop, so that `resume()` does not lead the loop into the caller's asynchronous context.
 *
 * @module
 */

import { checkPort, denoError, SocketError, type SocketPhase, unsupportedOptionError } from "./errors.ts";
import { unsupportedOption, unsupportedTlsOption } from "./socket.ts";
import type {
  Capabilities,
  Connect,
  ConnectOptions,
  Socket,
  SocketHandler,
  SocketInfo,
  TlsOptions,
} from "./socket.ts";

/** One end of a connection, as Deno describes it. */
export interface DenoAddrLike {
  /** "tcp" or "unix". */
  readonly transport: string;
  /** The address, of TCP. */
  readonly hostname?: string;
  /** The port, of TCP. */
  readonly port?: number;
}

/** The members of `Deno.Conn`, `Deno.TcpConn` and `Deno.TlsConn` that the adapter uses. */
export interface DenoConnLike {
  /** This end. */
  readonly localAddr: DenoAddrLike;
  /** The peer. */
  readonly remoteAddr: DenoAddrLike;
  /** Resolves to a count, or null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Resolves to a count, which may be less than was given. */
  write(chunk: Uint8Array): Promise<number>;
  /** Sends FIN. */
  closeWrite(): Promise<void>;
  /** Closes both ways; a pending read rejects. */
  close(): void;
  /** A pending read holds the process. */
  ref(): void;
  /** A pending read does not hold the process. */
  unref(): void;
}

/** The members of `Deno.TcpConn` that the adapter uses. */
export interface DenoTcpConnLike extends DenoConnLike {
  /** TCP_NODELAY. */
  setNoDelay(on?: boolean): void;
  /** SO_KEEPALIVE, with the kernel's delay. */
  setKeepAlive(on?: boolean): void;
}

/** The members of `Deno.TlsConn` that the adapter uses. */
export interface DenoTlsConnLike extends DenoConnLike {
  /** Ends the handshake; until then nothing is verified. */
  handshake(): Promise<{ readonly alpnProtocol: string | null }>;
}

/** The part of the `Deno` namespace that the adapter uses; the real one is assigned to it in tests/types. */
export interface DenoLike {
  /** Over TCP. */
  connect(options: {
    port: number;
    hostname?: string;
    transport?: "tcp";
    signal?: AbortSignal;
    autoSelectFamily?: boolean;
    autoSelectFamilyAttemptDelay?: number;
  }): Promise<DenoTcpConnLike>;
  /** Over a unix socket. */
  connect(options: { transport: "unix"; path: string }): Promise<DenoConnLike>;
  /** Consumes the connection. */
  startTls(
    conn: never,
    options?: { hostname?: string; alpnProtocols?: string[] },
  ): Promise<DenoTlsConnLike>;
}

/** What Deno's own sockets honour; RUNTIMES.md holds the measurements. */
export const denoCapabilities: Capabilities = {
  adapter: "deno",
  // No option for the others: Deno ignores what it does not know without a word (trap 16).
  options: new Set(["path"] as const),
  // `ca` would add to the roots, where Node's replaces them; startTls takes no client certificate; the rest has no option.
  tlsOptions: new Set(["servername", "ALPNProtocols"] as const),
  startTlsOptions: new Set(["servername", "ALPNProtocols"] as const),
  // Keep-alive has the kernel's delay: on or off is all.
  hints: new Set(["noDelay", "keepAlive", "autoSelectFamily", "autoSelectFamilyAttemptTimeoutMs"] as const),
  cancelsConnect: true,
  halfClose: true,
  startTls: true,
  // rustls runs over a TCP connection alone: BadResource for a TLS or a unix one.
  tlsInTls: false,
  tlsOverPath: false,
  seesCloseNotify: true,
  resumesSessions: false,
  ref: true,
  // A pending Deno.connect cannot be unref'd; destroy() ends it.
  unrefsConnect: false,
  // No read, no news.
  seesCloseWhilePaused: false,
  keepsDataBeforeReset: true,
  resetAfterPauseLooksClean: false,
  tlsResetLooksClean: false,
  reportsExpiredWithCa: true,
  reportsUnreachable: true,
  reportsLocalAddress: true,
  reportsBadKey: true,
  choosesTls13Ciphers: false,
  // rustls reads the subject alternative names only.
  acceptsCommonName: false,
};

/** Makes the adapter over the given namespace. */
export function createDenoConnect(deno: DenoLike): Connect {
  return (options, handler) => {
    const unsupported = unsupportedOption(options, denoCapabilities);
    if (unsupported !== undefined) throw unsupportedOptionError(unsupported, "deno");
    checkPort(options.port);
    const socket = new DenoSocket(deno, handler, options);
    socket.connect(options);
    return socket;
  };
}

/** The part of Deno's internals that leaves every asynchronous context; there is no public call for it. */
interface DenoContextLike {
  getAsyncContext(): unknown;
  setAsyncContext(context: unknown): void;
}

/** Deno's way out of every AsyncLocalStorage, for context.ts, which tries it first; undefined where it has none. */
export function denoWayOut(deno: object): (<Result>(fn: () => Result) => Result) | undefined {
  const { internal } = deno as { internal?: unknown };
  if (typeof internal !== "symbol") return undefined;
  const { core } = (deno as Record<symbol, { core?: Partial<DenoContextLike> } | undefined>)[internal] ?? {};
  const { getAsyncContext, setAsyncContext } = core ?? {};
  if (getAsyncContext === undefined || setAsyncContext === undefined) return undefined;
  return (fn) => {
    const context = getAsyncContext();
    setAsyncContext(undefined);
    try {
      return fn();
    } finally {
      setAsyncContext(context);
    }
  };
}

const smallBytes = 1024;
const largeBytes = 65536;
const highWaterMarkBytes = 65536;
const maxSpareBuffers = 16;

// A buffer is in one pending read or write at a time, and comes back when that has settled, never before: a closed
// connection's read may still fill it.
const spareBuffers: Uint8Array[] = [];

function takeLarge(): Uint8Array {
  return spareBuffers.pop() ?? new Uint8Array(largeBytes);
}

function giveBack(buffer: Uint8Array | undefined): void {
  if (buffer?.length === largeBytes && spareBuffers.length < maxSpareBuffers) spareBuffers.push(buffer);
}

class DenoSocket implements Socket {
  handler: SocketHandler;
  connecting = true;
  destroyed = false;
  bytesRead = 0;
  bytesWritten = 0;
  pendingBytes = 0;
  info: SocketInfo | undefined;

  readonly #deno: DenoLike;
  readonly #options: ConnectOptions;
  #conn: DenoConnLike | undefined;
  #abort: AbortController | undefined;
  #isTls = false;
  #isReferenced = true;
  #hasClosed = false;
  #error: SocketError | undefined;

  #isPaused = false;
  #isReading = false;
  #hasReadEnd = false;
  #small: Uint8Array | undefined;
  #buffer: Uint8Array | undefined;
  #wantsLarge = false;
  #held: number | null | undefined;
  #wake: (() => void) | undefined;

  #queue: Uint8Array[] = [];
  #writing: Uint8Array | undefined;
  #joined: Uint8Array | undefined;
  #isFlushDue = false;
  #isEnding = false;
  #finState: "none" | "sending" | "sent" = "none";

  constructor(deno: DenoLike, handler: SocketHandler, options: ConnectOptions) {
    this.#deno = deno;
    this.handler = handler;
    this.#options = options;
  }

  // Opening

  connect(options: ConnectOptions): void {
    this.#dial(options).then(
      (alpnProtocol) => this.#open(alpnProtocol),
      (error: unknown) => this.#fail(error, this.#isTls ? "tls" : "connect", "connect"),
    );
  }

  async #dial(options: ConnectOptions): Promise<string | null | undefined> {
    if (options.path !== undefined) {
      this.#adopt(await this.#deno.connect({ transport: "unix", path: options.path }));
      return undefined;
    }
    this.#abort = new AbortController();
    const conn = await this.#deno.connect({
      hostname: options.host ?? "localhost",
      port: options.port ?? 0,
      signal: this.#abort.signal,
      ...(options.autoSelectFamily === undefined ? {} : { autoSelectFamily: options.autoSelectFamily }),
      ...(options.autoSelectFamilyAttemptTimeoutMs === undefined
        ? {}
        : { autoSelectFamilyAttemptDelay: options.autoSelectFamilyAttemptTimeoutMs }),
    });
    this.#abort = undefined;
    if (!this.#adopt(conn)) return undefined;
    // TlsConn has no setNoDelay: it has to be set before (trap 10).
    conn.setNoDelay(options.noDelay !== false);
    if (options.keepAlive === true) conn.setKeepAlive(true);
    if (options.tls === undefined) return undefined;
    return await this.#handshake(conn, options.tls, options.host ?? "localhost");
  }

  async #handshake(conn: DenoConnLike, tls: TlsOptions, host: string): Promise<string | null> {
    this.#isTls = true;
    const secured = await this.#deno.startTls(conn as never, {
      hostname: tls.servername ?? host,
      ...(tls.ALPNProtocols === undefined ? {} : { alpnProtocols: [...tls.ALPNProtocols] }),
    });
    if (!this.#adopt(secured)) return null;
    return (await secured.handshake()).alpnProtocol;
  }

  // False: the socket was destroyed while the connection was on its way.
  #adopt(conn: DenoConnLike): boolean {
    if (this.destroyed) {
      closeQuietly(conn);
      return false;
    }
    this.#conn = conn;
    if (!this.#isReferenced) conn.unref();
    return true;
  }

  #open(alpnProtocol: string | null | undefined): void {
    if (this.destroyed) return;
    const conn = this.#conn!;
    this.connecting = false;
    this.info = describe(conn, this.#options, alpnProtocol);
    this.handler.onOpen();
    if (this.destroyed) return;
    this.#flush();
    this.#next();
  }

  // Reading

  // Goes on with the read loop: the only caller of #read, so that two reads are never pending.
  readonly #next = (): void => {
    if (this.destroyed || this.#isReading || this.#hasReadEnd || this.#wake !== undefined) return;
    if (this.#isPaused) {
      new Promise<void>((resolve) => this.#wake = resolve).then(this.#next);
    } else if (this.#held !== undefined) {
      const count = this.#held;
      this.#held = undefined;
      this.#deliver(count);
    } else {
      this.#read();
    }
  };

  #read(): void {
    this.#isReading = true;
    this.#buffer = this.#wantsLarge ? takeLarge() : (this.#small ??= new Uint8Array(smallBytes));
    this.#conn!.read(this.#buffer).then(this.#onRead, this.#onReadError);
  }

  readonly #onRead = (count: number | null): void => {
    this.#isReading = false;
    if (this.destroyed) return this.#releaseBuffer();
    if (this.#isPaused) {
      this.#held = count;
      return this.#next();
    }
    this.#deliver(count);
  };

  #deliver(count: number | null): void {
    if (count === null) return this.#endReading(this.#isTls ? true : undefined);
    const buffer = this.#buffer!;
    this.bytesRead += count;
    // Much came: the next read gets a large buffer; little came, or the socket was parked in a pool: a small one.
    this.#wantsLarge = count >= smallBytes;
    if (count > 0) this.handler.onData(buffer.subarray(0, count));
    this.#wantsLarge &&= this.#isReferenced;
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
    this.#small = undefined;
    if (this.#error !== undefined) return this.#finish();
    this.handler.onEnd(authenticated);
    if (this.#finState === "sent") this.#finish();
  }

  readonly #onReadError = (error: unknown): void => {
    this.#isReading = false;
    this.#releaseBuffer();
    if (this.destroyed) return;
    // TLS ended without close_notify: an end, but not proven to be the peer's (trap 17).
    if (this.#isTls && isUnexpectedEof(error)) return this.#endReading(false);
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
    if (this.destroyed || this.#isEnding || this.#error !== undefined) return false;
    this.bytesWritten += chunk.length;
    this.pendingBytes += chunk.length;
    this.#queue.push(chunk);
    if (more !== true) this.#flush();
    else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      queueMicrotask(this.#flush);
    }
    return this.pendingBytes < highWaterMarkBytes;
  }

  readonly #flush = (): void => {
    this.#isFlushDue = false;
    if (this.connecting || this.destroyed || this.#writing !== undefined) return;
    if (this.#queue.length > 0) this.#send(this.#takeChunk());
    else if (this.#isEnding && this.#finState === "none") this.#sendFin();
  };

  // Whole chunks up to a large buffer are joined: one write for what was written while another was in flight.
  #takeChunk(): Uint8Array {
    const queue = this.#queue;
    const first = queue[0]!;
    if (queue.length === 1 || first.length + queue[1]!.length > largeBytes) return queue.shift()!;
    const joined = this.#joined = takeLarge();
    let length = 0;
    let count = 0;
    for (; count < queue.length; count++) {
      const chunk = queue[count]!;
      if (length + chunk.length > largeBytes) break;
      joined.set(chunk, length);
      length += chunk.length;
    }
    queue.splice(0, count);
    return joined.subarray(0, length);
  }

  #send(chunk: Uint8Array): void {
    this.#writing = chunk;
    this.#conn!.write(chunk).then(this.#onWritten, this.#onWriteError);
  }

  readonly #onWritten = (count: number): void => {
    const chunk = this.#writing!;
    if (this.destroyed) return this.#releaseJoined();
    this.pendingBytes -= count;
    if (count < chunk.length) return this.#send(chunk.subarray(count));
    this.#releaseJoined();
    if (this.#queue.length > 0 && !this.#isFlushDue) return this.#flush();
    if (this.pendingBytes === 0) this.handler.onDrain();
    this.#flush();
  };

  #releaseJoined(): void {
    giveBack(this.#joined);
    this.#joined = undefined;
    this.#writing = undefined;
  }

  readonly #onWriteError = (error: unknown): void => {
    this.#releaseJoined();
    if (this.destroyed) return;
    this.#queue = [];
    this.pendingBytes = 0;
    this.#error ??= denoError(error, { phase: "open", syscall: "write", ...this.#peer() });
    // What the peer sent before it went (an early answer to an upload) is still to be read: the pending read ends with it.
    if (!this.#isReading) this.#finish();
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
      if (!this.destroyed && this.#hasReadEnd) this.#finish();
    }, this.#onWriteError);
  }

  // Ending

  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.#shut();
    const reason = error === undefined ? undefined : this.#asSocketError(error);
    queueMicrotask(() => this.#close(reason));
  }

  #asSocketError(error: Error): SocketError {
    if (error instanceof SocketError) return error;
    const { code } = error as { code?: unknown };
    return new SocketError(error.message, {
      code: typeof code === "string" ? code : "ECONNRESET",
      phase: this.connecting ? "connect" : "open",
      cause: error,
    });
  }

  #fail(error: unknown, phase: SocketPhase, syscall: string): void {
    if (this.destroyed) return;
    this.#error ??= denoError(error, { phase, syscall, ...this.#peer() });
    this.#finish();
  }

  #finish(): void {
    this.#shut();
    this.#close(this.#error);
  }

  #shut(): void {
    this.destroyed = true;
    this.connecting = false;
    this.pendingBytes = 0;
    this.#queue = [];
    if (this.#held !== undefined) this.#releaseBuffer();
    this.#abort?.abort();
    if (this.#conn !== undefined) closeQuietly(this.#conn);
  }

  #close(error: SocketError | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.handler.onClose(error);
  }

  #peer(): { address: string | undefined; port: number | undefined } {
    const { path, host, port } = this.#options;
    return path !== undefined
      ? { address: path, port: undefined }
      : { address: this.info?.remoteAddress ?? host ?? "localhost", port };
  }

  // Options of an open socket

  ref(): void {
    this.#isReferenced = true;
    this.#conn?.ref();
  }

  unref(): void {
    this.#isReferenced = false;
    this.#conn?.unref();
  }

  setNoDelay(on: boolean): void {
    (this.#conn as Partial<DenoTcpConnLike> | undefined)?.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, _initialDelayMs: number): void {
    (this.#conn as Partial<DenoTcpConnLike> | undefined)?.setKeepAlive?.(on);
  }

  startTls(options: TlsOptions, handler: SocketHandler): Socket {
    const unsupported = unsupportedTlsOption(options, denoCapabilities.startTlsOptions);
    if (unsupported !== undefined) throw unsupportedOptionError(unsupported, "deno");
    const conn = this.#conn;
    if (conn === undefined || this.destroyed || this.#isReading || this.pendingBytes > 0 || this.#isTls) {
      throw new SocketError("Cannot start TLS: the socket is not paused with nothing pending", {
        code: "ERR_SOCKET_BUSY",
        phase: "tls",
      });
    }
    const secured = new DenoSocket(this.#deno, handler, this.#options);
    this.destroyed = true;
    this.#hasClosed = true;
    secured.#startTlsOver(conn, options, this.#isReferenced);
    return secured;
  }

  #startTlsOver(conn: DenoConnLike, options: TlsOptions, isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    this.#handshake(conn, options, this.#options.host ?? "localhost").then(
      (alpnProtocol) => this.#open(alpnProtocol),
      (error: unknown) => this.#fail(error, "tls", "connect"),
    );
  }
}

function closeQuietly(conn: DenoConnLike): void {
  try {
    conn.close();
  } catch {
    // BadResource: it is closed already, or startTls has consumed it.
  }
}

function isUnexpectedEof(error: unknown): boolean {
  return error instanceof Error && error.name === "UnexpectedEof";
}

function describe(
  conn: DenoConnLike,
  options: ConnectOptions,
  alpnProtocol: string | null | undefined,
): SocketInfo {
  const { localAddr, remoteAddr } = conn;
  const remoteAddress = remoteAddr.hostname;
  const ignored = ignoredHints(options);
  return {
    adapter: "deno",
    localAddress: localAddr.hostname,
    localPort: localAddr.port,
    remoteAddress,
    remotePort: remoteAddr.port,
    remoteFamily: remoteAddress === undefined ? undefined : remoteAddress.includes(":") ? 6 : 4,
    tls: alpnProtocol === undefined
      ? undefined
      : { alpnProtocol: alpnProtocol ?? undefined, authorized: true },
    ignoredHints: ignored.length > 0 ? ignored : undefined,
  };
}

function ignoredHints(options: ConnectOptions): string[] {
  const hints = ["noDelay", "keepAlive", "keepAliveInitialDelayMs", "autoSelectFamily"] as const;
  const ignored: string[] = [];
  for (const name of [...hints, "autoSelectFamilyAttemptTimeoutMs", "highWaterMark"] as const) {
    if (options[name] !== undefined && !denoCapabilities.hints.has(name)) ignored.push(name);
  }
  return ignored;
}
