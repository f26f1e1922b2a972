import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { LoggedPool } from "./pool_log.ts";

const test = suite("PoolCore");

test("acquire() connects below both caps, then queues", () => {
  const pool = new LoggedPool({ maxSockets: 2, maxTotalSockets: 3 });
  assert.equal(pool.acquire("a1", "a2", "a3"), ["connect for a1", "connect for a2"]);
  assert.equal(pool.acquire("b1", "b2"), ["connect for b1"]);
  assert.equal(pool.core.counts("a"), { connecting: 2, active: 0, free: 0, closing: 0, pending: 1 });
  assert.equal([pool.core.totalSlots, pool.core.totalPending], [3, 2]);
});

test("acquire() counts a slot from the decision to connect (D4)", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.ask("a1");
  pool.ask("a2");
  assert.equal(pool.drain(), ["connect for a1"]);
});

test("acquire() lends the most recently used connection under lifo", () => {
  const pool = new LoggedPool({ scheduling: "lifo" });
  pool.park("a1", "a2", "a3");
  assert.equal(pool.acquire("a4", "a5"), ["assign #a3 to a4", "assign #a2 to a5"]);
});

test("acquire() lends the least recently used connection under fifo", () => {
  const pool = new LoggedPool({ scheduling: "fifo" });
  pool.park("a1", "a2", "a3");
  assert.equal(pool.acquire("a4", "a5"), ["assign #a1 to a4", "assign #a2 to a5"]);
});

test("acquire() lends a connection only to its own key", () => {
  const pool = new LoggedPool();
  pool.park("a1");
  assert.equal(pool.acquire("ax1", "b1"), ["connect for ax1", "connect for b1"]);
});

test("acquire() closes an idle connection of another name for the total cap (D1, D2)", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  pool.park("a1");
  assert.equal(pool.acquire("b1"), ["close #a1: room"]);
  assert.is(pool.core.totalSlots, 1, "the closing one counts");
  assert.equal(pool.closed("a1"), ["connect for b1"]);
});

test("acquire() closes an idle connection of another key for its name's cap", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.park("b1", "a1");
  assert.equal(pool.acquire("ax1"), ["close #a1: room"], "not b's, which is older but of no use");
  assert.equal(pool.closed("a1"), ["connect for ax1"]);
});

test("acquire() closes the least recently used of all names", () => {
  const pool = new LoggedPool({ maxTotalSockets: 3 });
  pool.park("a1", "b1", "a2");
  assert.equal(pool.acquire("a3"), ["assign #a2 to a3"]);
  assert.equal(pool.release("a2"), ["parked"]);
  assert.equal(pool.acquire("c1", "c2"), ["close #a1: room", "close #b1: room"]);
});

test("acquire() closes no more connections than there are waiters", () => {
  const pool = new LoggedPool({ maxTotalSockets: 2 });
  pool.park("a1", "a2");
  assert.equal(pool.acquire("b1"), ["close #a1: room"]);
  assert.equal(pool.acquire("a3"), ["assign #a2 to a3"]);
  assert.equal(pool.closed("a1"), ["connect for b1"]);
});

test("acquire() rejects beyond maxPending (D11)", () => {
  const pool = new LoggedPool({ maxSockets: 1, maxPending: 1 });
  assert.equal(pool.acquire("a1", "a2", "a3"), ["connect for a1", "reject a3: ERR_POOL_QUEUE_FULL"]);
  assert.equal(pool.cancel("a2"), []);
  assert.equal(pool.acquire("a4"), []);
});

test("maxPending does not count those to whom a slot is promised", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1, maxPending: 0 });
  pool.park("a1");
  assert.equal(pool.acquire("b1"), ["close #a1: room"]);
  assert.equal(pool.acquire("b2"), ["reject b2: ERR_POOL_QUEUE_FULL"]);
  assert.equal(pool.closed("a1"), ["connect for b1"]);
});

test("a rejected waiter leaves no record", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1, maxPending: 0 });
  assert.equal(pool.acquire("a1", "b1"), ["connect for a1", "reject b1: ERR_POOL_QUEUE_FULL"]);
  assert.equal([...pool.core.names()], ["a"]);
});

test("acquire() for a fresh connection leaves what is free alone, and its own is reused later", () => {
  const pool = new LoggedPool();
  pool.park("a1");
  assert.equal(pool.acquireFresh("a2"), ["connect for a2"]);
  pool.connected("a2");
  assert.equal(pool.release("a2"), ["parked"]);
  assert.equal(pool.acquire("a3"), ["assign #a2 to a3"]);
  assert.is(pool.core.totalKeys, 1);
});

