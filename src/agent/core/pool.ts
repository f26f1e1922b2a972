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
 * Actions go into a queue, and {@linkcode PoolCore.drain} hands them to a sink in the order of the decisions. A sink
 * may call back into the pool: its state is settled before the first action goes out, what the call decides is
 * appended, and a nested drain() returns at once. Two flat arrays hold the queue, so an action allocates nothing.
 *
 * @module
 */
import { ExpiryQueue } from "./expiry_queue.ts";
import { Heap } from "./heap.ts";
import { LinkedList } from "./linked_list.ts";
import { KeyRecord, NameRecord, Slot, Ticket } from "./pool_records.ts";

export type { Slot, SlotState, Ticket } from "./pool_records.ts";

/** How often a waiter may be passed by a reuse before its turn is enforced. */
export const MAX_PASSES = 8;
/** For how long after its first pass a waiter may be passed, ms. */
export const MAX_PASSING_MS = 100;

/** The caps of a pool: read at each call, so they may change at any time, as Node's do. */
export interface PoolLimits {
  /** Slots of one name, from 1; Infinity: no cap. */
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

/**
 * Why a waiter gets nothing.
 * - `ERR_POOL_QUEUE_FULL`: maxPending are waiting already
 * - `ERR_POOL_SLOT_LOST`: what it had been given was closed by a nested call before it could be told; it may ask again
 */
export type PoolErrorCode = "ERR_POOL_QUEUE_FULL" | "ERR_POOL_SLOT_LOST";

/** What became of a released connection; `ignored`: it was not active. */
export type Released = "assigned" | "parked" | "closing" | "ignored";

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

/** How many of one name are in each state; `pending`: queued waiters. */
export interface PoolCounts {
  readonly connecting: number;
  readonly active: number;
  readonly free: number;
  readonly closing: number;
  readonly pending: number;
}

type Action = "connect" | "assign" | "close" | "reject";

/** The pool's rules, over any type of connection `C` and of waiter `W`. */
export class PoolCore<C, W> {
  readonly #limits: PoolLimits;
  readonly #names = new Map<string, NameRecord<C, W>>();
  readonly #keys = new Map<string, KeyRecord<C, W>>();
  /** Free slots of all names, least recently used first. */
  readonly #free = new LinkedList<Slot<C, W>>();
  readonly #expiry = new ExpiryQueue<Slot<C, W>>();
  /** Names that have a waiting ticket and are not full, by that ticket's age: maxTotalSockets alone stops them. */
  readonly #ready = new Heap<NameRecord<C, W>>();
  /** Due tickets, by age. */
  readonly #due = new Heap<Ticket<C, W>>();
  #held = 0;
  #closing = 0;
  #promised = 0;
  #waiting = 0;
  #sequence = 0;
  #maxSockets: number;
  #maxTotalSockets: number;
  #actions: Action[] = [];
  #subjects: (Slot<C, W> | W)[] = [];
  #nextAction = 0;
  #isDraining = false;

  /** Makes an empty pool. `limits` stays the caller's, who may change it. */
  constructor(limits: PoolLimits) {
    this.#limits = limits;
    this.#maxSockets = limits.maxSockets;
    this.#maxTotalSockets = limits.maxTotalSockets;
  }

