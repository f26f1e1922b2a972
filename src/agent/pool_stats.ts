/**
 * What has happened in a pool: counts by name, for `agent.stats()`. Owns the counts; everything that can be read off the
 * pool's present state is not kept here.
 *
 * @module
 */

import { RecentMap } from "./recent_map.ts";

/** Names whose counts are kept one by one; those of a name that has been forgotten are summed up under `others`. */
const MAX_NAMES = 16_384;

/** Counts since the agent was made, for one name. */
export class NameCounts {
  /** Those that these were added to when their name was forgotten, and that count on for who holds these. */
  heir: NameCounts | undefined = undefined;
  /** Connections that were opened. */
  opened = 0;
  /** Dials that failed or were called off. */
  failed = 0;
  /** Requests that were given a connection that had served before. */
  reused = 0;
  /** Dispatches that asked for a new connection because an earlier one had failed. */
  retried = 0;
  /**
   * Dials, by the reasons of a ConnectionEvent.
   */
  readonly dialled: Record<string, number> = {};
  /** Connections that have closed, by reason. */
  readonly closed: Record<string, number> = {};

  /** Counts a request that was given a connection which had served before. */
  reuse(): void {
    (this.heir ?? this).reused++;
  }

  /** Counts a close. */
  close(reason: string): void {
    this.closed[reason] = (this.closed[reason] ?? 0) + 1;
  }

  /** Counts a dial. */
  dial(reason: string): void {
    this.dialled[reason] = (this.dialled[reason] ?? 0) + 1;
  }

  /** Adds another's counts to these. */
  add(other: NameCounts): void {
    this.opened += other.opened;
    this.failed += other.failed;
    this.reused += other.reused;
    this.retried += other.retried;
    for (const [reason, count] of Object.entries(other.closed)) {
      this.closed[reason] = (this.closed[reason] ?? 0) + count;
    }
    for (const [reason, count] of Object.entries(other.dialled)) {
      this.dialled[reason] = (this.dialled[reason] ?? 0) + count;
    }
  }
}

/** Counts by name. */
export class PoolStats {
  /** Responses that nobody read until their time was over. */
  unread = 0;
  /** What the names that are not kept any more add up to. */
  readonly others: NameCounts = new NameCounts();
  readonly #names = new RecentMap<NameCounts>(MAX_NAMES, (counts) => {
    this.others.add(counts);
    counts.heir = this.others;
  });

  /** The counts of a name, made if there are none. */
  of(name: string): NameCounts {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const counts = new NameCounts();
    this.#names.set(name, counts);
    return counts;
  }

  /** Names that have counts. */
  names(): IterableIterator<string> {
    return this.#names.keys();
  }

  /** The sum over all names. */
  total(): NameCounts {
    const total = new NameCounts();
    total.add(this.others);
    for (const counts of this.#names.values()) total.add(counts);
    return total;
  }
}
