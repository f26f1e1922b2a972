/**
 * One socket with a parser: carries one exchange at a time and says, at the end of each, whether the connection may
 * carry another. Owns the reading and the writing half and their states. Knows no pool, timer, URL or promise.
 *
 * Strategy: two half-machines, as in hyper. The connection may be used again only when both are done, the message
 * says so (`keep_alive.ts`), not one surplus byte came and all bytes have gone to the system. Anything unexpected
 * while idle closes it: what arrives unasked cannot be told from an answer to the next request.
 *
 * @module
 */

import { ConnectionClosedError, ProtocolError } from "./core/errors.ts";
import type { BodyFraming } from "./core/framing.ts";
import type { HeaderBlock } from "./core/headers.ts";
import { type CloseReason, type KeepAliveVerdict, keepAliveVerdict } from "./core/keep_alive.ts";
import { type ResponseHead, ResponseParser, type ResponseSink } from "./core/response_parser.ts";
import { SpareParsers } from "./core/spare_parsers.ts";
import { Control } from "./connection_control.ts";
import type { Exchange } from "./exchange.ts";
import type { Socket, SocketHandler } from "../runtime/socket.ts";

/** Why a connection is not used again: what the heads said, or what the socket did. */
export type SpentReason =
  | CloseReason
  | "peer-closed"
  | "surplus-bytes"
  | "request-unfinished"
  | "protocol-error"
  | "aborted";

/** Who is told of a connection's life: the Agent's pool. */
export interface ConnectionOwner {
  /** The socket is open: an exchange may be started. */
  onConnectionOpen(connection: Connection): void;
  /** An exchange is complete and the connection may carry another; `verdict` has the server's hints. */
  onConnectionIdle(connection: Connection, verdict: KeepAliveVerdict): void;
  /** The connection may not carry another exchange, for this reason: the owner closes it, if it has not closed itself. */
  onConnectionSpent(connection: Connection, reason: SpentReason): void;
  /** The socket is gone: once, last. `error` is given where no exchange was there to be told, `cause` is what the socket says. */
  onConnectionClosed(connection: Connection, error: Error | undefined, cause: Error | undefined): void;
  /** The exchange has bytes of its response that it does not take yet, or is told that it takes them again. */
  onConnectionUnread?(connection: Connection, isUnread: boolean): void;
  /** The socket belongs to the exchange from here on: a change of protocol, or `control.detach()`. */
  onConnectionDetached(connection: Connection): void;
}

type ReadState = "connecting" | "lent" | "idle" | "head" | "body" | "held" | "closed";
type WriteState = "idle" | "body" | "done";

/** See the file's comment. */
export class Connection implements SocketHandler, ResponseSink {
  /** The socket: set by {@linkcode Connection.attach} before any other call. */
  socket!: Socket;
  /** Exchanges started on this connection so far. */
  exchanges = 0;
  readonly #owner: ConnectionOwner;
  readonly #keepAliveBufferMs: number;
  readonly #parsers: SpareParsers;
  /** From the first byte of a response to its last. */
  #parser: ResponseParser | undefined;
  #hasOwnLimits = false;
  #exchange: Exchange | undefined;
  #read: ReadState = "connecting";
  #write: WriteState = "idle";
  #head: ResponseHead | undefined;
  #framing: BodyFraming | undefined;
  #trailers: HeaderBlock | undefined;
  /** The parser has ended the response one way or the other; acted upon when it has returned and the surplus is known. */
  #end: "complete" | "upgrade" | undefined;
  #isDetached = false;
  #isPaused = false;
  #isUnread = false;
  /** While the exchange holds a complete response: nothing has come behind it. */
  #isExact = true;
  /** A copy of what the exchange had not taken of a chunk when it paused. */
  #rest: Uint8Array | undefined;
  #hasPeerEnded = false;
  #isEndAuthenticated = true;

  /** A connection without a socket yet; the buffer is taken off the server's idle hint. */
  constructor(owner: ConnectionOwner, keepAliveBufferMs: number, parsers: SpareParsers = new SpareParsers()) {
    this.#owner = owner;
    this.#keepAliveBufferMs = keepAliveBufferMs;
    this.#parsers = parsers;
  }

  /** Gives the connection its socket, whose handler it is. */
  attach(socket: Socket): void {
    this.socket = socket;
  }

