/**
 * Who wants to hear of a signal's abort. Owns the one listener that each signal has.
 *
 * Strategy: many requests may share a signal, and Node warns of a leak from the 11th listener on. So there is one, for as long
 * as anybody waits; the signal itself is left as its owner made it (undici raises its limit instead).
 *
 * @module
 */

type Listener = () => void;

/** Those who wait for one signal. */
class Waiting {
  readonly listeners: Set<Listener> = new Set();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", this.#onAbort);
  }

  leave(listener: Listener): void {
    if (this.listeners.delete(listener) && this.listeners.size === 0) this.#end();
  }

  #end(): void {
    if (!waiting.delete(this.#signal)) return;
    this.#signal.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#end();
    // One of them may make another leave.
    for (const listener of this.listeners) listener();
  };
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/** Calls `listener` once `signal` aborts, unless the function returned is called before. Not for one that has aborted. */
export function onAbort(signal: AbortSignal, listener: Listener): () => void {
  let those = waiting.get(signal);
  if (those === undefined) waiting.set(signal, those = new Waiting(signal));
  those.listeners.add(listener);
  return () => those.leave(listener);
}
