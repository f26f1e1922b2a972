/**
 * Who meets in a pool: those who wait for a connection, and the pool as its connections see it. Types alone, of any type of
 * connection: `pooled_connection.ts` has the one that there is.
 *
 * @module
 */

import type { ConnectionHooks, ConnectionSettings } from "./connection_rules.ts";
import type { Link } from "./core/linked_list.ts";
import type { PoolCore, Slot, Ticket } from "./core/pool.ts";
import type { KnownEndpoint } from "./endpoint_table.ts";
import type { PoolEvents } from "./pool_events.ts";
import type { PoolStats } from "./pool_stats.ts";
import type { Clock } from "../clock.ts";
import type { Context } from "../runtime/context.ts";
import type { AfterPoll } from "../runtime/mod.ts";
import type { Socket } from "../runtime/socket.ts";

/** Somebody who wants a connection. */
export interface WaiterOf<Pooled> {
  /** Where to. */
  readonly endpoint: KnownEndpoint;
  /** What Node's methods and views are given as the request. */
  readonly request: object;
  /** The asynchronous context in which it was asked for, where that is known. */
  readonly context?: Context | undefined;
  /** Its users see the socket of the connection that is made for it. */
  readonly showsSocket?: boolean;
  /** It uses the stream and not the Connection. */
  readonly usesStream: boolean;
  /** Why it takes a new connection whatever is free. */
  readonly newBecause?: "retry" | "given" | undefined;
  /** Its place in the queue, if it had to queue. */
  ticket: Ticket<Pooled, WaiterOf<Pooled>> | undefined;
  /** When it has waited long enough, if there is such a time. */
  deadline: Link<QueueDeadlineOf<Pooled>> | undefined;
  /** Its connection, from the decision to connect on. */
  pooled: Pooled | undefined;
  /** A connection is being made for it. */
  onConnecting(socket: Socket): void;
  /** Begins: on a connection that is open and quiet or, with `usesStream`, has a stream. */
  start(pooled: Pooled): void;
  /** Ends before it has begun. At most the first call counts. */
  fail(error: Error): void;
  /** Why the stream that it uses is gone, as far as it can see; undefined: it cannot. */
  lossReason?(): string | undefined;
}

/** The end of a waiter's time in the queue. */
export interface QueueDeadlineOf<Pooled> {
  /** Who waits. */
  readonly waiter: WaiterOf<Pooled>;
  /** Until when, ms. */
  readonly at: number;
  /** For how long, ms. */
  readonly timeoutMs: number;
}

/** What of a pool its connections use. */
export interface PoolOf<Pooled> {
  /** The rules. */
  readonly core: PoolCore<Pooled, WaiterOf<Pooled>>;
  /** The time. */
  readonly clock: Clock;
  /**
   * Waits for a poll of the event loop. Before the first byte on a connection that has served lies one: bytes that nobody
   * asked for, or the peer's FIN, may lie in the kernel, where no runtime lets us look. Written upon at once, the former
   * are read as the next request's answer (docs/defects.md, D10; GHSA-35p6-xmwp-9g52), and the request is lost to the
   * latter (D9). Either closes the connection once it is told, and the request goes elsewhere.
   */
  readonly afterPoll: AfterPoll;
  /** What has happened so far. */
  readonly stats: PoolStats;
  /** What has happened lately. */
  readonly events: PoolEvents;
  /** It drains: nothing is parked any more. */
  readonly isClosed: boolean;
  /** Everything is being ended at once. */
  readonly isDestroying: boolean;
  /** What the user asked for. */
  readonly settings: ConnectionSettings;
  /** Node's methods, as they are now. */
  readonly hooks: ConnectionHooks<Pooled>;
  /** Carries out what the core has decided. */
  drain(): void;
  /** A connection has come to its end, after so many requests; `wasOpen`: it had been made. */
  noteEnd(slot: Slot<Pooled, WaiterOf<Pooled>>, wasOpen: boolean, reason: string, requests: number): void;
  /** A body was read by nobody until its time was over. */
  onUnreadBody(): void;
  /** The connection is gone, or somebody else's: its slot comes back. */
  forget(pooled: Pooled): void;
  /**
   * The connection is gone, and its slot comes back a little later: its server may not have heard of it yet, and would count
   * one too many if another came at once; `isAnswered`: it has ended by itself, or has answered our FIN.
   */
  linger(pooled: Pooled, isAnswered: boolean): void;
  /** Calls `then` once a server has heard of the end of a connection. */
  afterNews(isAnswered: boolean, then: () => void): void;
  /** Dials anew in the slot of a connection that was lost before its waiter could begin. */
  redial(slot: Slot<Pooled, WaiterOf<Pooled>>): void;
  /** Finds another connection for a waiter whose own was taken away before it could begin. */
  askAgain(waiter: WaiterOf<Pooled>): void;
}
