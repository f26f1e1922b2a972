/**
 * What PoolCore keeps records of: names, keys, slots and tickets. Data only: every rule is in pool.ts, which alone
 * writes here; anyone may read.
 *
 * @module
 */
import type { Bucket } from "./expiry_queue.ts";
import { Link, type Linked, LinkedList, type ListOf } from "./linked_list.ts";

/**
 * Where a slot is in its life.
 * - `connecting`: decided upon; its dial is under way
 * - `active`: lent to a waiter
 * - `free`: parked
 * - `closing`: being closed; still counted, because the peer may still see it
 * - `gone`: no longer counted
 */
export type SlotState = "connecting" | "active" | "free" | "closing" | "gone";

/** One place under the caps, from the decision to connect until the connection is gone. */
export class Slot<C, W> {
  /** Where it is in its life. */
  state: SlotState = "connecting";
  /** Its connection, from `connected()` on. */
  connection: C | undefined = undefined;
  /** Whom it is dialled for or lent to; the last one while closing. */
  waiter: W | undefined;
  /** Why it is closed. */
  reason: string | undefined = undefined;
  /** When a free connection may no longer be lent, ms. */
  expiresAt: number = Infinity;
  /** True once the sink has been told of its last `connect` or `assign`. */
  isAnnounced = false;
  /** What its connection can be reused for. */
  readonly origin: KeyRecord<C, W>;
  readonly inKey: Link<Slot<C, W>> = new Link(this);
  readonly inName: Link<Slot<C, W>> = new Link(this);
  readonly inPool: Link<Slot<C, W>> = new Link(this);
  readonly inBucket: Link<Slot<C, W>> = new Link(this);
  bucket: Bucket<Slot<C, W>> | undefined = undefined;

  /** Makes a connecting slot. */
  constructor(origin: KeyRecord<C, W>, waiter: W) {
    this.origin = origin;
    this.waiter = waiter;
  }

  /** The name it counts under. */
  get name(): string {
    return this.origin.group.name;
  }

  /** The key it can be reused for. */
  get key(): string {
    return this.origin.key;
  }
}

/**
 * How far a queued waiter has got.
 * - `waiting`: both caps, or one, leave it no slot
 * - `blocked`: promised the slot of a closing connection; its own name is still full
 * - `due`: promised the slot of a closing connection; any slot that comes back will do
 */
export type TicketStage = "waiting" | "blocked" | "due";

/**
 * A queued waiter's place: itself a link of its name's queue. Once it is left it may become another waiter's: whoever
 * keeps it looks at `waiter`.
 */
export class Ticket<C, W> implements Linked<Ticket<C, W>> {
  /** Who waits; undefined: nobody, it was left. */
  waiter: W | undefined;
  /** When it began to wait, ms. */
  queuedAt: number;
  /** Order of arrival over all names. */
  sequence: number;
  /** True: it takes a new connection alone. */
  isFresh: boolean;
  /** How far it has got. */
  stage: TicketStage = "waiting";
  /** How many later waiters were served before it, out of order. */
  passes = 0;
  /** When that happened first, ms; undefined: never. */
  // Not a number from the start: V8 keeps one that is no small integer in an object of its own.
  firstPassedAt: number | undefined = undefined;
  heapIndex = -1;
  prev: Ticket<C, W> | undefined = undefined;
  next: Ticket<C, W> | undefined = undefined;
  origin: KeyRecord<C, W>;
  readonly inKey: Link<Ticket<C, W>> = new Link(this);

  /** Makes a waiting ticket. */
  constructor(origin: KeyRecord<C, W>, waiter: W, sequence: number, queuedAt: number, isFresh: boolean) {
    this.origin = origin;
    this.waiter = waiter;
    this.sequence = sequence;
    this.queuedAt = queuedAt;
    this.isFresh = isFresh;
  }
}

/** Where a waiter wants to go. Equal keys must come with equal names. */
export interface Place {
  /** What `maxSockets` counts. */
  readonly name: string;
  /** Whose connections may serve each other's requests. */
  readonly key: string;
  /** The pool's own: where it found what it knows of the key the last time, so that it need not look for it. */
  record: object | undefined;
}

/** What is known of one key: whose connections may serve each other's requests. Itself a link of the spare ones. */
export class KeyRecord<C, W> implements Linked<KeyRecord<C, W>> {
  readonly key: string;
  readonly group: NameRecord<C, W>;
  /** Slots in any state. */
  slots = 0;
  /** Free slots, least recently used first. */
  readonly free: ListOf<Slot<C, W>> = new LinkedList();
  /** Tickets in any stage that take a connection which has served, oldest first. */
  readonly queue: ListOf<Ticket<C, W>> = new LinkedList();
  /** How many tickets take a new connection alone. */
  fresh = 0;
  /** Nothing is left of it: it is kept for when the key comes again. */
  isSpare = false;
  /** The table that knows it; undefined: it was forgotten. */
  table: object | undefined;
  /** The place that was last shown where it is. */
  place: Place;
  prev: KeyRecord<C, W> | undefined = undefined;
  next: KeyRecord<C, W> | undefined = undefined;

  /** Makes an empty record. */
  constructor(place: Place, group: NameRecord<C, W>, table: object) {
    this.key = place.key;
    this.place = place;
    this.group = group;
    this.table = table;
  }
}

/**
 * What is known of one name: what `maxSockets` counts.
 *
 * Its queue is in order of arrival and falls into three runs: due, blocked, waiting. Promises are given to the oldest
 * first, so two cursors tell where the runs begin. Itself a link of the names in use.
 */
export class NameRecord<C, W> implements Linked<NameRecord<C, W>> {
  readonly name: string;
  /** Key records under this name. */
  records = 0;
  /** Those that are not spare. */
  keys = 0;
  /** Connecting and active slots. */
  readonly open: ListOf<Slot<C, W>> = new LinkedList();
  /** Free slots, least recently used first. */
  readonly free: ListOf<Slot<C, W>> = new LinkedList();
  /** How many of the open slots are connecting. */
  connecting = 0;
  /** Closing slots. */
  closing = 0;
  /** Tickets in any stage, oldest first. */
  readonly queue: LinkedList<Ticket<C, W>> = new LinkedList();
  /** The oldest blocked ticket. */
  blocked: Ticket<C, W> | undefined = undefined;
  /** The oldest waiting ticket. */
  waiting: Ticket<C, W> | undefined = undefined;
  /** Due tickets. */
  due = 0;
  /** Due and blocked tickets. */
  promised = 0;
  heapIndex = -1;
  prev: NameRecord<C, W> | undefined = undefined;
  next: NameRecord<C, W> | undefined = undefined;

  /** Makes an empty record. */
  constructor(name: string) {
    this.name = name;
  }

  /** Slots in any state: what a server may see. */
  get held(): number {
    return this.open.size + this.free.size + this.closing;
  }

  /** Slots as they will be when all closing ones are gone and all promises are kept. */
  get planned(): number {
    return this.open.size + this.free.size + this.promised;
  }
}