test("who waits for a fresh connection is passed by what is released, and gets its slot in turn", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  assert.equal(pool.acquireFresh("a2"), []);
  pool.acquire("a3");
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a3"]);
  assert.equal(pool.release("a1"), ["closing", "close #a1: turn"]);
  assert.equal(pool.closed("a1"), ["connect for a2"]);
});

test("acquire() for a fresh connection makes room at the cap", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.park("a1");
  assert.equal(pool.acquireFresh("a2"), ["close #a1: room"]);
  assert.equal(pool.closed("a1"), ["connect for a2"]);
});

test("cancel() by who wants a fresh connection lets the next of them connect", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  pool.park("a1");
  assert.equal(pool.acquireFresh("b1", "b2"), ["close #a1: room"]);
  assert.equal(pool.cancel("b1"), []);
  assert.equal(pool.closed("a1"), ["connect for b2"]);
  pool.closed("b2");
  pool.assertEmpty();
});

test("release() serves the oldest waiter of the key, else parks", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2", "a3");
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a2"]);
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a3"]);
  assert.equal(pool.release("a1"), ["parked"]);
});

test("release() does not serve a request whose connect has begun", () => {
  const pool = new LoggedPool();
  pool.open("a1");
  assert.equal(pool.acquire("a2"), ["connect for a2"]);
  assert.equal(pool.release("a1"), ["parked"]);
});

test("release() closes beyond maxFreeSockets the one just released", () => {
  const pool = new LoggedPool({ maxFreeSockets: 1 });
  pool.open("a1", "a2", "b1");
  assert.equal(pool.release("a1"), ["parked"]);
  assert.equal(pool.release("a2"), ["closing", "close #a2: free-limit"]);
  assert.equal(pool.release("b1"), ["parked"], "the limit is each name's");
});

test("release() hands over but does not park what may not be parked", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2");
  assert.equal(pool.release("a1", Infinity, false), ["assigned", "assign #a1 to a2"]);
  assert.equal(pool.release("a1", Infinity, false), ["closing", "close #a1: not-kept"]);
});

test("release() closes what has expired, even with a waiter", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2");
  pool.now = 10;
  assert.equal(pool.release("a1", 10), ["closing", "close #a1: expired"]);
  assert.equal(pool.closed("a1"), ["connect for a2"]);
});

test("release() of a connection that nobody has is ignored", () => {
  const pool = new LoggedPool();
  pool.park("a1");
  assert.equal(pool.release("a1"), ["ignored"]);
  pool.acquire("b1");
  assert.equal(pool.release("b1"), ["ignored"], "still connecting");
  pool.ask("a2");
  assert.is(pool.core.release(pool.slot("a1"), 0), "ignored", "its waiter has not been told yet");
  assert.equal(pool.drain(), ["assign #a1 to a2"]);
  assert.equal(pool.close("a1", "end"), ["close #a1: end"]);
  assert.equal(pool.release("a1"), ["ignored"]);
});

test("release() passes an older waiter of another name 8 times, then gives way (D3)", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  pool.open("a1");
  pool.acquire("b1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "ax0");
  for (const waiter of ["a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"]) {
    assert.equal(pool.release("a1"), ["assigned", `assign #a1 to ${waiter}`]);
  }
  pool.acquire("a0");
  assert.equal(pool.release("a1"), ["closing", "close #a1: turn"]);
  assert.equal(pool.closed("a1"), ["connect for b1"]);
});

test("release() passes an older waiter for less than 100 ms after the first time", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  pool.open("a1");
  pool.acquire("b1", "a2", "a3", "a4");
  pool.now = 5_000;
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a2"], "the wait before does not count");
  pool.now = 5_099;
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a3"]);
  pool.now = 5_100;
  assert.equal(pool.release("a1"), ["closing", "close #a1: turn"]);
});

test("release() gives way at once to a waiter of another key if its own has none", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("ax1");
  assert.equal(pool.release("a1"), ["closing", "close #a1: turn"]);
  assert.equal(pool.closed("a1"), ["connect for ax1"]);
});

test("release() gives way for each waiter once: the next connection goes on", () => {
  const pool = new LoggedPool({ maxTotalSockets: 2 });
  pool.open("a1", "a2");
  pool.acquire("b1");
  assert.equal(pool.release("a1"), ["closing", "close #a1: turn"]);
  assert.equal(pool.release("a2"), ["parked"], "b1 has a slot on its way");
  assert.equal(pool.closed("a1"), ["connect for b1"]);
});

