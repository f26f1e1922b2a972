/**
 * What the memory of a request costs where nothing is done with it: the control beside `pool_wiring.ts` and `pool_faces.ts`. Each
 * request makes, keeps and drops about as many objects and bytes as one of `agent.request`, waits in a list as it would, and is
 * answered in a microtask; each origin has as many bytes that a request walks. What of our growth this shows too is the collector's
 * and the cache's, not the pool's.
 *
 * @module
 */

/** Objects of 96 bytes: what `agent.request` keeps of a request that waits, 1.1 KB without its promise. */
const WAITING_CELLS = 9;
/** What it makes of a response, and keeps until the body is read. */
const ANSWER_CELLS = 8;
/** What it makes besides and drops at once, 2 KB. */
const DROPPED_CELLS = 24;
/** What it keeps of an origin with a parked connection, 4 KB. */
const ORIGIN_CELLS = 42;

class Cell {
  readonly next: Cell | undefined;
  value = 1;
  a: unknown = undefined;
  b: unknown = undefined;
  c: unknown = undefined;
  d: unknown = undefined;
  e: unknown = undefined;
  f: unknown = undefined;
  g: unknown = undefined;

  constructor(next: Cell | undefined) {
    this.next = next;
  }
}

function cells(count: number): Cell {
  let first = new Cell(undefined);
  for (let n = 1; n < count; n++) first = new Cell(first);
  return first;
}

function sum(first: Cell): number {
  let total = 0;
  for (let cell: Cell | undefined = first; cell !== undefined; cell = cell.next) total += cell.value;
  return total;
}

interface Waiter {
  readonly kept: Cell;
  readonly resolve: (answer: Cell) => void;
  next: Waiter | undefined;
}

/** See the file's comment. */
export class Control {
  readonly #atOnce: number;
  readonly #origins = new Map<string, Cell>();
  #active = 0;
  #first: Waiter | undefined;
  #last: Waiter | undefined;

  /** Serves so many at once. */
  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** A request. */
  async send(host: string): Promise<void> {
    let origin = this.#origins.get(host);
    if (origin === undefined) this.#origins.set(host, origin = cells(ORIGIN_CELLS));
    if (sum(cells(DROPPED_CELLS)) !== DROPPED_CELLS) throw new Error("Not what was made");
    const answer = await new Promise<Cell>((resolve) => {
      this.#ask({ kept: cells(WAITING_CELLS), resolve, next: undefined });
    });
    if (sum(origin) + sum(answer) !== ORIGIN_CELLS + ANSWER_CELLS) throw new Error("Not what was kept");
  }

  #ask(waiter: Waiter): void {
    if (this.#active < this.#atOnce) {
      this.#active++;
      return this.#serve(waiter);
    }
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
  }

  #serve(waiter: Waiter): void {
    queueMicrotask(() => {
      waiter.resolve(cells(ANSWER_CELLS));
      const next = this.#first;
      if (next === undefined) return void this.#active--;
      this.#first = next.next;
      if (this.#first === undefined) this.#last = undefined;
      this.#serve(next);
    });
  }
}
