/**
 * A request that was given up while its createConnection was at work, which may yet open a socket. Owns for how long its slot counts
 * on: until there is an answer, for a second at most.
 *
 * @module
 */

import type { Slot } from "./core/pool.ts";
import { CLOSE_TIMEOUT_MS } from "./connection_rules.ts";
import type { PoolOf, WaiterOf } from "./pool_roles.ts";
import { discard } from "./pooled_stream.ts";
import type { Timer } from "../clock.ts";

/** What was to be dialled. */
interface Abandoned<Pooled> {
  /** Its place. */
  readonly slot: Slot<Pooled, WaiterOf<Pooled>>;
}

/** See the file's comment. */
export class AbandonedDial<Pooled extends Abandoned<Pooled>> {
  readonly #pool: PoolOf<Pooled>;
  readonly #pooled: Pooled;
  readonly #timer: Timer;

  /** Has the slot closed, which counts on; the pool is yet to be drained. */
  constructor(pool: PoolOf<Pooled>, pooled: Pooled) {
    this.#pool = pool;
    this.#pooled = pooled;
    pool.core.close(pooled.slot, "aborted");
    // Somebody may wait for the slot, unless all were told to end.
    const ref = !pool.isDestroying;
    this.#timer = pool.clock.after(CLOSE_TIMEOUT_MS, () => this.answer(undefined), { ref });
  }

  /** The answer, or none; a later one only loses its stream. */
  answer(stream: unknown): void {
    discard(stream);
    const pool = this.#pool;
    if (this.#pooled.slot.state !== "closing") return;
    this.#timer.cancel();
    const isNews = stream !== undefined && stream !== null;
    if (isNews) return pool.linger(this.#pooled, false);
    pool.forget(this.#pooled);
    pool.drain();
  }
}
