/**
 * A Dispatcher over connections: carries out what `core/pool.ts` decides. Owns the connections' sockets, the timers that
 * close them, and the mapping of a request to its connection. Knows no URL, header or promise.
 *
 * Strategy: the core decides, the sink does. What a socket or a caller says goes to the core first, then its decisions
 * are drained; nothing here keeps a count of its own. Early binding, as in Node: a connect belongs to the request
 * that caused it, and so does its failure.
 *
 * @module
 */

import { Connection, type ConnectionOwner, type SpentReason } from "./connection.ts";
import { AgentDestroyedError, ConnectionClosedError, PoolError } from "./core/errors.ts";
import type { KeepAliveVerdict } from "./core/keep_alive.ts";
import { PoolCore, type PoolErrorCode, type PoolSink, type Slot, type Ticket } from "./core/pool.ts";
import type { Dispatched, Dispatcher, DispatchOptions, Endpoint, Exchange } from "./exchange.ts";
import type { AgentSettings } from "./options.ts";
import type { Connect } from "../runtime/socket.ts";
import type { Clock, Timer } from "../clock.ts";

/** How long a closed connection waits for its peer's FIN, ms; then its slot comes back all the same. */
const CLOSE_TIMEOUT_MS = 1_000;

type PoolSlot = Slot<PooledConnection, Waiter>;

/** See the file's comment. */
export class ConnectionPool implements Dispatcher, PoolSink<PooledConnection, Waiter> {
  /** The pool's rules and counts. */
  readonly core: PoolCore<PooledConnection, Waiter>;
  /** What the user asked for. */
  readonly settings: AgentSettings;
  /** The time. */
  readonly clock: Clock;
  readonly #connect: Connect;
  readonly #connections = new Set<PooledConnection>();
  #expiryTimer: Timer | undefined;
  #expiryAt = Infinity;

  /** An empty pool; `settings` stay the caller's, who may change its caps. */
  constructor(settings: AgentSettings, connect: Connect, clock: Clock) {
    this.settings = settings;
    this.clock = clock;
    this.#connect = connect;
    this.core = new PoolCore(settings);
  }

  /** Node's rule: without keepAlive and without a cap, no connection could ever serve a second request. */
  get isPersistent(): boolean {
    return this.settings.keepAlive || this.settings.maxSockets !== Infinity;
  }

  /** Takes an exchange: a free connection, a new one, or a place in the queue. */
  dispatch(exchange: Exchange, endpoint: Endpoint, options?: DispatchOptions): Dispatched {
    const waiter = new Waiter(this, exchange, endpoint);
    const { name, key } = endpoint;
    waiter.ticket = this.core.acquire(waiter, name, key, this.clock.now(), options?.fresh === true);
    this.drain();
    return waiter;
  }

  /** Fails everything that is queued or under way and closes every socket at once. */
  destroy(): void {
    const error = new AgentDestroyedError();
    const waiters = this.core.drainQueue();
    for (const connection of [...this.#connections]) connection.destroy(error);
    for (const waiter of waiters) waiter.fail(error);
    this.drain();
  }

  /** Carries out what the core has decided. */
  drain(): void {
    this.core.drain(this);
    this.#scheduleExpiry();
  }

  /** {@linkcode PoolSink}: dials. */
  connect(slot: PoolSlot): void {
    const waiter = slot.waiter!;
    const pooled = new PooledConnection(this, slot);
    waiter.pooled = pooled;
    this.#connections.add(pooled);
    try {
      pooled.connection.attach(this.#connect(waiter.endpoint.connect, pooled.connection));
      waiter.exchange.onConnecting?.(pooled.connection.socket);
    } catch (error) {
      // An option that no adapter honours. Told later: nobody is told inside dispatch().
      this.forget(pooled);
      queueMicrotask(() => waiter.fail(error as Error));
    }
  }

  /** {@linkcode PoolSink}: a connection that has served before. */
  assign(slot: PoolSlot): void {
    const waiter = slot.waiter!;
    waiter.pooled = slot.connection!;
    slot.connection!.startAgain(waiter.exchange);
  }

  /** {@linkcode PoolSink}: closes. */
  close(slot: PoolSlot, reason: string): void {
    // Somebody waits for the slot of a connection closed to make room: the timer is then what settles a promise.
    slot.connection?.end(reason === "room" || reason === "turn");
  }

  /** {@linkcode PoolSink}: no place. */
  reject(waiter: Waiter, code: PoolErrorCode): void {
    queueMicrotask(() => waiter.fail(new PoolError(code)));
  }

  /** A connection is gone: its slot comes back. */
  forget(pooled: PooledConnection): void {
    this.#connections.delete(pooled);
    this.core.closed(pooled.slot);
  }

  /** One timer for all parked connections. */
  #scheduleExpiry(): void {
    const next = this.core.nextExpiry();
    if (next === this.#expiryAt) return;
    this.#expiryTimer?.cancel();
    this.#expiryAt = next;
    this.#expiryTimer = next === Infinity ? undefined : this.clock.after(next - this.clock.now(), () => {
      this.#expiryAt = Infinity;
      this.core.expire(this.clock.now());
      this.drain();
    });
  }
}

/** A request on its way through the pool. */
class Waiter implements Dispatched {
  readonly exchange: Exchange;
  readonly endpoint: Endpoint;
  /** Its place in the queue, if it had to queue. */
  ticket: Ticket<PooledConnection, Waiter> | undefined;
  /** Its connection, from the decision to connect on. */
  pooled: PooledConnection | undefined;
  readonly #pool: ConnectionPool;
  #hasFailed = false;