  /**
   * A request wants a connection. Decides on assign, connect or reject; or queues the waiter, after having a free
   * connection closed if that makes room, and returns its ticket.
   *
   * Equal keys must come with equal names.
   */
  acquire(waiter: W, name: string, key: string, now: number): Ticket<C, W> | undefined {
    this.refresh();
    const origin = this.#keys.get(key) ?? this.#openKey(name, key);
    const free = this.#unexpired(origin, now);
    if (free !== undefined) {
      this.#unpark(free);
      this.#lend(free, waiter);
      return undefined;
    }
    const { group } = origin;
    if (!this.#mayPlan(group)) this.#makeRoom(group);
    if (this.#mayPlan(group)) {
      if (!this.#mayHold(group)) return this.#enqueue(origin, waiter, now);
      this.#connect(origin, waiter);
    } else {
      if (this.#waiting < this.#limits.maxPending) return this.#enqueue(origin, waiter, now);
      this.#act("reject", waiter);
      this.#sweep(origin);
    }
    return undefined;
  }

  /**
   * The dial succeeded: the connection is its waiter's. False if the slot is no longer connecting: the caller then
   * destroys the connection, and calls closed() if the slot is closing.
   */
  connected(slot: Slot<C, W>, connection: C): boolean {
    if (slot.state !== "connecting") return false;
    slot.state = "active";
    slot.connection = connection;
    slot.origin.group.connecting--;
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
    if (slot.state !== "active") return "ignored";
    if (expiresAt <= now) return this.#refuse(slot, "expired");
    const { origin } = slot;
    const { group } = origin;
    if (group.planned > this.#maxSockets || this.#planned > this.#maxTotalSockets) {
      return this.#refuse(slot, "cap");
    }
    const own = origin.queue.first?.item;
    const rival = this.#oldestFor(group);
    if (own !== undefined && this.#mayServe(own, rival, now)) {
      this.#take(own);
      this.#lend(slot, own.waiter);
      this.#settle(group);
      return "assigned";
    }
    if (rival !== undefined) return this.#refuse(slot, "turn");
    if (!mayPark) return this.#refuse(slot, "not-kept");
    if (group.free.size >= this.#limits.maxFreeSockets) return this.#refuse(slot, "free-limit");
    this.#park(slot, expiresAt);
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
    this.#remove(slot);
  }

  /** The connection leaves the pool alive ('agentRemove', an upgrade): the slot comes back and waiters are woken. */
  detach(slot: Slot<C, W>): void {
    this.closed(slot);
  }

  /** A queued waiter gives up. False if it was no longer queued: a connect or an assign has been decided upon. */
  cancel(ticket: Ticket<C, W>): boolean {
    this.refresh();
    if (ticket.stage === "left") return false;
    this.#take(ticket);
    this.#settle(ticket.origin.group);
    this.#sweep(ticket.origin);
    return true;
  }

  /** Closes the free connections whose time is over, some up to EXPIRY_GRAIN_MS late. */
  expire(now: number): void {
    this.refresh();
    for (let slot = this.#expiry.firstExpired(now); slot; slot = this.#expiry.firstExpired(now)) {
      this.#close(slot, "expired");
      this.#settle(slot.origin.group);
    }
  }

  /** When expire() will next find something to close, ms; Infinity: never. */
  nextExpiry(): number {
    return this.#expiry.next;
  }

  /** Takes out everyone who is queued, in order of arrival; the caller settles them. */
  drainQueue(): W[] {
    const tickets: Ticket<C, W>[] = [];
    for (const group of this.#names.values()) {
      for (const ticket of group.queue) tickets.push(ticket);
    }
    tickets.sort((a, b) => a.sequence - b.sequence);
    for (const ticket of tickets) {
      this.#take(ticket);
      this.#rank(ticket.origin.group);
      this.#sweep(ticket.origin);
    }
    return tickets.map((ticket) => ticket.waiter);
  }

  /** Applies changed limits at once instead of at the next call. */
  refresh(): void {
    const { maxSockets, maxTotalSockets } = this.#limits;
    if (maxSockets === this.#maxSockets && maxTotalSockets === this.#maxTotalSockets) return;
    this.#maxSockets = maxSockets;
    this.#maxTotalSockets = maxTotalSockets;
    this.#replan();
  }

  /**
   * Hands the decisions to the sink, in order, until there are none. Called from within a sink it returns at once:
   * the drain under way goes on. Should the sink throw, the rest waits for the next drain.
   */
  drain(sink: PoolSink<C, W>): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      while (this.#nextAction < this.#actions.length) this.#deliver(sink);
    } finally {
      this.#isDraining = false;
    }
  }

  /** Slots of all names in any state: what maxTotalSockets counts. */
  get totalSlots(): number {
    return this.#held;
  }

  /** Everyone who is queued, of all names. */
  get totalPending(): number {
    return this.#waiting + this.#promised;
  }

  /** Free connections of all names. */
  get totalFree(): number {
    return this.#free.size;
  }

  /** Names that have a slot or a waiter, in order of arrival. */
  names(): IterableIterator<string> {
    return this.#names.keys();
  }

  /** The counts of one name, all 0 if nothing is known of it. */
  counts(name: string): PoolCounts {
    const group = this.#names.get(name);
    if (group === undefined) return { connecting: 0, active: 0, free: 0, closing: 0, pending: 0 };
    return {
      connecting: group.connecting,
      active: group.open.size - group.connecting,
      free: group.free.size,
      closing: group.closing,
      pending: group.queue.size,
    };
  }

  /** The connecting and active slots of one name, the longest in that state first; undefined if there is none. */
  open(name: string): Slot<C, W>[] | undefined {
    return snapshot(this.#names.get(name)?.open);
  }

  /** The free slots of one name, least recently used first; undefined if there is none. */
  free(name: string): Slot<C, W>[] | undefined {
    return snapshot(this.#names.get(name)?.free);
  }

  /** The tickets of one name, oldest first; undefined if there is none. */
  queued(name: string): Ticket<C, W>[] | undefined {
    return snapshot(this.#names.get(name)?.queue);
  }

  #deliver(sink: PoolSink<C, W>): void {
    const action = this.#actions[this.#nextAction]!;
    const subject = this.#subjects[this.#nextAction]!;
    if (++this.#nextAction === this.#actions.length) {
      this.#actions.length = this.#subjects.length = this.#nextAction = 0;
    }
    if (action === "reject") return sink.reject(subject as W, "ERR_POOL_QUEUE_FULL");
    const slot = subject as Slot<C, W>;
    if (action === "close") return sink.close(slot, slot.reason!);
    if (slot.state !== (action === "connect" ? "connecting" : "active")) {
      return sink.reject(slot.waiter!, "ERR_POOL_SLOT_LOST");
    }
    slot.isAnnounced = true;
    sink[action](slot);
  }

  #act(action: Action, subject: Slot<C, W> | W): void {
    this.#actions.push(action);
    this.#subjects.push(subject);
  }

  get #planned(): number {
    return this.#held - this.#closing + this.#promised;
  }

  #mayPlan(group: NameRecord<C, W>): boolean {
    return group.planned < this.#maxSockets && this.#planned < this.#maxTotalSockets;
  }

  #mayHold(group: NameRecord<C, W>): boolean {
    return group.held + group.due < this.#maxSockets && this.#held < this.#maxTotalSockets;
  }

  /** The free slot that the scheduling names; those that have expired are closed on the way. */
  #unexpired(origin: KeyRecord<C, W>, now: number): Slot<C, W> | undefined {
    for (;;) {
      const link = this.#limits.scheduling === "fifo" ? origin.free.first : origin.free.last;
      if (link === undefined || link.item.expiresAt > now) return link?.item;
      this.#close(link.item, "expired");
      this.#settle(origin.group);
    }
  }

  /** Closes the least recently used free slot under the cap that stops a name, if there is one. */
  #makeRoom(group: NameRecord<C, W>): void {
    const list = group.planned < this.#maxSockets ? this.#free : group.free;
    if (list.first !== undefined) this.#close(list.first.item, "room");
  }

