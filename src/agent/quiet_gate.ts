/**
 * Between the end of one exchange on a connection and the first byte of the next lies one poll of the event loop. Owns the
 * count of those polls and who waits for one; knows no connection: what the poll shows is told to the connection itself.
 *
 * Why: bytes that nobody asked for (a 408 on its way while the last response was read, the start of an injected response)
 * may lie in the kernel where no runtime lets us look. Written upon at once, they are read as the next request's answer
 * (NODE_SEMANTICS.md, D10; GHSA-35p6-xmwp-9g52). Polled once, they close the connection, as does a FIN.
 *
 * Strategy: one clock for all connections. While any is fresh from an exchange, each turn of the event loop is counted;
 * a connection is quiet two turns after it became idle, because the first may end the very poll that told of the
 * response. So a connection that has lain idle costs a comparison, and however many become idle in one turn share
 * two callbacks.
 *
 * @module
 */

/** Calls back in the next turn of the event loop, after it has polled. */
export type NextTurn = (fn: () => void) => void;

/** Turns after which a connection has been polled since. */
const QUIET_TURNS = 2;

interface Waiting {
  readonly turn: number;
  readonly fn: () => void;
}

/** See the file's comment. */
export class QuietGate {
  readonly #nextTurn: NextTurn | undefined;
  #turn = 0;
  /** The turn in which a connection became idle last. */
  #lastIdle = -QUIET_TURNS;
  #isCounting = false;
  /** In order of their turns. */
  #waiting: Waiting[] = [];

  /** Without `nextTurn` nobody waits: for networks without a kernel below them. */
  constructor(nextTurn: NextTurn | undefined) {
    this.#nextTurn = nextTurn;
  }

  /** A connection has become idle: returns the turn, for {@linkcode QuietGate.pass}. */
  enter(): number {
    if (this.#nextTurn === undefined) return -QUIET_TURNS;
    this.#lastIdle = this.#turn;
    this.#count();
    return this.#turn;
  }

  /** Calls `fn` once a connection that became idle in `turn` has been polled: now, or soon. */
  pass(turn: number, fn: () => void): void {
    if (this.#turn - turn >= QUIET_TURNS) return fn();
    this.#waiting.push({ turn, fn });
  }

  #count(): void {
    if (this.#isCounting) return;
    this.#isCounting = true;
    this.#nextTurn!(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#turn++;
    this.#isCounting = false;
    if (this.#turn - this.#lastIdle < QUIET_TURNS) this.#count();
    if (this.#waiting.length === 0) return;
    // Of one turn as a rule; in order of the turns where several are waiting.
    const due = this.#waiting;
    this.#waiting = [];
    for (const waiting of due) this.pass(waiting.turn, waiting.fn);
  };
}
