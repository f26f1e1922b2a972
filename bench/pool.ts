/**
 * What the pool's bookkeeping costs for one request, and how that grows: with the sockets of one origin, with the
 * waiters, with the origins, with the sockets closed at once. No socket is real: dials succeed and closes end at once.
 *
 * ```sh
 * deno run -A bench/pool.ts [part of a row's title]   # some 30 s; CPU time, the best of 9 rounds and, with the collections, their mean
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import process from "node:process";
import {
  type Place,
  PoolCore,
  type PoolLimits,
  type PoolSink,
  type Slot,
  type Ticket,
} from "../src/agent/core/pool.ts";

const ROUNDS = 9;
/** Before these: what a task is made of is collected in them. */
const WARM_ROUNDS = 4;
const OPERATIONS = 40_000;
/** More than are ever lent at once. */
const LENT_SLOTS = 65_536;
const MANY: readonly number[] = [10, 100, 1_000, 10_000, 100_000];
const SOCKETS: readonly number[] = [1, 10, 100, 1_000, 5_000, 20_000];
const ORIGINS: readonly number[] = [1, 10, 100, 1_000, 10_000];

/** For rows with one origin. */
const ONE: Place = { name: "a", key: "a", record: undefined };

/** Work of one size; `operations` of them a call. */
interface Task {
  readonly operations: number;
  run(): void;
  /** Before each run; not measured. */
  prepare?(): void;
}

type BenchSlot = Slot<number, number>;
type BenchTicket = Ticket<number, number>;

/** A pool with its sockets lent to nobody in particular, given back in the order of lending. */
class Rig implements PoolSink<number, number> {
  readonly pool: PoolCore<number, number>;
  // A ring, so that the bench leaves nothing to collect in what it measures.
  readonly #lent: BenchSlot[] = new Array(LENT_SLOTS);
  #first = 0;
  #last = 0;
  #now = 0;
  #waiters = 0;

  constructor(limits: Partial<PoolLimits>) {
    this.pool = new PoolCore({
      maxSockets: Infinity,
      maxTotalSockets: Infinity,
      maxFreeSockets: Infinity,
      scheduling: "lifo",
      maxPending: Infinity,
      ...limits,
    });
  }

  connect(slot: BenchSlot): void {
    this.pool.connected(slot, 0);
    this.#lend(slot);
  }

  assign(slot: BenchSlot): void {
    this.#lend(slot);
  }

  close(slot: BenchSlot): void {
    this.pool.closed(slot);
  }

  reject(): void {}

