/**
 * A doubly linked list of what is linked itself, so that leaving any list is O(1) and joining one again allocates nothing: a
 * pooled connection joins and leaves four lists at each request. Owns the links; must not know what is linked.
 *
 * Strategy: what is in one list at a time may be its own link ({@linkcode Linked}), which makes it 48 bytes smaller; what is
 * in several has a {@linkcode Link} for each.
 *
 * @module
 */

/** A place in one list. */
export interface Linked<L> {
  /** The link before this one; undefined on the first and outside of any list. */
  prev: L | undefined;
  /** The link after this one; undefined on the last and outside of any list. */
  next: L | undefined;
}

/** An item's place in one of several lists. */
export class Link<T> implements Linked<Link<T>> {
  /** What hangs on this link. */
  readonly item: T;
  prev: Link<T> | undefined = undefined;
  next: Link<T> | undefined = undefined;

  /** Makes the link of `item`, in no list yet. */
  constructor(item: T) {
    this.item = item;
  }
}

/** Links in the order of arrival. The caller knows which links are in which list: nothing is checked. */
export class LinkedList<L extends Linked<L>> {
  /** The oldest link. */
  first: L | undefined = undefined;
  /** The newest link. */
  last: L | undefined = undefined;
  /** How many links. */
  size = 0;

  /** Appends a link that is in no list. */
  add(link: L): void {
    const last = this.last;
    link.prev = last;
    if (last === undefined) this.first = link;
    else last.next = link;
    this.last = link;
    this.size++;
  }

  /** Takes out a link of this list. */
  remove(link: L): void {
    const { prev, next } = link;
    if (prev === undefined) this.first = next;
    else prev.next = next;
    if (next === undefined) this.last = prev;
    else next.prev = prev;
    link.prev = undefined;
    link.next = undefined;
    this.size--;
  }

  /** Those linked, oldest first. The list must not change meanwhile. */
  *[Symbol.iterator](): Generator<L, void, undefined> {
    for (let link = this.first; link !== undefined; link = link.next) yield link;
  }
}

/** A list of items that have a {@linkcode Link} for it. */
export type ListOf<T> = LinkedList<Link<T>>;
