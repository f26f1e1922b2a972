/**
 * A Map that forgets what was not asked for lately: a memory of what can be derived anew, or summed up, with a bound. Must not
 * know what it remembers.
 *
 * Strategy: two generations. What is asked for moves to the young one; when that is full it becomes the old one, and what was
 * still in the old one is forgotten. So nothing is sorted, no entry is looked for among deleted ones (the oldest of a
 * Map used as a queue is), and a program that uses one more than fit does not lose all at once.
 *
 * @module
 */

/** See the file's comment. */
export class RecentMap<V> {
  readonly #generation: number;
  readonly #onForget: ((value: V) => void) | undefined;
  #young = new Map<string, V>();
  #old = new Map<string, V>();

  /** Keeps the `maxEntries / 2` that were asked for last, and at most `maxEntries`; `onForget` hears of each that goes. */
  constructor(maxEntries: number, onForget?: (value: V) => void) {
    this.#generation = Math.ceil(maxEntries / 2);
    this.#onForget = onForget;
  }

  /** Entries held. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** An entry, which from now on is among those asked for last. */
  get(key: string): V | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.set(key, old);
    return old;
  }

  /** Sets an entry that is not held. */
  set(key: string, value: V): void {
    if (this.#young.size === this.#generation) {
      if (this.#onForget !== undefined) this.#old.forEach(this.#onForget);
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  /** The keys held. */
  *keys(): IterableIterator<string> {
    yield* this.#old.keys();
    yield* this.#young.keys();
  }

  /** The values held. */
  *values(): IterableIterator<V> {
    yield* this.#old.values();
    yield* this.#young.values();
  }

  /** Forgets all, and tells nobody. */
  clear(): void {
    this.#old.clear();
    this.#young.clear();
  }
}
