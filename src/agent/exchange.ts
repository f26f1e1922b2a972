/**
 * The two interfaces between those who make requests and those who carry them: an {@linkcode Exchange} is one request
 * and what it wants told, a {@linkcode Dispatcher} takes exchanges. Knows neither the Agent nor a socket, so that
 * `request.ts` is tested over a Dispatcher of ten lines.
 */
import type { BodyFraming } from "./core/framing.ts";
import type { HeaderBlock } from "./core/headers.ts";
import type { Linked } from "./core/linked_list.ts";
import type { ParserLimits, ResponseHead } from "./core/response_parser.ts";
import type { Clock } from "../clock.ts";
import type { ConnectOptions, Socket } from "../runtime/socket.ts";

/** One request and what it wants told. Each call happens at most once, but for `onInformational`, `onBody` and `onDrain`. */
export interface Exchange {
  /** Decides with the status whether the response has a body (RFC 9112 section 6.3). */
  readonly method: string;
  /** The request's head, with a small body behind it: one write. */
  readonly head: Uint8Array;
  /** What is known of the body and did not go with the head; undefined: nothing. */
  readonly body: Uint8Array | undefined;
  /** More of the body follows, by `control.write()`, until `control.end()`. */
  readonly hasMore: boolean;
  /** The request says `Connection: close`, so the connection is never reused (RFC 9112 section 9.6). */
  readonly isLast: boolean;
  /** What differs from the connection's parser limits, for this response alone. */
  readonly limits?: Partial<ParserLimits> | undefined;
  /** Whom `agent.requests` shows while it waits, and what `reuseSocket()` and `createSocket()` are given: the user's request. */
  readonly request?: object | undefined;
  /** A close-delimited body is whole although TLS ended without close_notify. Default: it is an error. */
  readonly allowTruncatedTls?: boolean | undefined;
  /**
   * Users see its socket, and may ask it after connecting for what only node:tls knows (getPeerCertificate, 'session'): a TLS
   * connection for it is made by that. Default: false.
   */
  readonly showsSocket?: boolean | undefined;
  /** CONNECT alone: a final response of any status hands the connection over, as Node's 'connect' has it. Default: 2xx. */
  readonly anyStatusConnects?: boolean | undefined;
  /**
   * A new connection is being made for this exchange; `onStart` follows once it is open. May be
   * called inside `dispatch`: it only takes note.
   */
  onConnecting?(socket: Socket): void;
  /** A connection was found; `head`, unless it is empty, is written right after. */
  onStart(control: ExchangeControl, isReused: boolean): void;
  /** `control.write()` returned false and all bytes have gone to the system since. */
  onDrain?(): void;
  /** A 1xx response other than 101. */
  onInformational(head: ResponseHead): void;
  /** The final response's head. */
  onHead(head: ResponseHead, framing: BodyFraming): void;
  /** A piece of the body, lent for the call. False: no more until `control.resume()`. */
  onBody(chunk: Uint8Array): boolean;
  /** Bytes came with the response's end that are none of its: those from `at` on, lent for the call. The socket is destroyed. */
  onSurplus?(chunk: Uint8Array, at: number): void;
  /**
   * The response's last byte has come. False: the connection stays this exchange's until `control.release()`, as Node's
   * does until the data is consumed; an `onError` meanwhile says that it is gone. Default: true.
   */
  onResponseEnd?(trailers: HeaderBlock | undefined): boolean;
  /** The peer has ended while this exchange holds its connection, which cannot be used again. */
  onPeerEnd?(): void;
  /** The response is complete; nothing follows. Where `control.end()` was not called, the rest of the upload is not wanted. */
  onComplete(trailers: HeaderBlock | undefined): void;
  /**
   * 101, or a 2xx to CONNECT: the socket is the exchange's, which sets its handler before this call returns; the socket is
   * paused, `rest` is what came behind the head. Nothing follows. Without this method the change of protocol is an
   * error.
   */
  onUpgrade?(head: ResponseHead, socket: Socket, rest: Uint8Array): void;
  /** The exchange failed; nothing follows. Never called inside `dispatch`, and inside `abort` by that call alone. */
  onError(error: Error): void;
}

/** What a running exchange asks of its connection. Does nothing once the exchange has ended. */
export interface ExchangeControl {
  /** The connection's socket: its facts and its options. Writing, ending and its handler are the connection's. */
  readonly socket: Socket;
  /** Bytes of this exchange given to the socket. */
  readonly bytesWritten: number;
  /** Bytes received since this exchange began. */
  readonly bytesRead: number;
  /** Sends a piece of the body; false: wait for `onDrain`. The bytes are the socket's until then. */
  write(chunk: Uint8Array, more?: boolean): boolean;
  /** The request's body is complete. */
  end(): void;
  /** Goes on after `onBody` returned false. */
  resume(): void;
  /** Ends the exchange after `onResponseEnd` returned false: `onComplete` follows inside this call. */
  release(): void;
  /** Takes the connection out of the pool: it is not reused after this exchange, and its slot is free at once. */
  detach(): void;
}

/**
 * A request that takes a connection's bytes instead of a stream: our own ClientRequest, whichever copy of this package it
 * came from. An agent's addRequest() knows it by this method, and then never calls its onSocket().
 */
export interface DispatchableRequest {
  /** True of options that nobody but the request holds. */
  _owns(options: object): boolean;
  /** Dispatches the request's exchange, now and, where it is tried again, later. */
  _dispatchTo(dispatcher: Dispatcher, endpoint: Endpoint): void;
}

/** Where an exchange goes. Equal endpoints are one object, so that what is derived from one is derived once. */
export interface Endpoint {
  /** Node's getName(): caps and views. */
  readonly name: string;
  /** How a connection there is made. */
  readonly connect: ConnectOptions;
}

/** What a {@linkcode Dispatcher} is asked beyond the exchange. */
export interface DispatchOptions {
  /** Never on a connection that has served before: a retry's (RFC 9110 section 9.2.2: what closed one kept connection may have closed all). */
  readonly fresh?: boolean | undefined;
  /** Of a request that was taken before ({@linkcode Dispatcher.onRequestStart}): not refused, although no new one is taken any more. */
  readonly isTaken?: boolean | undefined;
}

/** A request that takes several attempts where it has to, with time between them. Its place among all of them is its dispatcher's. */
export interface LastingRequest extends Linked<LastingRequest> {
  /** Ends it at whatever stage it is. Idempotent. */
  abort(error: Error): void;
}

/** Takes exchanges; the Agent's pool is one. */
export interface Dispatcher {
  /** True where requests ask the server to keep the connection; false: they say `Connection: close`. */
  readonly isPersistent: boolean;
  /** The time by which everything here waits. */
  readonly clock: Clock;
  /** A response's body was read by nobody until its time was over; its connection is closed after this call. */
  onUnreadBody?(): void;
  /** A request begins: also between two attempts the dispatcher's end waits for it, or ends it. */
  onRequestStart?(request: LastingRequest): void;
  /** It has ended: no attempt follows. */
  onRequestEnd?(request: LastingRequest): void;
  /** Takes an exchange; all that becomes of it is told to the exchange, after this call. */
  dispatch(exchange: Exchange, endpoint: Endpoint, options?: DispatchOptions): Dispatched;
}

/** A taken exchange. */
export interface Dispatched {
  /** The stream of its connection as users see it, made when it is first asked for; undefined: it has none yet. */
  readonly stream?: unknown;
  /** Gives the exchange up at whatever stage it is: calls its `onError(error)`, unless it has ended. Idempotent. */
  abort(error: Error): void;
}
