/** The system's clock: its coarse timers are timers. */
import process from "node:process";
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type Clock, systemClock } from "../../src/clock.ts";

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
  const madeLater = systemClock.now() - begin;
  systemClock.after(1_000, note("e"));
  timers[3]!.cancel();
  await wait(1_300);
  late.cancel();
  assert.equal(
    calls.map(([name]) => name),
    ["b", "e", "late"].sort((x, y) => indexOf(calls, x) - indexOf(calls, y)),
  );
  const times = Object.fromEntries(calls);
  const isEarly = times["b"]! < 999 || times["e"]! < madeLater + 999 || times["late"]! < 1_009;
  assert.not(isEarly, JSON.stringify({ ...times, madeLater }));
});

function indexOf(calls: [string, number][], wanted: string): number {
  return calls.findIndex(([name]) => name === wanted);
}

test("a time that has passed is due at once, without a warning", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): void => void warnings.push(warning);
  process.on("warning", note);
  await wait(-0.5);
  await wait(1);
  process.off("warning", note);
  assert.equal(warnings, []);
});

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

test("coarse timers of one delay share one of the system's, which calls those that are left", async () => {
  const { clock, delays, fire } = await clockOverFakes();
  const called: number[] = [];
  const timers = Array.from({ length: 10_000 }, (_, index) => clock.after(300_000, () => called.push(index)));
  assert.is(delays.length, 1);
  for (const timer of timers.slice(1, -1)) timer.cancel();
  timers[1]!.cancel();
  fire();
  assert.equal(called, [0, 9_999]);
  assert.is(delays.length, 1);
});

/** The clock over a system whose time is moved by hand, and which, as the real one, does at once what is to wait too long. */
async function clockOverFakes(): Promise<{ clock: Clock; delays: number[]; fire: () => void }> {
  const scope = globalThis as unknown as Record<string, unknown>;
  const before = { setTimeout: scope["setTimeout"], clearTimeout: scope["clearTimeout"] };
  const realNow = performance.now;
  let now = 0;
  const due: { fn: () => void; at: number }[] = [];
  const delays: number[] = [];
  scope["setTimeout"] = (fn: () => void, ms: number) => {
    delays.push(ms);
    const timer = { fn, at: now + (ms > 2 ** 31 - 1 ? 1 : ms), unref: () => {} };
    due.push(timer);
    return timer;
  };
  scope["clearTimeout"] = (timer: { fn: () => void; at: number }) => {
    const index = due.indexOf(timer);
    if (index >= 0) due.splice(index, 1);
  };
  performance.now = () => now;
  try {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const { pathname } = new URL(`../../src/clock.${extension}`, import.meta.url);
    const { systemClock: clock } = await import(`${pathname}?${++copies}`) as { systemClock: Clock };
    // What is due next, in time.
    const fire = (): void => {
      const next = due.sort((a, b) => a.at - b.at).shift();
      if (next === undefined) return;
      now = Math.max(now, next.at);
      next.fn();
    };
    return { clock, delays, fire };
  } finally {
    Object.assign(scope, before);
    performance.now = realNow;
  }
}
let copies = 0;

const LONGEST_MS = 2 ** 31 - 1;

for (const ref of [true, false]) {
  test(`a delay beyond the system's timers neither comes early nor spins, ref: ${ref}`, async () => {
    for (const ms of [LONGEST_MS - 10, LONGEST_MS, LONGEST_MS + 1, 9_999_999_000, Infinity]) {
      const { clock, delays, fire } = await clockOverFakes();
      let calledAt: number | undefined;
      const timer = clock.after(ms, () => calledAt = clock.now(), { ref });
      for (let turn = 0; turn < 20 && calledAt === undefined; turn++) fire();
      assert.ok(delays.every((delay) => delay <= LONGEST_MS), `${ms}: ${delays}`);
      if (ms === Infinity) {
        assert.is(calledAt, undefined);
        timer.cancel();
        continue;
      }
      assert.ok(calledAt! >= ms && calledAt! <= ms + 50, `${ms}: called at ${calledAt}`);
      assert.ok(delays.length <= 1 + Math.ceil((ms + 50) / LONGEST_MS), `${ms}: ${delays}`);
    }
  });
}

test("a long timer that was cancelled after its first part is not called", async () => {
  const { clock, delays, fire } = await clockOverFakes();
  const timer = clock.after(2 * LONGEST_MS, () => assert.unreachable(), { ref: true });
  fire();
  timer.cancel();
  fire();
  fire();
  assert.is(delays.length, 2);
});

test.run();
