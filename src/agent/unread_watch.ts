/**
 * Whether a response's body lies unread for too long. Owns the timer; knows no pool, and closes nothing.
 *
 * Strategy: a connection of ours says when its exchange takes no more. Who reads a stream tells nobody how far he has got: so that
 * is looked at from time to time, and nothing may have moved between two looks.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { unreadOf } from "./pooled_stream.ts";
import type { Clock, Timer } from "../clock.ts";

/** Who wants to know. */
export interface Unreading {
  /** The time. */
  readonly clock: Clock;
  /** How long a body may lie unread, ms. */
  readonly unreadBodyTimeout: number;
  /** It has lain for so long. */
  onUnread(): void;
}

/** See the file's comment. */
export class UnreadWatch {
  readonly #owner: Unreading;
  #timer: Timer | undefined;

  /** Watches nothing yet. */
  constructor(owner: Unreading) {
    this.#owner = owner;
  }

  /** The exchange under way leaves bytes, or takes them again. */
  note(isUnread: boolean): void {
    this.stop();
    const { clock, unreadBodyTimeout } = this.#owner;
    if (!isUnread) return;
    this.#timer = clock.after(unreadBodyTimeout, () => this.#owner.onUnread());
  }

  /** A request of node:http has the stream, until `stop()`. */
  look(request: object, stream: Duplex, before?: string): void {
    this.stop();
    const { clock, unreadBodyTimeout } = this.#owner;
    this.#timer = clock.after(unreadBodyTimeout, () => {
      const now = unreadOf(request, stream);
      if (now !== undefined && now === before) this.#owner.onUnread();
      else this.look(request, stream, now);
    });
  }

  /** Nobody reads any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