test("two alternating names under one slot reuse each connection 8 times and more", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  const requests = [..."bcdefghijklmnopqrstuvwxyz"].flatMap((each) => [`a${each}`, `b${each}`]);
  let lines = pool.acquire("aa", ...requests);
  for (let i = 0; i < 2; i++) {
    const waiter = lines[0]!.replace("connect for ", "");
    pool.connected(waiter);
    let served = 1;
    while (pool.release(waiter)[0] === "assigned") served++;
    assert.ok(served > 8, `${waiter}'s connection served ${served}`);
    lines = pool.closed(waiter);
  }
});

test("a slot that comes back goes to the oldest waiter of all names", () => {
  const pool = new LoggedPool({ maxTotalSockets: 2 });
  pool.open("a1", "a2");
  pool.acquire("c1", "a3", "b1");
  assert.equal(pool.closed("a1"), ["connect for c1"]);
  assert.equal(pool.closed("a2"), ["connect for a3"]);
  assert.equal(pool.closed("a3"), ["connect for b1"]);
});

test("a slot that comes back passes over names that are full", () => {
  const pool = new LoggedPool({ maxSockets: 1, maxTotalSockets: 2 });
  pool.open("a1", "b1");
  pool.acquire("a2", "b2", "c1");
  assert.equal(pool.closed("b1"), ["connect for b2"]);
  assert.equal(pool.closed("b2"), ["connect for c1"], "a2 is older, but a is full");
  assert.equal(pool.closed("a1"), ["connect for a2"]);
});

test("slots that come back in another order still go to the oldest first", () => {
  const pool = new LoggedPool({ maxTotalSockets: 2 });
  pool.park("a1", "b1");
  assert.equal(pool.acquire("c1", "d1"), ["close #a1: room", "close #b1: room"]);
  assert.equal(pool.closed("b1"), ["connect for c1"]);
  assert.equal(pool.closed("a1"), ["connect for d1"]);
});

test("a promise waits for a close under its own name if that is full", () => {
  const pool = new LoggedPool({ maxSockets: 1, maxTotalSockets: 2 });
  pool.park("a1");
  pool.open("b1");
  assert.equal(pool.acquire("ax1"), ["close #a1: room"]);
  assert.equal(pool.closed("b1"), [], "a's slot is still held by the closing one");
  assert.equal(pool.closed("a1"), ["connect for ax1"]);
});

test("a connection released meanwhile serves the waiter, whose promise goes to the next", () => {
  const pool = new LoggedPool({ maxTotalSockets: 2 });
  pool.open("a1", "b1");
  assert.equal(pool.acquire("a2", "c1"), []);
  assert.equal(pool.close("b1", "end"), ["close #b1: end"], "promised to a2");
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a2"]);
  assert.equal(pool.closed("b1"), ["connect for c1"]);
});

test("connected() is false for a slot that is no longer connecting", () => {
  const pool = new LoggedPool();
  pool.acquire("a1", "a2");
  assert.equal(pool.close("a1", "aborted"), ["close dial for a1: aborted"]);
  assert.is(pool.core.connected(pool.slot("a1"), "late"), false);
  pool.closed("a2");
  assert.is(pool.core.connected(pool.slot("a2"), "late"), false);
});

test("reconnected() keeps the slot and its waiter's turn, as long as it is lent", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.park("a1");
  assert.equal(pool.acquire("a2", "a3"), ["assign #a1 to a2"]);
  assert.is(pool.core.reconnected(pool.slot("a1"), "#again"), true);
  assert.is(pool.core.totalSlots, 1);
  assert.equal(pool.release("a1"), ["assigned", "assign #again to a3"]);
  pool.release("a1");
  assert.is(pool.core.reconnected(pool.slot("a1"), "late"), false);
});

test("hasRoomBeside() counts what is closing, of the name and of all", () => {
  const pool = new LoggedPool({ maxSockets: 2, maxTotalSockets: 3 });
  pool.acquire("a1");
  assert.is(pool.core.hasRoomBeside(pool.slot("a1")), true);
  pool.acquire("a2");
  assert.is(pool.core.hasRoomBeside(pool.slot("a1")), false);
  pool.connected("a2");
  pool.close("a2", "aborted");
  assert.is(pool.core.hasRoomBeside(pool.slot("a1")), false);
  pool.closed("a2");
  assert.is(pool.core.hasRoomBeside(pool.slot("a1")), true);
  pool.acquire("b1", "b2");
  assert.is(pool.core.hasRoomBeside(pool.slot("a1")), false);
});

