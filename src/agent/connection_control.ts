/**
 * One exchange's hold on its connection.
 *
 * Owns what of the socket's counts is the exchange's, and whose each call is: the hold ends with the exchange, and a late write
 * never reaches another's request. Must not know what a connection does with a call.
 *
 * @module
 */

import type { Exchange, ExchangeControl } from "./exchange.ts";
import type { Socket } from "../runtime/socket.ts";

/** What a connection lets an exchange ask, while it is under way there; of one that is not it takes no notice. */
export interface ControlledConnection {
  /** What it runs on. */
  readonly socket: Socket;
  /** A piece of the request's body. */
  writeBody(exchange: Exchange, chunk: Uint8Array, more: boolean): boolean;
  /** The request's body is complete. */
  endBody(exchange: Exchange): void;
  /** The exchange takes body bytes again. */
  resume(exchange: Exchange): void;
  /** The exchange has done with the response that it held. */
  release(exchange: Exchange): void;
  /** The connection leaves the pool. */
  detach(exchange: Exchange): void;
}

/** See the file's comment. */
export class Control implements ExchangeControl {
  readonly #connection: ControlledConnection;
  readonly #exchange: Exchange;
  readonly #writtenBefore: number;
  readonly #readBefore: number;

  /** Of the exchange that begins now. */
  constructor(connection: ControlledConnection, exchange: Exchange) {
    this.#connection = connection;
    this.#exchange = exchange;
    this.#writtenBefore = connection.socket.bytesWritten;
    this.#readBefore = connection.socket.bytesRead;
  }

  get socket(): Socket {
    return this.#connection.socket;
  }

  get bytesWritten(): number {
    return this.socket.bytesWritten - this.#writtenBefore;
  }

  get bytesRead(): number {
    return this.socket.bytesRead - this.#readBefore;
  }

  write(chunk: Uint8Array, more = false): boolean {
    return this.#connection.writeBody(this.#exchange, chunk, more);
  }

  end(): void {
    this.#connection.endBody(this.#exchange);
  }

  resume(): void {
    this.#connection.resume(this.#exchange);
  }

  release(): void {
    this.#connection.release(this.#exchange);
  }

  detach(): void {
    this.#connection.detach(this.#exchange);
  }
}
