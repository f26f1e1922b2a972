/**
 * What is done to a connection that goes to rest in the pool, and to one that leaves it again: Node's methods where a user has
 * replaced them, else what their default bodies do, without a stream. Owns no state and decides nothing.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { ConnectionHooks, ConnectionSettings } from "./connection_rules.ts";
import { aside } from "./pooled_stream.ts";
import type { Socket } from "../runtime/socket.ts";

/** What an agent says of its connections. */
export interface ParkingRules {
  /** What the user asked for. */
  readonly settings: ConnectionSettings;
  /** Node's methods, as they are now. */
  readonly hooks: Pick<ConnectionHooks<never>, "keepSocketAlive" | "reuseSocket">;
}

/** A connection between two requests. */
export interface Parked {
  /** Its stream, made when it is asked for. */
  readonly stream: Duplex | undefined;
  /** Its stream if somebody has seen it. */
  readonly seenStream: Duplex | undefined;
  /** What it runs on. */
  readonly connection: { readonly socket: Socket };
}

/** A stream with a timer of inactivity. */
interface IdleTimer {
  setTimeout(ms: number): unknown;
}

/**
 * The stream that tells of its idle time itself: by 'timeout', as Node's do, to whoever has seen it, and after another time
 * where a keepSocketAlive() sets one. Undefined: the pool's timer does.
 */
export function idleTimerOf(parked: Parked, { hooks, settings }: ParkingRules): IdleTimer | undefined {
  const isSeen = parked.seenStream !== undefined || hooks.keepSocketAlive !== undefined;
  if (!isSeen || settings.idleTimeout === Infinity) return undefined;
  const stream = parked.stream as (Duplex & Partial<IdleTimer>) | undefined;
  return stream?.setTimeout === undefined ? undefined : stream as IdleTimer;
}

/** To rest; false: a user's keepSocketAlive() does not want it kept. `isFirst`: it has not been there before. */
export function park(parked: Parked, rules: ParkingRules, isFirst: boolean): boolean {
  const { settings, hooks: { keepSocketAlive } } = rules;
  idleTimerOf(parked, rules)?.setTimeout(settings.idleTimeout);
  const stream = keepSocketAlive === undefined ? undefined : parked.stream;
  if (stream !== undefined) return Boolean(aside(() => keepSocketAlive!(stream)));
  const { socket } = parked.connection;
  if (isFirst) socket.setKeepAlive?.(true, settings.keepAliveMsecs);
  socket.unref?.();
  return true;
}

/** Back to work, for `request`. Throws what a user's reuseSocket() throws. */
export function unpark(parked: Parked, rules: ParkingRules, request: object): void {
  // The idle time is over; a request has its own (D6).
  idleTimerOf(parked, rules)?.setTimeout(0);
  const { reuseSocket } = rules.hooks;
  const stream = reuseSocket === undefined ? undefined : parked.stream;
  if (stream === undefined) parked.connection.socket.ref?.();
  else reuseSocket!(stream, request);
}
