/**
 * fromStreams: a pair of web streams as a Socket: an SSH channel, a WebSocket, workerd's `connect()`, anything that has
 * a readable and a writable side.
 *
 * Owns the turning of pulled reads into pushed ones and the queue before the writer. Must not know what carries the
 * bytes. Strategy: one read and one write under way at a time. What is written is copied, since a stream may pass a
 * chunk on by reference long after its write() has resolved; small chunks are joined on the way. Readers that can fill
 * a buffer given to them (BYOB) get one large one again and again: workerd's default reader gives 4 KiB at a time.
 *
 * The read loop's continuation is made by the loop itself, so that `resume()` does not lead it into the caller's
 * asynchronous context.
 *
 * @module
 */

import { fromNodeError, SocketError } from "./errors.ts";
import type { SocketPhase } from "./errors.ts";
import type { Socket, SocketHandler, SocketInfo } from "./socket.ts";
import { tell, tellData } from "./tell.ts";
import { HIGH_WATER_BYTES, joinChunks, takeFitting } from "./write_queue.ts";

/** What {@linkcode fromStreams} makes a Socket of. */
export interface StreamPair {
  /** Bytes from the peer; its end is the peer's FIN, its error the loss of the connection. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Bytes for the peer; closing it is our FIN. */
  readonly writable: WritableStream<Uint8Array>;
  /** Resolves when the connection stands, with what is known of it; its rejection is a failed connect. Default: it stands. */
  readonly opened?: Promise<SocketInfo | void> | undefined;
  /** Lets go of the connection, also while it opens: called once, after the streams were given up or have ended. */
  readonly close?: (() => void) | undefined;
}

/**
 * Turns a pair of web streams into a {@linkcode Socket}. The streams are its own from then on.
 *
 * An error of a stream is an `onClose` with the error's own `code` where it has one, else ECONNRESET, or ERR_SOCKET_FAILED
 * before `onOpen`. `ref`, `unref`, `setNoDelay`, `setKeepAlive` and `startTls` do not exist; an end or an error is
 * not told while the socket is paused; data that a stream held when it failed is lost, as the streams standard has it.
 *
 * @throws {TypeError} A stream is locked.
 *
 * @example
 * ```ts
 * import { type Connect, type ConnectOptions, fromStreams, type StreamPair } from "@holdfast/agent";
 *
 * declare function openChannel(options: ConnectOptions): StreamPair;
 * const connect: Connect = (options, handler) => fromStreams(openChannel(options), handler);
 * ```
 */
export function fromStreams(pair: StreamPair, handler: SocketHandler): Socket {
  return new StreamsSocket(pair, handler);
}

/** Chunks are joined up to this size, and a BYOB reader is given a buffer of it. */
const bufferBytes = 65_536;

class StreamsSocket implements Socket {
  handler: SocketHandler;
  readonly #pair: StreamPair;
  readonly #read: () => Promise<ReadableStreamReadResult<Uint8Array>>;
  readonly #cancel: (reason: unknown) => Promise<void>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #info: SocketInfo | undefined = undefined;
  #state: "connecting" | "open" | "closed" = "connecting";
  #isConnecting = true;
  #bytesRead = 0;
  #bytesWritten = 0;
  // Reading.
  #isPaused = false;
  #peerEnded = false;
  #wake: (() => void) | undefined = undefined;
  // Writing.
  #queue: Uint8Array[] = [];
  #pendingBytes = 0;
  #isHeld = false;
  #isWriting = false;
  #end: "no" | "asked" | "sent" = "no";

  constructor(pair: StreamPair, handler: SocketHandler) {
    this.handler = handler;
    this.#pair = pair;
    this.#writer = pair.writable.getWriter();
    const { read, cancel, closed } = readerOf(pair.readable);
    this.#read = read;
    this.#cancel = cancel;
    // Each failure is seen where a read or a write waits for it; these promises only repeat it.
    closed.catch(() => {});
    this.#writer.closed.catch(() => {});
    this.#writer.ready.catch(() => {});
    Promise.resolve(pair.opened).then(
      (info) => this.#open(info ?? undefined),
      (error) => this.#fail(error, "connect", "connect"),
    );
  }

  get connecting(): boolean {
    return this.#isConnecting;
  }

  get destroyed(): boolean {
    return this.#state === "closed";
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  get info(): SocketInfo | undefined {
    return this.#info;
  }

  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.#state === "closed" || this.#end !== "no") return false;
    if (chunk.length === 0) return this.#pendingBytes < HIGH_WATER_BYTES;
    this.#queue.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#bytesWritten += chunk.length;
    if (more !== true) this.#pump();
    else if (!this.#isHeld) {
      this.#isHeld = true;
      queueMicrotask(() => {
        this.#isHeld = false;
        this.#pump();
      });
    }
    return this.#pendingBytes < HIGH_WATER_BYTES;
  }

