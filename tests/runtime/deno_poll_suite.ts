/** The poll that a byte forces on Deno: who shares it, and what stands in where there is no pair of sockets. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import type { PairConn, PairingDeno } from "../../src/runtime/deno_pair.ts";
import { createDenoPoll } from "../../src/runtime/deno_poll.ts";
import { ManualClock } from "../../src/runtime/manual_clock.ts";
import { takeUncaught } from "./uncaught.ts";

const test = suite("one poll of the event loop, on Deno");

/** One end of a pair: what its other end writes is there at once, and is told to a read that waits when the loop polls. */
class Conn implements PairConn {
  isClosed = false;
  reads = 0;
  peer: Conn | undefined;
  #arrive: ((count: number) => void) | undefined;
  #fail: ((error: Error) => void) | undefined;
  #unread: number[] = [];

  read(into: Uint8Array): Promise<number | null> {
    if (this.isClosed) return Promise.reject(new Error("BadResource"));
    const bytes = this.#unread.splice(0);
    assert.ok(into.length > bytes.length, "a read that fills its buffer");
    into.set(bytes);
    if (bytes.length > 0) return Promise.resolve(bytes.length);
    this.reads++;
    return new Promise((resolve, reject) => [this.#arrive, this.#fail] = [resolve, reject]);
  }

  setNoDelay(): void {}

  write(bytes: Uint8Array): Promise<number> {
    if (this.isClosed) return Promise.reject(new Error("BadResource"));
    if (this.peer !== undefined) this.peer.#unread.push(...bytes);
    return Promise.resolve(bytes.length);
  }

  /** The loop polls. */
  poll(): void {
    const count = this.#unread.splice(0).length;
    if (count > 0) this.#arrive!(count);
  }

  close(): void {
    if (this.isClosed) throw new Error("BadResource");
    this.isClosed = true;
    this.#fail?.(new Error("Interrupted"));
  }
}

interface World extends PairingDeno {
  readonly near: Conn[];
  readonly far: Conn[];
  open(): number;
}

interface WorldOptions {
  /** The program may use the loopback. */
  readonly isGranted?: boolean;
  /** There is a loopback. */
  readonly works?: boolean;
  /** Somebody else is accepted in our place. */
  readonly isStranger?: boolean;
}

function world({ isGranted = true, works = true, isStranger = false }: WorldOptions = {}): World {
  const near: Conn[] = [];
  const far: Conn[] = [];
  return {
    near,
    far,
    open: () => [...near, ...far].filter((conn) => !conn.isClosed).length,
    permissions: {
      querySync: ({ host }) => {
        assert.is(host, "127.0.0.1");
        return { state: isGranted ? "granted" : "prompt" };
      },
    },
    listen: (place) => {
      assert.equal(place, { hostname: "127.0.0.1", port: 0 });
      if (!works) throw new Error("AddrNotAvailable");
      return {
        addr: { port: 1 },
        accept: () => {
          far.push(new Conn());
          return Promise.resolve(far.at(-1)!);
        },
        close: () => {},
      };
    },
    connect: (place) => {
      assert.equal(place, { hostname: "127.0.0.1", port: 1 });
      near.push(new Conn());
      const [one, other] = [near.at(-1)!, far.at(-1)!];
      if (!isStranger) [one.peer, other.peer] = [other, one];
      return Promise.resolve(one);
    },
  };
}

/** The loop polls both ends of the last pair. */
function poll({ near, far }: World): void {
  near.at(-1)!.poll();
  far.at(-1)!.poll();
}

/** Everything that needs no poll. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await undefined;
}

test("calls nobody before the loop polls", async () => {
  const deno = world();
  const calls: string[] = [];
  createDenoPoll(deno, new ManualClock())(() => calls.push("a"));
  await settle();
  assert.equal(calls, []);
  poll(deno);
  await settle();
  assert.equal(calls, ["a"]);
});

test("all who ask in one turn share a poll; who asks later gets the next", async () => {
  const deno = world();
  const calls: string[] = [];
  const afterPoll = createDenoPoll(deno, new ManualClock());
  afterPoll(() => calls.push("a"));
  await undefined;
  afterPoll(() => calls.push("b"));
  await settle();
  afterPoll(() => calls.push("c"));
  poll(deno);
  await settle();
  assert.equal(calls, ["a", "b"]);
  poll(deno);
  await settle();
  assert.equal(calls, ["a", "b", "c"]);
  assert.is(deno.near.length, 1);
});

test("the two ends take turns, so that each byte acknowledges the one before", async () => {
  const deno = world();
  const afterPoll = createDenoPoll(deno, new ManualClock());
  for (let round = 0; round < 4; round++) {
    afterPoll(() => {});
    await settle();
    poll(deno);
    await settle();
  }
  assert.equal([deno.near[0]!.reads, deno.far[0]!.reads], [2, 2]);
});

test("closes the pair that nobody has used for a moment", async () => {
  const deno = world();
  const clock = new ManualClock();
  const afterPoll = createDenoPoll(deno, clock);
  for (let round = 0; round < 3; round++) {
    afterPoll(() => {});
    await settle();
    poll(deno);
    await settle();
    await clock.advance(75);
  }
  assert.is(deno.open(), 2);
  assert.is(clock.pending, 1);
  await clock.advance(200);
  assert.is(deno.open(), 0);
  assert.is(clock.pending, 0);
});

test("a broken pair is closed, a timer stands in, and the next poll has a new pair", async () => {
  const deno = world();
  const clock = new ManualClock();
  const afterPoll = createDenoPoll(deno, clock);
  afterPoll(() => {});
  await settle();
  poll(deno);
  await settle();
  for (const broken of ["far", "near"] as const) {
    deno[broken].at(-1)!.close();
    const before = deno.near.length;
    await new Promise<void>((resolve) => afterPoll(resolve));
    assert.is(deno.open(), 0, broken);
    const next = new Promise<void>((resolve) => afterPoll(resolve));
    await settle();
    assert.is(deno.near.length, before + 1);
    poll(deno);
    await next;
  }
});

const nothings: readonly (readonly [what: string, options: WorldOptions])[] = [
  ["without the permission", { isGranted: false }],
  ["without a loopback", { works: false }],
  ["with a stranger at the other end", { isStranger: true }],
];
for (const [what, options] of nothings) {
  test(`a timer stands in ${what}`, async () => {
    const deno = world(options);
    const clock = new ManualClock();
    let isCalled = false;
    createDenoPoll(deno, clock)(() => isCalled = true);
    for (let second = 0; second < 3; second++) {
      await settle();
      await clock.advance(1_000);
    }
    await settle();
    assert.ok(isCalled);
    assert.is(deno.open(), 0);
  });
}

test("one call that throws keeps neither the others nor the next poll", async () => {
  const deno = world();
  const calls: string[] = [];
  const thrown: unknown[] = [];
  const afterPoll = createDenoPoll(deno, new ManualClock());
  afterPoll(() => calls.push("a"));
  afterPoll(() => {
    calls.push("b");
    throw new Error("mine");
  });
  afterPoll(() => calls.push("c"));
  const stop = takeUncaught((error) => thrown.push(error));
  try {
    await settle();
    poll(deno);
    while (thrown.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
  } finally {
    stop();
  }
  assert.equal(calls, ["a", "b", "c"]);
  afterPoll(() => calls.push("d"));
  await settle();
  poll(deno);
  await settle();
  assert.is(calls.at(-1), "d");
});

test.run();
