import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { ManualClock } from "../../src/testing.ts";

const test = suite("ManualClock");

test("after() does not fire before its time", async () => {
  const clock = new ManualClock();
  let fired = 0;
  clock.after(1000, () => fired++);
  await clock.advance(999);
  assert.is(fired, 0);
  await clock.advance(1);
  assert.is(fired, 1);
  assert.is(clock.now(), 1000);
  assert.is(clock.pending, 0);
});

test("after(0) fires by itself, and never inside the call", async () => {
  const clock = new ManualClock();
  let fired = false;
  await new Promise<void>((resolve) => {
    clock.after(0, () => {
      fired = true;
      resolve();
    });
    assert.is(fired, false);
  });
  assert.is(clock.now(), 0);
});

test("advance() runs calls in the order of their time, then of their asking", async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  clock.after(20, () => log.push("20"));
  clock.after(10, () => log.push("10 first"));
  clock.after(10, () => log.push("10 second"));
  clock.after(10, () => clock.after(5, () => log.push(`15 at ${clock.now()}`)));
  await clock.advance(30);
  assert.equal(log, ["10 first", "10 second", "15 at 15", "20"]);
  assert.is(clock.now(), 30);
});

test("promises settle between two calls due at the same moment", async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  clock.after(1, () => void Promise.resolve().then(() => {}).then(() => log.push("microtask")));
  clock.after(1, () => log.push("second"));
  await clock.advance(1);
  assert.equal(log, ["microtask", "second"]);
});

test("cancel() is idempotent and leaves no timer", async () => {
  const clock = new ManualClock();
  const timer = clock.after(5, () => assert.unreachable("cancelled"));
  timer.cancel();
  timer.cancel();
  assert.is(clock.pending, 0);
  await clock.advance(10);
});

test("until() moves time to the timer that settles the promise", async () => {
  const clock = new ManualClock();
  const promise = new Promise<string>((resolve) => clock.after(300_000, () => resolve("late")));
  assert.is(await clock.until(promise), "late");
  assert.is(clock.now(), 300_000);
});

test("until() rejects with the promise's reason", async () => {
  const clock = new ManualClock();
  const promise = new Promise<void>((_, reject) => clock.after(1, () => reject(new Error("reason"))));
  await clock.until(promise).then(() => assert.unreachable(), (error) => assert.is(error.message, "reason"));
});

test("until() fails at once where nothing is left that could settle the promise", async () => {
  const clock = new ManualClock();
  const never = new Promise<void>(() => {});
  await clock.until(never).then(
    () => assert.unreachable(),
    (error) => assert.match(error.message, "pending"),
  );
});

test("advance() refuses a negative time", async () => {
  const clock = new ManualClock();
  for (const ms of [-1, NaN]) {
    await clock.advance(ms).then(
      () => assert.unreachable(),
      (error) => assert.instance(error, RangeError),
    );
  }
});

test.run();
