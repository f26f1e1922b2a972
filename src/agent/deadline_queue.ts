/**
 * Deadlines of those who wait in line, over one timer. Owns the timer and the order; knows nobody who waits.
 *
 * Strategy: deadlines are asked for in the order in which they end, or nearly (the wait is an agent's option and changes
 * rarely, if at all): so the line is a list whose head has the timer. One that ends before the one in front of it is at
 * most as late as that one. Who leaves the head of the line leaves the timer as it is; it is set anew when it fires.
 *
 * @module
 */

import { Link, LinkedList } from "./core/linked_list.ts";
import type { Clock, Timer } from "../clock.ts";

/** What is put in line. */
export interface Deadline {
  /** When its time is over, ms. */
  readonly at: number;
}

/** See the file's comment. */
export class DeadlineQueue<D extends Deadline> {
  readonly #clock: Clock;
  readonly #onDeadline: (deadline: D) => void;
  readonly #line = new LinkedList<Link<D>>();
  #timer: Timer | undefined;

  /** `onDeadline` is called with everything in the line whose time is over; it is not in the line any more. */
  constructor(clock: Clock, onDeadline: (deadline: D) => void) {
    this.#clock = clock;
    this.#onDeadline = onDeadline;
  }

  /** Puts a deadline at the end of the line. */
  add(deadline: D): Link<D> {
    const link = new Link(deadline);
    this.#line.add(link);
    if (this.#timer === undefined) this.#schedule(deadline.at);
    return link;
  }

  /** Takes a deadline out; only one that is in the line. */
  remove(link: Link<D>): void {
    this.#line.remove(link);
    if (this.#line.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(at: number): void {
    // Nothing but this timer may be there to settle the promise of who waits.
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), this.#onTimer, { ref: true });
  }

  readonly #onTimer = (): void => {
    const now = this.#clock.now();
    // Each call may change the line.
    for (let head = this.#line.first; head !== undefined && head.item.at <= now; head = this.#line.first) {
      this.#line.remove(head);
      this.#onDeadline(head.item);
    }
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#line.first !== undefined) this.#schedule(this.#line.first.item.at);
  };
}
