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
import {
  type ParserLimits,
  type ResponseHead,
  ResponseParser,
  type ResponseSink,
} from "./core/response_parser.ts";
import type { Exchange, ExchangeControl } from "./exchange.ts";
import type { Socket, SocketHandler } from "../runtime/socket.ts";

/** Why a connection is not used again: what the heads said, or what the socket did. */
export type SpentReason = CloseReason | "peer-closed" | "surplus-bytes" | "request-unfinished" | "aborted";

/** Who is told of a connection's life: the Agent. Never called inside a call to the connection but `attach`'s events. */
export interface ConnectionOwner {
  /** The socket is open: an exchange may be started. */
  onConnectionOpen(connection: Connection): void;
  /** An exchange is complete and the connection may carry another; `verdict` has the server's hints. */
  onConnectionIdle(connection: Connection, verdict: KeepAliveVerdict): void;
  /** An exchange is complete and the connection may not carry another: the owner closes it. */
  onConnectionSpent(connection: Connection, reason: SpentReason): void;
  /** The socket is gone: once, last. The error is given where no exchange was there to be told. */
  onConnectionClosed(connection: Connection, error: Error | undefined): void;
}

type ReadState = "connecting" | "idle" | "head" | "body" | "closed";

/** See the file's comment. */
export class Connection implements SocketHandler, ResponseSink, ExchangeControl {
  /** The socket: set by {@linkcode Connection.attach} before any other call. */
  socket!: Socket;
  /** Exchanges started on this connection so far. */
  exchanges = 0;
  readonly #owner: ConnectionOwner;
  readonly #parser: ResponseParser;
  readonly #keepAliveBufferMs: number;
  #exchange: Exchange | undefined;
  #state: ReadState = "connecting";
  #head: ResponseHead | undefined;
  #framing: BodyFraming | undefined;
  #trailers: HeaderBlock | undefined;
  /** The parser has called onComplete; acted upon when it has returned and the surplus is known. */
  #isComplete = false;
  #isPaused = false;
  /** A copy of what the exchange had not taken of a chunk when it paused. */
  #rest: Uint8Array | undefined;
  #hasPeerEnded = false;
  #isEndAuthenticated = true;

  /** A connection without a socket yet; `limits` are the parser's, the buffer is taken off the server's idle hint. */
  constructor(owner: ConnectionOwner, keepAliveBufferMs: number, limits?: Partial<ParserLimits>) {
    this.#owner = owner;
    this.#keepAliveBufferMs = keepAliveBufferMs;
    this.#parser = new ResponseParser(limits);
  }

  /** Gives the connection its socket, whose handler it is. */
  attach(socket: Socket): void {
    this.socket = socket;
  }

