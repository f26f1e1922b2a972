/**
 * An exchange of ours on its way through the pool: the handle by which it is aborted, and its place. Owns neither the queue nor the
 * connection: it knows where it stands and passes on. Must not know a rule of the pool.
 *
 * @module
 */

import type { Link } from "./core/linked_list.ts";
import type { Ticket } from "./core/pool.ts";
import type { KnownEndpoint } from "./endpoint_table.ts";
import type { Dispatched, Exchange } from "./exchange.ts";
import type { PooledConnection, QueueDeadline, Waiter } from "./pooled_connection.ts";
import type { Socket } from "../runtime/socket.ts";

/** What of a pool its waiters use. */
export interface PoolOfWaiters {
  /** Takes a waiter out of the queue; false: it is not there. */
  cancel(waiter: Waiter): boolean;
  /** Asks for another connection, because the one that was given had ended. */
  askAgain(waiter: Waiter): void;
  /** Carries out what the core has decided. */
  drain(): void;
}

/** See the file's comment. */
export class ExchangeWaiter implements Waiter, Dispatched {
  readonly endpoint: KnownEndpoint;
  readonly newBecause: "retry" | undefined;
  ticket: Ticket<PooledConnection, Waiter> | undefined;
  deadline: Link<QueueDeadline> | undefined;
  pooled: PooledConnection | undefined;
  readonly #exchange: Exchange;
  readonly #pool: PoolOfWaiters;
  #hasFailed = false;

  /** A waiter that has not asked yet. */
  constructor(pool: PoolOfWaiters, exchange: Exchange, endpoint: KnownEndpoint, newBecause?: "retry") {
    this.#pool = pool;
    this.#exchange = exchange;
    this.endpoint = endpoint;
    this.newBecause = newBecause;
  }

  /** The user's request, or the exchange itself where there is none. */
  get request(): object {
    return this.#exchange.request ?? this.#exchange;
  }

  /** {@linkcode Waiter}. */
  get showsSocket(): boolean {
    return this.#exchange.showsSocket === true;
  }

  /** {@linkcode Dispatched}. */
  get stream(): unknown {
    return this.pooled?.stream;
  }

  /** {@linkcode Waiter}. */
  get usesStream(): false {
    return false;
  }

  onConnecting(socket: Socket): void {
    this.#exchange.onConnecting?.(socket);
  }

  start(pooled: PooledConnection): void {
    this.pooled = pooled;
    pooled.connection.start(this.#exchange);
  }

  /** {@linkcode Dispatched}. */
  abort(error: Error): void {
    const { pooled } = this;
    if (pooled !== undefined) {
      pooled.abort(this, error, pooled.connection.carries(this.#exchange));
    } else if (this.#pool.cancel(this)) {
      this.fail(error);
      this.#pool.drain();
    }
  }

  /** The exchange ends before it was started. */
  fail(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#exchange.onError(error);
  }
}
