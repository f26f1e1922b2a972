/**
 * A doubly linked list whose links are made by the item itself, so that leaving any list is O(1) and joining one
 * again allocates nothing: a pooled connection joins and leaves four lists at each request.
 *
 * @module
 */

/** An item's place in one list; an item has one link for each list it may be in. */
export class Link<T> {
  /** What hangs on this link. */
  readonly item: T;
  /** The link before this one; undefined on the first and outside of any list. */
  prev: Link<T> | undefined = undefined;
  /** The link after this one; undefined on the last and outside of any list. */
  next: Link<T> | undefined = undefined;

  /** Makes the link of `item`, in no list yet. */
  constructor(item: T) {
    this.item = item;
  }
}

/** Items in the order of arrival. The caller knows which links are in which list: nothing is checked. */
export class LinkedList<T> {
  /** The oldest link. */
  first: Link<T> | undefined = undefined;
  /** The newest link. */
  last: Link<T> | undefined = undefined;
  /** How many links. */
  size = 0;

  /** Appends a link that is in no list. */
  add(link: Link<T>): void {
    const last = this.last;
    link.prev = last;
    if (last === undefined) this.first = link;
    else last.next = link;
    this.last = link;
    this.size++;
  }

  /** Takes out a link of this list. */
  remove(link: Link<T>): void {
    const { prev, next } = link;
    if (prev === undefined) this.first = next;
    else prev.next = next;
    if (next === undefined) this.last = prev;
    else next.prev = prev;
    link.prev = undefined;
    link.next = undefined;
    this.size--;
  }

  /** The items, oldest first. The list must not change meanwhile. */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let link = this.first; link !== undefined; link = link.next) yield link.item;
  }
}