  /** Carries an exchange: only when open and not busy. */
  start(exchange: Exchange): void {
    const isReused = this.exchanges++ > 0;
    this.#exchange = exchange;
    this.#state = "head";
    this.#parser.start(exchange.method);
    exchange.onStart(this, isReused);
    // onStart may have aborted it.
    if (this.#exchange !== exchange) return;
    const { head, body } = exchange;
    this.socket.write(head, body !== undefined);
    if (body !== undefined) this.socket.write(body);
  }

  /** True while `exchange` is under way here. */
  carries(exchange: Exchange): boolean {
    return this.#exchange === exchange;
  }

  /** Closes at once; the exchange under way fails with `error`, inside this call. */
  abort(error: Error): void {
    this.#state = "closed";
    this.#parser.reset();
    this.socket.destroy();
    this.#fail(error);
  }

  /** Sends FIN and waits for the peer's; the owner sets the time after which it calls `destroy`. */
  end(): void {
    this.#state = "closed";
    if (this.#hasPeerEnded) this.socket.destroy();
    else this.socket.end();
  }

  /** Closes at once. */
  destroy(): void {
    this.#state = "closed";
    this.socket.destroy();
  }

  /** {@linkcode ExchangeControl}: the exchange takes body bytes again. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const rest = this.#rest;
    this.#rest = undefined;
    if (rest !== undefined) this.#feed(rest);
    if (this.#isPaused || this.#state !== "body") return;
    if (this.#hasPeerEnded) this.#finish(this.#isEndAuthenticated);
    else this.socket.resume();
  }

  // What the socket says.

  /** The socket is ready. */
  onOpen(): void {
    this.#state = "idle";
    this.#owner.onConnectionOpen(this);
  }

  /** Bytes came. */
  onData(chunk: Uint8Array): void {
    if (this.#isPaused) this.#rest = this.#rest === undefined ? chunk.slice() : joined(this.#rest, chunk);
    else this.#feed(chunk);
  }

  /** The peer sent FIN: the end of a close-delimited body, or a fault. */
  onEnd(isAuthenticated?: boolean): void {
    this.#hasPeerEnded = true;
    this.#isEndAuthenticated = isAuthenticated !== false;
    if (!this.#isPaused) this.#finish(this.#isEndAuthenticated);
  }

  /** Nothing waits for it: a body goes out in one write. */
  onDrain(): void {}

  /** The socket is gone. */
  onClose(error?: Error): void {
    const exchange = this.#exchange;
    this.#state = "closed";
    this.#isPaused = false;
    this.#fail(error ?? new ConnectionClosedError(closedMessage(this.#head)));
    this.#owner.onConnectionClosed(this, exchange === undefined ? error : undefined);
  }

  // What the parser says.

  /** A 1xx response. */
  onInformational(head: ResponseHead): void {
    this.#exchange?.onInformational(head);
  }

  /** The final response's head. */
  onHead(head: ResponseHead, framing: BodyFraming): void {
    this.#state = "body";
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
    this.#isComplete = true;
    this.#trailers = trailers;
  }

  /** 101 or a 2xx to CONNECT: a protocol that nobody here asked for. */
  onUpgrade(_head: ResponseHead): void {
    this.abort(new ProtocolError("HPE_INVALID_CONSTANT", { reason: "Unexpected change of protocol" }));
  }

  #feed(chunk: Uint8Array): void {
    if (this.#state !== "head" && this.#state !== "body") return this.#discard();
    let consumed: number;
    try {
      consumed = this.#parser.parse(chunk, this);
    } catch (error) {
      return this.abort(error as Error);
    }
    if (this.#isComplete) return this.#complete(consumed === chunk.length);
    if (!this.#isPaused || this.#exchange === undefined) return;
    if (consumed < chunk.length) this.#rest = chunk.slice(consumed);
    this.socket.pause();
  }

  /** Bytes that nobody asked for: they came while idle, or behind the end of what was asked for. */
  #discard(): void {
    if (this.#state === "idle") this.destroy();
  }

  /** The end of the stream, with nothing held back. */
  #finish(isAuthenticated: boolean): void {
    if (this.#exchange === undefined) return this.destroy();
    if (!isAuthenticated && this.#framing?.kind === "close") {
      return this.abort(
        new ConnectionClosedError("TLS ended without close_notify, so the body may be cut short"),
      );
    }
    try {
      this.#parser.finish(this);
    } catch (error) {
      return this.abort(new ConnectionClosedError(closedMessage(this.#head), { cause: error }));
    }
    if (this.#isComplete) this.#complete(true);
  }

  /** The response is complete: the connection goes to its owner first, so that whoever asks next finds it. */
  #complete(isExact: boolean): void {
    const exchange = this.#exchange!;
    const trailers = this.#trailers;
    const spent = this.#spentReason(isExact);
    const verdict = spent === undefined ? this.#verdict(exchange) : undefined;
    this.#exchange = undefined;
    this.#head = this.#framing = this.#trailers = undefined;
    this.#isComplete = false;
    if (this.#isPaused) this.#unpause();
    if (verdict?.reusable === true) {
      this.#state = "idle";
      this.#owner.onConnectionIdle(this, verdict);
    } else {
      this.#state = "closed";
      this.#owner.onConnectionSpent(this, spent ?? verdict?.reason ?? "aborted");
    }
    exchange.onComplete(trailers);
  }

  /** The last piece was refused: the reader has it all the same, and the connection goes on without him. */
  #unpause(): void {
    this.#isPaused = false;
    this.socket.resume();
  }

  #spentReason(isExact: boolean): SpentReason | undefined {
    if (this.#hasPeerEnded || this.socket.destroyed) return "peer-closed";
    if (!isExact) return "surplus-bytes";
    return this.socket.pendingBytes > 0 ? "request-unfinished" : undefined;
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
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#isPaused = false;
    this.#rest = undefined;
    exchange?.onError(error);
  }
}

function closedMessage(head: ResponseHead | undefined): string {
  return head === undefined
    ? "The server closed the connection without a response"
    : "The server closed the connection before the response was complete";
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
