/**
 * The rules of the pool once more, without any structure: two arrays, and every count is taken by filtering them.
 * The fuzz holds PoolCore against it, action by action.
 *
 * @module
 */
import type { PoolCloseReason, PoolCounts, PoolLimits, Released } from "../../src/agent/core/pool.ts";

/** A slot of the model. */
export interface ModelSlot {
  readonly name: string;
  readonly key: string;
  state: "connecting" | "active" | "free" | "closing" | "gone";
  waiter: number;
  isTold: boolean;
  expiresAt: number;
  /** Order of parking. */
  parked: number;
  /** Order of joining the open ones. */
  opened: number;
}

/** A queued waiter of the model. */
export interface ModelTicket {
  readonly waiter: number;
  readonly name: string;
  readonly key: string;
  /** Takes no connection that has served: never equal to a slot's key. */
  readonly isFresh: boolean;
  isPromised: boolean;
  passes: number;
  firstPassedAt: number;
}

/** One decision; `slot` is the model's own. */
export type ModelAction =
  | { readonly what: "connect" | "assign"; readonly slot: ModelSlot; readonly waiter: number }
  | { readonly what: "close"; readonly slot: ModelSlot; readonly reason: string }
  | { readonly what: "reject"; readonly waiter: number };

const GRAIN_MS = 50;
const PASSES = 8;
const PASSING_MS = 100;

/** The pool, naively. */
export class PoolModel {
  readonly actions: ModelAction[] = [];
  slots: ModelSlot[] = [];
  /** In order of arrival. */
  tickets: ModelTicket[] = [];
  readonly #limits: PoolLimits;
  #seen: string;
  #order = 0;
  #names: string[] = [];

  constructor(limits: PoolLimits) {
    this.#limits = limits;
    this.#seen = this.#caps();
  }

