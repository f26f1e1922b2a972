/**
 * One end of an in-memory connection, and the link that joins two of them.
 *
 * Owns what a kernel and a wire do to bytes: windows, segments, latency, FIN, RST, a cut wire. Must not know names,
 * listeners or TLS. Strategy: every event is a call of the clock, one event a turn, so nothing is ever called inside
 * a call to the socket; the strict reading of the contract is taken wherever it leaves a choice. Written chunks
 * are not copied before the system takes them, and a chunk given to `onData` is overwritten when the call returns:
 * a user that breaks either rule sees garbage here, where a real network would show it once in a thousand runs.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { SocketError } from "./errors.ts";
import type { Socket, SocketHandler, SocketInfo } from "./socket.ts";
import { tell, tellData } from "./tell.ts";

/** How a link behaves; both directions alike unless said otherwise. */
export interface LinkOptions {
  /** Time of one way, ms; default 0. A connect takes twice as much. */
  readonly latencyMs?: number | undefined;
  /** Bytes that one direction holds between the writer and the reader; default 65,536. More stay pending. */
  readonly windowBytes?: number | undefined;
  /** Most bytes given to one `onData`; default 65,536. 1 delivers byte by byte. */
  readonly maxReadBytes?: number | undefined;
  /** Most bytes that the system takes in one turn; default: all that the window has room for. */
  readonly maxWriteBytes?: number | undefined;
  /** An RST is told at once and data still waiting is lost, as Bun does; default false: data first. */
  readonly resetOvertakesData?: boolean | undefined;
}

/** What the two ends of a connection share. */
export interface Link {
  /** Orders every event. */
  readonly clock: Clock;
  /** How it behaves; a test may replace it while it runs. */
  options: LinkOptions;
  /** The wire is cut: nothing passes any more, and nobody is told. */
  isCut: boolean;
}

/** What lies between a writer and a reader. */
type Segment = Uint8Array | "fin" | "rst";

/** Chunks that go out as one segment. */
interface Batch {
  readonly chunks: Uint8Array[];
  isOpen: boolean;
}

const defaultWindowBytes = 65_536;
// Where Node's streams put it for sockets: a write() that leaves more than this pending returns false.
const highWaterMarkBytes = 16_384;
// What a lent chunk is overwritten with: no digit, no letter, no end of line.
const poison = 0xdb;

/** One end of a connection: a {@linkcode Socket} with the faults of a network at hand. */
export class MemorySocket implements Socket {
  /** Who is told. */
  handler: SocketHandler;
  /** Set before `onOpen`. */
  info: SocketInfo | undefined = undefined;
  /** What `ref()` and `unref()` left: true until `unref()`. */
  isReferenced = true;
  /** What `setNoDelay()` left. */
  noDelay = true;
  /** What `setKeepAlive()` left: the delay in ms, or undefined where it is off. */
  keepAliveDelayMs: number | undefined = undefined;
  /** Called once when the socket is gone, before `onClose`. */
  onGone: (() => void) | undefined = undefined;

  readonly #link: Link;
  #other: MemorySocket | undefined = undefined;
  #state: "connecting" | "open" | "closed" = "connecting";
  // Also after destroy(), until onClose.
  #isConnecting = true;
  #isPaused = false;
  #bytesRead = 0;
  #bytesWritten = 0;
  // Outgoing.
  #batches: Batch[] = [];
  #pendingBytes = 0;
  #isPumpDue = false;
  #end: "no" | "asked" | "sent" = "no";
  #sentBytes = 0;
  #cutAtBytes = Infinity;
  #cutBy: "fin" | "rst" = "rst";
  // Incoming.
  #incoming: Segment[] = [];
  #heldBytes = 0;
  #isDeliveryDue = false;
  #peerEnded = false;
  #isReset = false;
  #isGiving = false;

  /** Makes an end that is still connecting; see {@linkcode MemorySocket.join}. */
  constructor(link: Link, handler: SocketHandler) {
    this.#link = link;
    this.handler = handler;
  }

  /** True until `onOpen` or `onClose`. */
  get connecting(): boolean {
    return this.#isConnecting;
  }

  /** True from `destroy()` or the loss of the connection. */
  get destroyed(): boolean {
    return this.#state === "closed";
  }

  /** Bytes written and not yet taken by the link. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Bytes given to `onData`. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes accepted by `write()`. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** The peer's FIN was told. */
  get peerEnded(): boolean {
    return this.#peerEnded;
  }

  /** Bytes have come that `onData` was not given, or is still being given by a socket that reads on. */
  get hasUnread(): boolean {
    return this.#heldBytes > 0 || (this.#isGiving && !this.#isPaused);
  }

