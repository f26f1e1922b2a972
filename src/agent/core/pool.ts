/**
 * PoolCore: who waits, who has a connection, and what is opened and closed for whom. Owns the caps, the queue, the
 * free connections and their expiry. Knows no promise, timer, clock or socket: it is told the time and what has
 * happened, and answers with actions.
 *
 * Strategy. A *slot* is a place under the caps, counted from the decision to connect until the connection is gone.
 * Two counts rule everything. *Held* slots include the closing ones: a connect starts only where that leaves both
 * caps unbroken. *Planned* slots leave out the closing ones and count the promises instead: as soon as a close is
 * decided upon, its slot is promised to the oldest waiter who may have it. So decisions never wait for a peer's FIN,
 * a slot on its way is never counted on twice, and no more is closed than there are waiters for.
 *
 * The lists and counts are kept by SlotTable (slots) and WaitingQueue (tickets); the decisions are all here. They go
 * into an ActionQueue and are carried out by the caller's drain().
 *
 * @module
 */
import { ActionQueue, type PoolSink } from "./pool_actions.ts";
import type { ListOf } from "./linked_list.ts";
import type { KeyRecord, NameRecord, Place, Slot, Ticket } from "./pool_records.ts";
import { SlotTable } from "./slot_table.ts";
import { WaitingQueue } from "./waiting_queue.ts";

export type { PoolErrorCode, PoolSink } from "./pool_actions.ts";
export type { Place, Slot, SlotState, Ticket } from "./pool_records.ts";

/** How often a waiter may be passed by a reuse before its turn is enforced. */
const MAX_PASSES = 8;
/** For how long after its first pass a waiter may be passed, ms. */
const MAX_PASSING_MS = 100;

/** The caps of a pool: read at each call, so they may change at any time, as Node's do. */
export interface PoolLimits {
  /** Slots of one name, from 0; Infinity: no cap. */
  readonly maxSockets: number;
  /** Slots of all names together, from 1; Infinity: no cap. */
  readonly maxTotalSockets: number;
  /** Free connections of one name, from 0. */
  readonly maxFreeSockets: number;
  /** Which free connection is lent first: the most (lifo) or the least (fifo) recently used. */
  readonly scheduling: "lifo" | "fifo";
  /** How many may wait without a slot on its way, from 0; Infinity: no bound. */
  readonly maxPending: number;
}

/**
 * Why the pool closes a connection by itself.
 * - `room`: the least recently used free one, closed for a waiter whom a cap stopped
 * - `turn`: released while an older waiter of another key needs its slot
 * - `expired`: its time is over
 * - `free-limit`: released over maxFreeSockets
 * - `not-kept`: released, not wanted, and the caller said not to park it
 * - `cap`: over a cap that was lowered
 */
export type PoolCloseReason = "room" | "turn" | "expired" | "free-limit" | "not-kept" | "cap";

/** What became of a released connection; `ignored`: it was not lent, or its waiter has not been told yet. */
export type Released = "assigned" | "parked" | "closing" | "ignored";

/** How many of one name are in each state; `pending`: queued waiters. */
export interface PoolCounts {
  readonly connecting: number;
  readonly active: number;
  readonly free: number;
  readonly closing: number;
  readonly pending: number;
}

/** The pool's rules, over any type of connection `C` and of waiter `W`. */
export class PoolCore<C, W> {
  readonly #limits: PoolLimits;
  readonly #slots = new SlotTable<C, W>();
  readonly #queue = new WaitingQueue<C, W>();
  readonly #actions = new ActionQueue<C, W>();
  #maxTotalSockets = Infinity;

  /** Makes an empty pool. `limits` stays the caller's, who may change it. */
  constructor(limits: PoolLimits) {
    this.#limits = limits;
  }

