/**
 * What a pool has decided and nobody has carried out yet. Owns the order of the decisions and the promise that each
 * waiter is told exactly once; knows no rule of the pool.
 *
 * Strategy: a queue that the caller drains, not a call in the midst of a decision and not an array for each call. The
 * pool's state is settled before the first action goes out, so a sink may call back into the pool: what that decides
 * is appended, and a nested drain returns at once. Two flat arrays hold the queue: an action allocates nothing.
 *
 * @module
 */
import type { Slot } from "./pool_records.ts";

/**
 * Why a waiter gets nothing.
 * - `ERR_POOL_QUEUE_FULL`: maxPending are waiting already
 * - `ERR_POOL_SLOT_LOST`: what it had been given was closed by a nested call before it could be told; it may ask again
 */
export type PoolErrorCode = "ERR_POOL_QUEUE_FULL" | "ERR_POOL_SLOT_LOST";

/** Carries out what a pool decided. Each waiter of acquire() is told once: by connect, assign or reject. */
export interface PoolSink<C, W> {
  /** Dial for `slot.waiter`; answer with connected() or closed(). */
  connect(slot: Slot<C, W>): void;
  /** `slot.connection` is `slot.waiter`'s, until release(), close(), closed() or detach(). */
  assign(slot: Slot<C, W>): void;
  /** End the connection, or cancel the dial, and call closed() once the peer's FIN came or patience is over. */
  close(slot: Slot<C, W>, reason: string): void;
  /** `waiter` gets nothing. */
  reject(waiter: W, code: PoolErrorCode): void;
}

type Action = "connect" | "assign" | "close" | "reject";

/** Actions in the order of the decisions. */
export class ActionQueue<C, W> {
  // Overwritten, never shortened: an array set to length 0 gives its memory back and takes it anew at the next push,
  // which doubled what a request costs here. They stay as long as the largest burst.
  readonly #actions: Action[] = [];
  readonly #subjects: (Slot<C, W> | W | undefined)[] = [];
  #next = 0;
  #end = 0;
  #isDraining = false;

  /** Appends a decision: on a slot, or to reject a waiter. */
  add(action: Action, subject: Slot<C, W> | W): void {
    this.#actions[this.#end] = action;
    this.#subjects[this.#end] = subject;
    this.#end++;
  }

  /** Hands the decisions to the sink, in order, until there are none; a nested call does nothing. */
  drain(sink: PoolSink<C, W>): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (this.#next < this.#end) this.#deliver(sink);
    } finally {
      this.#isDraining = false;
    }
  }

  #deliver(sink: PoolSink<C, W>): void {
    const action = this.#actions[this.#next]!;
    const subject = this.#subjects[this.#next]!;
    this.#subjects[this.#next] = undefined;
    this.#next++;
    // Before the sink is called: a sink that always adds something would let the arrays grow for ever.
    if (this.#next === this.#end) this.#next = this.#end = 0;
    if (action === "reject") return sink.reject(subject as W, "ERR_POOL_QUEUE_FULL");
    const slot = subject as Slot<C, W>;
    if (action === "close") {
      if (slot.state !== "gone") sink.close(slot, slot.reason!);
      return;
    }
    if (slot.state !== (action === "connect" ? "connecting" : "active")) {
      return sink.reject(slot.waiter!, "ERR_POOL_SLOT_LOST");
    }
    slot.isAnnounced = true;
    if (action === "connect") sink.connect(slot);
    else sink.assign(slot);
  }
}
