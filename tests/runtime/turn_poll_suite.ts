/** The wait for a poll of the event loop, in turns and in time that are moved by hand. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type AfterPoll, createTurnPoll } from "../../src/runtime/turn_poll.ts";

const test = suite("one poll of the event loop");

/** Each turn takes as long as it is told. */
function loop(): { afterPoll: AfterPoll; turn(ms: number): void; isIdle(): boolean } {
  const due: (() => void)[] = [];
  let nowMs = 0;
  return {
    afterPoll: createTurnPoll((fn) => void due.push(fn), () => nowMs),
    turn(ms: number): void {
      nowMs += ms;
      due.splice(0).forEach((fn) => fn());
    },
    isIdle: () => due.length === 0,
  };
}

test("calls in the second turn, because the first may end the poll that it was asked in", () => {
  const { afterPoll, turn, isIdle } = loop();
  const calls: string[] = [];
  afterPoll(() => calls.push("a"));
  turn(0.1);
  afterPoll(() => calls.push("b"));
  assert.equal(calls, []);
  turn(0.1);
  assert.equal(calls, ["a"]);
  turn(0.1);
  assert.equal(calls, ["a", "b"]);
  assert.ok(isIdle());
});

test("asks again where the poll lies long back", () => {
  const { afterPoll, turn, isIdle } = loop();
  const calls: string[] = [];
  afterPoll(() => calls.push("a"));
  turn(40);
  turn(40);
  afterPoll(() => calls.push("b"));
  assert.equal(calls, []);
  turn(0.1);
  assert.equal(calls, ["a"]);
  turn(0.1);
  assert.equal(calls, ["a", "b"]);
  assert.ok(isIdle());
});

test("waits for three turns more at most", () => {
  const { afterPoll, turn } = loop();
  for (let round = 0; round < 2; round++) {
    let turns = 0;
    let isCalled = false;
    afterPoll(() => isCalled = true);
    for (; !isCalled; turns++) turn(40);
    assert.is(turns, 5);
  }
});

test("one call that throws keeps no other from being called", async () => {
  const { afterPoll, turn } = loop();
  let isCalled = false;
  afterPoll(() => {
    throw new Error("mine");
  });
  afterPoll(() => isCalled = true);
  turn(0.1);
  assert.throws(() => turn(0.1), "mine");
  await Promise.resolve();
  assert.ok(isCalled);
});

test.run();
