/**
 * Whether a connection's pending read holds the process, on Deno.
 *
 * Owns what ref() and unref() have said, and when the runtime is told. Knows no bytes.
 *
 * Strategy: unref() and ref() are two calls of the runtime's each, and a busy pool parks a connection that the next request
 * takes a moment later: what is taken back within some microtasks costs neither, and the rest of them is not waited for. A timer in
 * their place costs ten times as much: each wakes the loop.
 *
 * @module
 */

/** What is held: one of Deno's connections. */
export interface Holding {
  /** A pending read holds the process. */
  ref(): void;
  /** A pending read does not hold the process. */
  unref(): void;
}

/** How long unref() waits for a ref(): a few functions with an await each. */
const REST_MICROTASKS = 8;

/** See the file's comment. */
export class DenoHold {
  isReferenced: boolean;
  #conn: Holding | undefined;
  /** The runtime has been told of unref(). */
  #isAtRest = false;
  /** It is about to be. */
  #isRestDue = false;

  /** Of no connection yet. */
  constructor(isReferenced: boolean = true) {
    this.isReferenced = isReferenced;
  }

  /** What was said counts for `conn` from now on. */
  adopt(conn: Holding): void {
    this.#conn = conn;
    this.#isAtRest = !this.isReferenced;
    if (this.#isAtRest) conn.unref();
  }

  /** The process is held. */
  ref(): void {
    if (this.isReferenced) return;
    this.isReferenced = true;
    if (this.#isRestDue) leavingCount--;
    if (!this.#isAtRest) return;
    this.#isAtRest = false;
    this.#conn?.ref();
  }

  /** The process is let go, unless ref() follows soon. */
  unref(): void {
    if (!this.isReferenced) return;
    this.isReferenced = false;
    if (this.#isAtRest || this.#conn === undefined) return;
    leavingCount++;
    if (this.#isRestDue) return;
    this.#isRestDue = true;
    if (leaving.push(this) === 1) settle();
  }

  /** Does what unref() has said, unless ref() has been called since. */
  rest(): void {
    this.#isRestDue = false;
    if (this.isReferenced || this.#isAtRest) return;
    this.#isAtRest = true;
    this.#conn?.unref();
  }
}

/** Those that were told unref() a moment ago, and how many of them still are to rest. */
let leaving: DenoHold[] = [];
let leavingCount = 0;

async function settle(): Promise<void> {
  for (let microtask = 0; microtask < REST_MICROTASKS && leavingCount > 0; microtask++) await undefined;
  const holds = leaving;
  leaving = [];
  leavingCount = 0;
  for (const hold of holds) hold.rest();
}
