/**
 * A Dispatcher over connections: carries out what `core/pool.ts` decides. Owns the set of connections, the timers for what
 * is parked and what waits, and the pool's end. Knows no URL, header or promise but the one of its end.
 *
 * Strategy: the core decides, the sink does. What a socket or a caller says goes to the core first, then its decisions
 * are drained; nothing here keeps a count of its own. Early binding, as in Node: a connect belongs to the request
 * that caused it, and so does its failure.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { ConnectionHooks, ConnectionSettings } from "./connection_rules.ts";
import { AgentClosedError, AgentDestroyedError, PoolError, TimeoutError } from "./core/errors.ts";
import { LinkedList } from "./core/linked_list.ts";
import { PoolCore, type PoolErrorCode, type PoolLimits, type PoolSink } from "./core/pool.ts";
import { DeadlineQueue } from "./deadline_queue.ts";
import type { KnownEndpoint } from "./endpoint_table.ts";
import type {
  Dispatched,
  Dispatcher,
  DispatchOptions,
  Endpoint,
  Exchange,
  LastingRequest,
} from "./exchange.ts";
import { ExchangeWaiter, type PoolOfWaiters } from "./exchange_waiter.ts";
import { afterNews } from "./peer_news.ts";
import { PoolEvents } from "./pool_events.ts";
import { PoolStats } from "./pool_stats.ts";
import {
  PooledConnection,
  type PoolOfConnections,
  type PoolSlot,
  type QueueDeadline,
  type Waiter,
} from "./pooled_connection.ts";
import { type AfterPoll, warn } from "../runtime/mod.ts";
import type { Connect } from "../runtime/socket.ts";
import type { Clock, Timer } from "../clock.ts";

/** What an agent says of its pool; read when it is needed, so that it may change at any time. */
export interface PoolSettings extends PoolLimits, ConnectionSettings {
  /** Longest wait in the queue, ms; Infinity: none. */
  readonly queueTimeout: number;
}

/** Called once by {@linkcode PoolHooks.openStream}, or more often: the first answer counts. */
export type StreamAnswer = (error?: unknown, stream?: Duplex) => void;

/** An agent's methods that decide about its pool, as they are now. */
export interface PoolHooks extends ConnectionHooks<PooledConnection> {
  /** Somebody has replaced Node's ways to make a stream: they make the streams of exchanges, too. */
  readonly isDialReplaced: boolean;
  /** Somebody listens for the agent's 'keylog'. */
  readonly isKeyLogWatched: boolean;
  /** Makes a stream. May throw. */
  openStream(waiter: Waiter, answer: StreamAnswer): void;
}

/** A pool's hooks where there is no agent. */
const noHooks: PoolHooks = {
  keepSocketAlive: undefined,
  reuseSocket: undefined,
  isStreamWatched: false,
  isFreeWatched: false,
  isFreePreceded: false,
  isDialReplaced: false,
  isKeyLogWatched: false,
  onStream(): void {},
  onFree(): void {},
  onRemove(): void {},
  openStream(): void {},
};

/** Waits for nothing: where no kernel lies below the sockets, and time is moved by hand. */
export function atOnce(fn: () => void): void {
  fn();
}

