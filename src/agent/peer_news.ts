/**
 * How long the slot of a connection that is gone is kept: until its server has most likely heard of it. Owns the waits; knows no
 * pool and no socket.
 *
 * Strategy: nothing on the wire can tell, so a time has to do. The server reads of the end and of the next connection in one turn
 * of its loop, in any order, and counts one less at the end of that turn. A timer of ours that comes late says that the
 * machine has more work than it can do, and the server's turn is then late as well: it waits again, for longer.
 *
 * @module
 */

import type { Clock } from "../clock.ts";

/**
 * Where no FIN of the server's told that it is at its end, ms. Measured with storms of 300 requests whose server ends first, in
 * a process of its own: without a wait it counted 1 to 3 too many in each.
 */
const NEWS_MS = 25;
/** The same where the server has closed by itself, or has answered our FIN: it has the turn behind it as good as done. */
const ANSWERED_MS = 5;
/** From this on a timer is late, ms: the system's keep whole milliseconds. */
const LATE_MS = 1.5;
/**
 * How many times longer than it was late is waited again. Measured as above, with four times the work that the machine can do:
 * one or more too many in 8 of 16 storms with no further wait, in 3 with these (on a less busy one in 2 and in none), and
 * no fewer with twice this.
 */
const LATE_TIMES = 4;
/** Longest further wait, ms. */
const MAX_LATE_MS = 100;
/** Most further waits. */
const LATE_ROUNDS = 3;

/**
 * Calls `then` when a server has most likely heard that a connection is gone; `isAnswered`: it has ended by itself, or has answered
 * our FIN. Holds the process: somebody may wait for the slot with nothing else that does.
 */
export function afterNews(clock: Clock, isAnswered: boolean, then: () => void): void {
  wait(clock, isAnswered ? ANSWERED_MS : NEWS_MS, LATE_ROUNDS, then);
}

function wait(clock: Clock, ms: number, rounds: number, then: () => void): void {
  const dueMs = clock.now() + ms;
  const onDue = (): void => {
    const lateMs = clock.now() - dueMs;
    if (rounds === 0 || lateMs < LATE_MS) then();
    else wait(clock, Math.min(lateMs * LATE_TIMES, MAX_LATE_MS), rounds - 1, then);
  };
  clock.after(ms, onDue, { ref: true });
}
