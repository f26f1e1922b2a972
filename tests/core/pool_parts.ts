/**
 * What the parts of the pool promise, checked on any implementation of them: the suite gives the real ones, the
 * mutation script (tests/fuzz/pool_mutations.ts) faulty ones.
 *
 * @module
 */
import * as assert from "uvu/assert";
import { type Expiring, EXPIRY_GRAIN_MS, type ExpiryQueue } from "../../src/agent/core/expiry_queue.ts";
import type { Heap, HeapItem } from "../../src/agent/core/heap.ts";
import { Link, type ListOf } from "../../src/agent/core/linked_list.ts";
import { KeyRecord, NameRecord, type Place, type Ticket } from "../../src/agent/core/pool_records.ts";
import type { SlotTable } from "../../src/agent/core/slot_table.ts";
import type { WaitingQueue } from "../../src/agent/core/waiting_queue.ts";
import { Random } from "./pool_fuzz.ts";

/** An item of a heap. */
export interface Ranked extends HeapItem {
  rank: number;
}

/** Heap.top is the lowest rank through random changes. */
export function checkHeap(heap: Heap<Ranked>, beforeStep: () => void = () => {}): void {
  const random = new Random(1);
  let items: Ranked[] = [];
  for (let step = 0; step < 5_000; step++) {
    beforeStep();
    const known = items.length > 0 && !random.once(3) ? random.pick(items) : undefined;
    const item = known ?? { heapIndex: -1, rank: 0 };
    if (known !== undefined && random.once(2)) {
      heap.remove(item);
      heap.remove(item);
      assert.is(item.heapIndex, -1);
      items = items.filter((other) => other !== item);
    } else {
      item.rank = random.below(1_000);
      heap.set(item, item.rank);
      if (known === undefined) items.push(item);
    }
    assert.is(heap.size, items.length);
    assert.is(heap.top?.rank, items.length === 0 ? undefined : Math.min(...items.map((each) => each.rank)));
  }
}

/** LinkedList keeps the order of arrival and lets anyone leave. */
export function checkList(list: ListOf<string>): void {
  const [a, b, c] = ["a", "b", "c"].map((item) => new Link(item));
  for (const link of [a, b, c]) list.add(link!);
  list.remove(b!);
  assert.equal(Array.from(list, ({ item }) => item), ["a", "c"]);
  list.add(b!);
  list.remove(a!);
  assert.equal(Array.from(list, ({ item }) => item), ["c", "b"]);
  list.remove(b!);
  list.remove(c!);
  assert.equal([list.size, list.first, list.last], [0, undefined, undefined]);
}

/** Something that expires. */
export class Idle implements Expiring<Idle> {
  readonly expiresAt: number;
  readonly inBucket: Link<Idle> = new Link(this);
  bucket: Expiring<Idle>["bucket"] = undefined;

  constructor(expiresAt: number) {
    this.expiresAt = expiresAt;
  }
}

/** ExpiryQueue finds in the order of time, at most a grain late and never early. */
export function checkExpiryOrder(queue: ExpiryQueue<Idle>, beforeStep: () => void = () => {}): void {
  const random = new Random(2);
  const idle = Array.from({ length: 500 }, () => new Idle(random.below(10_000)));
  for (const each of idle) queue.add(each);
  for (let now = 0; now <= 10_000; now += 10) {
    beforeStep();
    for (let found = queue.firstExpired(now); found !== undefined; found = queue.firstExpired(now)) {
      assert.ok(found.expiresAt <= now);
      queue.remove(found);
      idle.splice(idle.indexOf(found), 1);
    }
    assert.ok(idle.every((each) => each.expiresAt > now - EXPIRY_GRAIN_MS));
  }
  assert.is(queue.next, Infinity);
}

/** ExpiryQueue has one bucket a grain, whatever the order, and keeps no empty one but the last used. */
export function checkExpiryBuckets(queue: ExpiryQueue<Idle>): void {
  const idle = [510, 5_010, 520, 5_020, 530, Infinity].map((expiresAt) => new Idle(expiresAt));
  for (const each of idle) queue.add(each);
  assert.is(queue.bucketCount, 3);
  assert.is(idle[0]!.bucket, idle[2]!.bucket);
  for (const each of idle) queue.remove(each);
  assert.is(queue.bucketCount, 1);
  queue.add(idle[0]!);
  assert.is(queue.bucketCount, 1);
  assert.is(queue.next, 550);
  const bucket = idle[0]!.bucket;
  queue.remove(idle[0]!);
  queue.add(idle[2]!);
  assert.is(idle[2]!.bucket, bucket, "one busy connection makes no bucket a request");
}

