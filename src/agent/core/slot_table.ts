/**
 * The slots of a pool in all their states, and the records of the names and keys they belong to. Owns the counts of
 * slots and the lists of open and free ones, and keeps both in step; decides nothing.
 *
 * Strategy: the record of a key that nothing is left of is kept for a while, for the key may come again. Where thousands of origins
 * share few slots each would else be dropped and made again with every other request, and V8 keeps the Maps' dead tables,
 * with the records and the waiters of their time, through all its young collections: half of such a request's time.
 *
 * @module
 */
import { ExpiryQueue } from "./expiry_queue.ts";
import { LinkedList, type ListOf } from "./linked_list.ts";
import { KeyRecord, NameRecord, type Place, Slot } from "./pool_records.ts";

/** Spare records: as many as are in use, or so many. */
const MIN_SPARE = 64;

/** Slots by state, name and key. */
export class SlotTable<C, W> {
  /** Names that have a slot or a ticket, in order of arrival. */
  readonly names: LinkedList<NameRecord<C, W>> = new LinkedList();
  /** Free slots of all names, least recently used first. */
  readonly free: ListOf<Slot<C, W>> = new LinkedList();
  /** Free slots by the end of their time. */
  readonly expiry: ExpiryQueue<Slot<C, W>> = new ExpiryQueue();
  /** Slots in any state: what servers may see. */
  held = 0;
  /** Closing slots. */
  closing = 0;
  /** Spare ones among them. */
  readonly #byName = new Map<string, NameRecord<C, W>>();
  /** Spare ones among them. */
  readonly #byKey = new Map<string, KeyRecord<C, W>>();
  /** Records of keys that have neither slot nor ticket, the longest spare first. */
  readonly #spare: LinkedList<KeyRecord<C, W>> = new LinkedList();

  /** Keys that have a slot or a ticket. */
  get totalKeys(): number {
    return this.#byKey.size - this.#spare.size;
  }

  /** What is known of a name; undefined: nothing. */
  find(name: string): NameRecord<C, W> | undefined {
    return this.#byName.get(name);
  }

  /** The record of a place that is to have a slot or a ticket, made if there is none. */
  open(place: Place): KeyRecord<C, W> {
    let origin = this.#lookUp(place);
    if (origin === undefined) origin = this.#make(place);
    else if (!origin.isSpare) return origin;
    else {
      this.#spare.remove(origin);
      origin.isSpare = false;
    }
    const { group } = origin;
    if (group.keys++ === 0) this.names.add(group);
    return origin;
  }

  /** Among ten thousand keys that are not in the processor's cache a Map costs as much as all the rest of a request here. */
  #lookUp(place: Place): KeyRecord<C, W> | undefined {
    const last = place.record as KeyRecord<C, W> | undefined;
    if (last?.table === this) return last;
    const origin = this.#byKey.get(place.key);
    if (origin === undefined) return undefined;
    place.record = origin;
    origin.place = place;
    return origin;
  }

  #make(place: Place): KeyRecord<C, W> {
    const { name, key } = place;
    let group = this.#byName.get(name);
    if (group === undefined) {
      group = new NameRecord<C, W>(name);
      this.#byName.set(name, group);
    }
    const origin = new KeyRecord<C, W>(place, group, this);
    group.records++;
    this.#byKey.set(key, origin);
    place.record = origin;
    return origin;
  }

  /** Spares the record of a key, and of its name, once nothing is left of them. */
  sweep(origin: KeyRecord<C, W>): void {
    if (origin.isSpare || origin.slots > 0 || origin.queue.size > 0 || origin.fresh > 0) return;
    const { group } = origin;
    if (--group.keys === 0) this.names.remove(group);
    origin.isSpare = true;
    this.#spare.add(origin);
    while (this.#spare.size > Math.max(this.totalKeys, MIN_SPARE)) this.#drop(this.#spare.first!);
  }

  #drop(origin: KeyRecord<C, W>): void {
    const { group, key } = origin;
    this.#spare.remove(origin);
    this.#byKey.delete(key);
    origin.table = undefined;
    // Places outlive the records: tens of thousands may be remembered.
    origin.place.record = undefined;
    if (--group.records === 0) this.#byName.delete(group.name);
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
