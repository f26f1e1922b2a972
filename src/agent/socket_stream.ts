/**
 * SocketStream: a Socket as a `stream.Duplex`, for those who ask for a stream: a foreign `node:http` request, the user of an
 * 'upgrade' or a 'connect', `req.socket`.
 *
 * Owns the members of net.Socket that Node's HTTP client and its users reach for. Must not know HTTP, nor emulate the rest
 * of net.Socket. Where the adapter has a stream of its own under the Socket (node.ts), that one is handed out and no layer
 * is added.
 *
 * Strategy: one chunk in flight each way, so that the stream's own buffers are the only ones. Bytes are copied when they come
 * in, because a Socket lends them. The stream outlives its use: `fromDuplex` takes the Socket out of it, `duplexOf` hands
 * the same stream out again, and it closes with the Socket, whoever reads that one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { type Clock, systemClock, type Timer } from "../clock.ts";
import type { SocketError } from "../runtime/errors.ts";
import { bindDuplex, lendDuplex, returnDuplex, showStream, streamOf } from "../runtime/mod.ts";
import type { Socket, SocketHandler, SocketInfo } from "../runtime/socket.ts";

const streams = new WeakMap<Socket, SocketStream>();

/**
 * The stream of a Socket: the adapter's own, or a SocketStream, and the same one each time. Until `fromDuplex(stream)` takes
 * the Socket back its handler is told `onClose` alone, of an adapter's own stream, and nothing of a SocketStream.
 * Throws Error ERR_INVALID_STATE for an adapter's own stream that is not open any more.
 */
export function duplexOf(socket: Socket, clock?: Clock): Duplex {
  const stream = streams.get(socket);
  if (stream === undefined) return lendDuplex(socket) ?? new SocketStream(socket, clock);
  stream.attach();
  return stream;
}

/**
 * The stream of a Socket, to be looked at while somebody else is its handler: as `duplexOf`, but nothing changes hands. What is
 * written into it goes out, its `destroy` is the Socket's, and of the peer's bytes it shows none.
 */
export function viewOf(socket: Socket, clock?: Clock): Duplex {
  // First the one that somebody has seen.
  return streams.get(socket) ?? showStream(socket) ?? new SocketStream(socket, clock, socket.handler);
}

/** As `duplexOf`, for good: an adapter's own stream has no listener of ours any more. Its peer may have ended. */
export function handOver(socket: Socket): Duplex {
  return streams.has(socket) ? duplexOf(socket) : returnDuplex(socket) ?? duplexOf(socket);
}

/**
 * See the file's comment. Emits 'connect', 'ready' and, over TLS, 'secureConnect' where the Socket was connecting;
 * 'timeout'; and 'close' with whether there was an error, as net.Socket does. Half-open as Node's default: it ends when the
 * peer has ended.
 */
export class SocketStream extends Duplex {
  readonly #socket: Socket;
  readonly #clock: Clock;
  #isAttached = false;
  #hasEnded = false;
  #isClosed = false;
  #writeDone: ((error?: Error | null) => void) | undefined;
  #destroyDone: (() => void) | undefined;
  #timeoutMs: number | undefined;
  #timer: Timer | undefined;
  #lastActivity = 0;
  #lastPending = 0;

