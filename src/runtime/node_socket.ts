/**
 * NodeSocket: a Socket over a stream of Node's: net.Socket, TLSSocket or any other Duplex.
 *
 * Owns the translation of stream events into the handler's calls, their order, what waits while paused, and the stream's
 * change of hands (lent to a user of streams, taken back). The writing half is node_writer.ts's. Knows neither how the stream
 * was connected nor how its peer was verified (node.ts, node_tls.ts).
 *
 * Strategy. A stream that we made reads by `onread` into one buffer that all sockets share, which is lent to `onData`; any
 * other is read by 'readable'. `pause()` only sets a flag: with `onread` the next chunk is kept and stops the system's
 * reading, so that a close is still noticed while nothing waits. What follows waiting bytes (end, close) waits behind them.
 * No event of Node's streams is emitted inside a call; what this file defers itself goes through a microtask.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import {
  argumentError,
  fromNodeError,
  invalidState,
  type Peer,
  type SocketError,
  type SocketPhase,
} from "./errors.ts";
import { bindDuplex } from "./node_bindings.ts";
import { Gate } from "./node_gate.ts";
import { NodeWriter, type WriterOwner } from "./node_writer.ts";
import type { Socket, SocketHandler, SocketInfo } from "./socket.ts";
import { tell, tellData } from "./tell.ts";

/**
 * How a stream is read: "onread", by `onRead()` from the callback of that option; "readable", by its event; "flowing", by
 * 'data', without ever stopping the stream itself, because it would lose its end: its gate is shut instead, where it has one.
 */
export type ReadStyle = "onread" | "readable" | "flowing";

/** What net.Socket has and another Duplex may lack: for a stream of TLS over a gate, its raw stream's. */
interface NetMethods {
  ref?(): void;
  unref?(): void;
  setNoDelay?(on: boolean): void;
  setKeepAlive?(on: boolean, initialDelayMs: number): void;
}

/** A Socket over a stream; see the file's comment. Members are documented in socket.ts. */
export class NodeSocket implements Socket, WriterOwner {
  handler: SocketHandler;
  connecting = true;
  bytesRead = 0;
  info: SocketInfo | undefined;
  /** Where in its life the socket is, for errors. */
  phase: SocketPhase = "connect";
  readonly #peer: Peer;
  #stream!: Duplex;
  #readStyle: ReadStyle = "onread";
  /** Node's own listener of 'end', which is called by ours. */
  #theirEnd: (() => void) | undefined;
  #gate: Gate | undefined;
  // destroy() was called: nothing but onClose is told.
  #abandoned = false;
  // The stream failed or closed; what waits may still be told.
  #gone = false;
  #closed = false;
  #error: SocketError | undefined;
  // Another owner has the stream (lend) or it carries TLS now (release).
  #lent = false;
  #released = false;
  #paused = false;
  #stopped = false;
  #hasEnded = false;
  // What came while paused, in order: bytes, then the end, then the close.
  #waiting: Uint8Array[] = [];
  #endWaits = false;
  #closeWaits = false;
  #isFlushScheduled = false;
  readonly #writer: NodeWriter;

  /** Makes the socket; `attach` gives it its stream in the same turn. */
  constructor(handler: SocketHandler, peer: Peer) {
    this.handler = handler;
    this.#peer = peer;
    this.#writer = new NodeWriter(this);
  }

  get destroyed(): boolean {
    return this.#abandoned || this.#gone || this.#released;
  }

  get pendingBytes(): number {
    return this.destroyed ? 0 : this.#writer.pendingBytes;
  }

  get bytesWritten(): number {
    return this.#writer.bytesWritten;
  }

  /** {@linkcode WriterOwner}: bytes have come. */
  get hasRead(): boolean {
    return this.bytesRead > 0 || this.#waiting.length > 0;
  }

  /** {@linkcode WriterOwner}. */
  drained(): void {
    tell(this.handler, this.handler.onDrain);
  }

