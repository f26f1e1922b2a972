/**
 * The two interfaces between those who make requests and those who carry them: an {@linkcode Exchange} is one request
 * and what it wants told, a {@linkcode Dispatcher} takes exchanges. Knows neither the Agent nor a socket, so that
 * `request.ts` is tested over a Dispatcher of ten lines.
 */
import type { BodyFraming } from "./core/framing.ts";
import type { HeaderBlock } from "./core/headers.ts";
import type { ResponseHead } from "./core/response_parser.ts";
import type { ConnectOptions } from "../runtime/socket.ts";

/** One request and what it wants told. Each call happens at most once, but for `onInformational` and `onBody`. */
export interface Exchange {
  /** Decides with the status whether the response has a body (RFC 9112 section 6.3). */
  readonly method: string;
  /** The request's head, with a small body behind it: one write. */
  readonly head: Uint8Array;
  /** What of the body did not go with the head; undefined: nothing. */
  readonly body: Uint8Array | undefined;
  /** The request says `Connection: close`, so the connection is never reused (RFC 9112 section 9.6). */
  readonly isLast: boolean;
  /** A connection was found; `head` is written right after. */
  onStart(control: ExchangeControl, isReused: boolean): void;
  /** A 1xx response other than 101. */
  onInformational(head: ResponseHead): void;
  /** The final response's head. */
  onHead(head: ResponseHead, framing: BodyFraming): void;
  /** A piece of the body, lent for the call. False: no more until `control.resume()`. */
  onBody(chunk: Uint8Array): boolean;
  /** The response is complete; nothing follows. */
  onComplete(trailers: HeaderBlock | undefined): void;
  /** The exchange failed; nothing follows. Never called inside `dispatch`, and inside `abort` by that call alone. */
  onError(error: Error): void;
}

/** What a running exchange asks of its connection. */
export interface ExchangeControl {
  /** Goes on after `onBody` returned false. */
  resume(): void;
}

/** Where an exchange goes. Equal endpoints are one object, so that what is derived from one is derived once. */
export interface Endpoint {
  /** Node's getName(): caps and views. */
  readonly name: string;
  /** The name and every option that says who the peer is: reuse. */
  readonly key: string;
  /** How a connection there is made. */
  readonly connect: ConnectOptions;
}

/** Takes exchanges; the Agent is one. */
export interface Dispatcher {
  /** True where requests ask the server to keep the connection; false: they say `Connection: close`. */
  readonly isPersistent: boolean;
  /** Takes an exchange; all that becomes of it is told to the exchange, after this call. */
  dispatch(exchange: Exchange, endpoint: Endpoint): Dispatched;
}

/** A taken exchange. */
export interface Dispatched {
  /** Gives the exchange up at whatever stage it is: calls its `onError(error)`, unless it has ended. Idempotent. */
  abort(error: Error): void;
}
