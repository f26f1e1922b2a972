/**
 * One poll of the event loop, waited for, on Deno.
 *
 * Owns the pair of sockets (deno_pair.ts) by which a poll is forced. Knows nobody else's sockets.
 *
 * Why: Deno's loop runs immediates, messages and whatever is done at once without asking the system for news of sockets:
 * 20 immediates in a row, and bytes that had lain in the kernel for 7 ms were not seen. A timer polls, but takes 2 ms.
 *
 * Strategy: a read that cannot be done at once, and then the byte that it waits for: it is told by the poll that tells of
 * everything else that has come before it (measured: always the first). All who ask in one turn share it: at 10 requests at
 * a time there is one for every six of them. One pair for the whole process,
 * for all who wait at the same time; closed when nobody has waited for a moment. Where the program may not open one,
 * a timer has to do.
 *
 * @module
 */

import { openPair, type Pair, type PairingDeno } from "./deno_pair.ts";
import { closeQuietly } from "./deno_opening.ts";
import { type AfterPoll, runAll } from "./turn_poll.ts";
import type { Clock, Timer } from "../clock.ts";

/** For how long the pair is kept without use, ms, and for twice that at most: it is made in 1 ms. */
const KEEP_MS = 100;

/** Makes an {@linkcode AfterPoll} for Deno. */
export function createDenoPoll(Deno: PairingDeno, clock: Clock): AfterPoll {
  let waiting: (() => void)[] = [];
  let isPolling = false;
  let pair: Pair | undefined;
  let keepTimer: Timer | undefined;
  let isUsed = false;

  function poll(): void {
    isUsed = true;
    if (pair !== undefined) return ping();
    openPair(Deno, clock).then((opened) => {
      pair = opened;
      ping();
    });
  }

  function ping(): void {
    const due = waiting;
    waiting = [];
    if (pair === undefined) return standIn(due);
    const [reader, writer] = pair;
    // They take turns: so, over TCP, a byte carries the acknowledgement of the one before, which else is a segment of its own.
    pair = [writer, reader];
    // The read first: what is there already would be read without a poll.
    reader.read(into).then((count) => count === 1 ? tell(due) : standIn(due), () => standIn(due));
    // Not waited for: the byte is. Where it cannot be written, the read would last for ever.
    writer.write(one).catch(() => closeQuietly(reader));
  }

  // There is no pair, or somebody has closed it: a timer has to do, and the next poll opens another.
  function standIn(due: readonly (() => void)[]): void {
    close();
    clock.after(0, () => tell(due), { ref: true });
  }

  function tell(due: readonly (() => void)[]): void {
    queueMicrotask(() => {
      try {
        runAll(due);
      } finally {
        // What one of them throws is the process's affair, and must not end the polling. They may ask for a poll at once,
        // and who asked meanwhile waits already.
        goOn();
      }
    });
  }

  function goOn(): void {
    if (waiting.length > 0) return poll();
    isPolling = false;
    if (pair !== undefined) keepTimer ??= clock.after(KEEP_MS, closeUnused);
  }

  // One timer for many polls: setting one costs as much as half a poll.
  function closeUnused(): void {
    keepTimer = undefined;
    if (isPolling) return;
    if (!isUsed) return close();
    isUsed = false;
    keepTimer = clock.after(KEEP_MS, closeUnused);
  }

  function close(): void {
    pair?.forEach(closeQuietly);
    pair = undefined;
  }

  return (fn) => {
    waiting.push(fn);
    if (isPolling) return;
    isPolling = true;
    // What one poll has shown is told in one go, one microtask after the other: all who ask then share the next poll.
    // Not queueMicrotask(), which is a function of Deno's own around another.
    settled.then(poll);
  };
}

const settled = Promise.resolve();
const one = new Uint8Array(1);
// Room for more than comes: Deno asks the system again, and in vain, after a read that has filled its buffer.
const into = new Uint8Array(2);
