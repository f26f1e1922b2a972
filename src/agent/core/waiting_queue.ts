/**
 * Who waits for a connection, and to whom the slot of a closing one is promised. Owns the order of arrival and the
 * counts of tickets; knows maxSockets, because that cap decides which names can take a slot, but opens and closes
 * nothing.
 *
 * Strategy: a ticket that was left is kept for who comes next. A new one for each waiter would outlive two of V8's young
 * collections wherever thousands wait, and be copied by both: at 100,000 that was half of what a request cost here.
 *
 * @module
 */
import { Heap } from "./heap.ts";
import { LinkedList } from "./linked_list.ts";
import { type KeyRecord, type NameRecord, Ticket } from "./pool_records.ts";

/** Spare tickets: as many as are queued, or so many. */
const MIN_SPARE = 64;

/** Tickets by age, under two caps. */
export class WaitingQueue<C, W> {
  /** The cap of each name, kept up to date by the pool. */
  maxSockets: number = Infinity;
  /** Tickets that no slot is promised to. */
  waiting = 0;
  /** Tickets that the slot of a closing connection is promised to. */
  promised = 0;
  /** Names that have a waiting ticket and are not full, by its age: the total cap alone stops them. */
  readonly #ready = new Heap<NameRecord<C, W>>();
  /** Tickets that any slot will do for, by age. */
  readonly #due = new Heap<Ticket<C, W>>();
  /** Tickets that were left, the one that was left last at the end. */
  readonly #spare = new LinkedList<Ticket<C, W>>();
  #sequence = 0;

  /** The oldest waiting ticket that the total cap alone stops. */
  get oldestReady(): Ticket<C, W> | undefined {
    return this.#ready.top?.waiting;
  }

  /** The oldest ticket that only waits for a slot to come back. */
  get oldestDue(): Ticket<C, W> | undefined {
    return this.#due.top;
  }

  /** The oldest waiting ticket that could have a slot that this name gives up. */
  oldestFor(group: NameRecord<C, W>): Ticket<C, W> | undefined {
    const here = group.waiting;
    const elsewhere = this.oldestReady;
    if (here === undefined || elsewhere === undefined) return here ?? elsewhere;
    return here.sequence < elsewhere.sequence ? here : elsewhere;
  }

  /** Appends a waiting ticket; rank() must follow. */
  add(origin: KeyRecord<C, W>, waiter: W, now: number, isFresh: boolean): Ticket<C, W> {
    const ticket = this.#issue(origin, waiter, now, isFresh);
    if (isFresh) origin.fresh++;
    else origin.queue.add(ticket.inKey);
    origin.group.queue.add(ticket);
    origin.group.waiting ??= ticket;
    this.waiting++;
    return ticket;
  }

  #issue(origin: KeyRecord<C, W>, waiter: W, now: number, isFresh: boolean): Ticket<C, W> {
    const sequence = this.#sequence++;
    const ticket = this.#spare.last;
    if (ticket === undefined) return new Ticket(origin, waiter, sequence, now, isFresh);
    this.#spare.remove(ticket);
    ticket.origin = origin;
    ticket.waiter = waiter;
    ticket.sequence = sequence;
    ticket.queuedAt = now;
    ticket.isFresh = isFresh;
    ticket.passes = 0;
    return ticket;
  }

  /** Takes a queued ticket out, and its promise back: it is nobody's from then on. Returns who waited. */
  take(ticket: Ticket<C, W>): W {
    const waiter = ticket.waiter!;
    const { group } = ticket.origin;
    if (group.blocked === ticket) group.blocked = nextBlocked(group, ticket);
    if (group.waiting === ticket) group.waiting = ticket.next;
    if (ticket.stage === "waiting") {
      this.waiting--;
    } else {
      this.promised--;
      group.promised--;
      if (ticket.stage === "due") group.due--;
      this.#due.remove(ticket);
    }
    ticket.stage = "waiting";
    group.queue.remove(ticket);
    if (ticket.isFresh) ticket.origin.fresh--;
    else ticket.origin.queue.remove(ticket.inKey);
    this.rank(group);
    ticket.waiter = undefined;
    this.#spare.add(ticket);
    while (this.#spare.size > Math.max(this.waiting + this.promised, MIN_SPARE)) {
      this.#spare.remove(this.#spare.first!);
    }
    return waiter;
  }

  /** Keeps a name's place among the ready ones; to be called after any change of its slots. */
  rank(group: NameRecord<C, W>): void {
    if (group.waiting !== undefined && group.planned < this.maxSockets) {
      this.#ready.set(group, group.waiting.sequence);
    } else {
      this.#ready.remove(group);
    }
  }

  /** Promises a slot to the oldest ready ticket. */
  promise(ticket: Ticket<C, W>): void {
    const { group } = ticket.origin;
    group.waiting = ticket.next;
    group.blocked ??= ticket;
    ticket.stage = "blocked";
    group.promised++;
    this.promised++;
    this.waiting--;
    this.rank(group);
    this.admit(group);
  }

  /** Makes a name's blocked tickets due, as far as its cap has room. */
  admit(group: NameRecord<C, W>): void {
    while (group.blocked !== undefined && group.held + group.due < this.maxSockets) {
      const ticket = group.blocked;
      group.blocked = nextBlocked(group, ticket);
      ticket.stage = "due";
      group.due++;
      this.#due.set(ticket, ticket.sequence);
    }
  }

  /** Makes all of a name's tickets waiting again. */
  takePromisesBack(group: NameRecord<C, W>): void {
    for (let ticket = group.queue.first; ticket !== group.waiting; ticket = ticket!.next) {
      this.#due.remove(ticket!);
      ticket!.stage = "waiting";
    }
    group.waiting = group.queue.first;
    group.blocked = undefined;
    this.waiting += group.promised;
    this.promised -= group.promised;
    group.promised = group.due = 0;
  }
}

/** Blocked tickets lie together, before the waiting ones. */
function nextBlocked<C, W>(group: NameRecord<C, W>, ticket: Ticket<C, W>): Ticket<C, W> | undefined {
  return ticket.next === group.waiting ? undefined : ticket.next;
}
