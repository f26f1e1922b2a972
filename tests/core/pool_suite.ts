import * as assert from "uvu/assert";
import { PoolCore, type PoolLimits, type Slot, type Ticket } from "../../src/agent/core/pool.ts";
import { suite } from "../harness/suite.ts";

/** A pool whose connections and waiters are strings, with its actions written down as lines. */
class Bench {
  readonly limits: { -readonly [K in keyof PoolLimits]: PoolLimits[K] } = {
    maxSockets: Infinity,
    maxTotalSockets: Infinity,
    maxFreeSockets: 256,
    scheduling: "lifo",
    maxPending: Infinity,
  };
  readonly pool: PoolCore<string, string> = new PoolCore(this.limits);
  readonly slots: Map<string, Slot<string, string>> = new Map();
  readonly tickets: Map<string, Ticket<string, string>> = new Map();
  now = 0;
  #log: string[] = [];

  constructor(limits: Partial<PoolLimits>) {
    Object.assign(this.limits, limits);
  }

  /** The lines since the last call. */
  log(): string[] {
    this.pool.drain({
      connect: (slot) => {
        this.slots.set(`${slot.waiter}'s`, slot);
        this.#log.push(`connect for ${slot.waiter}`);
      },
      assign: (slot) => this.#log.push(`assign ${slot.connection} to ${slot.waiter}`),
      close: (slot, reason) => this.#log.push(`close ${slot.connection}: ${reason}`),
      reject: (waiter, code) => this.#log.push(`reject ${waiter}: ${code}`),
    });
    const log = this.#log;
    this.#log = [];
    return log;
  }

  /** The waiter's first letter is its name, all but its last its key: "a1", "ax1". */
  acquire(...waiters: string[]): string[] {
    for (const waiter of waiters) {
      const ticket = this.pool.acquire(waiter, waiter[0]!, waiter.slice(0, -1), this.now);
      if (ticket !== undefined) this.tickets.set(waiter, ticket);
    }
    return this.log();
  }

  acquireFresh(waiter: string): string[] {
    const ticket = this.pool.acquire(waiter, waiter[0]!, waiter.slice(0, -1), this.now, true);
    if (ticket !== undefined) this.tickets.set(waiter, ticket);
    return this.log();
  }

  slot(of: string): Slot<string, string> {
    return this.slots.get(`${of}'s`)!;
  }

  connected(...waiters: string[]): void {
    for (const waiter of waiters) assert.ok(this.pool.connected(this.slot(waiter), `#${waiter}`));
  }

  open(...waiters: string[]): void {
    assert.equal(this.acquire(...waiters), waiters.map((waiter) => `connect for ${waiter}`));
    this.connected(...waiters);
  }

  release(of: string, expiresAt?: number, mayPark?: boolean): string[] {
    const became = this.pool.release(this.slot(of), this.now, expiresAt, mayPark);
    return [became, ...this.log()];
  }

  closed(of: string): string[] {
    this.pool.closed(this.slot(of));
    return this.log();
  }
}

const test = suite("PoolCore");

test("acquire() connects below both caps and queues at maxSockets", () => {
  const b = new Bench({ maxSockets: 2 });
  assert.equal(b.acquire("a1", "a2", "a3"), ["connect for a1", "connect for a2"]);
  assert.equal(b.pool.counts("a"), { connecting: 2, active: 0, free: 0, closing: 0, pending: 1 });
  assert.equal(b.acquire("b1"), ["connect for b1"]);
});

test("release() gives the connection to the oldest waiter of its key", () => {
  const b = new Bench({ maxSockets: 1 });
  b.open("a1");
  b.acquire("a2", "a3");
  assert.equal(b.release("a1"), ["assigned", "assign #a1 to a2"]);
  assert.equal(b.release("a1"), ["assigned", "assign #a1 to a3"]);
  assert.equal(b.release("a1"), ["parked"]);
  assert.equal(b.acquire("a4"), ["assign #a1 to a4"]);
});

test("a failed dial wakes the next waiter", () => {
  const b = new Bench({ maxSockets: 1 });
  b.acquire("a1", "a2");
  assert.equal(b.closed("a1"), ["connect for a2"]);
  assert.equal(b.closed("a1"), []);
});

test("acquire() closes an idle connection of another name for the total cap (D1, D2)", () => {
  const b = new Bench({ maxTotalSockets: 1 });
  b.open("a1");
  b.release("a1");
  assert.equal(b.acquire("b1"), ["close #a1: room"]);
  assert.equal(b.pool.totalSlots, 1);
  assert.equal(b.closed("a1"), ["connect for b1"]);
  assert.equal(b.closed("b1"), []);
  assert.equal([...b.pool.names()], []);
});

test("acquire() for a fresh connection leaves what is free alone, and its own is reused later", () => {
  const b = new Bench({});
  b.open("a1");
  b.release("a1");
  assert.equal(b.acquireFresh("a2"), ["connect for a2"]);
  b.connected("a2");
  assert.equal(b.release("a2"), ["parked"]);
  assert.equal(b.acquire("a3"), ["assign #a2 to a3"]);
  assert.is(b.pool.totalKeys, 1);
});

test("who waits for a fresh connection is passed by what is released, and gets its slot in turn", () => {
  const b = new Bench({ maxSockets: 1 });
  b.open("a1");
  assert.equal(b.acquireFresh("a2"), []);
  b.acquire("a3");
  assert.equal(b.release("a1"), ["assigned", "assign #a1 to a3"]);
  assert.equal(b.release("a1"), ["closing", "close #a1: turn"]);
  assert.equal(b.closed("a1"), ["connect for a2"]);
});

test("acquire() for a fresh connection makes room at the cap", () => {
  const b = new Bench({ maxSockets: 1 });
  b.open("a1");
  b.release("a1");
  assert.equal(b.acquireFresh("a2"), ["close #a1: room"]);
  assert.equal(b.closed("a1"), ["connect for a2"]);
});

test.run();