  /** The stream underneath, which stays this socket's. */
  get stream(): Duplex {
    return this.#stream;
  }

  /** The gate that the stream reads through. */
  get gate(): Gate | undefined {
    return this.#gate;
  }

  /** Gives the socket its stream, which is the socket's from here on; through a gate it is read in the style "flowing". */
  attach(stream: Duplex, read: ReadStyle | Gate): void {
    this.#stream = stream;
    this.#writer.attach(stream);
    this.#gate = read instanceof Gate ? read : undefined;
    this.#readStyle = read instanceof Gate ? "flowing" : read;
    stream.on("error", this.#onStreamError);
    this.#theirEnd = takeEndListener(stream);
    stream.on("end", this.#onStreamEnd);
    stream.on("close", this.#onStreamClose);
    this.#startReading();
    // The raw stream's own error says more than what becomes of it in TLS.
    this.#gate?.raw.on("error", this.#onStreamError);
    // What happened before is not told by events any more.
    if (stream.readableEnded) this.#endWaits = true;
    if (stream.closed) queueMicrotask(() => this.#closedBefore());
  }

  #closedBefore(): void {
    if (this.#stream.errored) this.fail(this.#stream.errored);
    this.#onStreamClose();
  }

  /** The connection is ready and verified: early writes go out, then `onOpen` is told. */
  open(info: SocketInfo): void {
    if (this.destroyed || !this.connecting) return;
    this.phase = "open";
    this.info = info;
    this.connecting = false;
    this.#writer.open();
    tell(this.handler, this.handler.onOpen);
    this.#scheduleFlush();
  }

  /** Ends the socket with its first error; what follows is that error's consequence. */
  fail(error: unknown): void {
    if (this.#abandoned || this.#closed) return;
    this.#gone = true;
    this.#error ??= this.#socketError(error);
    this.#destroyStream();
  }

  /** Bytes came by `onread`, lent for the call; false: read no more for now. */
  onRead(chunk: Uint8Array): boolean {
    if (this.#abandoned) return true;
    if (this.#lent || this.#released) return this.#pushOn(chunk);
    if (this.#cannotTell() || this.#waiting.length > 0) {
      this.#waiting.push(chunk.slice());
      this.#stopped = true;
      return false;
    }
    this.#deliver(chunk);
    return true;
  }

  write(chunk: Uint8Array, more: boolean = false): boolean {
    return !this.destroyed && this.#writer.write(chunk, more);
  }

  end(): void {
    if (!this.destroyed) this.#writer.end();
  }

  destroy(error?: Error): void {
    if (this.#abandoned || this.#closed || this.#released) return;
    this.#abandoned = true;
    if (error !== undefined) this.#error ??= this.#socketError(error);
    this.#drop();
    // As Node's client leaves a stream that it gives up: with no reader on it.
    this.#leaveEnd();
    // The stream has closed already and only waited for the reader.
    if (this.#closeWaits) queueMicrotask(() => this.#close());
    else this.#destroyStream();
  }

  pause(): void {
    this.#paused = true;
    this.#gate?.shut();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#gate?.open();
    this.#scheduleFlush();
  }

  ref(): void {
    this.#transport.ref?.();
  }

  unref(): void {
    this.#transport.unref?.();
  }

  setNoDelay(on: boolean): void {
    this.#transport.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.#transport.setKeepAlive?.(on, initialDelayMs);
  }

  /**
   * Hands the stream itself to a user of streams: bytes are pushed into it, and of the handler only `onClose` is called,
   * until `takeBack(stream)`. Its half-open mode is Node's default meanwhile: the peer's FIN ends it.
   */
  lend(): Duplex {
    if (this.#lent && !this.destroyed) return this.#stream;
    this.#assertOpen("lend");
    this.#lent = true;
    this.#stream.allowHalfOpen = false;
    this.#stopReading();
    if (this.#readStyle === "readable") letFlow(this.#stream);
    for (const chunk of this.#waiting.splice(0)) this.#stream.push(chunk);
    bindDuplex(this.#stream, (handler) => this.#take(handler));
    return this.#stream;
  }

  /** Hands the stream to a user of streams for good, without a listener of ours on it. */
  giveAway(): Duplex {
    const stream = this.#stream;
    this.#lent = true;
    stream.allowHalfOpen = false;
    this.#stopReading();
    stream.off("error", this.#onStreamError);
    this.#leaveEnd();
    stream.off("close", this.#onStreamClose);
    for (const chunk of this.#waiting.splice(0)) stream.push(chunk);
    // Reading that was stopped by what waited goes on; resume() would set a flow going that nobody takes.
    if (this.#stopped) stream.read(0);
    this.#stopped = false;
    return stream;
  }

  // The stream comes back; bytes that its last owner left unread are told first.
  #take(handler: SocketHandler): this {
    this.handler = handler;
    this.#lent = false;
    this.#paused = false;
    this.#stream.allowHalfOpen = true;
    if (this.#readStyle !== "readable") this.#collectUnread();
    this.#startReading();
    if (this.#stream.readableEnded && !this.#hasEnded) this.#endWaits = true;
    if (this.#stream.writableEnded) this.#writer.hasEnded = true;
    this.#scheduleFlush();
    return this;
  }

  /** Gives the stream away for good, to carry TLS: of this socket's handler nothing is called any more. */
  release(): Duplex {
    this.#assertOpen("start TLS on");
    if (this.pendingBytes > 0) throw invalidState("start TLS on", "bytes are still to be sent");
    if (this.#waiting.length > 0 || this.#stream.readableLength > 0) {
      throw invalidState("start TLS on", "bytes are still to be read");
    }
    this.#released = true;
    // The 'error' listener stays: an error of the raw stream reaches the TLS stream, and would throw here.
    this.#leaveEnd();
    this.#stream.off("close", this.#onStreamClose);
    this.#stopReading();
    return this.#stream;
  }

  #assertOpen(action: string): void {
    if (this.connecting) throw invalidState(action, "it is connecting");
    const hasEnded = this.#writer.hasEnded || this.#hasEnded || this.#endWaits;
    if (this.destroyed || hasEnded) throw invalidState(action, "it has ended");
  }

  // The stream's other owner reads it as a stream: a copy, because the chunk is lent.
  #pushOn(chunk: Uint8Array): boolean {
    const goesOn = this.#stream.push(chunk.slice());
    if (!goesOn) this.#stopped = true;
    return goesOn;
  }

  #startReading(): void {
    if (this.#readStyle === "readable") this.#stream.on("readable", this.#onReadable);
    if (this.#readStyle === "flowing") this.#stream.on("data", this.#onData);
  }

  #stopReading(): void {
    this.#stream.off("readable", this.#onReadable);
    if (this.#readStyle !== "flowing") return;
    this.#gate?.open();
    this.#stream.off("data", this.#onData);
    // A stream without a 'data' listener flows on and drops; one whose last 'readable' listener goes is as new.
    this.#stream.on("readable", this.#onReadable);
    this.#stream.off("readable", this.#onReadable);
  }

  #deliver(chunk: Uint8Array): void {
    this.bytesRead += chunk.length;
    tellData(this.handler, chunk);
  }

  readonly #onData = (chunk: Uint8Array): void => {
    if (this.#cannotTell() || this.#waiting.length > 0) this.#waiting.push(chunk);
    else this.#deliver(chunk);
  };

  readonly #onReadable = (): void => {
    if (!this.#cannotTell()) this.#readAvailable();
    // An end with nothing before it shows only to a read.
    else if (this.#stream.readableLength === 0) this.#stream.read(0);
  };

  #readAvailable(): void {
    while (!this.#cannotTell()) {
      const chunk = this.#stream.read() as Uint8Array | null;
      if (chunk === null) return;
      this.#deliver(chunk);
    }
  }

  #collectUnread(): void {
    for (;;) {
      const chunk = this.#stream.read() as Uint8Array | null;
      if (chunk === null) return;
      this.#waiting.push(chunk);
    }
  }

  readonly #onStreamError = (error: unknown): void => {
    if (!this.#released) this.fail(error);
  };

  #leaveEnd(): void {
    this.#stream.off("end", this.#onStreamEnd);
    if (this.#theirEnd !== undefined) this.#stream.on("end", this.#theirEnd);
  }

  readonly #onStreamEnd = (): void => {
    this.#theirEnd?.call(this.#stream);
    // 'end' may follow our own destroy() (tests/runtime/TRAPS.md, trap 11) and an error (a TLS alert, on Bun): an aborted body would
    // look complete.
    if (this.#abandoned || this.#error !== undefined || this.#lent || this.#hasEnded) return;
    if (this.#waiting.length > 0 || this.connecting) this.#endWaits = true;
    else this.#end();
  };

  #end(): void {
    this.#endWaits = false;
    this.#hasEnded = true;
    tell(this.handler, this.handler.onEnd);
  }

  readonly #onStreamClose = (): void => {
    this.#gone = true;
    this.#gate?.destroy();
    const waits = this.#waiting.length > 0 || (this.#paused && this.#stream.readableLength > 0);
    if (waits && !this.#abandoned && !this.#lent) this.#closeWaits = true;
    else this.#close();
  };

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gone = true;
    this.connecting = false;
    this.#drop();
    const isOrderly = this.#abandoned || this.#lent || (this.#hasEnded && this.#writer.hasEnded);
    if (!isOrderly) this.#error ??= this.#socketError(prematureClose());
    tell(this.handler, this.handler.onClose, this.#error);
  }

  #drop(): void {
    this.#writer.drop();
    this.#waiting = [];
    this.#endWaits = false;
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushScheduled = false;
    while (this.#waiting.length > 0) {
      if (this.#cannotTell()) return;
      this.#deliver(this.#waiting.shift()!);
    }
    if (this.#cannotTell()) return;
    if (this.#endWaits) this.#end();
    if (this.#readStyle === "readable") this.#readAvailable();
    else if (!this.#gone && this.#stopped) this.#restart();
    if (this.#closeWaits && !this.#cannotTell()) this.#close();
  }

  get #transport(): NetMethods {
    return this.#gate?.transport ?? this.#stream as NetMethods;
  }

  // Deno's TLSSocket leaves the stream under it open (measured).
  #destroyStream(): void {
    this.#stream.destroy();
    this.#gate?.destroy();
  }

  // After `onread` has returned false only resume() makes the system read again.
  #restart(): void {
    this.#stopped = false;
    this.#stream.resume();
  }

  #cannotTell(): boolean {
    return this.connecting || this.#paused || this.#abandoned || this.#lent || this.#released;
  }

  #socketError(error: unknown): SocketError {
    return fromNodeError(error, { phase: this.phase, ...this.#peer });
  }
}

// Node's streams do it a tick behind the last listener of 'readable'; those of readable-stream 3 never, and a listener of 'data'
// would start nothing.
function letFlow(stream: Duplex): void {
  const { _readableState: state } = stream as { _readableState?: { flowing?: boolean | null } };
  if (state?.flowing === false && stream.listenerCount("readable") === 0) {
    state.flowing = null;
  }
}

// A stream that closes by itself, neither ended nor failed: what was read so far proves nothing.
function prematureClose(): Error {
  return argumentError("ERR_STREAM_PREMATURE_CLOSE", "The stream closed before it ended", Error);
}

// Users count the listeners of a socket of node:net's, and know how many Node has on it: ours stands for its own.
function takeEndListener(stream: Duplex): (() => void) | undefined {
  const own = stream.listeners("end").find(({ name }) => name === "onReadableStreamEnd") as
    | (() => void)
    | undefined;
  if (own !== undefined) stream.off("end", own);
  return own;
}
