/** The system's clock: its coarse timers are timers. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { systemClock } from "../../src/clock.ts";

const test = suite("systemClock");

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => systemClock.after(ms, resolve, { ref: true }));
}

test("calls coarse timers in order, not before their time, and no cancelled one", async () => {
  const begin = systemClock.now();
  const calls: [string, number][] = [];
  const note = (name: string): () => void => () => void calls.push([name, systemClock.now() - begin]);
  const timers = ["a", "b", "c", "d"].map((name) => systemClock.after(1_000, note(name)));
  const late = systemClock.after(1_010, note("late"));
  timers[0]!.cancel();
  timers[2]!.cancel();
  timers[2]!.cancel();
  await wait(20);
  systemClock.after(1_000, note("e"));
  timers[3]!.cancel();
  await wait(1_300);
  late.cancel();
  assert.equal(
    calls.map(([name]) => name),
    ["b", "e", "late"].sort((x, y) => indexOf(calls, x) - indexOf(calls, y)),
  );
  const times = Object.fromEntries(calls);
  assert.ok(times["b"]! >= 999 && times["e"]! >= 1_019 && times["late"]! >= 1_009, JSON.stringify(times));
});

function indexOf(calls: [string, number][], wanted: string): number {
  return calls.findIndex(([name]) => name === wanted);
}

test("a list that ran empty starts again, and a timer may be made in another's call", async () => {
  const calls: string[] = [];
  systemClock.after(1_000, () => {
    calls.push("first");
    systemClock.after(1_000, () => void calls.push("second"));
  });
  await wait(1_150);
  assert.equal(calls, ["first"]);
  await wait(1_150);
  assert.equal(calls, ["first", "second"]);
});

test("makes many coarse timers at the price of one", () => {
  const timers = Array.from({ length: 10_000 }, () => systemClock.after(300_000, () => {}));
  for (const timer of timers) timer.cancel();
  timers.forEach((timer) => timer.cancel());
});

test.run();