  /** Waiters whose key, name or total cap is held by a free slot although no slot is on its way to them; none while new caps are unread. */
  neglected(): ModelTicket[] {
    if (this.#seen !== this.#caps()) return [];
    return this.tickets.filter((ticket) =>
      !ticket.isPromised && this.slots.some((slot) => slot.state === "free" && this.#stops(slot, ticket))
    );
  }

  /** Takes the next action; one on a connection that is gone has lost its object. */
  nextAction(): ModelAction | undefined {
    const action = this.actions.shift();
    return action?.what === "close" && action.slot.state === "gone" ? this.nextAction() : action;
  }

  counts(name: string): PoolCounts {
    const of = (state: string): number => this.#in(state).filter((slot) => slot.name === name).length;
    return {
      connecting: of("connecting"),
      active: of("active"),
      free: of("free"),
      closing: of("closing"),
      pending: this.tickets.filter((ticket) => ticket.name === name).length,
    };
  }

  /** Names that have a slot or a ticket, in order of arrival. */
  names(): string[] {
    this.#forget();
    return this.#names;
  }

  totalKeys(): number {
    this.#forget();
    return new Set([...this.slots, ...this.tickets].map((each) => each.key)).size;
  }

  acquire(waiter: number, name: string, key: string, now: number, isFresh: boolean): void {
    this.refresh();
    if (!this.#names.includes(name)) this.#names.push(name);
    for (let slot = this.#best(key); slot !== undefined && !isFresh; slot = this.#best(key)) {
      if (slot.expiresAt > now) return this.#lend(slot, waiter);
      this.#close(slot, "expired");
    }
    const ticket: ModelTicket = {
      waiter,
      name,
      key,
      isFresh,
      isPromised: false,
      passes: 0,
      firstPassedAt: 0,
    };
    if (!this.#mayPlan(name)) {
      const victim = this.#free().find((slot) => this.#stops(slot, ticket));
      if (victim !== undefined) this.#close(victim, "room");
    }
    const unpromised = this.tickets.filter((ticket) => !ticket.isPromised).length;
    if (!this.#mayPlan(name) && unpromised >= this.#limits.maxPending) {
      this.actions.push({ what: "reject", waiter });
    } else {
      this.tickets.push(ticket);
      this.#settle();
    }
  }

  connected(slot: ModelSlot): boolean {
    if (slot.state !== "connecting") return false;
    slot.state = "active";
    return true;
  }

  release(slot: ModelSlot, now: number, expiresAt: number, mayPark: boolean): Released {
    this.refresh();
    if (slot.state !== "active" || !slot.isTold) return "ignored";
    const reason = this.#serve(slot, now, expiresAt, mayPark);
    if (reason === undefined) return "assigned";
    if (reason === "parked") {
      slot.state = "free";
      slot.expiresAt = expiresAt;
      slot.parked = this.#order++;
      return "parked";
    }
    this.#close(slot, reason);
    this.#settle();
    return "closing";
  }

  close(slot: ModelSlot, reason: string): void {
    this.refresh();
    if (slot.state === "gone" || slot.state === "closing") return;
    if (slot.state === "connecting" && !slot.isTold) slot.state = "gone";
    else this.#close(slot, reason);
    this.#settle();
  }

  closed(slot: ModelSlot): void {
    this.refresh();
    slot.state = "gone";
    this.#settle();
  }

  cancel(ticket: ModelTicket): boolean {
    this.refresh();
    if (!this.tickets.includes(ticket)) return false;
    this.#take(ticket);
    this.#settle();
    return true;
  }

  expire(now: number): void {
    this.refresh();
    for (const slot of this.#expiring().filter((slot) => dueAt(slot) <= now)) this.#close(slot, "expired");
    this.#settle();
  }

  nextExpiry(): number {
    return Math.min(...this.#expiring().map(dueAt));
  }

  hasRoomBeside({ name }: ModelSlot): boolean {
    this.refresh();
    const { maxSockets, maxTotalSockets } = this.#limits;
    return this.#mayPlan(name) && this.#held(name) < maxSockets && this.#held() < maxTotalSockets;
  }

  drainQueue(): number[] {
    const waiters = this.tickets.map((ticket) => ticket.waiter);
    this.tickets = [];
    return waiters;
  }

  refresh(): void {
    this.#forget();
    if (this.#seen === this.#caps()) return;
    this.#seen = this.#caps();
    for (const ticket of this.tickets) ticket.isPromised = false;
    for (const name of this.#names) {
      const wanted = this.#planned(name) + this.tickets.filter((ticket) => ticket.name === name).length;
      const free = this.#free().filter((slot) => slot.name === name);
      for (const slot of free.slice(0, Math.max(0, wanted - this.#limits.maxSockets))) {
        this.#close(slot, "cap");
      }
    }
    while (this.#planned() > this.#limits.maxTotalSockets && this.#free().length > 0) {
      this.#close(this.#free()[0]!, "cap");
    }
    this.#promise();
    while (this.#free().length > 0 && this.tickets.some((ticket) => this.#isReady(ticket))) {
      this.#close(this.#free()[0]!, "room");
      this.#promise();
    }
    this.#settle();
  }

  #forget(): void {
    this.slots = this.slots.filter((slot) => slot.state !== "gone");
    const known = [...this.slots, ...this.tickets];
    this.#names = this.#names.filter((name) => known.some((each) => each.name === name));
  }

  #caps(): string {
    return `${this.#limits.maxSockets} ${this.#limits.maxTotalSockets}`;
  }

  #in(state: string): ModelSlot[] {
    return this.slots.filter((slot) => slot.state === state);
  }

  /** Free slots, least recently used first. */
  #free(): ModelSlot[] {
    return this.#in("free").sort((a, b) => a.parked - b.parked);
  }

  #expiring(): ModelSlot[] {
    return this.#free().filter((slot) => slot.expiresAt !== Infinity).sort((a, b) => dueAt(a) - dueAt(b));
  }

  #best(key: string): ModelSlot | undefined {
    const free = this.#free().filter((slot) => slot.key === key);
    return this.#limits.scheduling === "fifo" ? free[0] : free.at(-1);
  }

  #held(name?: string): number {
    return this.slots.filter((slot) => slot.state !== "gone" && slot.name === (name ?? slot.name)).length;
  }

  #planned(name?: string): number {
    const closing = this.#in("closing").filter((slot) => slot.name === (name ?? slot.name)).length;
    const promised = this.tickets.filter((ticket) =>
      ticket.isPromised && ticket.name === (name ?? ticket.name)
    );
    return this.#held(name) - closing + promised.length;
  }