  acquire(place: Place): BenchTicket | undefined {
    this.#now += 0.05;
    const ticket = this.pool.acquire(this.#waiters++, place, this.#now);
    this.pool.drain(this);
    return ticket;
  }

  release(): void {
    this.pool.release(this.#take(), this.#now, this.#now + 4_000);
    this.pool.drain(this);
  }

  closeAll(): void {
    while (this.#first < this.#last) this.pool.close(this.#take(), "destroyed");
    this.pool.drain(this);
  }

  #lend(slot: BenchSlot): void {
    this.#lent[this.#last++ % LENT_SLOTS] = slot;
  }

  #take(): BenchSlot {
    return this.#lent[this.#first++ % LENT_SLOTS]!;
  }
}

function times(count: number, body: (i: number) => void): void {
  for (let i = 0; i < count; i++) body(i);
}

function places(count: number): Place[] {
  return Array.from({ length: count }, (_, i) => placeOf(`host${i}:80:`));
}

function placeOf(name: string): Place {
  return { name, key: name, record: undefined };
}

/** One request at a time while `sockets` are parked. */
function amongFree(sockets: number, scheduling: "lifo" | "fifo"): Task {
  const rig = new Rig({ scheduling });
  times(sockets, () => rig.acquire(ONE));
  times(sockets, () => rig.release());
  const once = (): void => {
    rig.acquire(ONE);
    rig.release();
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/** All sockets busy: one ends its request, the next request takes it. */
function amongBusy(sockets: number): Task {
  const rig = new Rig({ maxSockets: sockets });
  times(sockets, () => rig.acquire(ONE));
  const once = (): void => {
    rig.release();
    rig.acquire(ONE);
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/** 10 sockets and a queue: each release serves the oldest, and one more joins. */
function withWaiting(waiting: number, limits: Partial<PoolLimits>): Task {
  const rig = new Rig(limits);
  times(10 + waiting, () => rig.acquire(ONE));
  const once = (): void => {
    rig.release();
    rig.acquire(ONE);
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/** Somebody in the midst of the queue gives up, and another joins. */
function cancelling(waiting: number): Task {
  const rig = new Rig({ maxSockets: 10 });
  times(10, () => rig.acquire(ONE));
  const tickets = Array.from({ length: waiting }, () => rig.acquire(ONE)!);
  let at = 0;
  const once = (): void => {
    at = (at + 7_919) % waiting;
    rig.pool.cancel(tickets[at]!.waiter!, tickets[at]!);
    tickets[at] = rig.acquire(ONE)!;
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/** Each origin has a parked socket; both caps are full. */
function originsReused(origins: number): Task {
  const rig = new Rig({ maxSockets: 2, maxTotalSockets: origins });
  const names = places(origins);
  for (const name of names) rig.acquire(name);
  times(origins, () => rig.release());
  const once = (i: number): void => {
    rig.acquire(names[i % origins]!);
    rig.release();
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/** 100 sockets for all, 2 for each origin, all in use, and others wait everywhere: each release is a close and a connect. */
function originsWaiting(origins: number): Task {
  const rig = new Rig({ maxSockets: 2, maxTotalSockets: 100 });
  const names = places(origins);
  times(100 + 20_000, (i) => rig.acquire(names[i % origins]!));
  let at = 0;
  const once = (): void => {
    rig.release();
    rig.acquire(names[at++ % origins]!);
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/**
 * The control of the last: no pool, but as many objects of as many origins written to. A request walks the records of the origin
 * that gives its socket back, of the one that is served, and of the one that joins: 8 objects each, found by their name.
 */
function originsTouched(origins: number): Task {
  const names = places(origins);
  const records = new Map(names.map(({ name }) => [name, Array.from({ length: 8 }, () => new Touched())]));
  const touch = (at: number): void => {
    for (const object of records.get(names[at % origins]!.name)!) object.count++;
  };
  const once = (i: number): void => {
    touch(i);
    touch(i + Math.floor(origins / 3));
    touch(i + Math.floor(origins * 2 / 3));
  };
  return { operations: OPERATIONS, run: () => times(OPERATIONS, once) };
}

/** As large as what the pool keeps of an origin is on the average. */
class Touched {
  count = 0;
  readonly rest: number[] = [1, 2, 3, 4];
}

function closing(sockets: number): Task {
  const rig = new Rig({});
  return {
    operations: sockets,
    prepare: () => times(sockets, () => rig.acquire(ONE)),
    run: () => rig.closeAll(),
  };
}

/** Nanoseconds of CPU time an operation: of the best round, and of all rounds together, with whatever was collected in them. */
interface Cost {
  readonly best: number;
  readonly mean: number;
}

function measure(task: Task): Cost {
  let best = Infinity;
  let sum = 0;
  for (let round = -WARM_ROUNDS; round < ROUNDS; round++) {
    task.prepare?.();
    const start = process.cpuUsage();
    task.run();
    const { user, system } = process.cpuUsage(start);
    if (round < 0) continue;
    const cost = (user + system) * 1000 / task.operations;
    best = Math.min(best, cost);
    sum += cost;
  }
  return { best, mean: sum / ROUNDS };
}

function report(title: string, sizes: readonly number[], task: (size: number) => Task): void {
  if (!title.includes(process.argv[2] ?? "")) return;
  // Warm, and so that the first size is compiled for what the others do too.
  measure(task(sizes[1]!));
  const costs = sizes.map((size) => measure(task(size)));
  console.log(`${title} (ns)`);
  for (const kind of ["best", "mean"] as const) {
    const cells = sizes.map((size, i) => `${size}: ${costs[i]![kind].toFixed(0)}`).join(", ");
    console.log(`  ${kind}  ${cells}   last/first ${(costs.at(-1)![kind] / costs[0]![kind]).toFixed(2)}`);
  }
}

report("request, by parked sockets of its origin, lifo", SOCKETS, (size) => amongFree(size, "lifo"));
report("request, by parked sockets of its origin, fifo", SOCKETS, (size) => amongFree(size, "fifo"));
report("request, by busy sockets of its origin", SOCKETS, amongBusy);
report("request, by waiters, maxSockets", MANY, (size) => withWaiting(size, { maxSockets: 10 }));
report("request, by waiters, maxTotalSockets", MANY, (size) => withWaiting(size, { maxTotalSockets: 10 }));
report("give up and join, by waiters", MANY, cancelling);
report("request, by origins with a parked socket, both caps", ORIGINS, originsReused);
report("request with close and connect, by origins waiting, both caps", ORIGINS.slice(2), originsWaiting);
report("as many objects written to, by origins, without a pool", ORIGINS.slice(2), originsTouched);
report("close, by sockets closed at once", [50, 500, 5_000, 50_000], closing);
