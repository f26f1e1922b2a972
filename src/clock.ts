/**
 * Time for the product: the only place that names setTimeout. Everything that waits takes a {@linkcode Clock}, so
 * that tests move time by hand.
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
  /** Calls `fn` once, `ms` milliseconds from now or later; holds the process only with `ref: true`. */
  after(ms: number, fn: () => void, options?: { ref?: boolean }): Timer;
  /**
   * Calls `fn` once the present turn of the event loop has ended: between two such calls in a row the system has been asked
   * for news of every socket. Left out where nothing lies below the sockets, as on a network in memory: then a pool
   * does not wait for that news before it reuses a connection.
   */
  afterPoll?(fn: () => void): void;
}

// dnt-shim-ignore
const { setImmediate: immediately } = globalThis as unknown as { setImmediate: (fn: () => void) => unknown };

// Bound at load, so that a user's fake timers do not freeze the pool.
const set = setTimeout;
const clear = clearTimeout;
const monotonic = performance.now.bind(performance);

/** The process's own clock. */
export const systemClock: Clock = {
  now: monotonic,
  after(ms: number, fn: () => void, options?: { ref?: boolean }): Timer {
    const handle: unknown = set(fn, ms);
    if (options?.ref !== true) unrefTimer(handle);
    return { cancel: () => clear(handle as Parameters<typeof clear>[0]) };
  },
  afterPoll: (fn) => void immediately(fn),
};

// Node and Bun give an object with unref(); Deno gives one too since 2.8, a number before.
function unrefTimer(handle: unknown): void {
  const timer = handle as { unref?: () => void };
  if (typeof timer.unref === "function") timer.unref();
}