  /** The oldest waiter who could have a slot that this name gives up. */
  #oldestFor(group: NameRecord<C, W>): Ticket<C, W> | undefined {
    const here = group.waiting?.item;
    const elsewhere = this.#ready.top?.waiting?.item;
    if (here === undefined || elsewhere === undefined) return here ?? elsewhere;
    return here.sequence < elsewhere.sequence ? here : elsewhere;
  }

  /**
   * May a released connection serve the first of its own key although `rival` may be older? A strict order would
   * give two alternating origins no reuse at all, an unbounded favour starves (D3 in NODE_SEMANTICS.md).
   */
  #mayServe(own: Ticket<C, W>, rival: Ticket<C, W> | undefined, now: number): boolean {
    if (rival === undefined || own.sequence <= rival.sequence) return true;
    if (rival.passes === 0) rival.firstPassedAt = now;
    if (rival.passes === MAX_PASSES || now - rival.firstPassedAt >= MAX_PASSING_MS) return false;
    rival.passes++;
    return true;
  }

  #lend(slot: Slot<C, W>, waiter: W): void {
    slot.waiter = waiter;
    this.#act("assign", slot);
  }

  #park(slot: Slot<C, W>, expiresAt: number): void {
    const { origin } = slot;
    origin.group.open.remove(slot.inName);
    slot.state = "free";
    slot.waiter = undefined;
    slot.expiresAt = expiresAt;
    origin.free.add(slot.inKey);
    origin.group.free.add(slot.inName);
    this.#free.add(slot.inPool);
    this.#expiry.add(slot);
  }

  #unpark(slot: Slot<C, W>): void {
    this.#leaveFree(slot);
    slot.state = "active";
    slot.origin.group.open.add(slot.inName);
  }

  #leaveFree(slot: Slot<C, W>): void {
    const { origin } = slot;
    origin.free.remove(slot.inKey);
    origin.group.free.remove(slot.inName);
    this.#free.remove(slot.inPool);
    this.#expiry.remove(slot);
  }

  #leaveState(slot: Slot<C, W>): void {
    const { group } = slot.origin;
    if (slot.state === "free") return this.#leaveFree(slot);
    if (slot.state === "closing") {
      group.closing--;
      this.#closing--;
      return;
    }
    if (slot.state === "connecting") group.connecting--;
    group.open.remove(slot.inName);
  }

  #refuse(slot: Slot<C, W>, reason: PoolCloseReason): Released {
    this.#close(slot, reason);
    this.#settle(slot.origin.group);
    return "closing";
  }

  #close(slot: Slot<C, W>, reason: string): void {
    const { group } = slot.origin;
    this.#leaveState(slot);
    slot.state = "closing";
    slot.reason = reason;
    group.closing++;
    this.#closing++;
    this.#act("close", slot);
  }

  #remove(slot: Slot<C, W>): void {
    if (slot.state === "gone") return;
    const { origin } = slot;
    this.#leaveState(slot);
    slot.state = "gone";
    origin.slots--;
    this.#held--;
    this.#settle(origin.group);
    this.#sweep(origin);
  }

  #connect(origin: KeyRecord<C, W>, waiter: W): void {
    const slot = new Slot<C, W>(origin, waiter);
    origin.slots++;
    origin.group.open.add(slot.inName);
    origin.group.connecting++;
    this.#held++;
    this.#act("connect", slot);
  }

  #enqueue(origin: KeyRecord<C, W>, waiter: W, now: number): Ticket<C, W> {
    const { group } = origin;
    const ticket = new Ticket<C, W>(origin, waiter, this.#sequence++, now);
    origin.queue.add(ticket.inKey);
    group.queue.add(ticket.inName);
    group.waiting ??= ticket.inName;
    this.#waiting++;
    this.#settle(group);
    return ticket;
  }

  /** Takes a ticket out of the queue, and its promise back. */
  #take(ticket: Ticket<C, W>): void {
    const { group } = ticket.origin;
    const link = ticket.inName;
    if (group.blocked === link) group.blocked = link.next === group.waiting ? undefined : link.next;
    if (group.waiting === link) group.waiting = link.next;
    if (ticket.stage === "waiting") {
      this.#waiting--;
    } else {
      this.#promised--;
      group.promised--;
      if (ticket.stage === "due") group.due--;
      this.#due.remove(ticket);
    }
    ticket.stage = "left";
    group.queue.remove(link);
    ticket.origin.queue.remove(ticket.inKey);
  }

  /**
   * Draws the consequences of any change under one name: promises what can be promised, and connects what can be
   * connected. Without waiters it costs four comparisons.
   */
  #settle(group: NameRecord<C, W>): void {
    this.#rank(group);
    this.#promise();
    this.#admit(group);
    this.#start();
  }

  /** Keeps the name's place among those that maxTotalSockets alone stops. */
  #rank(group: NameRecord<C, W>): void {
    if (group.waiting !== undefined && group.planned < this.#maxSockets) {
      this.#ready.set(group, group.waiting.item.sequence);
    } else {
      this.#ready.remove(group);
    }
  }

  /** Promises slots to the oldest waiters, as long as there are any to promise. */
  #promise(): void {
    for (let group = this.#ready.top; group !== undefined; group = this.#ready.top) {
      if (this.#planned >= this.#maxTotalSockets) return;
      const link = group.waiting!;
      group.waiting = link.next;
      group.blocked ??= link;
      link.item.stage = "blocked";
      group.promised++;
      this.#promised++;
      this.#waiting--;
      this.#rank(group);
      this.#admit(group);
    }
  }

  /** Makes blocked tickets due, as far as maxSockets has room. */
  #admit(group: NameRecord<C, W>): void {
    while (group.blocked !== undefined && group.held + group.due < this.#maxSockets) {
      const { item: ticket, next } = group.blocked;
      group.blocked = next === group.waiting ? undefined : next;
      ticket.stage = "due";
      group.due++;
      this.#due.set(ticket, ticket.sequence);
    }
  }

  /** Connects for the oldest due tickets, as far as maxTotalSockets has room. */
  #start(): void {
    while (this.#held < this.#maxTotalSockets) {
      const ticket = this.#due.top;
      if (ticket === undefined) return;
      this.#take(ticket);
      this.#connect(ticket.origin, ticket.waiter);
    }
  }

  /** Plans anew under changed caps: closes what is over, takes all promises back and gives them again. */
  #replan(): void {
    for (const group of this.#names.values()) {
      this.#takePromisesBack(group);
      let excess = group.planned + group.queue.size - this.#maxSockets;
      for (; excess > 0 && group.free.first !== undefined; excess--) {
        this.#close(group.free.first.item, "cap");
      }
      this.#rank(group);
    }
    while (this.#planned > this.#maxTotalSockets && this.#free.first !== undefined) {
      this.#closeOldestFree("cap");
    }
    this.#promise();
    while (this.#ready.top !== undefined && this.#free.first !== undefined) {
      this.#closeOldestFree("room");
      this.#promise();
    }
    for (const group of this.#names.values()) this.#admit(group);
    this.#start();
  }

  #closeOldestFree(reason: PoolCloseReason): void {
    const slot = this.#free.first!.item;
    this.#close(slot, reason);
    this.#rank(slot.origin.group);
  }

  #takePromisesBack(group: NameRecord<C, W>): void {
    for (let link = group.queue.first; link !== group.waiting; link = link!.next) {
      this.#due.remove(link!.item);
      link!.item.stage = "waiting";
    }
    group.waiting = group.queue.first;
    group.blocked = undefined;
    this.#waiting += group.promised;
    this.#promised -= group.promised;
    group.promised = group.due = 0;
  }

  /** Drops the records of a key, and of its name, once nothing is left of them. */
  #sweep(origin: KeyRecord<C, W>): void {
    if (origin.slots > 0 || origin.queue.size > 0) return;
    const { group, key } = origin;
    if (this.#keys.get(key) !== origin) return;
    this.#keys.delete(key);
    if (--group.keys === 0) this.#names.delete(group.name);
  }

  #openKey(name: string, key: string): KeyRecord<C, W> {
    let group = this.#names.get(name);
    if (group === undefined) {
      group = new NameRecord<C, W>(name);
      this.#names.set(name, group);
    }
    const origin = new KeyRecord<C, W>(key, group);
    group.keys++;
    this.#keys.set(key, origin);
    return origin;
  }
}

function snapshot<T>(list: LinkedList<T> | undefined): T[] | undefined {
  return list === undefined || list.size === 0 ? undefined : Array.from(list);
}