  end(): void {
    if (this.#state === "closed" || this.#end !== "no") return;
    this.#end = "asked";
    this.#pump();
  }

  destroy(error?: Error): void {
    if (this.#state === "closed") return;
    const phase = this.#isConnecting ? "connect" : "open";
    const reason = error === undefined ? undefined : fromNodeError(error, { phase });
    this.#release(error);
    queueMicrotask(() => this.#close(reason));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #open(info: SocketInfo | undefined): void {
    if (this.#state !== "connecting") return;
    this.#state = "open";
    this.#isConnecting = false;
    this.#info = info ?? { adapter: "streams" };
    tell(this.handler, this.handler.onOpen);
    this.#pump();
    this.#next();
  }

  // Reading.

  #next(): void {
    if (this.#state !== "open" || this.#peerEnded) return;
    this.#afterPause(() => {
      if (this.#state !== "open") return;
      this.#read().then(
        (result) => this.#afterPause(() => this.#give(result)),
        (error) => this.#afterPause(() => this.#fail(error, "open", "read")),
      );
    });
  }

  // Calls at once, or once resumed; in a turn of its own, and in the context of this call.
  #afterPause(fn: () => void): void {
    if (!this.#isPaused) return fn();
    new Promise<void>((resolve) => this.#wake = resolve).then(() => this.#afterPause(fn));
  }

  #give({ done, value }: ReadableStreamReadResult<Uint8Array>): void {
    if (this.#state !== "open") return;
    if (done) {
      this.#peerEnded = true;
      tell(this.handler, this.handler.onEnd);
      return this.#finish();
    }
    if (value.length > 0) {
      this.#bytesRead += value.length;
      tellData(this.handler, value);
    }
    this.#next();
  }

  // Writing: one write under way, the queue behind it joined.

  #pump(): void {
    if (this.#isWriting || this.#state !== "open") return;
    if (this.#queue.length > 0) {
      this.#isWriting = true;
      const chunk = joinChunks(takeFitting(this.#queue, bufferBytes));
      this.#writer.write(chunk).then(() => this.#written(chunk.length), (error) => this.#failWrite(error));
    } else if (this.#end === "asked") {
      this.#end = "sent";
      this.#isWriting = true;
      this.#writer.close().then(() => this.#finish(), (error) => this.#failWrite(error));
    }
  }

  #written(length: number): void {
    this.#isWriting = false;
    if (this.#state !== "open") return;
    this.#pendingBytes -= length;
    this.#pump();
    if (this.#pendingBytes === 0) tell(this.handler, this.handler.onDrain);
  }

  // Ends.

  #finish(): void {
    if (this.#state !== "open" || this.#end !== "sent" || !this.#peerEnded) return;
    // Not inside onEnd's turn: the writer's close may still be under way.
    this.#release(undefined);
    queueMicrotask(() => this.#close());
  }

  #failWrite(error: unknown): void {
    this.#fail(error, "open", "write");
  }

  #fail(error: unknown, phase: SocketPhase, syscall: string): void {
    if (this.#state === "closed") return;
    this.#release(error);
    this.#close(toSocketError(error, phase, syscall));
  }

  #release(reason: unknown): void {
    this.#state = "closed";
    this.#queue = [];
    this.#pendingBytes = 0;
    // A stream that has ended or failed already rejects or ignores this; there is nobody left to tell.
    this.#cancel(reason).catch(() => {});
    this.#writer.abort(reason).catch(() => {});
    this.#pair.close?.();
  }

  #close(error?: SocketError): void {
    this.#isConnecting = false;
    tell(this.handler, this.handler.onClose, error);
  }
}

interface Reader {
  read(): Promise<ReadableStreamReadResult<Uint8Array>>;
  cancel(reason: unknown): Promise<void>;
  readonly closed: Promise<unknown>;
}

function readerOf(readable: ReadableStream<Uint8Array>): Reader {
  let byob: ReadableStreamBYOBReader;
  try {
    byob = readable.getReader({ mode: "byob" });
  } catch {
    // No byte stream: a default reader, whose own error says whether the stream is locked.
    const reader = readable.getReader();
    return { read: () => reader.read(), cancel: (reason) => reader.cancel(reason), closed: reader.closed };
  }
  let buffer = new ArrayBuffer(bufferBytes);
  return {
    read: () =>
      byob.read(new Uint8Array(buffer)).then((result) => {
        // The memory comes back in a new ArrayBuffer, and is lent again once onData has returned.
        if (result.value !== undefined) buffer = result.value.buffer;
        return result as ReadableStreamReadResult<Uint8Array>;
      }),
    cancel: (reason) => byob.cancel(reason),
    closed: byob.closed,
  };
}

// Streams seldom say more than that they failed: on an open connection that is its loss.
function toSocketError(error: unknown, phase: SocketPhase, syscall: string): SocketError {
  const known = fromNodeError(error, { phase });
  const hasCode = typeof (error as { code?: unknown } | undefined)?.code === "string";
  if (hasCode && known.syscall !== undefined) return known;
  const { message, address, port } = known;
  const code = hasCode ? known.code : phase === "open" ? "ECONNRESET" : "ERR_SOCKET_FAILED";
  return new SocketError(message, { code, phase: known.phase, syscall, address, port, cause: error });
}