  constructor(pool: ConnectionPool, exchange: Exchange, endpoint: Endpoint) {
    this.#pool = pool;
    this.exchange = exchange;
    this.endpoint = endpoint;
  }

  /** {@linkcode Dispatched}. */
  abort(error: Error): void {
    if (this.pooled !== undefined) {
      this.pooled.abort(this, error);
    } else if (this.ticket !== undefined && this.#pool.core.cancel(this.ticket)) {
      this.fail(error);
      this.#pool.drain();
    }
  }

  /** The exchange ends before it was started. */
  fail(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.exchange.onError(error);
  }
}

/** A slot's connection, and what the pool has to do about it. */
class PooledConnection implements ConnectionOwner {
  readonly slot: PoolSlot;
  readonly connection: Connection;
  readonly #pool: ConnectionPool;
  #closeTimer: Timer | undefined;
  #isParked = false;

  constructor(pool: ConnectionPool, slot: PoolSlot) {
    this.#pool = pool;
    this.slot = slot;
    this.connection = new Connection(this, pool.settings.agentKeepAliveTimeoutBuffer);
  }

  /** The next exchange on an open connection. */
  startAgain(exchange: Exchange): void {
    if (this.#isParked) {
      this.#isParked = false;
      this.connection.socket.ref?.();
    }
    this.connection.start(exchange);
  }

  /** `waiter` gives up, which ends its connection unless that serves another by now. */
  abort(waiter: Waiter, error: Error): void {
    if (this.slot.state === "connecting" && this.slot.waiter === waiter) {
      this.connection.destroy();
      waiter.fail(error);
    } else if (this.connection.carries(waiter.exchange)) {
      this.connection.abort(error);
    }
  }

  /** Closes at once; whoever uses it fails with `error`. */
  destroy(error: Error): void {
    const { state, waiter } = this.slot;
    this.connection.abort(error);
    if (state === "connecting") waiter?.fail(error);
  }

  /** Closes, and lets the peer answer with its FIN: only then does its server count one less. */
  end(isAwaited: boolean): void {
    this.connection.end();
    this.#closeTimer ??= this.#pool.clock.after(CLOSE_TIMEOUT_MS, () => this.connection.destroy(), {
      ref: isAwaited,
    });
  }

  onConnectionOpen(connection: Connection): void {
    if (this.#pool.core.connected(this.slot, this)) connection.start(this.slot.waiter!.exchange);
    else connection.destroy();
  }

  onConnectionIdle(connection: Connection, verdict: KeepAliveVerdict): void {
    const { core, clock, settings } = this.#pool;
    const now = clock.now();
    const expiresAt = now + Math.min(verdict.idleTimeoutMs ?? Infinity, settings.timeout ?? Infinity);
    if (core.release(this.slot, now, expiresAt, settings.keepAlive) === "parked") {
      this.#isParked = true;
      connection.socket.setKeepAlive?.(true, settings.keepAliveMsecs);
      connection.socket.unref?.();
    }
    this.#pool.drain();
  }

  onConnectionSpent(connection: Connection, reason: SpentReason): void {
    this.#pool.core.close(this.slot, reason);
    // The rest of an upload whose answer is here already: nobody wants it sent.
    if (reason === "request-unfinished") connection.destroy();
    this.#pool.drain();
  }

  onConnectionDetached(): void {
    this.#pool.forget(this);
    this.#pool.drain();
  }

  onConnectionClosed(_connection: Connection, error: Error | undefined): void {
    this.#closeTimer?.cancel();
    const { state, waiter } = this.slot;
    this.#pool.forget(this);
    this.#pool.drain();
    if (state === "connecting") {
      waiter?.fail(error ?? new ConnectionClosedError("The connection closed before it was open"));
    }
  }
}