  /** Takes the Socket's events, or only listens where they are `handler`'s; `clock` times `setTimeout`. */
  constructor(socket: Socket, clock: Clock = systemClock, handler?: SocketHandler) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#clock = clock;
    streams.set(socket, this);
    // net.Socket has one of its own, by which its users' are counted.
    this.on("end", () => {});
    if (handler === undefined) this.attach();
    else socket.handler = new StreamFeeder(this, handler);
  }

  /** Takes the Socket's events again, after `fromDuplex` has taken it out. */
  attach(): void {
    if (this.#isAttached) return;
    this.#isAttached = true;
    this.#socket.handler = new StreamFeeder(this, undefined);
    bindDuplex(this, (handler) => this.#detach(handler));
    this.#socket.resume();
  }

  // The Socket goes on without the stream: what the stream has and nobody read is told first.
  #detach(handler: SocketHandler): Socket {
    this.#isAttached = false;
    const socket = this.#socket;
    const unread = this.read() as Uint8Array | null;
    const ended = this.#hasEnded;
    socket.handler = new StreamFeeder(this, handler);
    if (unread === null && !ended) socket.resume();
    else {
      queueMicrotask(() => {
        if (unread !== null && !socket.destroyed) socket.handler.onData(unread);
        if (ended && !socket.destroyed) socket.handler.onEnd();
        socket.resume();
      });
    }
    return socket;
  }

  /** For the feeder: the Socket is open. */
  feedOpen(): void {
    this.emit("connect");
    if (this.encrypted) this.emit("secureConnect");
    this.emit("ready");
  }

  /** For the feeder: bytes, lent for the call. */
  feedData(chunk: Uint8Array): void {
    this.#touch();
    if (!this.push(Buffer.from(chunk))) this.#socket.pause();
  }

  /** For the feeder: the peer's end. */
  feedEnd(): void {
    this.#hasEnded = true;
    this.push(null);
    // An end with nothing before it shows only to a read.
    if (this.readableLength === 0) this.read(0);
  }

  /** For the feeder: what was written is taken. */
  feedDrain(): void {
    this.#touch();
    this.#settleWrite();
  }

  /** For the feeder: the Socket is gone. */
  feedClose(error: SocketError | undefined): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    if (this.#destroyDone !== undefined) return this.#destroyDone();
    // Both sides have ended: what waits for its reader may still be read, and the end of that destroys the stream.
    if (error === undefined && this.#hasEnded && this.writableEnded && this.#isAttached) this.#settleWrite();
    else this.destroy(error);
  }

  override _read(): void {
    if (this.#isAttached) this.#socket.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.#writeAll([chunk], done);
  }

  override _writev(
    parts: readonly { readonly chunk: Uint8Array }[],
    done: (error?: Error | null) => void,
  ): void {
    this.#writeAll(parts.map(({ chunk }) => chunk), done);
  }

  #writeAll(chunks: readonly Uint8Array[], done: (error?: Error | null) => void): void {
    this.#touch();
    // The error that destroys the stream settles it.
    this.#writeDone = done;
    if (this.#socket.destroyed) return;
    chunks.forEach((chunk, index) => this.#socket.write(chunk, index < chunks.length - 1));
    if (this.#socket.pendingBytes === 0) this.#settleWrite();
  }

  #settleWrite(): void {
    const done = this.#writeDone;
    this.#writeDone = undefined;
    done?.();
  }

  override _final(done: () => void): void {
    this.#socket.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#timer?.cancel();
    if (this.#isClosed) return done(error);
    this.#destroyDone = () => done(error);
    // A Socket that has ended both ways closes by itself, after its last bytes.
    if (error !== null || !this.#hasEnded || !this.writableFinished) this.#socket.destroy(error ?? undefined);
  }

  // Duplex emits 'close' without arguments; net.Socket's says whether there was an error.
  override emit(event: string | symbol, ...args: unknown[]): boolean {
    if (event === "close" && args.length === 0) return super.emit("close", Boolean(this.errored));
    return super.emit(event, ...args);
  }

  /** Emits 'timeout' once `ms` milliseconds have passed without a byte in either direction; 0: never. It only emits. */
  setTimeout(ms: number, listener?: () => void): this {
    this.#timeoutMs = ms;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (listener !== undefined) {
      if (ms === 0) this.off("timeout", listener);
      else this.once("timeout", listener);
    }
    this.#touch();
    return this;
  }

  /** What `setTimeout` was given. */
  get timeout(): number | undefined {
    return this.#timeoutMs;
  }

  /** There was a byte in one direction: the time of inactivity begins anew. */
  touch(): void {
    this.#touch();
  }

  #touch(): void {
    if (!this.#timeoutMs || this.#isClosed) return;
    this.#lastActivity = this.#clock.now();
    // As net.Socket: told once, and again only when there has been a byte.
    if (this.#timer === undefined) this.#arm(this.#timeoutMs);
  }

  #arm(ms: number): void {
    this.#lastPending = this.#socket.pendingBytes;
    this.#timer = this.#clock.after(ms, () => this.#onTimer());
  }

  #onTimer(): void {
    // Bytes that the system took are activity too, and are told only when all are taken.
    if (this.#socket.pendingBytes !== this.#lastPending) this.#touch();
    const restMs = this.#lastActivity + this.#timeoutMs! - this.#clock.now();
    if (restMs > 0) return this.#arm(restMs);
    this.#timer = undefined;
    this.emit("timeout");
  }

  /** TCP_NODELAY, where the Socket has it. */
  setNoDelay(on: boolean = true): this {
    this.#socket.setNoDelay?.(on);
    return this;
  }

  /** SO_KEEPALIVE and the first probe's delay in milliseconds, where the Socket has it. */
  setKeepAlive(on: boolean = false, initialDelayMs: number = 0): this {
    this.#socket.setKeepAlive?.(on, initialDelayMs);
    return this;
  }

  /** Lets the Socket hold the process. */
  ref(): this {
    this.#socket.ref?.();
    return this;
  }

  /** Lets the process end in spite of the Socket. */
  unref(): this {
    this.#socket.unref?.();
    return this;
  }

  /** Ends, and destroys once all is written. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  /** The Socket is not open yet. */
  get connecting(): boolean {
    return this.#socket.connecting;
  }

  /** As `connecting`: net.Socket has both. */
  get pending(): boolean {
    return this.#socket.connecting;
  }

  /** net.Socket's word for the state. */
  get readyState(): "opening" | "open" | "readOnly" | "writeOnly" | "closed" {
    if (this.connecting) return "opening";
    if (this.readable && this.writable) return "open";
    if (this.readable) return "readOnly";
    return this.writable ? "writeOnly" : "closed";
  }

  /** Bytes received. */
  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  /** Bytes written, those in the stream's buffer included. */
  get bytesWritten(): number {
    return this.#socket.bytesWritten + Math.max(0, this.#ownLength - this.#socket.pendingBytes);
  }

  // Bytes that the system has not taken: the Socket's too, where it is another's to write. To the types it is a field, which
  // no accessor can override.
  static {
    Object.defineProperty(this.prototype, "writableLength", {
      get(this: SocketStream): number {
        return Math.max(this.#ownLength, this.#socket.pendingBytes);
      },
      configurable: true,
    });
  }

  // Of the stream's own buffer.
  get #ownLength(): number {
    return Reflect.get(Duplex.prototype, "writableLength", this) as number;
  }

  /** The peer's address; undefined until open. */
  get remoteAddress(): string | undefined {
    return this.#info?.remoteAddress;
  }

  /** The peer's port. */
  get remotePort(): number | undefined {
    return this.#info?.remotePort;
  }

  /** "IPv4" or "IPv6". */
  get remoteFamily(): string | undefined {
    const family = this.#info?.remoteFamily;
    return family === undefined ? undefined : `IPv${family}`;
  }

  /** This end's address. */
  get localAddress(): string | undefined {
    return this.#info?.localAddress;
  }

  /** This end's port. */
  get localPort(): number | undefined {
    return this.#info?.localPort;
  }

  /** This end, as net.Socket says it. */
  address(): { address?: string; family?: string; port?: number } {
    const { localAddress: address, localPort: port, remoteFamily: family } = this;
    if (address === undefined || port === undefined || family === undefined) return {};
    return { address, family, port };
  }

  /** True over TLS; net.Socket has no such member, TLSSocket's is true. */
  get encrypted(): true | undefined {
    return this.#info?.tls === undefined ? undefined : true;
  }

  /** The peer was verified; undefined without TLS. */
  get authorized(): boolean | undefined {
    return this.#info?.tls?.authorized;
  }

  /** Why it was not. */
  get authorizationError(): string | undefined {
    return this.#info?.tls?.authorizationError;
  }

  /** The protocol chosen by ALPN; false: none. Undefined without TLS. */
  get alpnProtocol(): string | false | undefined {
    const info = this.#info?.tls;
    return info === undefined ? undefined : info.alpnProtocol ?? false;
  }

  // TLSSocket's methods. Of a plain socket they are undefined, as in Node: programs ask by them whether there is TLS.

  /** The peer's certificate, where node:tls knows it. */
  get getPeerCertificate(): ((detailed?: boolean) => object | undefined) | undefined {
    return this.#ofTls("getPeerCertificate");
  }

  /** `"TLSv1.3"`. */
  get getProtocol(): (() => string | null | undefined) | undefined {
    return this.#ofTls("getProtocol");
  }

  /** The cipher suite. */
  get getCipher(): (() => object | undefined) | undefined {
    return this.#ofTls("getCipher");
  }

  /** The session, for another connection to resume. */
  get getSession(): (() => Uint8Array | undefined) | undefined {
    return this.#ofTls("getSession");
  }

  /** The session was another connection's before. */
  get isSessionReused(): (() => boolean | undefined) | undefined {
    return this.#ofTls("isSessionReused");
  }

  #ofTls<Method extends (...args: never[]) => unknown>(name: string): Method | undefined {
    const stream = streamOf(this.#socket) as unknown as Record<string, Method | undefined> | undefined;
    const method = stream?.[name];
    if (method !== undefined) return method.bind(stream) as Method;
    return this.encrypted === undefined ? undefined : (() => undefined) as unknown as Method;
  }

  get #info(): SocketInfo | undefined {
    return this.#socket.info;
  }
}

/** Tells a stream, or another handler while the Socket is out of the stream, what the Socket says. */
class StreamFeeder implements SocketHandler {
  readonly #stream: SocketStream;
  readonly #other: SocketHandler | undefined;

  constructor(stream: SocketStream, other: SocketHandler | undefined) {
    this.#stream = stream;
    this.#other = other;
  }

  onOpen(): void {
    // First who writes to it: what a listener writes, or throws, comes behind.
    this.#other?.onOpen();
    if (!this.#stream.destroyed) this.#stream.feedOpen();
  }

  onData(chunk: Uint8Array): void {
    if (this.#other === undefined) this.#stream.feedData(chunk);
    else {
      this.#stream.touch();
      this.#other.onData(chunk);
    }
  }

  onEnd(authenticated?: boolean): void {
    if (this.#other === undefined) this.#stream.feedEnd();
    else this.#other.onEnd(authenticated);
  }

  onDrain(): void {
    if (this.#other === undefined) this.#stream.feedDrain();
    else {
      this.#stream.touch();
      this.#other.onDrain();
    }
  }

  onClose(error?: SocketError): void {
    this.#other?.onClose(error);
    this.#stream.feedClose(error);
  }
}