/** See the file's comment. */
export class ConnectionPool
  implements Dispatcher, PoolSink<PooledConnection, Waiter>, PoolOfConnections, PoolOfWaiters {
  readonly core: PoolCore<PooledConnection, Waiter>;
  readonly settings: PoolSettings;
  readonly hooks: PoolHooks;
  readonly clock: Clock;
  readonly afterPoll: AfterPoll;
  readonly stats: PoolStats = new PoolStats();
  readonly events: PoolEvents = new PoolEvents();
  /** {@linkcode PoolOfConnections}. */
  isDestroying = false;
  /** Every connection that has a slot. */
  readonly connections: Set<PooledConnection> = new Set();
  /** Slots whose connection was in use when it was closed. */
  readonly #closing: Set<PoolSlot> = new Set();
  /** Requests that may yet be dispatched again. */
  // Not a Set: V8's leaves a trail of dead tables behind it, each with the requests of its time, that only a full
  // collection takes away: a fifth of the processor time of a request on Deno (measured).
  readonly #requests: LinkedList<LastingRequest> = new LinkedList();
  readonly #connect: Connect;
  /** For TLS whose socket users see. */
  readonly #connectShownTls: Connect;
  readonly #queueDeadlines: DeadlineQueue<QueueDeadline>;
  #expiryTimer: Timer | undefined;
  #expiryAt = Infinity;
  #onEmpty: (() => void) | undefined;
  #end: Promise<void> | undefined;

  /** An empty pool; `settings` and `hooks` stay the caller's, who may change what they say. */
  constructor(
    settings: PoolSettings,
    connect: Connect,
    clock: Clock,
    hooks: PoolHooks = noHooks,
    afterPoll: AfterPoll = atOnce,
    connectShownTls: Connect = connect,
  ) {
    this.settings = settings;
    this.hooks = hooks;
    this.clock = clock;
    this.#connect = connect;
    this.#connectShownTls = connectShownTls;
    this.core = new PoolCore(settings);
    this.afterPoll = afterPoll;
    this.#queueDeadlines = new DeadlineQueue(clock, (deadline) => this.#expel(deadline));
  }

  /** Node's rule: without keepAlive and without a cap, no connection could ever serve a second request. */
  get isPersistent(): boolean {
    return this.settings.keepAlive || this.settings.maxSockets !== Infinity;
  }

  /** True from shutDown() on. */
  get isClosed(): boolean {
    return this.#end !== undefined;
  }

  /** {@linkcode Dispatcher}: counts, and warns once. */
  onUnreadBody(): void {
    if (this.stats.unread++ > 0) return;
    warn(
      "A response's body was not read for so long that its connection is closed: read it, or call dump(). " +
        "Later ones are counted in agent.stats().unread",
      "HOLDFAST_UNREAD_BODY",
    );
  }

  /** {@linkcode Dispatcher}. */
  onRequestStart(request: LastingRequest): void {
    this.#requests.add(request);
  }

  /** {@linkcode Dispatcher}. */
  onRequestEnd(request: LastingRequest): void {
    this.#requests.remove(request);
    if (this.isClosed) this.drain();
  }

  /** Takes an exchange: a free connection, a new one, or a place in the queue. */
  dispatch(exchange: Exchange, endpoint: Endpoint, options?: DispatchOptions): Dispatched {
    const isFresh = options?.fresh === true;
    const waiter = new ExchangeWaiter(
      this,
      exchange,
      endpoint as KnownEndpoint,
      isFresh ? "retry" : undefined,
    );
    if (isFresh) {
      this.stats.of(endpoint.name).retried++;
      // Taken before: its agent's end waits for it.
      this.#admit(waiter, isFresh);
    } else if (options?.isTaken === true) this.#admit(waiter, false);
    else this.ask(waiter);
    return waiter;
  }

  /** The same for any waiter. */
  ask(waiter: Waiter, isFresh: boolean = false): void {
    if (this.isClosed) return queueMicrotask(() => waiter.fail(new AgentClosedError()));
    this.#admit(waiter, isFresh);
  }

  #admit(waiter: Waiter, isFresh: boolean): void {
    const now = this.clock.now();
    waiter.ticket = this.core.acquire(waiter, waiter.endpoint.place, now, isFresh);
    const { queueTimeout } = this.settings;
    if (waiter.ticket !== undefined && queueTimeout !== Infinity) {
      waiter.deadline = this.#queueDeadlines.add({ waiter, at: now + queueTimeout, timeoutMs: queueTimeout });
    }
    this.drain();
  }

  /** Asks for another connection, because the one that was given had ended. */
  askAgain(waiter: Waiter): void {
    waiter.pooled = undefined;
    this.#admit(waiter, false);
  }

  /** Takes a waiter out of the queue; false: it is not there. */
  cancel(waiter: Waiter): boolean {
    this.#leaveLine(waiter);
    return waiter.ticket !== undefined && this.core.cancel(waiter, waiter.ticket);
  }

  #leaveLine(waiter: Waiter): void {
    if (waiter.deadline === undefined) return;
    this.#queueDeadlines.remove(waiter.deadline);
    waiter.deadline = undefined;
  }

  /** Fails everything that is queued or under way and closes every socket at once. */
  destroy(): void {
    const error = new AgentDestroyedError();
    this.isDestroying = true;
    try {
      const waiters = this.core.drainQueue();
      for (const connection of [...this.connections]) connection.fail(error);
      for (const waiter of waiters) {
        this.#leaveLine(waiter);
        waiter.fail(error);
      }
      // Between two attempts.
      for (const request of [...this.#requests]) request.abort(error);
      this.drain();
    } finally {
      this.isDestroying = false;
    }
  }

  /** Takes no request any more, and resolves once those that it has taken are done and every connection is closed. */
  shutDown(): Promise<void> {
    this.#end ??= new Promise((resolve) => this.#onEmpty = resolve);
    this.closeIdle("agent-closed");
    return this.#end;
  }

  /** Closes what is parked. */
  closeIdle(reason: string = "idle-closed"): void {
    for (const { slot } of [...this.connections]) {
      if (slot.state === "free") this.core.close(slot, reason);
    }
    this.drain();
  }

  /** The slots of a name as Node's `agent.sockets` has them: what closes under a request is there until that is told 'close'. */
  taken(name: string): PoolSlot[] {
    const slots = this.core.open(name) ?? [];
    if (this.core.counts(name).closing === 0) return slots;
    for (const slot of this.#closing) {
      if (slot.name !== name) continue;
      if ((slot.waiter?.request as { closed?: boolean } | undefined)?.closed === false) slots.push(slot);
    }
    return slots;
  }

  /** Carries out what the core has decided. */
  drain(): void {
    this.core.drain(this);
    this.#scheduleExpiry();
    if (this.#onEmpty === undefined) return;
    if (this.core.totalSlots + this.core.totalPending + this.#requests.size > 0) return;
    this.#onEmpty();
    this.#onEmpty = undefined;
  }

  /** Dials anew in the slot of a connection that was lost before its waiter could begin. */
  redial(slot: PoolSlot): void {
    this.connections.delete(slot.connection!);
    this.connect(slot, true);
  }

  /** {@linkcode PoolSink}: dials. */
  connect(slot: PoolSlot, isLost: boolean = false): void {
    const waiter = slot.waiter!;
    this.#noteDial(slot, isLost);
    this.#leaveLine(waiter);
    const pooled = new PooledConnection(this, slot);
    waiter.pooled = pooled;
    this.connections.add(pooled);
    const { options, isSecure } = waiter.endpoint;
    const isByStream = waiter.usesStream || this.hooks.isDialReplaced || needsStream(options);
    try {
      if (isByStream) this.hooks.openStream(waiter, (error, stream) => pooled.answer(error, stream));
      else {
        const { connect: target } = waiter.endpoint;
        const isShown = isSecure && (waiter.showsSocket === true || this.hooks.isKeyLogWatched);
        const dial = isShown ? this.#connectShownTls : this.#connect;
        pooled.dial((connection) => dial(target, connection));
      }
    } catch (error) {
      // An option that no adapter honours, or a createConnection that throws (D12).
      pooled.failDial(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #noteDial({ name, waiter }: PoolSlot, isLost: boolean): void {
    const reason = isLost ? "lost" : waiter!.newBecause ?? this.#whyNew(name, waiter!);
    this.stats.of(name).dial(reason);
    this.events.add({ name, what: "dial", reason, requests: 0, at: this.clock.now() });
  }

  /** {@linkcode PoolOfConnections}. */
  noteEnd({ name }: PoolSlot, wasOpen: boolean, reason: string, requests: number): void {
    if (wasOpen) this.stats.of(name).close(reason);
    else this.stats.of(name).failed++;
    this.events.add({ name, what: wasOpen ? "closed" : "failed", reason, requests, at: this.clock.now() });
  }

  #whyNew(name: string, { ticket }: Waiter): string {
    if (ticket !== undefined) return "waited";
    return this.core.hasFree(name) ? "other-options" : "none-free";
  }

  /** {@linkcode PoolSink}: a connection that has served before. */
  assign(slot: PoolSlot): void {
    const waiter = slot.waiter!;
    this.#leaveLine(waiter);
    waiter.pooled = slot.connection!;
    slot.connection!.serve(waiter);
  }

  /** {@linkcode PoolSink}: closes. */
  close(slot: PoolSlot, reason: string): void {
    // One that has closed by itself has left already, and would never leave again: with it its request would stay.
    const { connection } = slot;
    if (connection?.isParked === false && this.connections.has(connection)) this.#closing.add(slot);
    // Somebody waits for the slot of a connection closed to make room: the timer is then what settles a promise.
    slot.connection?.end(reason === "room" || reason === "turn" || this.isClosed);
  }

  /** {@linkcode PoolSink}: no place. */
  reject(waiter: Waiter, code: PoolErrorCode): void {
    // What it was given was closed before it could be told: it asks again, unless all of them are to end.
    if (code === "ERR_POOL_SLOT_LOST" && !this.isDestroying) return this.askAgain(waiter);
    const error = this.isDestroying ? new AgentDestroyedError() : new PoolError(code);
    queueMicrotask(() => waiter.fail(error));
  }

  /** A connection is gone: its slot comes back. */
  forget(pooled: PooledConnection): void {
    this.#leave(pooled);
    this.core.closed(pooled.slot);
  }

  #leave(pooled: PooledConnection): void {
    this.connections.delete(pooled);
    this.#closing.delete(pooled.slot);
  }

  /** {@linkcode PoolOfConnections}. */
  linger(pooled: PooledConnection, isAnswered: boolean): void {
    this.#leave(pooled);
    this.afterNews(isAnswered, () => {
      this.core.closed(pooled.slot);
      this.drain();
    });
  }

  /** {@linkcode PoolOfConnections}. */
  afterNews(isAnswered: boolean, then: () => void): void {
    // No kernel below.
    if (this.afterPoll === atOnce) return then();
    // Timers of a loop that was busy come before the sockets' news: a server in this very process would not have had its turn.
    afterNews(this.clock, isAnswered, () => this.afterPoll(then));
  }

  #expel({ waiter, timeoutMs }: QueueDeadline): void {
    waiter.deadline = undefined;
    if (!this.cancel(waiter)) return;
    waiter.fail(new TimeoutError("pool", timeoutMs));
    this.drain();
  }

  /**
   * One timer for all parked connections. It is set anew only for an earlier end, or when the last connection has gone: a busy
   * connection is parked and lent again with each request, and a timer that comes too early finds nothing and is set again.
   */
  #scheduleExpiry(): void {
    const next = this.core.nextExpiry();
    if (next === this.#expiryAt) return;
    if (next > this.#expiryAt && this.core.totalSlots > 0) return;
    this.#expiryTimer?.cancel();
    this.#expiryAt = next;
    this.#expiryTimer = next === Infinity
      ? undefined
      : this.clock.after(next - this.clock.now(), () => this.#expire());
  }

  #expire(): void {
    this.#expiryAt = Infinity;
    this.core.expire(this.clock.now());
    this.drain();
  }
}

/** Options of net.connect() and tls.connect() that only these know: a stream to speak TLS over, and OpenSSL's own. */
const STREAM_OPTIONS = [
  "socket",
  "fd",
  "pskCallback",
  "minDHSize",
  "requestOCSP",
  "enableTrace",
  "clientCertEngine",
  "privateKeyEngine",
  "privateKeyIdentifier",
  "allowPartialTrustChain",
] as const;

function needsStream(options: Readonly<Record<string, unknown>>): boolean {
  return STREAM_OPTIONS.some((name) => options[name] !== undefined && options[name] !== null);
}