  /**
   * A request wants a connection. Decides on assign, connect or reject; or queues the waiter, after having a free
   * connection closed if that makes room, and returns its ticket, which is its own until it is told or gives up.
   *
   * @param isFresh true: never a connection that has served before, whatever is free (the first retry of a request)
   */
  acquire(
    waiter: W,
    place: Place,
    now: number,
    isFresh: boolean = false,
  ): Ticket<C, W> | undefined {
    this.refresh();
    const origin = this.#slots.open(place);
    const free = isFresh ? undefined : this.#unexpired(origin, now);
    if (free !== undefined) {
      this.#slots.unpark(free);
      this.#lend(free, waiter);
      return undefined;
    }
    const { group } = origin;
    if (!this.#mayPlan(group)) this.#makeRoom(group);
    if (this.#mayPlan(group)) {
      if (!this.#mayHold(group)) return this.#enqueue(origin, waiter, now, isFresh);
      this.#connect(origin, waiter);
    } else {
      if (this.#queue.waiting < this.#limits.maxPending) return this.#enqueue(origin, waiter, now, isFresh);
      this.#actions.add("reject", waiter);
      this.#slots.sweep(origin);
    }
    return undefined;
  }

  /**
   * The dial succeeded: the connection is its waiter's. False if the slot is no longer connecting: the caller then
   * destroys the connection, and calls closed() if the slot is closing.
   */
  connected(slot: Slot<C, W>, connection: C): boolean {
    if (slot.state !== "connecting") return false;
    this.#slots.activate(slot, connection);
    return true;
  }

  /** One more connection of the slot's name would be within the caps, beside all that there are. */
  hasRoomBeside(slot: Slot<C, W>): boolean {
    this.refresh();
    return this.#mayHold(slot.origin.group);
  }

  /**
   * A lent connection was lost before its waiter could begin, and this one takes its place: the slot and the waiter's turn
   * stay as they are. False if the slot is not lent any more: the caller then destroys the connection.
   */
  reconnected(slot: Slot<C, W>, connection: C): boolean {
    if (slot.state !== "active") return false;
    slot.connection = connection;
    return true;
  }

  /**
   * An active connection has done its work and could be reused: it goes to a waiter, is parked, or is closed.
   *
   * @param expiresAt when it may no longer be lent, ms
   * @param mayPark false: it may serve who waits now, but is not kept
   */
  release(slot: Slot<C, W>, now: number, expiresAt: number = Infinity, mayPark: boolean = true): Released {
    this.refresh();
    if (slot.state !== "active" || !slot.isAnnounced) return "ignored";
    if (expiresAt <= now) return this.#refuse(slot, "expired");
    const { origin } = slot;
    const { group } = origin;
    if (group.planned > this.#queue.maxSockets || this.#planned > this.#maxTotalSockets) {
      return this.#refuse(slot, "cap");
    }
    const own = origin.queue.first?.item;
    const rival = this.#queue.oldestFor(group);
    if (own !== undefined && mayServe(own, rival, now)) {
      this.#lend(slot, this.#queue.take(own));
      this.#settle(group);
      return "assigned";
    }
    if (rival !== undefined) return this.#refuse(slot, "turn");
    if (!mayPark) return this.#refuse(slot, "not-kept");
    if (group.free.size >= this.#limits.maxFreeSockets) return this.#refuse(slot, "free-limit");
    this.#slots.park(slot, expiresAt);
    return "parked";
  }

  /**
   * Has a connection closed, whatever its state, for a reason of the caller's: decides on close, which lets the slot
   * count until closed() is called. A dial that the sink has not been told of is called off at once.
   */
  close(slot: Slot<C, W>, reason: string): void {
    this.refresh();
    if (slot.state === "closing" || slot.state === "gone") return;
    if (slot.state === "connecting" && !slot.isAnnounced) return this.#remove(slot);
    this.#close(slot, reason);
    this.#settle(slot.origin.group);
  }

  /**
   * The connection is gone, or its dial failed or was cancelled: the slot comes back and waiters are woken. May be
   * called in any state and more than once.
   */
  closed(slot: Slot<C, W>): void {
    this.refresh();
    if (slot.state !== "gone") this.#remove(slot);
  }

  /** The connection leaves the pool alive ('agentRemove', an upgrade): the slot comes back and waiters are woken. */
  detach(slot: Slot<C, W>): void {
    this.closed(slot);
  }

  /**
   * A queued waiter gives up. False if it was no longer queued: a connect or an assign has been decided upon. `ticket` is
   * the last that acquire() gave for this waiter.
   */
  cancel(waiter: W, ticket: Ticket<C, W>): boolean {
    this.refresh();
    if (ticket.waiter !== waiter) return false;
    const { origin } = ticket;
    this.#queue.take(ticket);
    this.#settle(origin.group);
    this.#slots.sweep(origin);
    return true;
  }

  /** Closes the free connections whose time is over, some up to EXPIRY_GRAIN_MS late. */
  expire(now: number): void {
    this.refresh();
    const { expiry } = this.#slots;
    for (let slot = expiry.firstExpired(now); slot !== undefined; slot = expiry.firstExpired(now)) {
      this.close(slot, "expired");
    }
  }

  /** When expire() will next find something to close, ms; Infinity: never. */
  nextExpiry(): number {
    return this.#slots.expiry.next;
  }

  /** Takes out everyone who is queued, in order of arrival; the caller settles them. */
  drainQueue(): W[] {
    const tickets: Ticket<C, W>[] = [];
    for (const group of this.#slots.names) {
      for (const ticket of group.queue) tickets.push(ticket);
    }
    tickets.sort((a, b) => a.sequence - b.sequence);
    return tickets.map((ticket) => {
      const { origin } = ticket;
      const waiter = this.#queue.take(ticket);
      this.#slots.sweep(origin);
      return waiter;
    });
  }

  /** Applies changed limits at once instead of at the next call. */
  refresh(): void {
    const { maxSockets, maxTotalSockets } = this.#limits;
    if (maxSockets === this.#queue.maxSockets && maxTotalSockets === this.#maxTotalSockets) return;
    this.#queue.maxSockets = maxSockets;
    this.#maxTotalSockets = maxTotalSockets;
    this.#replan();
  }

  /**
   * Hands the decisions to the sink, in order, until there are none. Called from within a sink it returns at once:
   * the drain under way goes on. Should the sink throw, the rest waits for the next drain.
   */
  drain(sink: PoolSink<C, W>): void {
    this.#actions.drain(sink);
  }

  /** Slots of all names in any state: what maxTotalSockets counts. */
  get totalSlots(): number {
    return this.#slots.held;
  }

  /** Everyone who is queued, of all names. */
  get totalPending(): number {
    return this.#queue.waiting + this.#queue.promised;
  }

  /** Free connections of all names. */
  get totalFree(): number {
    return this.#slots.free.size;
  }

  /** Keys that have a slot or a waiter. */
  get totalKeys(): number {
    return this.#slots.totalKeys;
  }

  /** Names that have a slot or a waiter, in order of arrival. */
  *names(): IterableIterator<string> {
    for (const { name } of this.#slots.names) yield name;
  }

  /** The counts of one name, all 0 if nothing is known of it. */
  counts(name: string): PoolCounts {
    const group = this.#slots.find(name);
    if (group === undefined) return { connecting: 0, active: 0, free: 0, closing: 0, pending: 0 };
    return {
      connecting: group.connecting,
      active: group.open.size - group.connecting,
      free: group.free.size,
      closing: group.closing,
      pending: group.queue.size,
    };
  }

  /** One of the name's connections is free, for some key. */
  hasFree(name: string): boolean {
    const group = this.#slots.find(name);
    return group !== undefined && group.free.size > 0;
  }

  /** The connecting and active slots of one name, the least recently lent first; undefined if there is none. */
  open(name: string): Slot<C, W>[] | undefined {
    return snapshot(this.#slots.find(name)?.open);
  }

  /** The free slots of one name, least recently used first; undefined if there is none. */
  free(name: string): Slot<C, W>[] | undefined {
    return snapshot(this.#slots.find(name)?.free);
  }

  /** The tickets of one name, oldest first; undefined if there is none. */
  queued(name: string): Ticket<C, W>[] | undefined {
    const queue = this.#slots.find(name)?.queue;
    return queue === undefined || queue.size === 0 ? undefined : Array.from(queue);
  }

  get #planned(): number {
    return this.#slots.held - this.#slots.closing + this.#queue.promised;
  }

  #mayPlan(group: NameRecord<C, W>): boolean {
    return group.planned < this.#queue.maxSockets && this.#planned < this.#maxTotalSockets;
  }

  /** Due waiters need not be counted: below the total cap there are none. */
  #mayHold(group: NameRecord<C, W>): boolean {
    return group.held < this.#queue.maxSockets && this.#slots.held < this.#maxTotalSockets;
  }

  /** The free slot that the scheduling names; those that have expired are closed on the way. */
  #unexpired(origin: KeyRecord<C, W>, now: number): Slot<C, W> | undefined {
    for (;;) {
      const link = this.#limits.scheduling === "fifo" ? origin.free.first : origin.free.last;
      if (link === undefined || link.item.expiresAt > now) return link?.item;
      this.#close(link.item, "expired");
    }
  }

  /** Closes the least recently used free slot under the cap that stops a name, if there is one. */
  #makeRoom(group: NameRecord<C, W>): void {
    const list = group.planned < this.#queue.maxSockets ? this.#slots.free : group.free;
    if (list.first !== undefined) this.#close(list.first.item, "room");
  }

  #enqueue(origin: KeyRecord<C, W>, waiter: W, now: number, isFresh: boolean): Ticket<C, W> {
    const ticket = this.#queue.add(origin, waiter, now, isFresh);
    this.#settle(origin.group);
    return ticket;
  }

  #connect(origin: KeyRecord<C, W>, waiter: W): void {
    this.#actions.add("connect", this.#slots.connect(origin, waiter));
  }

  #lend(slot: Slot<C, W>, waiter: W): void {
    slot.waiter = waiter;
    slot.isAnnounced = false;
    this.#actions.add("assign", slot);
  }