  /** The socket's stream serves somebody else's request: only when open and not busy. */
  lend(): void {
    this.exchanges++;
    this.#read = "lent";
  }

  /** The stream is back, as a socket whose handler this is, and nothing is under way on it. */
  takeBack(socket: Socket): void {
    this.socket = socket;
    this.#read = "idle";
  }

  /** The socket may have been resumed by somebody who only looked at it. */
  stayPaused(): void {
    if (this.#isPaused) this.socket.pause();
  }

  /** Carries an exchange: only when open and not busy. */
  start(exchange: Exchange): void {
    const isReused = this.exchanges++ > 0;
    this.#exchange = exchange;
    this.#read = "head";
    this.#write = exchange.hasMore ? "body" : "done";
    exchange.onStart(new Control(this, exchange), isReused);
    // onStart may have aborted it.
    if (this.#exchange !== exchange) return;
    const { head, body, hasMore } = exchange;
    if (head.length > 0) this.socket.write(head, body !== undefined || hasMore);
    if (body !== undefined) this.socket.write(body, hasMore);
  }

  /**
   * Exchanges with limits of their own are few: they get a parser of their own. At the first byte, because a ClientRequest's
   * limits may be set for as long as it has not sent its head.
   */
  #arm(exchange: Exchange): ResponseParser {
    const { limits, method, anyStatusConnects } = exchange;
    const parser = limits === undefined
      ? this.#parsers.take()
      : new ResponseParser(limits, this.#parsers.heads);
    this.#hasOwnLimits = limits !== undefined;
    parser.start(method, anyStatusConnects === true ? { anyStatusConnects } : undefined);
    this.#parser = parser;
    return parser;
  }

  #disarm(): void {
    const parser = this.#parser;
    this.#parser = undefined;
    if (parser !== undefined && !this.#hasOwnLimits) this.#parsers.giveBack(parser);
  }

  /** True while `exchange` is under way here. */
  carries(exchange: Exchange): boolean {
    return this.#exchange === exchange;
  }

  /** True while any exchange is under way here. */
  get isBusy(): boolean {
    return this.#exchange !== undefined;
  }

  /** The peer has sent its FIN. */
  get hasPeerEnded(): boolean {
    return this.#hasPeerEnded;
  }

  /** Closes at once; the exchange under way fails with `error`, inside this call. The owner has been told before. */
  abort(error: Error, reason: SpentReason = "aborted"): void {
    // It may be in the midst of a call of ours: it stops, and is nobody's any more.
    this.#parser?.reset();
    this.#parser = undefined;
    this.#close(reason);
    this.#fail(error);
  }

  /** Sends FIN and waits for the peer's; the owner sets the time after which it calls `destroy`. */
  end(): void {
    this.#read = "closed";
    if (this.#hasPeerEnded) this.socket.destroy();
    else if (!this.socket.destroyed) this.socket.end();
  }

  /** Closes at once. */
  destroy(): void {
    this.#read = "closed";
    this.socket.destroy();
  }

  /** Closes at once by itself: the owner hears of it now and not with the close, so that nobody is given it meanwhile. */
  #close(reason: SpentReason): void {
    this.destroy();
    this.#owner.onConnectionSpent(this, reason);
  }

  // What the exchange asks, by its Control.

  /** A piece of the request's body. */
  writeBody(exchange: Exchange, chunk: Uint8Array, more: boolean): boolean {
    if (this.#exchange !== exchange || this.#write !== "body") return true;
    return this.socket.write(chunk, more);
  }

  /** The request's body is complete. */
  endBody(exchange: Exchange): void {
    if (this.#exchange === exchange) this.#write = "done";
  }

  /** The connection leaves the pool. */
  detach(exchange: Exchange): void {
    if (this.#exchange !== exchange || this.#isDetached) return;
    this.#isDetached = true;
    this.#owner.onConnectionDetached(this);
  }

  /** The exchange takes body bytes again. */
  resume(exchange: Exchange): void {
    if (!this.#isPaused || this.#exchange !== exchange) return;
    this.#isPaused = false;
    this.#tellUnread(false);
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.#feed(rest);
    if (this.#isPaused || this.#exchange !== exchange) return;
    if (this.#hasPeerEnded) this.#finish(this.#isEndAuthenticated);
    else this.socket.resume();
  }

  /** The exchange has done with the response that it held. */
  release(exchange: Exchange): void {
    if (this.#read === "held" && this.#exchange === exchange) this.#complete(exchange, this.#isExact);
  }

  // What the socket says.

  /** The socket is ready. */
  onOpen(): void {
    // A stream that somebody else's request was served on comes back open.
    if (this.#read !== "connecting") return;
    this.#read = "idle";
    this.#owner.onConnectionOpen(this);
  }

  /** Bytes came. */
  onData(chunk: Uint8Array): void {
    if (this.#read === "held") this.#isExact = false;
    else if (this.#isPaused) {
      this.#rest = this.#rest === undefined ? copied(chunk, 0) : joined(this.#rest, chunk);
    } else this.#feed(chunk);
  }

  /** The peer sent FIN: the end of a close-delimited body, or a fault. */
  onEnd(isAuthenticated?: boolean): void {
    this.#hasPeerEnded = true;
    this.#isEndAuthenticated = isAuthenticated !== false;
    if (this.#read === "held") this.#exchange?.onPeerEnd?.();
    else if (!this.#isPaused) this.#finish(this.#isEndAuthenticated);
  }

  /** All bytes have gone to the system. */
  onDrain(): void {
    this.#exchange?.onDrain?.();
  }

  /** The socket is gone. */
  onClose(error?: Error): void {
    const exchange = this.#exchange;
    // Closed for them before the response was given back.
    const isSurplus = this.#read === "held" && !this.#isExact;
    this.#read = "closed";
    this.#isPaused = false;
    if (isSurplus) this.#owner.onConnectionSpent(this, "surplus-bytes");
    this.#fail(closedError(error, this.#head));
    this.#owner.onConnectionClosed(this, exchange === undefined ? error : undefined, error);
  }

  // What the parser says.

  /** A 1xx response. */
  onInformational(head: ResponseHead): void {
    this.#exchange?.onInformational(head);
  }

  /** The final response's head. */
  onHead(head: ResponseHead, framing: BodyFraming): void {
    this.#read = "body";
    this.#head = head;
    this.#framing = framing;
    this.#exchange?.onHead(head, framing);
  }

  /** A piece of the body. */
  onBody(chunk: Uint8Array): boolean {
    // The exchange may have been aborted by the call before: the rest is nobody's.
    if (this.#exchange === undefined) return true;
    const goesOn = this.#exchange.onBody(chunk);
    if (!goesOn) this.#isPaused = true;
    return goesOn;
  }

  /** The response is complete. */
  onComplete(trailers: HeaderBlock | undefined): void {
    this.#end = "complete";
    this.#trailers = trailers;
  }

  /** 101 or a 2xx to CONNECT. */
  onUpgrade(head: ResponseHead): void {
    this.#end = "upgrade";
    this.#head = head;
  }

  #feed(chunk: Uint8Array): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return this.#discard();
    let consumed: number;
    const parser = this.#parser ?? this.#arm(exchange);
    try {
      consumed = parser.parse(chunk, this);
    } catch (error) {
      return this.abort(error as Error, "protocol-error");
    }
    // A call of the sink may have aborted it.
    if (this.#exchange !== exchange) return;
    if (this.#end === "complete") {
      if (consumed < chunk.length && exchange.onSurplus !== undefined) {
        this.socket.destroy();
        exchange.onSurplus(chunk, consumed);
      }
      return this.#holdOrComplete(exchange, consumed === chunk.length);
    }
    if (this.#end === "upgrade") return this.#handOver(exchange, copied(chunk, consumed));
    if (!this.#isPaused) return;
    if (consumed < chunk.length) this.#rest = copied(chunk, consumed);
    this.socket.pause();
    this.#tellUnread(true);
  }

  #tellUnread(isUnread: boolean): void {
    if (this.#isUnread === isUnread) return;
    this.#isUnread = isUnread;
    this.#owner.onConnectionUnread?.(this, isUnread);
  }

  /** Bytes that nobody asked for: they came while idle, or behind the end of what was asked for. */
  #discard(): void {
    if (this.#read === "idle") this.#close("surplus-bytes");
  }

  /** The end of the stream, with nothing held back. */
  #finish(isAuthenticated: boolean): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return this.#read === "idle" ? this.#close("peer-closed") : this.destroy();
    const parser = this.#parser ?? this.#arm(exchange);
    if (!isAuthenticated && this.#framing?.kind === "close" && exchange.allowTruncatedTls !== true) {
      return this.abort(
        new ConnectionClosedError("TLS ended without close_notify, so the body may be cut short"),
        "peer-closed",
      );
    }
    try {
      parser.finish(this);
    } catch (error) {
      return this.abort(
        new ConnectionClosedError(closedMessage(this.#head), { cause: error }),
        "peer-closed",
      );
    }
    if (this.#end === "complete") this.#holdOrComplete(exchange, true);
  }

  /** The response's last byte is here: the exchange may hold on to the connection. */
  #holdOrComplete(exchange: Exchange, isExact: boolean): void {
    if (exchange.onResponseEnd === undefined) return this.#complete(exchange, isExact);
    this.#read = "held";
    this.#isExact = isExact;
    if (this.#isPaused) this.#unpause();
    if (exchange.onResponseEnd(this.#trailers)) return this.release(exchange);
    if (this.#exchange === exchange) this.#tellUnread(true);
    if (this.#hasPeerEnded) exchange.onPeerEnd?.();
  }

  /** The response is complete: the connection goes to its owner first, so that whoever asks next finds it. */
  #complete(exchange: Exchange, isExact: boolean): void {
    const trailers = this.#trailers;
    const verdict = this.#verdict(exchange);
    const spent = this.#spentReason(isExact, verdict);
    this.#exchange = undefined;
    this.#head =
      this.#framing =
      this.#trailers =
      this.#end =
        undefined;
    this.#write = "idle";
    this.#disarm();
    this.#tellUnread(false);
    if (this.#isPaused) this.#unpause();
    if (this.#isDetached) {
      this.end();
    } else if (spent === undefined) {
      this.#read = "idle";
      this.#owner.onConnectionIdle(this, verdict);
    } else {
      this.#read = "closed";
      this.#owner.onConnectionSpent(this, spent);
    }
    exchange.onComplete(trailers);
  }

  /** The last piece was refused: the reader has it all the same, and the connection goes on without him. */
  #unpause(): void {
    this.#isPaused = false;
    this.socket.resume();
  }

  /** The socket changes its protocol and its master. */
  #handOver(exchange: Exchange, rest: Uint8Array): void {
    if (exchange.onUpgrade === undefined) {
      return this.abort(
        new ProtocolError("HPE_INVALID_CONSTANT", { reason: "Unexpected change of protocol" }),
      );
    }
    this.detach(exchange);
    this.#exchange = undefined;
    this.#read = "closed";
    this.socket.pause();
    exchange.onUpgrade(this.#head!, this.socket, rest);
  }

  /** What we saw first, what the heads said next: a FIN behind a last response is no news. */
  #spentReason(isExact: boolean, verdict: KeepAliveVerdict): SpentReason | undefined {
    if (!isExact) return "surplus-bytes";
    // The owner looks at what may be reused again: the response may overtake the news that the request has left.
    const isPending = this.socket.pendingBytes > 0 && !verdict.reusable;
    if (this.#write !== "done" || isPending) return "request-unfinished";
    if (!verdict.reusable) return verdict.reason ?? "aborted";
    return this.#hasPeerEnded || this.socket.destroyed ? "peer-closed" : undefined;
  }

  #verdict(exchange: Exchange): KeepAliveVerdict {
    return keepAliveVerdict({
      head: this.#head!,
      framing: this.#framing!,
      connectionClose: exchange.isLast,
      bufferMs: this.#keepAliveBufferMs,
    });
  }

  #fail(error: Error): void {
    this.#tellUnread(false);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#isPaused = false;
    this.#rest = undefined;
    exchange?.onError(error);
  }
}

/** A stream that its user destroyed closes without a word: to the exchange it is gone as if the server had closed it. */
function closedError(error: Error | undefined, head: ResponseHead | undefined): Error {
  const { code } = (error ?? {}) as { code?: string };
  if (error !== undefined && code !== "ERR_STREAM_PREMATURE_CLOSE") return error;
  return new ConnectionClosedError(closedMessage(head), error && { cause: error });
}

function closedMessage(head: ResponseHead | undefined): string {
  return head === undefined
    ? "The server closed the connection without a response"
    : "The server closed the connection before the response was complete";
}

/** What is left of a chunk, as bytes of our own. Not slice(): a Buffer's shares its memory. */
function copied(chunk: Uint8Array, from: number): Uint8Array {
  return new Uint8Array(chunk.subarray(from));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
