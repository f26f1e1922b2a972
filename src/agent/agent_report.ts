/**
 * What an agent tells of itself: `agent.stats()` for programs, `agent.snapshot()` for people. Owns what of it is shown, and the
 * words; counts nothing, and must not change the pool that it reads.
 *
 * @module
 */

import type { ConnectionPool } from "./connection_pool.ts";
import type { NameCounts } from "./pool_stats.ts";
import type { PooledConnection } from "./pooled_connection.ts";

/** One name's part of {@linkcode AgentStats}, or the whole. */
export interface PoolStatistics {
  /** Connections being made, now. */
  readonly connecting: number;
  /** Connections in use, now. */
  readonly active: number;
  /** Parked connections, now. */
  readonly free: number;
  /** Connections that are closing and still count, now. */
  readonly closing: number;
  /** Requests in the queue, now. */
  readonly pending: number;
  /** Connections opened so far. */
  readonly opened: number;
  /** Connects that failed or were called off so far. */
  readonly failed: number;
  /** Requests that went over a connection that had served before, so far. */
  readonly reused: number;
  /** Retries that asked for a new connection so far. */
  readonly retried: number;
  /** Dials so far, by reason: why no connection was reused. The reasons are those of a {@linkcode ConnectionEvent}. */
  readonly dialled: Readonly<Record<string, number>>;
  /** Connections closed so far, by reason, as above. */
  readonly closed: Readonly<Record<string, number>>;
}

/** What `agent.stats()` returns. */
export interface AgentStats extends PoolStatistics {
  /** Responses that nobody read until their time was over. */
  readonly unread: number;
  /** The same for each name that has been used lately: at most 16,384 that have nothing under way. */
  readonly names: Readonly<Record<string, PoolStatistics>>;
}

const NOW = ["connecting", "active", "free", "closing", "pending"] as const;

/** Reads a pool off. */
export function statsOf(pool: ConnectionPool): AgentStats {
  const names: Record<string, PoolStatistics> = Object.create(null);
  const total = { connecting: 0, active: 0, free: 0, closing: 0, pending: 0 };
  for (const name of new Set([...pool.core.names(), ...pool.stats.names()])) {
    const now = pool.core.counts(name);
    for (const what of NOW) total[what] += now[what];
    names[name] = { ...now, ...soFar(pool.stats.of(name)) };
  }
  return { ...total, ...soFar(pool.stats.total()), unread: pool.stats.unread, names };
}

function soFar({ opened, failed, reused, retried, dialled, closed }: NameCounts): Pick<
  PoolStatistics,
  "opened" | "failed" | "reused" | "retried" | "dialled" | "closed"
> {
  return { opened, failed, reused, retried, dialled: { ...dialled }, closed: { ...closed } };
}

/** Prints a pool: a line for the agent, one for each name, one for each connection and each of the first who wait. */
export function snapshotOf(pool: ConnectionPool): string {
  const { core, settings, clock } = pool;
  const now = clock.now();
  const cap = (limit: number): string => limit === Infinity ? "no limit" : `at most ${limit}`;
  const lines = [
    `${core.totalSlots} connections (${cap(settings.maxTotalSockets)}; ${
      cap(settings.maxSockets)
    } to an origin), ` +
    `${core.totalPending} requests waiting${pool.isClosed ? ", closed" : ""}`,
  ];
  for (const name of core.names()) {
    const { connecting, active, free, closing, pending } = core.counts(name);
    lines.push(
      `  ${
        shown(name)
      }: ${connecting} connecting, ${active} active, ${free} free, ${closing} closing, ${pending} waiting`,
      `    so far: ${countsLine(pool.stats.of(name))}`,
    );
    for (const pooled of pool.connections) {
      if (pooled.slot.name === name) lines.push(`    ${connectionLine(pooled, now)}`);
    }
    for (const { queuedAt } of (core.queued(name) ?? []).slice(0, 10)) {
      lines.push(`    waiting for ${ms(now - queuedAt)}`);
    }
  }
  const { last } = pool.events;
  if (last.length > 0) lines.push("  last of all:");
  for (const { at, name, what, reason, requests } of last) {
    const use = what === "closed" ? `, after ${requests} requests` : "";
    lines.push(`    ${ms(now - at)} ago, ${shown(name)} ${what}: ${reason}${use}`);
  }
  return lines.join("\n");
}

function connectionLine({ slot, connection, dialledAt }: PooledConnection, now: number): string {
  const { state, reason, expiresAt } = slot;
  const why = reason === undefined ? "" : ` (${reason})`;
  const until = state === "free" && expiresAt !== Infinity ? `, until ${ms(expiresAt - now)} from now` : "";
  return `${state}${why}: ${connection.exchanges} requests in ${ms(now - dialledAt)}${until}`;
}

function countsLine({ opened, failed, reused, retried, dialled, closed }: NameCounts): string {
  const reasons = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts).map(([reason, count]) => `${count} ${reason}`).join(", ") || "none";
  return `${opened} opened, ${failed} failed, ${reused} reused, ${retried} retried; ` +
    `dialled: ${reasons(dialled)}; closed: ${reasons(closed)}`;
}

/** A name of https holds whole certificates. */
function shown(name: string): string {
  return name.length <= 80 ? name : `${name.slice(0, 77)}...`;
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}
