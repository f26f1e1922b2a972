/**
 * A request as its exchange sees it: what it is asked, and what it is told. Types alone, so that the exchange need not know the
 * class.
 *
 * @module
 */

import type { EventEmitter } from "node:events";
import type { Leniency } from "./core/leniency.ts";
import type { ExchangeControl } from "./exchange.ts";
import type { IncomingMessage } from "./incoming_message.ts";
import type { MessageSink } from "./outgoing_message_output.ts";

/** The request as its exchange sees it. */
export interface ExchangeOwner extends EventEmitter {
  readonly method: string;
  /** The head is made. */
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  readonly aborted: boolean;
  readonly finished: boolean;
  shouldKeepAlive: boolean;
  upgradeOrConnect: boolean;
  res: IncomingMessage | null;
  readonly joinDuplicateHeaders: boolean | undefined;
  /** What of the response is forgiven; undefined: nothing. */
  readonly _leniency: Leniency | undefined;
  readonly maxHeaderSize: number | undefined;
  readonly maxHeadersCount: number | null;
  /** Of the response's stream, as a socket would give it; undefined: the runtime's default. */
  readonly _responseOptions: { readonly readableHighWaterMark: number } | undefined;
  /** The connection is not to be used again, whatever the server says. */
  readonly _isLast: boolean;
  /** All of the request has gone to the system. */
  readonly _isSent: boolean;
  /** The connection has failed, and 'error' says so: what the user adds is not told. */
  _hasFailed: boolean;
  /** A socket is known: Node's 'socket'. */
  _onSocket(isReused: boolean): void;
  /** The connection is open. */
  _onOpen(sink: MessageSink): void;
  /** The sink's bytes have gone to the system. */
  _onDrain(): void;
  /** A byte of an answer is here: the request is never tried again. */
  _onAnswer(): void;
  /** The connection is about to be the user's. */
  _onHandOver(): void;
  /** The last byte of the response was consumed. */
  _onEnd(): void;
  /** Something to say by 'error'. */
  _onError(error: Error): void;
  /** 'error', then 'close', whatever a listener throws. */
  _onFailure(error: Error): void;
  /** It is over. */
  _onClose(): void;
  /** The connection failed before any byte of an answer: true if the request is tried again. */
  _triesAgain(error: Error, control: ExchangeControl | undefined, isReused: boolean): boolean;
}
