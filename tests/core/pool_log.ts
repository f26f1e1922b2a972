/**
 * A pool over strings whose actions are written down as lines, so that its tests read like a log. A waiter's first
 * letter is its name, all but its last letter its key: "a1" and "a2" share a key, "ax1" shares only their name.
 *
 * @module
 */
import * as assert from "uvu/assert";
import {
  type Place,
  PoolCore,
  type PoolLimits,
  type PoolSink,
  type Slot,
  type Ticket,
} from "../../src/agent/core/pool.ts";

/** Where a waiter wants to go. */
function placeOf(waiter: string): Place {
  return { name: waiter[0]!, key: waiter.slice(0, -1), record: undefined };
}

type Limits = { -readonly [K in keyof PoolLimits]: PoolLimits[K] };

/** A pool, its slots and tickets by the waiter they were made for, and its time. */
export class LoggedPool {
  readonly limits: Limits = {
    maxSockets: Infinity,
    maxTotalSockets: Infinity,
    maxFreeSockets: 256,
    scheduling: "lifo",
    maxPending: Infinity,
  };
  readonly core: PoolCore<string, string>;
  now = 0;
  /** Called with each line, within the sink. */
  onLine: (line: string) => void = () => {};
  readonly #slots = new Map<string, Slot<string, string>>();
  readonly #tickets = new Map<string, Ticket<string, string>>();
  #lines: string[] = [];
  readonly #sink: PoolSink<string, string> = {
    connect: (slot) => {
      this.#slots.set(slot.waiter!, slot);
      this.#write(`connect for ${slot.waiter}`);
    },
    assign: (slot) => this.#write(`assign ${slot.connection} to ${slot.waiter}`),
    close: (slot, reason) => this.#write(`close ${slot.connection ?? `dial for ${slot.waiter}`}: ${reason}`),
    reject: (waiter, code) => this.#write(`reject ${waiter}: ${code}`),
  };

  constructor(limits: Partial<PoolLimits> = {}) {
    Object.assign(this.limits, limits);
    this.core = new PoolCore(this.limits);
  }

  /** The slot that was made for this waiter. */
  slot(waiter: string): Slot<string, string> {
    const slot = this.#slots.get(waiter);
    if (slot === undefined) throw new Error(`No connect for ${waiter} yet`);
    return slot;
  }

  /** The ticket of a waiter that was queued. */
  ticket(waiter: string): Ticket<string, string> {
    const ticket = this.#tickets.get(waiter);
    if (ticket === undefined) throw new Error(`${waiter} was not queued`);
    return ticket;
  }

  /** Decides only; the lines come with the next call that drains. */
  ask(waiter: string, isFresh: boolean = false): void {
    const ticket = this.core.acquire(waiter, placeOf(waiter), this.now, isFresh);
    if (ticket !== undefined) this.#tickets.set(waiter, ticket);
  }

  acquire(...waiters: string[]): string[] {
    for (const waiter of waiters) this.ask(waiter);
    return this.drain();
  }

  acquireFresh(...waiters: string[]): string[] {
    for (const waiter of waiters) this.ask(waiter, true);
    return this.drain();
  }

  /** The dials made for these waiters succeed: connections "#a1" and so on. */
  connected(...waiters: string[]): void {
    for (const waiter of waiters) assert.ok(this.core.connected(this.slot(waiter), `#${waiter}`));
  }

  /** Connections of their own for all these waiters. */
  open(...waiters: string[]): void {
    assert.equal(this.acquire(...waiters), waiters.map((waiter) => `connect for ${waiter}`));
    this.connected(...waiters);
  }

  /** Open and parked, the first the least recently used. */
  park(...waiters: string[]): void {
    this.open(...waiters);
    for (const waiter of waiters) assert.equal(this.release(waiter), ["parked"]);
  }

  /** What became of the connection made for `waiter`, and what followed. */
  release(waiter: string, expiresAt?: number, mayPark?: boolean): string[] {
    const became = this.core.release(this.slot(waiter), this.now, expiresAt, mayPark);
    return [became, ...this.drain()];
  }

  close(waiter: string, reason: string): string[] {
    this.core.close(this.slot(waiter), reason);
    return this.drain();
  }

  closed(...waiters: string[]): string[] {
    for (const waiter of waiters) this.core.closed(this.slot(waiter));
    return this.drain();
  }

  detach(waiter: string): string[] {
    this.core.detach(this.slot(waiter));
    return this.drain();
  }

  cancel(waiter: string): string[] {
    assert.is(this.core.cancel(waiter, this.ticket(waiter)), true);
    return this.drain();
  }

  expire(): string[] {
    this.core.expire(this.now);
    return this.drain();
  }

  refresh(limits: Partial<PoolLimits>): string[] {
    Object.assign(this.limits, limits);
    this.core.refresh();
    return this.drain();
  }

  /** Nothing is known of anyone any more. */
  assertEmpty(): void {
    assert.equal([...this.core.names()], []);
    const { totalSlots, totalPending, totalFree, totalKeys } = this.core;
    assert.equal([totalSlots, totalPending, totalFree, totalKeys], [0, 0, 0, 0]);
    assert.is(this.core.nextExpiry(), Infinity);
  }

  drain(): string[] {
    this.core.drain(this.#sink);
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }

  #write(line: string): void {
    this.#lines.push(line);
    this.onLine(line);
  }
}
