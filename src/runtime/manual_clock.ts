/**
 * A clock that tests move by hand.
 *
 * Owns virtual time and the order of what is due. Must not know who waits, nor any socket. Strategy: time stands
 * still until it is moved, and what is due at the present moment runs by itself, each call in a turn of the event
 * loop of its own, so that promises settle in between exactly as they do between two events of a real socket. One
 * queue orders everything: by the moment it is due, then by the order in which it was asked for. So a run depends on
 * nothing but the program.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { Clock, Timer } from "../clock.ts";

interface Entry {
  readonly dueMs: number;
  readonly fn: () => void;
}

// setImmediate is on Node, Deno and Bun, and takes microseconds; elsewhere a timer of 0 ms is a turn as well.
// dnt-shim-ignore
const host = globalThis as { setImmediate?: (fn: () => void) => unknown };
const immediate = host.setImmediate;
const nextTurn: (fn: () => void) => void = immediate !== undefined
  ? (fn) => void immediate(fn)
  : (fn) => void systemClock.after(0, fn, { ref: true });

/**
 * Virtual time for tests: `now()` changes only in {@linkcode ManualClock.advance} and {@linkcode ManualClock.until}.
 *
 * A call that is due already (`after(0, fn)`) needs no moving of time: it runs in a later turn of the event loop.
 *
 * @example
 * ```ts
 * const clock = new ManualClock();
 * let fired = false;
 * clock.after(1000, () => fired = true);
 * await clock.advance(999); // fired is false
 * await clock.advance(1); // fired is true
 * ```
 */
export class ManualClock implements Clock {
  #nowMs = 0;
  // Sorted: the next one to run is the last, so that taking it is a pop.
  readonly #queue: Entry[] = [];
  #isRunning = false;
  readonly #idle: (() => void)[] = [];

  /** Virtual milliseconds since the clock was made. */
  now(): number {
    return this.#nowMs;
  }

  /** How many calls are waiting: 0 when no timer is left. */
  get pending(): number {
    return this.#queue.length;
  }

  /** Calls `fn` once time has been moved by `ms` (below 0 counts as 0). Never holds the process unless it is due. */
  after(ms: number, fn: () => void, _options?: { ref?: boolean }): Timer {
    const entry: Entry = { dueMs: this.#nowMs + Math.max(0, ms), fn };
    const queue = this.#queue;
    let low = 0;
    let high = queue.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (queue[middle]!.dueMs > entry.dueMs) low = middle + 1;
      else high = middle;
    }
    queue.splice(low, 0, entry);
    if (this.#isDue()) this.#run();
    return { cancel: () => this.#cancel(entry) };
  }

  /** Resolves once nothing is due at the present moment. Time stands still. */
  settle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#run();
    });
  }

  /**
   * Moves time by `ms`, stopping at each moment something is due, and resolves once all of it ran.
   *
   * @throws {RangeError} `ms` is negative or no number.
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`Cannot advance the clock by "${ms}" ms`);
    const targetMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#next(); next !== undefined && next.dueMs <= targetMs; next = this.#next()) {
      this.#nowMs = next.dueMs;
      await this.settle();
    }
    this.#nowMs = targetMs;
  }

  /**
   * Moves time from one due call to the next until `promise` settles, and gives its result: a test of a timeout
   * needs no number, and one that would hang fails at once.
   *
   * @throws {Error} Nothing is waiting any more, so that the promise can never settle by this clock.
   */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const done = (): void => {
      isSettled = true;
    };
    promise.then(done, done);
    await this.settle();
    while (!isSettled) {
      const next = this.#next();
      if (next === undefined) throw new Error("The promise is pending and no timer is left to settle it");
      this.#nowMs = next.dueMs;
      await this.settle();
    }
    return await promise;
  }

  #next(): Entry | undefined {
    return this.#queue[this.#queue.length - 1];
  }

  #isDue(): boolean {
    const next = this.#next();
    return next !== undefined && next.dueMs <= this.#nowMs;
  }

  #cancel(entry: Entry): void {
    const index = this.#queue.indexOf(entry);
    if (index !== -1) this.#queue.splice(index, 1);
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    nextTurn(() => this.#turn());
  }

  #turn(): void {
    if (!this.#isDue()) return this.#rest();
    const { fn } = this.#queue.pop()!;
    // What `fn` throws is the process's, as with setTimeout; the clock goes on.
    try {
      fn();
    } finally {
      nextTurn(() => this.#turn());
    }
  }

  #rest(): void {
    this.#isRunning = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
