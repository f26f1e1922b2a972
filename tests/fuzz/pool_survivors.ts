/**
 * Faults in the pool's files that neither the fuzz nor the checks of its parts can notice, each with the reason.
 *
 * @module
 */

/** A reason, and the faults it holds for, as tests/fuzz/pool_mutations.ts prints them. */
export const SURVIVORS: readonly (readonly [reason: string, faults: readonly string[]])[] = [
  [
    "Frees memory sooner, or costs time: nothing that anyone is told depends on it",
    [
      "linked_list: link.prev = undefined; | link.prev = undefined; -> {}",
      "linked_list: link.prev = undefined; | link.prev -> link.next",
      "slot_table: if (last?.table === this) return last; | if (last?.table === this) return last; -> {}",
      "pool_records: this.table = table; | this.table = table; -> {}",
      "slot_table: origin.place = place; | origin.place = place; -> {}",
      "expiry_queue: if (bucket.size === 0) this.#order.set(bucket, dueAt); | if (bucket.size === 0) this.#order.set(bucket, dueAt); -> this.#order.set(bucket, dueAt);",
      "pool_actions: this.#subjects[this.#next] = undefined; | this.#subjects[this.#next] = undefined; -> {}",
      "pool_actions: if (this.#next === this.#end) this.#next = this.#end = 0; | if (this.#next === this.#end) this.#next = this.#end = 0; -> {}",
      "pool_actions: if (this.#next === this.#end) this.#next = this.#end = 0; | this.#next = this.#end = 0; -> {}",
      "pool_actions: if (this.#next === this.#end) this.#next = this.#end = 0; | 0 -> 1",
    ],
  ],
  [
    "refresh() only spares the work: planning anew under the same caps changes nothing",
    [
      "pool: if (maxSockets === this.#queue.maxSockets && maxTotalSockets === this.#maxTotalSockets) return; | if (maxSockets === this.#queue.maxSockets && maxTotalSockets === this.#maxTotalSockets) return; -> {}",
      "pool: if (maxSockets === this.#queue.maxSockets && maxTotalSockets === this.#maxTotalSockets) return; | this.#queue.maxSockets -> this.#queue.maxTotalSockets",
      "pool: if (maxSockets === this.#queue.maxSockets && maxTotalSockets === this.#maxTotalSockets) return; | return; -> {}",
    ],
  ],
  [
    "refresh() reads the caps before they are first used",
    [
      "waiting_queue: maxSockets: number = Infinity; | Infinity -> 0",
      "pool: #maxTotalSockets = Infinity; | Infinity -> 0",
    ],
  ],
  [
    "Ranks are unique, and a ticket is not older than itself: where two are equal either will do",
    [
      "heap: } else if (rank < this.#ranks[item.heapIndex]!) { | rank < this.#ranks[item.heapIndex]! -> rank <= this.#ranks[item.heapIndex]!",
      "heap: if (this.#ranks[parent]! <= rank) break; | this.#ranks[parent]! <= rank -> this.#ranks[parent]! < rank",
      "heap: if (this.#ranks[at]! < this.#ranks[lowest]!) lowest = at; | this.#ranks[at]! < this.#ranks[lowest]! -> this.#ranks[at]! <= this.#ranks[lowest]!",
      "heap: if (this.#ranks[child]! >= rank) break; | this.#ranks[child]! >= rank -> this.#ranks[child]! > rank",
      "waiting_queue: return here.sequence < elsewhere.sequence ? here : elsewhere; | here.sequence < elsewhere.sequence -> here.sequence <= elsewhere.sequence",
    ],
  ],
  [
    "However many children an item has, the lowest is on top",
    [
      "heap: const CHILDREN_LOG2 = 3; | 3 -> 4",
    ],
  ],
  [
    "A neighbour's child may rise as well: it is the lowest of all that are looked at, and whoever takes its place is above its parent",
    [
      "heap: const child = this.#lowest(first, Math.min(firstChild(at + 1), size)); | 1 -> 2",
      "heap: for (let at = from + 1; at < to; at++) { | at < to -> at <= to",
    ],
  ],
  [
    "Never read before it is set: a slot is parked before its time counts",
    [
      "pool_records: expiresAt: number = Infinity; | Infinity -> 0",
    ],
  ],
];
