/**
 * When idle things expire: a queue in which joining and leaving are O(1) whatever the order of the times, because
 * things whose times are near share a bucket and only the buckets are sorted. Owns the order; is told the time, and must not
 * know what the things are.
 *
 * A thing is found expired up to {@linkcode EXPIRY_GRAIN_MS} late, never early. Who hands a thing out checks its own
 * `expiresAt`, which is exact.
 *
 * @module
 */
import { Heap, type HeapItem } from "./heap.ts";
import { type Link, LinkedList } from "./linked_list.ts";

/** Width of a bucket in ms: what a deadline of the clock may err by anyway. */
export const EXPIRY_GRAIN_MS = 50;

/** What an {@linkcode ExpiryQueue} holds. */
export interface Expiring<T> {
  /** Ms on the caller's clock; Infinity: never. Must not change while queued. */
  readonly expiresAt: number;
  /** The queue's own: its place in a bucket. */
  readonly inBucket: Link<T>;
  /** The queue's own: the bucket it is in, or was in last. */
  bucket: Bucket<T> | undefined;
}

/** Things that expire within one grain. */
export class Bucket<T> extends LinkedList<Link<T>> implements HeapItem {
  /** All in the bucket have expired at this time, ms. */
  readonly dueAt: number;
  heapIndex = -1;

  /** Makes an empty bucket. */
  constructor(dueAt: number) {
    super();
    this.dueAt = dueAt;
  }
}

/** Things by their time of expiry. */
export class ExpiryQueue<T extends Expiring<T>> {
  readonly #buckets = new Map<number, Bucket<T>>();
  /** The buckets that hold something. */
  readonly #order = new Heap<Bucket<T>>();
  // Kept even when empty: one busy connection would else make and drop a bucket at each request.
  #latest: Bucket<T> | undefined = undefined;

  /** How many buckets there are, which is what a change of the next expiry costs the logarithm of. */
  get bucketCount(): number {
    return this.#buckets.size;
  }

  /** When {@linkcode firstExpired} will next find something, ms; Infinity: never. */
  get next(): number {
    return this.#order.top?.dueAt ?? Infinity;
  }

  /** Queues a thing that is not queued. */
  add(item: T): void {
    const dueAt = Math.ceil(item.expiresAt / EXPIRY_GRAIN_MS) * EXPIRY_GRAIN_MS;
    const bucket = this.#latest?.dueAt === dueAt ? this.#latest : this.#open(dueAt);
    if (bucket.size === 0) this.#order.set(bucket, dueAt);
    item.bucket = bucket;
    bucket.add(item.inBucket);
  }

  /** Takes out a thing that is queued. */
  remove(item: T): void {
    const bucket = item.bucket!;
    bucket.remove(item.inBucket);
    if (bucket.size > 0) return;
    this.#order.remove(bucket);
    if (bucket !== this.#latest) this.#buckets.delete(bucket.dueAt);
  }

  /** Something that has expired, undefined if nothing has. It stays queued: remove it to see the next. */
  firstExpired(now: number): T | undefined {
    return this.next <= now ? this.#order.top!.first!.item : undefined;
  }

  #open(dueAt: number): Bucket<T> {
    if (this.#latest?.size === 0) this.#buckets.delete(this.#latest.dueAt);
    let bucket = this.#buckets.get(dueAt);
    if (bucket === undefined) {
      bucket = new Bucket<T>(dueAt);
      this.#buckets.set(dueAt, bucket);
    }
    this.#latest = bucket;
    return bucket;
  }
}
