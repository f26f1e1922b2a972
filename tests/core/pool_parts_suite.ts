import * as assert from "uvu/assert";
import { type Expiring, EXPIRY_GRAIN_MS, ExpiryQueue } from "../../src/agent/core/expiry_queue.ts";
import { Heap, type HeapItem } from "../../src/agent/core/heap.ts";
import { Link, LinkedList } from "../../src/agent/core/linked_list.ts";
import { suite } from "../harness/suite.ts";
import { Random } from "./pool_fuzz.ts";

const test = suite("PoolCore's parts");

interface Ranked extends HeapItem {
  rank: number;
}

test("Heap.top is the lowest rank through random changes", () => {
  const random = new Random(1);
  const heap = new Heap<Ranked>();
  let items: Ranked[] = [];
  for (let step = 0; step < 20_000; step++) {
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
});

test("LinkedList keeps the order of arrival and lets anyone leave", () => {
  const list = new LinkedList<string>();
  const [a, b, c] = [new Link("a"), new Link("b"), new Link("c")];
  for (const link of [a, b, c]) list.add(link!);
  list.remove(b!);
  assert.equal([...list], ["a", "c"]);
  list.add(b!);
  list.remove(a!);
  assert.equal([...list], ["c", "b"]);
  list.remove(b!);
  list.remove(c!);
  assert.equal([list.size, list.first, list.last], [0, undefined, undefined]);
});

class Idle implements Expiring<Idle> {
  readonly expiresAt: number;
  readonly inBucket: Link<Idle> = new Link(this);
  bucket: Expiring<Idle>["bucket"] = undefined;

  constructor(expiresAt: number) {
    this.expiresAt = expiresAt;
  }
}

test("ExpiryQueue finds in the order of time, at most a grain late and never early", () => {
  const queue = new ExpiryQueue<Idle>();
  const random = new Random(2);
  const idle = Array.from({ length: 500 }, () => new Idle(random.below(10_000)));
  for (const each of idle) queue.add(each);
  for (let now = 0; now <= 10_000; now += 10) {
    for (let found = queue.firstExpired(now); found !== undefined; found = queue.firstExpired(now)) {
      assert.ok(found.expiresAt <= now);
      queue.remove(found);
      idle.splice(idle.indexOf(found), 1);
    }
    assert.ok(idle.every((each) => each.expiresAt > now - EXPIRY_GRAIN_MS));
  }
  assert.is(queue.next, Infinity);
});

test("ExpiryQueue has one bucket a grain, whatever the order, and keeps no empty one but the last used", () => {
  const queue = new ExpiryQueue<Idle>();
  const idle = [510, 5_010, 520, 5_020, 530, Infinity].map((expiresAt) => new Idle(expiresAt));
  for (const each of idle) queue.add(each);
  assert.is(queue.bucketCount, 3);
  for (const each of idle) queue.remove(each);
  assert.is(queue.bucketCount, 1);
  queue.add(idle[0]!);
  assert.is(queue.bucketCount, 1);
  assert.is(queue.next, 550);
});

test.run();
