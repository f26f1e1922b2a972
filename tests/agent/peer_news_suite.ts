/** How long a slot outlives its connection, by a clock whose timers come as late as the test says. */
import * as assert from "uvu/assert";
import { afterNews } from "../../src/agent/peer_news.ts";
import type { Clock, Timer } from "../../src/clock.ts";
import { suite } from "../harness/suite.ts";

const test = suite("agent: news of a connection's end");

/** Runs one wait; each timer comes so late as the next of `lateMs` says, the last of them from then on. */
function waits(isAnswered: boolean, ...lateMs: number[]): { waited: number[]; calls: number } {
  const waited: number[] = [];
  let nowMs = 0;
  let calls = 0;
  const due: (() => void)[] = [];
  const clock: Clock = {
    now: () => nowMs,
    after(ms: number, fn: () => void, options?: { ref?: boolean }): Timer {
      assert.is(options?.ref, true, "it holds the process");
      const late = lateMs[Math.min(waited.length, lateMs.length - 1)]!;
      waited.push(ms);
      due.push(() => {
        nowMs += ms + late;
        fn();
      });
      return { cancel(): void {} };
    },
  };
  afterNews(clock, isAnswered, () => calls++);
  for (let fn = due.shift(); fn !== undefined; fn = due.shift()) fn();
  return { waited, calls };
}

test("a timer that comes in time is the only one", () => {
  assert.equal(waits(true, 0), { waited: [5], calls: 1 });
  assert.equal(waits(false, 0), { waited: [25], calls: 1 });
  // What whole milliseconds make of it.
  assert.equal(waits(true, 1.4), { waited: [5], calls: 1 });
});

test("one that is late is followed by a longer wait, until one comes in time", () => {
  assert.equal(waits(true, 3, 0), { waited: [5, 12], calls: 1 });
  assert.equal(waits(false, 10, 2, 0), { waited: [25, 40, 8], calls: 1 });
});

test("on a machine that is always late the waits have an end", () => {
  assert.equal(waits(true, 20), { waited: [5, 80, 80, 80], calls: 1 });
  assert.equal(waits(false, 1_000), { waited: [25, 100, 100, 100], calls: 1 });
});

test.run();