  #close(slot: Slot<C, W>, reason: string): void {
    this.#slots.close(slot, reason);
    this.#actions.add("close", slot);
  }

  #refuse(slot: Slot<C, W>, reason: PoolCloseReason): Released {
    this.#close(slot, reason);
    this.#settle(slot.origin.group);
    return "closing";
  }

  #remove(slot: Slot<C, W>): void {
    this.#slots.remove(slot);
    this.#settle(slot.origin.group);
    this.#slots.sweep(slot.origin);
  }

  /** Draws the consequences of a change under one name: promises, then connects, what can be. */
  #settle(group: NameRecord<C, W>): void {
    this.#queue.rank(group);
    this.#promise();
    this.#queue.admit(group);
    this.#start();
  }

  /** Promises slots to the oldest ready waiters, as long as there are any to promise. */
  #promise(): void {
    while (this.#planned < this.#maxTotalSockets) {
      const ticket = this.#queue.oldestReady;
      if (ticket === undefined) return;
      this.#queue.promise(ticket);
    }
  }

  /** Connects for the oldest due waiters, as long as there are any slots. */
  #start(): void {
    while (this.#slots.held < this.#maxTotalSockets) {
      const ticket = this.#queue.oldestDue;
      if (ticket === undefined) return;
      this.#connect(ticket.origin, ticket.waiter!);
      this.#queue.take(ticket);
    }
  }

  /**
   * Plans anew under changed caps: takes all promises back, closes what is over, and promises again. Once the names
   * have closed what is theirs, none that has a free slot left is full: so no close after that changes a rank.
   */
  #replan(): void {
    for (const group of this.#slots.names) {
      this.#queue.takePromisesBack(group);
      let excess = group.planned + group.queue.size - this.#queue.maxSockets;
      for (; excess > 0 && group.free.first !== undefined; excess--) {
        this.#close(group.free.first.item, "cap");
      }
      this.#queue.rank(group);
    }
    const { free } = this.#slots;
    while (this.#planned > this.#maxTotalSockets && free.first !== undefined) {
      this.#close(free.first.item, "cap");
    }
    this.#promise();
    while (this.#queue.oldestReady !== undefined && free.first !== undefined) {
      this.#close(free.first.item, "room");
      this.#promise();
    }
    this.#start();
  }
}

/**
 * May a released connection serve `own`, the first of its own key, although `rival` may be older? A strict order
 * would give two alternating origins no reuse at all; an unbounded favour starves (D3 in docs/defects.md).
 */
function mayServe<C, W>(own: Ticket<C, W>, rival: Ticket<C, W> | undefined, now: number): boolean {
  if (rival === undefined || own.sequence <= rival.sequence) return true;
  if (rival.passes === 0) rival.firstPassedAt = now;
  if (rival.passes === MAX_PASSES || now - rival.firstPassedAt! >= MAX_PASSING_MS) return false;
  rival.passes++;
  return true;
}

function snapshot<T>(list: ListOf<T> | undefined): T[] | undefined {
  return list === undefined || list.size === 0 ? undefined : Array.from(list, ({ item }) => item);
}