function placeOf(key: string): Place {
  return { name: key.split(" ")[0]!, key, record: undefined };
}

/**
 * SlotTable knows the keys in use, and of the others those that were in use last: as many, or 64. A record is the same until it is
 * forgotten, and a name is known as long as one of its keys is.
 */
export function checkSpareRecords(table: SlotTable<object, object>, beforeStep: () => void = () => {}): void {
  type Origin = KeyRecord<object, object>;
  const random = new Random(3);
  const used = new Map<string, Origin>();
  const spare = new Map<string, Origin>();
  const all = Array.from({ length: 300 }, (_, n) => `${n % 100} ${n}`);
  // Every other key is asked for by two places.
  const places = new Map(all.map((key, n) => [key, Array.from({ length: 1 + n % 2 }, () => placeOf(key))]));
  const forgotten = new Set<Origin>();
  for (let step = 0; step < 6_000; step++) {
    beforeStep();
    const key = random.pick(all);
    const known = used.get(key) ?? spare.get(key);
    // Times of growth, then times of decay.
    const isGrowing = step % 2_000 < 1_000;
    if (random.once(8) === isGrowing) {
      if (known === undefined) continue;
      table.sweep(known);
      table.sweep(known);
      if (used.delete(key)) spare.set(key, known);
      for (const [oldest, record] of spare) {
        if (spare.size <= Math.max(64, used.size)) break;
        spare.delete(oldest);
        forgotten.add(record);
        const [only, other] = places.get(oldest)!;
        assert.ok(other !== undefined || only!.record === undefined, "a place keeps what was forgotten");
      }
    } else {
      const place = random.pick(places.get(key)!);
      const origin = table.open(place);
      assert.ok(known === undefined ? !forgotten.has(origin) : origin === known);
      assert.ok(place.record === origin);
      assert.not([...used.values(), ...spare.values()].includes(origin) && known === undefined);
      spare.delete(key);
      used.set(key, origin);
    }
    assert.is(table.totalKeys, used.size);
    const names = new Set([...used.values()].map(({ group }) => group));
    assert.equal(new Set(table.names), names);
    const name = `${random.below(100)}`;
    const isKnown = [...used.values(), ...spare.values()].some(({ group }) => group.name === name);
    assert.is(table.find(name) !== undefined, isKnown, `name ${name}`);
  }
  assert.ok(forgotten.size > 100, `${forgotten.size} were forgotten`);
}

/** WaitingQueue gives the ticket that was left last to who comes next, as new, and keeps as many as are queued, or 64. */
export function checkSpareTickets(
  queue: WaitingQueue<object, number>,
  beforeStep: () => void = () => {},
): void {
  type Place = Ticket<object, number>;
  const random = new Random(4);
  const origins = ["a", "b", "c"].map((key) =>
    new KeyRecord<object, number>(placeOf(key), new NameRecord(key), queue)
  );
  const queued: Place[] = [];
  let spare: Place[] = [];
  const dropped = new Set<Place>();
  let sequence = 0;
  let isGrowing = true;
  for (let step = 0; step < 8_000; step++) {
    beforeStep();
    // Times of growth, and times of decay that leave many, few or none.
    if (random.once(400)) isGrowing = !isGrowing;
    const oldest = queue.oldestReady;
    if (oldest !== undefined && random.once(2)) queue.promise(oldest);
    if (random.once(8) !== isGrowing) {
      const origin = random.pick(origins);
      const isFresh = random.once(4);
      const ticket = queue.add(origin, step, step + 0.5, isFresh);
      const known = spare.pop();
      assert.ok(known === undefined || ticket === known);
      assert.not(dropped.has(ticket) || queued.includes(ticket));
      assert.is(ticket.origin, origin);
      assert.equal(
        [ticket.waiter, ticket.sequence, ticket.queuedAt, ticket.isFresh, ticket.stage, ticket.passes],
        [step, sequence++, step + 0.5, isFresh, "waiting", 0],
      );
      queued.push(ticket);
    } else if (queued.length > 0) {
      const [ticket] = queued.splice(random.below(queued.length), 1);
      ticket!.passes = 3;
      const { waiter } = ticket!;
      assert.is(queue.take(ticket!), waiter);
      assert.is(ticket!.waiter, undefined);
      spare.push(ticket!);
      const kept = Math.max(64, queued.length);
      for (const ticket of spare.slice(0, -kept)) dropped.add(ticket);
      spare = spare.slice(-kept);
    }
    assert.is(queue.waiting + queue.promised, queued.length);
  }
  assert.ok(dropped.size > 100, `${dropped.size} were dropped`);
}