  #mayPlan(name: string): boolean {
    return this.#planned(name) < this.#limits.maxSockets && this.#planned() < this.#limits.maxTotalSockets;
  }

  #isReady(ticket: ModelTicket): boolean {
    return !ticket.isPromised && this.#planned(ticket.name) < this.#limits.maxSockets;
  }

  /** Would the end of this slot let the waiter in? */
  #stops(slot: ModelSlot, ticket: ModelTicket): boolean {
    return slot.key === ticket.key || slot.name === ticket.name || this.#isReady(ticket);
  }

  #serve(slot: ModelSlot, now: number, expiresAt: number, mayPark: boolean): Reason | undefined {
    if (expiresAt <= now) return "expired";
    if (this.#planned(slot.name) > this.#limits.maxSockets) return "cap";
    if (this.#planned() > this.#limits.maxTotalSockets) return "cap";
    const own = this.tickets.find((ticket) => ticket.key === slot.key && !ticket.isFresh);
    const rival = this.tickets.find((ticket) => !ticket.isPromised && this.#stops(slot, ticket));
    if (own !== undefined && (rival === undefined || this.#mayPass(own, rival, now))) {
      this.#take(own);
      this.#lend(slot, own.waiter);
      this.#settle();
      return undefined;
    }
    if (rival !== undefined) return "turn";
    if (!mayPark) return "not-kept";
    const parked = this.#free().filter((other) => other.name === slot.name);
    return parked.length >= this.#limits.maxFreeSockets ? "free-limit" : "parked";
  }

  #mayPass(own: ModelTicket, rival: ModelTicket, now: number): boolean {
    if (this.tickets.indexOf(own) <= this.tickets.indexOf(rival)) return true;
    if (rival.passes === 0) rival.firstPassedAt = now;
    const may = rival.passes < PASSES && now < rival.firstPassedAt + PASSING_MS;
    if (may) rival.passes++;
    return may;
  }

  #lend(slot: ModelSlot, waiter: number): void {
    if (slot.state === "free") slot.opened = this.#order++;
    slot.state = "active";
    slot.waiter = waiter;
    slot.isTold = false;
    this.actions.push({ what: "assign", slot, waiter });
  }

  #close(slot: ModelSlot, reason: string): void {
    slot.state = "closing";
    this.actions.push({ what: "close", slot, reason });
  }

  #take(ticket: ModelTicket): void {
    this.tickets.splice(this.tickets.indexOf(ticket), 1);
  }

  #promise(): void {
    while (this.#planned() < this.#limits.maxTotalSockets) {
      const oldest = this.tickets.find((ticket) => this.#isReady(ticket));
      if (oldest === undefined) return;
      oldest.isPromised = true;
    }
  }

  #settle(): void {
    this.#promise();
    while (this.#held() < this.#limits.maxTotalSockets) {
      const ticket = this.tickets.find((ticket) =>
        ticket.isPromised && this.#held(ticket.name) < this.#limits.maxSockets
      );
      if (ticket === undefined) return;
      this.#take(ticket);
      const { name, key, waiter } = ticket;
      const slot: ModelSlot = {
        name,
        key,
        waiter,
        state: "connecting",
        isTold: false,
        expiresAt: Infinity,
        parked: 0,
        opened: this.#order++,
      };
      this.slots.push(slot);
      this.actions.push({ what: "connect", slot, waiter });
    }
  }
}

type Reason = PoolCloseReason | "parked";

function dueAt(slot: ModelSlot): number {
  return Math.ceil(slot.expiresAt / GRAIN_MS) * GRAIN_MS;
}
