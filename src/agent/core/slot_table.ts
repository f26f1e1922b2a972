/**
 * The slots of a pool in all their states, and the records of the names and keys they belong to. Owns the counts of
 * slots and the lists of open and free ones, and keeps both in step; decides nothing.
 *
 * @module
 */
import { ExpiryQueue } from "./expiry_queue.ts";
import { LinkedList, type ListOf } from "./linked_list.ts";
import { KeyRecord, NameRecord, Slot } from "./pool_records.ts";

/** Slots by state, name and key. */
export class SlotTable<C, W> {
  /** Names that have a slot or a ticket. */
  readonly names: Map<string, NameRecord<C, W>> = new Map();
  /** Free slots of all names, least recently used first. */
  readonly free: ListOf<Slot<C, W>> = new LinkedList();
  /** Free slots by the end of their time. */
  readonly expiry: ExpiryQueue<Slot<C, W>> = new ExpiryQueue();
  /** Slots in any state: what servers may see. */
  held = 0;
  /** Closing slots. */
  closing = 0;
  readonly #keys = new Map<string, KeyRecord<C, W>>();

  /** Keys that have a slot or a ticket. */
  get totalKeys(): number {
    return this.#keys.size;
  }

  /** The record of a key, made if there is none. */
  open(name: string, key: string): KeyRecord<C, W> {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    let group = this.names.get(name);
    if (group === undefined) {
      group = new NameRecord<C, W>(name);
      this.names.set(name, group);
    }
    const origin = new KeyRecord<C, W>(key, group);
    group.keys++;
    this.#keys.set(key, origin);
    return origin;
  }

  /** Drops the records of a key, and of its name, once nothing is left of them; to be called once then. */
  sweep(origin: KeyRecord<C, W>): void {
    if (origin.slots > 0 || origin.queue.size > 0 || origin.fresh > 0) return;
    const { group, key } = origin;
    this.#keys.delete(key);
    if (--group.keys === 0) this.names.delete(group.name);
  }

  /** A new connecting slot. */
  connect(origin: KeyRecord<C, W>, waiter: W): Slot<C, W> {
    const { group } = origin;
    const slot = new Slot<C, W>(origin, waiter);
    origin.slots++;
    group.open.add(slot.inName);
    group.connecting++;
    this.held++;
    return slot;
  }

  /** Connecting to active. */
  activate(slot: Slot<C, W>, connection: C): void {
    slot.state = "active";
    slot.connection = connection;
    slot.origin.group.connecting--;
  }

  /** Active to free. */
  park(slot: Slot<C, W>, expiresAt: number): void {
    const { origin } = slot;
    origin.group.open.remove(slot.inName);
    slot.state = "free";
    slot.waiter = undefined;
    slot.expiresAt = expiresAt;
    origin.free.add(slot.inKey);
    origin.group.free.add(slot.inName);
    this.free.add(slot.inPool);
    this.expiry.add(slot);
  }

  /** Free to active. */
  unpark(slot: Slot<C, W>): void {
    this.#leaveFree(slot);
    slot.state = "active";
    slot.origin.group.open.add(slot.inName);
  }

  /** Any state but gone to closing. */
  close(slot: Slot<C, W>, reason: string): void {
    this.#leave(slot);
    slot.state = "closing";
    slot.reason = reason;
    slot.origin.group.closing++;
    this.closing++;
  }

  /** Any state but gone to gone. */
  remove(slot: Slot<C, W>): void {
    this.#leave(slot);
    slot.state = "gone";
    slot.origin.slots--;
    this.held--;
  }

  #leave(slot: Slot<C, W>): void {
    const { group } = slot.origin;
    if (slot.state === "free") {
      this.#leaveFree(slot);
    } else if (slot.state === "closing") {
      group.closing--;
      this.closing--;
    } else {
      if (slot.state === "connecting") group.connecting--;
      group.open.remove(slot.inName);
    }
  }

  #leaveFree(slot: Slot<C, W>): void {
    const { origin } = slot;
    origin.free.remove(slot.inKey);
    origin.group.free.remove(slot.inName);
    this.free.remove(slot.inPool);
    this.expiry.remove(slot);
  }
}
