/**
 * Time for the product: the only place that names setTimeout. Everything that waits takes a {@linkcode Clock}, so
 * that tests move time by hand. Owns the timers of the process; imports nothing.
 *
 * @module
 */

/** A pending call. */
export interface Timer {
  /** The call will not happen; idempotent. */
  cancel(): void;
}

/** Reads time and calls back later. */
export interface Clock {
  /** Milliseconds from any fixed origin; never goes back. */
  now(): number;
  /** Calls `fn` once, `ms` milliseconds from now or later, however long that is; holds the process only with `ref: true`. */
  after(ms: number, fn: () => void, options?: { ref?: boolean }): Timer;
}

// Bound at load, so that a user's fake timers do not freeze the pool.
const set = setTimeout;
const clear = clearTimeout;
const monotonic = performance.now.bind(performance);
// dnt-shim-ignore
const { setImmediate: immediate } = globalThis as unknown as { setImmediate: (fn: () => void) => unknown };

/** Calls back once in the next turn of the event loop. */
export function nextTurn(fn: () => void): void {
  immediate(fn);
}

/** From this delay on a timer that holds nothing may be coarse. */
const MIN_COARSE_MS = 1_000;
/** Longest delay of the system's timers: 2^31 - 1 ms. A longer one would be due at once. */
const MAX_DELAY_MS = 2_147_483_647;
/** By how much it may be late. Deadlines of seconds are not read to the millisecond. */
const COARSE_MS = 50;

/** The process's own clock. A timer of a second or more without `ref` may come up to 50 ms late. */
export const systemClock: Clock = {
  now: monotonic,
  after(ms: number, fn: () => void, options?: { ref?: boolean }): Timer {
    const isRef = options?.ref === true;
    if (!isRef && ms >= MIN_COARSE_MS) return coarseTimer(ms, fn);
    if (ms > MAX_DELAY_MS) return longTimer(ms, fn);
    // A time that has passed meanwhile: Node 22 and later warn of a negative delay.
    const handle: unknown = set(fn, Math.max(0, ms));
    if (!isRef) unrefTimer(handle);
    return { cancel: () => clear(handle as Parameters<typeof clear>[0]) };
  },
};

/** A timer that holds the process for longer than the system's timers can wait: it takes several of them, one after another. */
function longTimer(ms: number, fn: () => void): Timer {
  const dueMs = monotonic() + ms;
  let handle: unknown;
  const arm = (restMs: number): void => {
    handle = restMs > MAX_DELAY_MS ? set(onTimer, MAX_DELAY_MS) : set(fn, Math.max(0, restMs));
  };
  const onTimer = (): void => arm(dueMs - monotonic());
  arm(ms);
  return { cancel: () => clear(handle as Parameters<typeof clear>[0]) };
}

/**
 * Deadlines that are made with every request and hardly ever pass: one list for each delay, rounded up, whose members are
 * due in the order in which they were made, and one timer of the system for its first. A member costs an object, where
 * a timer of the system costs 0.2 to 1.5 us. The system's timer outlives its members: it holds nothing, and finds
 * an empty list.
 */
class CoarseList {
  readonly #delayMs: number;
  first: CoarseTimer | undefined;
  last: CoarseTimer | undefined;
  #isArmed = false;

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  add(fn: () => void): CoarseTimer {
    const timer = new CoarseTimer(this, fn, monotonic() + this.#delayMs);
    if (!this.#isArmed) this.#arm(this.#delayMs);
    return timer;
  }

  #arm(delayMs: number): void {
    this.#isArmed = true;
    // The timer may come before anybody is due: it is then set again for the rest.
    unrefTimer(set(this.#onTimer, Math.min(delayMs, MAX_DELAY_MS)));
  }

  readonly #onTimer = (): void => {
    this.#isArmed = false;
    // The system's timers keep whole milliseconds.
    const nowMs = monotonic() + 1;
    try {
      for (let timer = this.first; timer !== undefined && timer.dueMs <= nowMs; timer = this.first) {
        timer.cancel();
        timer.fn();
      }
    } finally {
      // Also where one of them threw: that is the process's, as with setTimeout, and the others still wait.
      if (this.first !== undefined) this.#arm(Math.max(0, this.first.dueMs - monotonic()));
      else coarseLists.delete(this.#delayMs);
    }
  };
}

/** Delay, ms, to list. */
const coarseLists = new Map<number, CoarseList>();

class CoarseTimer implements Timer {
  readonly fn: () => void;
  readonly dueMs: number;
  #list: CoarseList | undefined;
  #previous: CoarseTimer | undefined;
  #next: CoarseTimer | undefined;

  constructor(list: CoarseList, fn: () => void, dueMs: number) {
    this.fn = fn;
    this.dueMs = dueMs;
    this.#list = list;
    this.#previous = list.last;
    if (list.last === undefined) list.first = this;
    else list.last.#next = this;
    list.last = this;
  }

  cancel(): void {
    const list = this.#list;
    if (list === undefined) return;
    this.#list = undefined;
    if (this.#previous === undefined) list.first = this.#next;
    else this.#previous.#next = this.#next;
    if (this.#next === undefined) list.last = this.#previous;
    else this.#next.#previous = this.#previous;
    this.#previous = this.#next = undefined;
  }
}

function coarseTimer(ms: number, fn: () => void): Timer {
  const delayMs = Math.ceil(ms / COARSE_MS) * COARSE_MS;
  let list = coarseLists.get(delayMs);
  if (list === undefined) coarseLists.set(delayMs, list = new CoarseList(delayMs));
  return list.add(fn);
}

// Node and Bun give an object with unref(); Deno gives one too since 2.8, a number before.
function unrefTimer(handle: unknown): void {
  const timer = handle as { unref?: () => void };
  if (typeof timer.unref === "function") timer.unref();
}
