/**
 * A min-heap that knows where each item sits, so that any item can leave or change its rank in O(log n).
 *
 * Strategy: ranks lie in an array of their own, so that a comparison reads neighbouring numbers and no object. Among thousands
 * of items the cost is in the objects that move, which are not in the processor's cache: eight children for each make the
 * heap a third as deep as two.
 *
 * @module
 */

/** Each item has two to the power of this children. */
const CHILDREN_LOG2 = 3;

/** What a {@linkcode Heap} holds; an item is in one heap at most. */
export interface HeapItem {
  /** The heap's own: where the item sits, -1 outside. */
  heapIndex: number;
}

/** Items by rank, the lowest on top. */
export class Heap<T extends HeapItem> {
  readonly #items: T[] = [];
  readonly #ranks: number[] = [];

  /** How many items. */
  get size(): number {
    return this.#items.length;
  }

  /** The item of the lowest rank. */
  get top(): T | undefined {
    return this.#items[0];
  }

  /** Puts the item in, or changes its rank. */
  set(item: T, rank: number): void {
    if (item.heapIndex === -1) {
      this.#rise(this.#items.length, item, rank);
    } else if (rank < this.#ranks[item.heapIndex]!) {
      this.#rise(item.heapIndex, item, rank);
    } else {
      this.#sink(item.heapIndex, item, rank);
    }
  }

  /** Takes the item out; nothing happens if it is not in. */
  remove(item: T): void {
    const hole = item.heapIndex;
    if (hole === -1) return;
    item.heapIndex = -1;
    const last = this.#items.pop()!;
    const rank = this.#ranks.pop()!;
    if (last === item) return;
    // The last item fills the hole; it may belong above as well as below it.
    this.#rise(hole, last, rank);
    this.#sink(last.heapIndex, last, rank);
  }

  #rise(from: number, item: T, rank: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> CHILDREN_LOG2;
      if (this.#ranks[parent]! <= rank) break;
      this.#place(at, this.#items[parent]!, this.#ranks[parent]!);
      at = parent;
    }
    this.#place(at, item, rank);
  }

  #sink(from: number, item: T, rank: number): void {
    const size = this.#items.length;
    let at = from;
    for (let first = firstChild(at); first < size; first = firstChild(at)) {
      const child = this.#lowest(first, Math.min(firstChild(at + 1), size));
      if (this.#ranks[child]! >= rank) break;
      this.#place(at, this.#items[child]!, this.#ranks[child]!);
      at = child;
    }
    this.#place(at, item, rank);
  }

  #lowest(from: number, to: number): number {
    let lowest = from;
    for (let at = from + 1; at < to; at++) {
      if (this.#ranks[at]! < this.#ranks[lowest]!) lowest = at;
    }
    return lowest;
  }

  #place(at: number, item: T, rank: number): void {
    this.#items[at] = item;
    this.#ranks[at] = rank;
    item.heapIndex = at;
  }
}

function firstChild(of: number): number {
  return (of << CHILDREN_LOG2) + 1;
}
