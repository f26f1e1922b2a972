/**
 * What happens to connections and why: the last of it for `agent.snapshot()`, all of it for who subscribes to the channel.
 *
 * Owns the ring of the last events. Knows no connection. It costs an object for each dial and each end, nothing for a
 * request, and the channel one comparison where nobody has subscribed.
 *
 * @module
 */

import { channel } from "node:diagnostics_channel";

/**
 * Name of the channel of node:diagnostics_channel on which each {@linkcode ConnectionEvent} is published, as the decision is
 * made.
 *
 * @example
 * ```ts
 * import { CONNECTION_CHANNEL, type ConnectionEvent } from "@holdfast/agent";
 * import { subscribe } from "node:diagnostics_channel";
 *
 * subscribe(CONNECTION_CHANNEL, (message) => {
 *   const { name, what, reason } = message as ConnectionEvent;
 *   console.log(name, what, reason);
 * });
 * ```
 */
export const CONNECTION_CHANNEL = "holdfast.connection" as const;

/** A connection that an agent has decided to open, or that has come to its end. */
export interface ConnectionEvent {
  /** The origin: `agent.getName()` of it. */
  readonly name: string;
  /** `dial`: one is being made. `failed`: it never opened. `closed`: it was open. */
  readonly what: "dial" | "failed" | "closed";
  /**
   * Of a dial: why none was reused. "none-free"; "other-options" (those that are free verify or connect otherwise); "waited"
   * (its request had to wait for a place, and none was given back to it); "retry" (a retry takes a new one); "lost" (the one
   * that was to be reused closed before a byte was sent); "given" (a user's own, by 'free').
   *
   * Of an end: an error's `code`, or "peer-closed", "response-close", "request-close", "close-delimited", "surplus-bytes",
   * "request-unfinished", "protocol-error", "http-1.0", "aborted", "expired" (it lay idle for so long), "room" (closed for a
   * waiter of another origin), "turn" (for one that had waited longer), "free-limit", "not-kept", "cap", "max-requests",
   * "max-lifetime", "hint-expired", "hint-max", "idle-closed", "agent-closed", "detached" (its user has it), "closed" (by its
   * user)...
   */
  readonly reason: string;
  /** Requests on it so far. */
  readonly requests: number;
  /** When, ms on the agent's clock. */
  readonly at: number;
}

/** Events that are kept. */
const MAX_EVENTS = 16;

const published = channel(CONNECTION_CHANNEL);

/** See the file's comment. */
export class PoolEvents {
  readonly #ring: ConnectionEvent[] = [];
  #next = 0;

  /** Notes one. */
  add(event: ConnectionEvent): void {
    this.#ring[this.#next] = event;
    this.#next = (this.#next + 1) % MAX_EVENTS;
    if (published.hasSubscribers) published.publish(event);
  }

  /** The last ones, the oldest first. */
  get last(): ConnectionEvent[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }
}
