/**
 * Random steps through a pool, each held against the naive model: the same actions in the same order, the same views,
 * and the invariants that hold whatever the rules are. Everything follows from the seed, which a failure names.
 *
 * @module
 */
import type { Place, PoolCore, PoolLimits, PoolSink, Slot, Ticket } from "../../src/agent/core/pool.ts";
import { type ModelSlot, type ModelTicket, PoolModel } from "./pool_model.ts";

/** A pool over integers. */
export type FuzzedPool = PoolCore<number, number>;

type PoolSlot = Slot<number, number>;
type PoolTicket = Ticket<number, number>;

const STEPS_PER_EPISODE = 400;
/** How deep a sink calls back into the pool. */
const MAX_NESTING = 2;

/** sfc32 by Chris Doty-Humphrey: 128 bits of state, passes PractRand. */
export class Random {
  #a = 0x9e3779b9;
  #b = 0x243f6a88;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#c = seed | 0;
    for (let i = 0; i < 15; i++) this.#next();
  }

  /** An integer from 0 to below `n`. */
  below(n: number): number {
    return Math.floor((this.#next() / 2 ** 32) * n);
  }

  /** True once in `n` times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }
}

/** Runs `steps` random steps over many small pools; throws at the first difference. */
export function fuzzPool(
  makePool: (limits: PoolLimits) => FuzzedPool,
  seed: number,
  steps: number,
  beforeStep: () => void = () => {},
): void {
  const random = new Random(seed);
  const places = new Map<string, Place>();
  for (let done = 0; done < steps; done += STEPS_PER_EPISODE) {
    const episode = new Episode(makePool, random, places);
    try {
      for (let step = 0; step < STEPS_PER_EPISODE; step++) {
        beforeStep();
        episode.step();
      }
      beforeStep();
      episode.windDown();
    } catch (error) {
      const { message: difference } = error as Error;
      const again = `deno run -A tests/fuzz/pool_steps.ts ${steps} ${seed}`;
      const message = `${difference}\nafter ${done} steps of ${again} and then\n${episode.tale()}`;
      throw new Error(message, { cause: error });
    }
  }
}

type Limits = { -readonly [K in keyof PoolLimits]: PoolLimits[K] };

class Episode {
  readonly #random: Random;
  /** Of all episodes: what a place knows may be another pool's. */
  readonly #places: Map<string, Place>;
  readonly #limits: Limits;
  /** The highest caps since the step began: a cap lowered in its midst binds from the next on. */
  #loosest: Limits;
  readonly #pool: FuzzedPool;
  readonly #model: PoolModel;
  readonly #pairs = new Map<PoolSlot, ModelSlot>();
  readonly #tickets = new Map<number, readonly [PoolTicket, ModelTicket | undefined]>();
  readonly #names: number;
  readonly #keysPerName: number;
  /** How rarely time passes and caps change. */
  readonly #calm: number;
  /** How many of six operations are an acquire. */
  readonly #eagerness: number;
  /** Waiters who have asked and have not been answered. */
  readonly #unanswered = new Set<number>();
  /** Waiters who may be given a new connection alone. */
  readonly #fresh = new Set<number>();
  readonly #tale: string[] = [];
  #waiters = 0;
  #connections = 0;
  #nesting = 0;
  readonly #sink: PoolSink<number, number> = {
    connect: (slot) => this.#told("connect", slot, slot.waiter),
    assign: (slot) => this.#told("assign", slot, slot.waiter),
    close: (slot, reason) => this.#told("close", slot, undefined, reason),
    reject: (waiter, code) => this.#told("reject", undefined, waiter, code),
  };
  #now = 1000;

  constructor(makePool: (limits: PoolLimits) => FuzzedPool, random: Random, places: Map<string, Place>) {
    this.#random = random;
    this.#places = places;
    this.#names = random.pick([1, 2, 3, 5, 40]);
    this.#keysPerName = 1 + random.below(3);
    this.#calm = random.pick([2, 3, 8, 40]);
    this.#eagerness = random.pick([1, 2, 3]);
    this.#limits = {
      maxSockets: 0,
      maxTotalSockets: 0,
      maxFreeSockets: random.pick([0, 1, 2, 256, 256]),
      scheduling: random.pick(["lifo", "fifo"]),
      maxPending: random.pick([0, 3, Infinity, Infinity]),
    };
    this.#loosest = { ...this.#limits };
    this.#changeLimits();
    this.#pool = makePool(this.#limits);
    this.#model = new PoolModel(this.#limits);
    this.#tell(JSON.stringify(this.#limits));
  }

  tale(): string {
    return this.#tale.slice(-60).join("\n");
  }

  step(): void {
    const before = this.#held();
    this.#loosest = { ...this.#limits };
    this.#operate();
    this.#drain();
    this.#compare(before);
  }

  /** Everybody leaves: nothing may be left. */
  windDown(): void {
    this.#limits.maxSockets = this.#limits.maxTotalSockets = Infinity;
    this.#nesting = MAX_NESTING;
    this.#drainQueue();
    this.#pool.refresh();
    this.#model.refresh();
    this.#drain();
    for (const [slot, model] of this.#pairs) this.#closed(slot, model);
    this.#drain();
    this.#compare(new Map());
    this.#expectEqual([...this.#pool.names()], [], "names left");
    this.#expectEqual(
      [this.#pool.totalSlots, this.#pool.totalPending, this.#pool.totalFree, this.#pool.totalKeys],
      [0, 0, 0, 0],
      "totals left",
    );
    this.#expectEqual(this.#pool.nextExpiry(), Infinity, "nextExpiry() of an empty pool");
    const nothing = [this.#pool.open("n0"), this.#pool.free("n0"), this.#pool.queued("n0")];
    this.#expectEqual(nothing, [undefined, undefined, undefined], "views of an unknown name");
    this.#expectEqual(this.#pool.counts("n0"), this.#model.counts("n0"), "counts() of an unknown name");
    this.#expectEqual(this.#pool.hasFree("n0"), false, "hasFree() of an unknown name");
  }

  #operate(): void {
    const random = this.#random;
    if (random.once(this.#calm)) this.#now += random.pick([1, 20, 40, 60, 100]);
    if (random.once(this.#calm * 8)) this.#changeLimits();
    if (random.once(100)) this.#limits.maxFreeSockets = random.pick([0, 1, 2, 256]);
    if (random.once(250)) return this.#drainQueue();
    if (random.once(250)) return this.#closeAll();
    if (random.once(30)) return this.#expire();
    if (random.once(20)) return this.#cancel();
    if (random.below(6) < this.#eagerness) return this.#acquire();
    if (this.#pairs.size > 0) this.#advance(...random.pick([...this.#pairs]));
  }

  /** What may happen to a slot next, mostly what its state suggests. */
  #advance(slot: PoolSlot, model: ModelSlot): void {
    const random = this.#random;
    if (random.once(40)) return this.#close(slot, model);
    if (random.once(40)) return this.#closed(slot, model);
    if (random.once(60)) return this.#release(slot, model);
    if (random.once(60)) return this.#connected(slot, model);
    if (random.once(60)) return this.#reconnected(slot, model);
    if (random.once(30)) return this.#hasRoomBeside(slot, model);
    switch (model.state) {
      case "connecting":
        return random.once(6) ? this.#closed(slot, model) : this.#connected(slot, model);
      case "active":
        return random.once(10) ? this.#detach(slot, model) : this.#release(slot, model);
      case "closing":
        return random.once(2) ? this.#closed(slot, model) : undefined;
      case "gone":
        this.#pairs.delete(slot);
    }
  }

  #changeLimits(): void {
    this.#limits.maxSockets = this.#random.pick([1, 2, 3, 5, Infinity]);
    this.#limits.maxTotalSockets = this.#random.pick([1, 2, 4, 6, 9, Infinity]);
    const { maxSockets, maxTotalSockets } = this.#loosest;
    this.#loosest.maxSockets = Math.max(maxSockets, this.#limits.maxSockets);
    this.#loosest.maxTotalSockets = Math.max(maxTotalSockets, this.#limits.maxTotalSockets);
    this.#tell(`limits ${this.#limits.maxSockets} ${this.#limits.maxTotalSockets}`);
  }

  #acquire(): void {
    const name = `n${this.#random.below(this.#names)}`;
    const key = `${name}k${this.#random.below(this.#keysPerName)}`;
    const place = this.#placeOf(name, key);
    const waiter = ++this.#waiters;
    const isFresh = this.#random.once(6);
    this.#tell(`acquire ${waiter} ${key}${isFresh ? " fresh" : ""} at ${this.#now}`);
    if (isFresh) this.#fresh.add(waiter);
    this.#unanswered.add(waiter);
    const ticket = isFresh || this.#random.once(2)
      ? this.#pool.acquire(waiter, place, this.#now, isFresh)
      : this.#pool.acquire(waiter, place, this.#now);
    this.#model.acquire(waiter, name, key, this.#now, isFresh);
    const twin = this.#model.tickets.find((ticket) => ticket.waiter === waiter);
    this.#expectEqual(ticket?.waiter, twin?.waiter, "ticket");
    if (ticket === undefined) return;
    this.#expectEqual(ticket.queuedAt, this.#now, "queuedAt");
    this.#tickets.set(waiter, [ticket, twin]);
  }

  /** The one that was given before, which knows where its record is, or was; or one that knows nothing. */
  #placeOf(name: string, key: string): Place {
    const known = this.#places.get(key);
    if (known !== undefined && !this.#random.once(4)) return known;
    const place: Place = { name, key, record: undefined };
    this.#places.set(key, place);
    return place;
  }

  #connected(slot: PoolSlot, model: ModelSlot): void {
    const connection = ++this.#connections;
    this.#tell(`connected ${slot.waiter}`);
    const wasOpened = this.#pool.connected(slot, connection);
    this.#expectEqual(wasOpened, this.#model.connected(model), "connected()");
    if (wasOpened) this.#expectEqual(slot.connection, connection, "connection");
  }

  #reconnected(slot: PoolSlot, model: ModelSlot): void {
    const connection = ++this.#connections;
    this.#tell(`reconnected ${slot.waiter}`);
    const before = slot.connection;
    const isLent = model.state === "active";
    this.#expectEqual(this.#pool.reconnected(slot, connection), isLent, "reconnected()");
    this.#expectEqual(slot.connection, isLent ? connection : before, "connection");
  }

  #hasRoomBeside(slot: PoolSlot, model: ModelSlot): void {
    if (model.state === "gone") return;
    this.#tell(`room beside ${slot.waiter}?`);
    this.#expectEqual(this.#pool.hasRoomBeside(slot), this.#model.hasRoomBeside(model), "hasRoomBeside()");
  }

  #release(slot: PoolSlot, model: ModelSlot): void {
    const expiresIn = this.#random.once(8) ? [-1, 0, 1] : [40, 100, 100, 101, 300, Infinity];
    const expiresAt = this.#now + this.#random.pick(expiresIn);
    const mayPark = !this.#random.once(8);
    this.#tell(`release ${slot.waiter} until ${expiresAt} ${mayPark ? "" : "not to park"} at ${this.#now}`);
    const isPlain = expiresAt === Infinity && mayPark && this.#random.once(2);
    const became = isPlain
      ? this.#pool.release(slot, this.#now)
      : this.#pool.release(slot, this.#now, expiresAt, mayPark);
    this.#expectEqual(became, this.#model.release(model, this.#now, expiresAt, mayPark), "release()");
  }

  #close(slot: PoolSlot, model: ModelSlot): void {
    this.#tell(`close ${slot.waiter}`);
    this.#pool.close(slot, "asked");
    this.#model.close(model, "asked");
  }

  #closed(slot: PoolSlot, model: ModelSlot): void {
    this.#tell(`closed ${slot.waiter}`);
    this.#pool.closed(slot);
    this.#model.closed(model);
  }

  #detach(slot: PoolSlot, model: ModelSlot): void {
    this.#tell(`detach ${slot.waiter}`);
    this.#pool.detach(slot);
    this.#model.closed(model);
  }

  #cancel(): void {
    if (this.#tickets.size === 0) return;
    const [waiter, [ticket, twin]] = this.#random.pick([...this.#tickets]);
    this.#tell(`cancel ${waiter}`);
    const wasQueued = twin !== undefined && this.#model.cancel(twin);
    this.#expectEqual(this.#pool.cancel(waiter, ticket), wasQueued, "cancel()");
    if (wasQueued) this.#unanswered.delete(waiter);
    if (this.#random.once(2)) this.#tickets.delete(waiter);
  }

  #drainQueue(): void {
    this.#tell("drainQueue");
    const waiters = this.#pool.drainQueue();
    this.#expectEqual(waiters, this.#model.drainQueue(), "drainQueue()");
    for (const waiter of waiters) this.#unanswered.delete(waiter);
  }

  /** What destroy() does, which may come while actions are still to be told. */
  #closeAll(): void {
    this.#tell("close all");
    for (const name of this.#model.names()) {
      for (const slot of [...this.#pool.open(name) ?? [], ...this.#pool.free(name) ?? []]) {
        const model = this.#pairs.get(slot) ??
          this.#model.slots.find((model) => model.waiter === slot.waiter && model.state === "connecting");
        this.#close(slot, model!);
      }
    }
  }

  #expire(): void {
    this.#tell(`expire at ${this.#now}`);
    this.#pool.expire(this.#now);
    this.#model.expire(this.#now);
  }

  /** Both sides' actions in lockstep; now and then the sink calls back into the pool. */
  #drain(): void {
    const told = (
      what: string,
      slot: PoolSlot | undefined,
      waiter: number | undefined,
      note?: string,
    ): void => {
      this.#told(what, slot, waiter, note);
      if (this.#nesting < MAX_NESTING && this.#random.once(12)) this.#nest();
    };
    this.#pool.drain({
      connect: (slot) => told("connect", slot, slot.waiter),
      assign: (slot) => told("assign", slot, slot.waiter),
      close: (slot, reason) => told("close", slot, undefined, reason),
      reject: (waiter, code) => told("reject", undefined, waiter, code),
    });
    this.#expectEqual(this.#model.nextAction(), undefined, "action not taken");
  }

  #nest(): void {
    this.#tell("{");
    this.#nesting++;
    for (let ops = this.#random.below(4); ops >= 0; ops--) this.#operate();
    const left = this.#model.actions.length;
    this.#pool.drain(this.#sink);
    this.#expectEqual(this.#model.actions.length, left, "actions left by a nested drain");
    this.#nesting--;
    this.#tell("}");
  }

  #told(what: string, slot: PoolSlot | undefined, waiter: number | undefined, note?: string): void {
    const expected = this.#model.nextAction();
    this.#tell(`  -> ${what} ${waiter ?? ""} ${note ?? ""}`);
    if (expected === undefined) throw new Error(`Not expected: ${what} ${waiter} ${note}`);
    if (expected.what === "reject") {
      this.#expectEqual([what, waiter, note], ["reject", expected.waiter, "ERR_POOL_QUEUE_FULL"], "action");
    } else if (expected.what === "close") {
      this.#expectEqual([what, note], ["close", expected.reason], "action");
      this.#expectEqual(this.#pairs.get(slot!), expected.slot, "closed slot");
    } else if (expected.slot.state !== (expected.what === "connect" ? "connecting" : "active")) {
      this.#expectEqual([what, waiter, note], ["reject", expected.waiter, "ERR_POOL_SLOT_LOST"], "action");
    } else {
      this.#expectEqual([what, waiter], [expected.what, expected.waiter], "action");
      if (what === "assign" && this.#fresh.has(waiter!)) {
        throw new Error(`${waiter} wanted a fresh connection`);
      }
      expected.slot.isTold = true;
      if (what === "connect") this.#pairs.set(slot!, expected.slot);
      else this.#expectEqual(this.#pairs.get(slot!), expected.slot, "assigned slot");
    }
    if (waiter !== undefined && !this.#unanswered.delete(waiter)) throw new Error(`Told twice: ${waiter}`);
    if (this.#nesting < MAX_NESTING && this.#random.once(12)) this.#nest();
  }

  #compare(before: Map<string, number>): void {
    const model = this.#model;
    this.#expectEqual([...this.#pool.names()], model.names(), "names()");
    for (const name of model.names()) this.#compareName(name);
    const totals = { slots: model.slots.length, pending: model.tickets.length, keys: model.totalKeys() };
    const { totalSlots: slots, totalPending: pending, totalKeys: keys } = this.#pool;
    this.#expectEqual({ slots, pending, keys }, totals, "totals");
    this.#expectEqual(this.#pool.nextExpiry(), model.nextExpiry(), "nextExpiry()");
    this.#expectEqual(
      [...this.#unanswered].length,
      model.tickets.length,
      "waiters neither queued nor answered",
    );
    this.#expectEqual(model.neglected(), [], "waiters beside a free slot");
    for (const [name, count] of this.#held()) {
      const cap = name === "" ? this.#loosest.maxTotalSockets : this.#loosest.maxSockets;
      if (count > Math.max(cap, before.get(name) ?? 0)) throw new Error(`Over the cap: ${name} ${count}`);
    }
  }

  #compareName(name: string): void {
    const model = this.#model;
    this.#expectEqual(this.#pool.counts(name), model.counts(name), "counts()");
    this.#expectEqual(this.#pool.hasFree(name), model.counts(name).free > 0, "hasFree()");
    const pair = (slots: PoolSlot[] | undefined): (ModelSlot | undefined)[] | undefined =>
      slots?.map((slot) => this.#pairs.get(slot));
    const some = <T>(items: T[]): T[] | undefined => items.length === 0 ? undefined : items;
    const mine = model.slots.filter((slot) => slot.name === name);
    const open = mine.filter((slot) => slot.state === "active" || slot.state === "connecting");
    const free = mine.filter((slot) => slot.state === "free");
    this.#expectSame(pair(this.#pool.open(name)), some(open.sort((a, b) => a.opened - b.opened)), "open()");
    this.#expectSame(pair(this.#pool.free(name)), some(free.sort((a, b) => a.parked - b.parked)), "free()");
    const queued = model.tickets.filter((ticket) => ticket.name === name).map((ticket) => ticket.waiter);
    this.#expectEqual(this.#pool.queued(name)?.map((ticket) => ticket.waiter), some(queued), "queued()");
    for (const slot of this.#pool.free(name) ?? []) this.#compareFree(slot, name);
  }

  #compareFree(slot: PoolSlot, name: string): void {
    const { key, expiresAt } = this.#pairs.get(slot)!;
    const facts = [slot.waiter, slot.name, slot.key, slot.expiresAt, slot.state];
    this.#expectEqual(facts, [undefined, name, key, expiresAt, "free"], "free slot");
  }

  /** Slots by name as the pool counts them, "" for all. */
  #held(): Map<string, number> {
    const held = new Map<string, number>([["", this.#pool.totalSlots]]);
    for (const name of this.#pool.names()) {
      const { connecting, active, free, closing } = this.#pool.counts(name);
      held.set(name, connecting + active + free + closing);
    }
    return held;
  }

  #expectSame<T>(is: T[] | undefined, expected: T[] | undefined, what: string): void {
    const same = is?.length === expected?.length && (is ?? []).every((item, i) => item === expected![i]);
    if (!same) throw new Error(`${what}: ${JSON.stringify(is)}\ninstead of ${JSON.stringify(expected)}`);
  }

  #expectEqual(is: unknown, expected: unknown, what: string): void {
    if (is === expected) return;
    const [a, b] = [text(is), text(expected)];
    if (a !== b) throw new Error(`${what}: ${a}\ninstead of ${b}`);
  }

  #tell(line: string): void {
    this.#tale.push(line);
  }
}

function text(value: unknown): string {
  return JSON.stringify(value, (_, each) => each === Infinity ? "Infinity" : each) ?? "undefined";
}