  /** How the link behaves; replaceable at any moment. */
  get link(): Link {
    return this.#link;
  }

  /** Joins the two ends; called once, before either is opened. */
  join(other: MemorySocket): void {
    this.#other = other;
    other.#other = this;
  }

  /** Takes all of `chunk`; see {@linkcode Socket.write}. After `end()` or `destroy()` nothing is taken. */
  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.#state === "closed" || this.#end !== "no") return false;
    if (chunk.length === 0) return this.#pendingBytes <= highWaterMarkBytes;
    const last = this.#batches[this.#batches.length - 1];
    if (last?.isOpen) last.chunks.push(chunk);
    else this.#batches.push({ chunks: [chunk], isOpen: false });
    this.#batches[this.#batches.length - 1]!.isOpen = more === true;
    this.#pendingBytes += chunk.length;
    this.#bytesWritten += chunk.length;
    this.#pumpSoon();
    return this.#pendingBytes <= highWaterMarkBytes;
  }

  /** FIN after the pending bytes. */
  end(): void {
    if (this.#state === "closed" || this.#end !== "no") return;
    this.#end = "asked";
    this.#pumpSoon();
  }

  /** Closes both ways. The peer sees a FIN, or an RST where data had come that was never read. */
  destroy(error?: Error): void {
    if (this.#state === "closed") return;
    const isAbrupt = this.#state === "connecting" || this.#heldBytes > 0;
    this.#shut();
    if (isAbrupt) this.#send("rst");
    else if (this.#end !== "sent") this.#send("fin");
    this.#later(0, () => this.#close(asSocketError(error)));
  }

  /** Stops `onData`. What else comes, FIN and RST too, waits behind the data. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Lets `onData` go on. */
  resume(): void {
    this.#isPaused = false;
    this.#deliverSoon();
  }

  /** Recorded in `isReferenced`: there is no process to hold. */
  ref(): void {
    this.isReferenced = true;
  }

  /** Recorded in `isReferenced`. */
  unref(): void {
    this.isReferenced = false;
  }

  /** Recorded in `noDelay`. */
  setNoDelay(on: boolean): void {
    this.noDelay = on;
  }

  /** Recorded in `keepAliveDelayMs`. */
  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.keepAliveDelayMs = on ? initialDelayMs : undefined;
  }

  /** Sends an RST and is gone: what TCP does when a process dies with data unread. `onClose()` follows. */
  reset(): void {
    if (this.#state === "closed") return;
    this.#send("rst");
    this.#shut();
    this.#later(0, () => this.#close());
  }

  /** Ends the connection by itself once `bytes` more bytes were sent, and drops the rest: cut at any place. */
  cutAfterSending(bytes: number, by: "fin" | "rst"): void {
    this.#cutAtBytes = this.#sentBytes + bytes;
    this.#cutBy = by;
    this.#pumpSoon();
  }

  /** The connection stands: bytes flow from now on, and `onOpen` is called. In a call of the clock only. */
  open(): void {
    if (this.#state !== "connecting") return;
    this.#state = "open";
    this.#isConnecting = false;
    this.#pumpSoon();
    this.#deliverSoon();
    tell(this.handler, this.handler.onOpen);
  }

  /** Ends in an error, or without. In a call of the clock only. */
  fail(error?: SocketError): void {
    if (this.#state === "closed") return;
    this.#shut();
    this.#close(error);
  }

  #close(error?: SocketError): void {
    this.#isConnecting = false;
    tell(this.handler, this.handler.onClose, error);
  }

  #later(ms: number, fn: () => void): void {
    this.#link.clock.after(ms, fn, { ref: true });
  }

  #shut(): void {
    this.#state = "closed";
    this.#batches = [];
    this.#pendingBytes = 0;
    this.#incoming = [];
    this.#heldBytes = 0;
    const gone = this.onGone;
    this.onGone = undefined;
    gone?.();
  }

  // Outgoing: at most one take a turn.

  #pumpSoon(): void {
    if (this.#isPumpDue || this.#state !== "open") return;
    this.#isPumpDue = true;
    this.#later(0, () => this.#pump());
  }

  #pump(): void {
    this.#isPumpDue = false;
    if (this.#state !== "open") return;
    if (this.#sentBytes >= this.#cutAtBytes && this.#end !== "sent") return this.#cutOff();
    if (this.#pendingBytes > 0) return this.#take();
    if (this.#end !== "asked") return;
    this.#end = "sent";
    this.#send("fin");
    this.#finish();
  }

  #take(): void {
    // A system that knows of the RST refuses the write (tests/runtime/TRAPS.md: EPIPE at the second write).
    if (this.#isReset) return this.fail(socketError("EPIPE", "write", this.info));
    const { windowBytes = defaultWindowBytes, maxWriteBytes = Infinity } = this.#link.options;
    const room = windowBytes - this.#other!.#heldBytes;
    const most = Math.min(room, maxWriteBytes, this.#cutAtBytes - this.#sentBytes);
    // Woken again when the reader makes room.
    if (most <= 0) return;
    const segment = this.#cut(most);
    this.#pendingBytes -= segment.length;
    this.#sentBytes += segment.length;
    this.#other!.#heldBytes += segment.length;
    this.#send(segment);
    if (this.#pendingBytes > 0 || this.#end === "asked" || this.#sentBytes >= this.#cutAtBytes) {
      this.#pumpSoon();
    }
    if (this.#pendingBytes === 0) tell(this.handler, this.handler.onDrain);
  }

  #cutOff(): void {
    if (this.#cutBy === "rst") return this.reset();
    this.#batches = [];
    this.#pendingBytes = 0;
    this.#end = "sent";
    this.#send("fin");
    this.#finish();
  }

  // Copies up to `most` bytes of the first batch out of the queue.
  #cut(most: number): Uint8Array {
    const { chunks } = this.#batches[0]!;
    let length = 0;
    for (const chunk of chunks) length += chunk.length;
    const segment = new Uint8Array(Math.min(length, most));
    for (let at = 0; at < segment.length;) {
      const chunk = chunks[0]!;
      const part = chunk.subarray(0, segment.length - at);
      segment.set(part, at);
      at += part.length;
      if (part.length === chunk.length) chunks.shift();
      else chunks[0] = chunk.subarray(part.length);
    }
    if (chunks.length === 0) this.#batches.shift();
    return segment;
  }

  #send(segment: Segment): void {
    const other = this.#other;
    if (other === undefined) return;
    this.#later(this.#link.options.latencyMs ?? 0, () => {
      if (!this.#link.isCut) other.#arrive(segment);
    });
  }

  // Incoming: at most one event a turn.

  #arrive(segment: Segment): void {
    if (this.#state === "closed") {
      // Nobody reads here any more: a kernel answers data with an RST.
      if (typeof segment !== "string") this.#send("rst");
      return;
    }
    if (segment === "rst") this.#isReset = true;
    if (segment === "rst" && this.#link.options.resetOvertakesData === true) {
      return this.fail(socketError("ECONNRESET", "read", this.info));
    }
    this.#incoming.push(segment);
    this.#deliverSoon();
  }

  #deliverSoon(): void {
    if (this.#isDeliveryDue || this.#incoming.length === 0 || !this.#isReading()) return;
    this.#isDeliveryDue = true;
    this.#later(0, () => this.#deliver());
  }

  #isReading(): boolean {
    return this.#state === "open" && !this.#isPaused;
  }

  #deliver(): void {
    this.#isDeliveryDue = false;
    const segment = this.#incoming[0];
    if (segment === undefined || !this.#isReading()) return;
    if (segment === "rst") return this.fail(socketError("ECONNRESET", "read", this.info));
    if (segment === "fin") {
      this.#incoming.shift();
      this.#peerEnded = true;
      tell(this.handler, this.handler.onEnd);
      this.#finish();
    } else this.#give(segment);
    this.#deliverSoon();
  }

  #give(segment: Uint8Array): void {
    const chunk = segment.subarray(0, this.#link.options.maxReadBytes ?? defaultWindowBytes);
    if (chunk.length === segment.length) this.#incoming.shift();
    else this.#incoming[0] = segment.subarray(chunk.length);
    this.#heldBytes -= chunk.length;
    this.#bytesRead += chunk.length;
    // The peer hears of the room one way later.
    this.#later(this.#link.options.latencyMs ?? 0, () => this.#other!.#pumpSoon());
    this.#isGiving = true;
    tellData(this.handler, chunk);
    this.#isGiving = false;
    chunk.fill(poison);
  }

  // Both directions have ended: the connection is over by itself.
  #finish(): void {
    if (this.#end !== "sent" || !this.#peerEnded) return;
    this.#later(0, () => this.fail());
  }
}

/** An error with Node's code and text. */
export function socketError(code: string, syscall: string, info: SocketInfo | undefined): SocketError {
  return new SocketError(`${syscall} ${code}`, {
    code,
    phase: "open",
    syscall,
    address: info?.remoteAddress,
    port: info?.remotePort,
  });
}

function asSocketError(error: Error | undefined): SocketError | undefined {
  if (error === undefined || error instanceof SocketError) return error;
  const { code } = error as { code?: unknown };
  return new SocketError(error.message, {
    code: typeof code === "string" ? code : "ECONNABORTED",
    phase: "open",
    cause: error,
  });
}