test("closed() after a failed dial fails nobody else and starts the next connect", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.acquire("a1", "a2", "a3");
  assert.equal(pool.closed("a1"), ["connect for a2"]);
  assert.equal(pool.closed("a2"), ["connect for a3"]);
});

test("closed() may come twice, and in any state", () => {
  const pool = new LoggedPool({ maxSockets: 3 });
  pool.acquire("a1", "a2", "a3", "a4");
  pool.connected("a1", "a2");
  pool.close("a2", "end");
  assert.equal(pool.closed("a1", "a1", "a1"), ["connect for a4"]);
  pool.closed("a2", "a3", "a4");
  pool.assertEmpty();
});

test("closed() of a parked connection takes it out", () => {
  const pool = new LoggedPool();
  pool.park("a1", "a2");
  pool.closed("a2");
  assert.equal(pool.acquire("a3", "a4"), ["assign #a1 to a3", "connect for a4"]);
});

test("close() keeps the slot until closed()", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2");
  assert.equal(pool.close("a1", "ended"), ["close #a1: ended"]);
  assert.equal(pool.close("a1", "again"), []);
  assert.equal(pool.core.counts("a"), { connecting: 0, active: 0, free: 0, closing: 1, pending: 1 });
  assert.equal(pool.closed("a1"), ["connect for a2"]);
});

test("detach() gives the slot back at once", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2");
  assert.equal(pool.detach("a1"), ["connect for a2"]);
  assert.equal(pool.closed("a1"), [], "the connection's end is no longer the pool's");
  assert.is(pool.core.totalSlots, 1);
});

test("cancel() takes a waiter out without touching a slot (D7)", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2", "a3");
  assert.equal(pool.cancel("a2"), []);
  assert.is(pool.core.cancel("a2", pool.ticket("a2")), false);
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a3"]);
});

test("cancel() is false once a connect has been decided upon", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2");
  pool.closed("a1");
  assert.is(pool.core.cancel("a2", pool.ticket("a2")), false);
});

test("cancel() with the ticket of a place long left touches nobody who has come since", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.open("a1");
  pool.acquire("a2");
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a2"]);
  pool.acquire("a3");
  assert.is(pool.ticket("a3"), pool.ticket("a2"), "the ticket is used again");
  assert.is(pool.core.cancel("a2", pool.ticket("a2")), false);
  assert.equal(pool.release("a1"), ["assigned", "assign #a1 to a3"]);
  assert.is(pool.ticket("a3").waiter, undefined, "nobody's request is kept alive");
});

test("cancel() of a promised waiter hands the promise on", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  pool.park("a1");
  pool.acquire("b1", "c1");
  assert.equal(pool.cancel("b1"), []);
  assert.equal(pool.closed("a1"), ["connect for c1"]);
});

test("expire() closes what is over and nextExpiry() tells when", () => {
  const pool = new LoggedPool();
  pool.open("a1", "a2", "a3", "b1");
  pool.release("a1", 1_000);
  pool.release("b1", 400);
  pool.release("a2", 700);
  pool.release("a3");
  assert.is(pool.core.nextExpiry(), 400);
  pool.now = 399;
  assert.equal(pool.expire(), []);
  pool.now = 700;
  assert.equal(pool.expire(), ["close #b1: expired", "close #a2: expired"]);
  assert.is(pool.core.nextExpiry(), 1_000);
  assert.equal(pool.acquire("a4", "a5"), ["assign #a3 to a4", "assign #a1 to a5"]);
  assert.is(pool.core.nextExpiry(), Infinity);
});

test("acquire() never lends what has expired, to the millisecond", () => {
  const pool = new LoggedPool();
  pool.open("a1", "a2");
  pool.release("a1", 101);
  pool.release("a2", 100);
  pool.now = 100;
  assert.equal(pool.acquire("a3"), ["close #a2: expired", "assign #a1 to a3"]);
});

test("drainQueue() hands out everyone who is queued, in order of arrival (D8)", () => {
  const pool = new LoggedPool({ maxTotalSockets: 1 });
  pool.park("a1");
  pool.acquire("c1", "b1", "c2");
  assert.equal(pool.core.drainQueue(), ["c1", "b1", "c2"]);
  assert.equal(pool.closed("a1"), []);
  pool.assertEmpty();
});

test("raised caps wake waiters", () => {
  const pool = new LoggedPool({ maxSockets: 1, maxTotalSockets: 1 });
  pool.acquire("a1", "a2", "b1", "b2");
  assert.equal(pool.refresh({ maxTotalSockets: 3 }), ["connect for b1"]);
  assert.equal(pool.refresh({ maxSockets: 3 }), ["connect for a2"]);
  assert.equal(pool.refresh({ maxTotalSockets: 4 }), ["connect for b2"]);
});

test("a raised maxSockets has idle connections of others closed, the least recently used first", () => {
  const pool = new LoggedPool({ maxSockets: 1, maxTotalSockets: 3 });
  pool.park("b1", "c1");
  pool.open("a1");
  assert.equal(pool.acquire("a2"), []);
  assert.equal(pool.refresh({ maxSockets: 2 }), ["close #b1: room"]);
});

test("lowered caps close idle connections, and released ones instead of lending them", () => {
  const pool = new LoggedPool({ maxSockets: 3 });
  pool.open("a1", "a2");
  pool.park("a3");
  assert.equal(pool.refresh({ maxSockets: 1 }), ["close #a3: cap"]);
  pool.acquire("a4");
  assert.equal(pool.release("a1"), ["closing", "close #a1: cap"]);
  assert.equal(pool.release("a2"), ["assigned", "assign #a2 to a4"]);
});

test("changed caps are seen by the next call of any kind", () => {
  const pool = new LoggedPool({ maxSockets: 1 });
  pool.acquire("a1", "a2");
  pool.limits.maxSockets = 2;
  assert.equal(pool.acquire("b1"), ["connect for a2", "connect for b1"]);
});

test("drain() within a sink does nothing: the order of the decisions stays", () => {
  const pool = new LoggedPool({ maxTotalSockets: 2 });
  pool.park("a1", "a2");
  pool.onLine = (line) => {
    if (line !== "close #a1: room") return;
    pool.onLine = () => {};
    assert.equal(pool.acquire("a3"), ["close #a1: room"], "the nested drain has added nothing");
  };
  assert.equal(pool.acquire("b1"), ["assign #a2 to a3"]);
});

test("drain() goes on after a sink has thrown", () => {
  const pool = new LoggedPool();
  pool.ask("a1");
  pool.ask("a2");
  pool.onLine = () => {
    pool.onLine = () => {};
    throw new Error("a user's");
  };
  assert.throws(() => pool.drain(), "a user's");
  assert.equal(pool.drain(), ["connect for a1", "connect for a2"]);
});

test("a waiter is told if what it was given is closed before it could be told", () => {
  const pool = new LoggedPool();
  pool.park("a1");
  pool.ask("a2");
  pool.core.closed(pool.slot("a1"));
  assert.equal(pool.drain(), ["reject a2: ERR_POOL_SLOT_LOST"]);
  pool.assertEmpty();
});

test("close() calls a dial off that the sink has not been told of", () => {
  const pool = new LoggedPool();
  pool.ask("a1");
  pool.core.close(pool.core.open("a")![0]!, "destroyed");
  assert.equal(pool.drain(), ["reject a1: ERR_POOL_SLOT_LOST"]);
  pool.assertEmpty();
});

test("close is not handed out for a connection that is gone", () => {
  const pool = new LoggedPool();
  pool.open("a1");
  pool.core.close(pool.slot("a1"), "end");
  pool.core.closed(pool.slot("a1"));
  assert.equal(pool.drain(), []);
});

test("open(), free() and queued() show one name", () => {
  const pool = new LoggedPool({ maxSockets: 3 });
  pool.open("a1", "ax1");
  pool.park("a2");
  pool.core.acquire("ax2", { name: "a", key: "ax", record: undefined }, 7);
  assert.equal(pool.core.open("a")!.map((slot) => slot.waiter), ["a1", "ax1"]);
  assert.is(pool.core.free("a"), undefined, "a2's was closed for ax2");
  const [ticket] = pool.core.queued("a")!;
  assert.equal([ticket!.waiter, ticket!.queuedAt], ["ax2", 7]);
  assert.equal([pool.core.open("b"), pool.core.free("b"), pool.core.queued("b")], [
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(pool.core.counts("b"), { connecting: 0, active: 0, free: 0, closing: 0, pending: 0 });
});

test("no record is left once everybody is gone", () => {
  const pool = new LoggedPool({ maxSockets: 2, maxTotalSockets: 3 });
  pool.acquire("a1", "a2", "a3", "b1", "c1");
  pool.cancel("a3");
  pool.closed("a1", "a2", "b1");
  pool.closed("c1");
  pool.assertEmpty();
});

test.run();
