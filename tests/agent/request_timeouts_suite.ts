/** Deadlines of agent.request(), phase by phase, in virtual time. */
import process from "node:process";
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type RequestTimeouts, TimeoutError } from "@holdfast/agent";
import { codeOf, type Fixture, fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("timeouts of agent.request()");

async function* slowly(at: Fixture, stepMs: number): AsyncGenerator<string> {
  for (let i = 0; i < 5; i++) {
    await new Promise<void>((resolve) => at.clock.after(stepMs, resolve));
    yield "x";
  }
}

/** Phase, what the origin does; each settles at 1,000 ms to the ms. */
const PHASES: readonly [keyof RequestTimeouts, string, (at: Fixture) => Promise<unknown> | void][] = [
  ["connect", "a connect that hangs", ({ network }) => void network.fault({ host: "a" }, "hang")],
  ["headers", "no response", ({ serve }) => void serve("a", () => {})],
  ["headers", "a head that drips", (at) =>
    void at.serve("a", (peer) => {
      peer.send("HTTP/1.1 200 OK\r\nA: ");
      drip(at, () => void peer.send("x"));
    })],
  [
    "headers",
    "interim responses for ever",
    (at) => void at.serve("a", (peer) => drip(at, () => void peer.send("HTTP/1.1 102 P\r\n\r\n"))),
  ],
  [
    "body",
    "a body that stops",
    ({ serve }) => void serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")),
  ],
  ["pool", "no place under the caps", async (at) => {
    at.serve("a", () => {});
    at.agent.request("http://a/").catch(() => {});
    await at.clock.settle();
  }],
  ["total", "no response", ({ serve }) => void serve("a", () => {})],
  [
    "total",
    "a body that drips",
    (at) =>
      void at.serve("a", (peer) => {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n");
        drip(at, () => void peer.send("x"));
      }),
  ],
];

/** Every 100 ms, for 5 s. */
function drip(at: Fixture, send: () => void): void {
  for (let i = 0; i < 50; i++) at.clock.after(100 * i, send);
}

for (const [phase, name, prepare] of PHASES) {
  test(`${phase}: ${name} ends at the deadline with a TimeoutError that says so`, async () => {
    const at = fixture({ maxSockets: 1 });
    await prepare(at);
    const response = at.agent.request("http://a/", { timeouts: { [phase]: 1_000 } });
    const whole = response.then(({ body }) => body.text());
    const settled = outcome(at.clock, whole);
    assert.is(await settled, "pending");
    await at.clock.advance(999);
    assert.is(await outcome(at.clock, whole), "pending");
    await at.clock.advance(1);
    const error = await outcome(at.clock, whole);
    assert.instance(error, TimeoutError);
    const { code, phase: told, attempts } = error as TimeoutError;
    assert.equal([code, told, attempts], ["ETIMEDOUT", phase, 1]);
    at.agent.destroy();
    await at.clock.advance(10_000);
    assert.is(at.network.sockets.size, 0);
    assert.is(at.clock.pending, 0);
  });
}

test("body is inactivity: a slow body is no fault", async () => {
  const at = fixture();
  at.serve("a", (peer) => {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n");
    drip(at, () => void peer.send("x"));
  });
  const { body } = await at.agent.request("http://a/", { timeouts: { body: 150 } });
  const text = body.text();
  await at.clock.advance(5_000);
  assert.is(await text, "x".repeat(50));
  at.agent.destroy();
  await at.clock.settle();
  assert.is(at.clock.pending, 0);
});

test("a slow reader is no fault; a body that nobody reads is", async () => {
  for (const isRead of [true, false]) {
    const at = fixture();
    at.serve("a", (peer) => void peer.send(ok("x".repeat(300_000))));
    const { body } = await at.agent.request("http://a/", { timeouts: { body: 1_000 } });
    const steps = body[Symbol.asyncIterator];
    const iterator = isRead ? steps.call(body) : undefined;
    await iterator?.next();
    await at.clock.advance(10_000);
    assert.is(at.network.sockets.size, isRead ? 1 : 0);
    if (isRead) {
      let length = 0;
      for (let step = await iterator!.next(); !step.done; step = await iterator!.next()) {
        length += step.value.length;
      }
      assert.ok(length > 200_000);
    } else {
      assert.is(await codeOf(at.clock, body.text()), "ETIMEDOUT");
    }
    assert.is(at.agent.stats().unread, isRead ? 0 : 1);
    at.agent.destroy();
  }
});

test("an unread body is told to the process, once for an agent", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send(ok("x".repeat(300_000))));
  const warnings: string[] = [];
  const onWarning = (warning: Error & { code?: string }): void => void warnings.push(String(warning.code));
  process.on("warning", onWarning);
  for (let i = 0; i < 2; i++) {
    await at.agent.request("http://a/", { timeouts: { body: 1_000 } });
    await at.clock.advance(2_000);
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off("warning", onWarning);
  assert.equal(warnings, ["HOLDFAST_UNREAD_BODY"]);
  assert.is(at.agent.stats().unread, 2);
});

test("time in which the caller's own body is not ready does not count", async () => {
  const at = fixture();
  at.serve("a", async (peer) => {
    await peer.readUntil("0\r\n\r\n");
    peer.send(ok());
  });
  const timeouts = { headers: 100, body: 100 };
  const response = at.agent.request("http://a/", { method: "POST", body: slowly(at, 1_000), timeouts });
  await at.clock.advance(5_000);
  assert.is((await response).status, 200);
  at.agent.destroy();
});

test("a peer that does not read the request's body is inactivity of the body", async () => {
  const at = fixture();
  at.network.listen({ host: "a" }, (peer) => peer.socket.pause());
  const body = new Uint8Array(1_000_000);
  const response = at.agent.request("http://a/", { method: "POST", body, timeouts: { body: 1_000 } });
  response.catch(() => {});
  await at.clock.advance(1_000);
  assert.is((await outcome(at.clock, response) as TimeoutError).phase, "body");
});

test("the defaults: connect 10 s, headers and body 300 s, the rest none", async () => {
  const at = fixture();
  at.network.fault({ host: "a" }, "hang");
  const connecting = at.agent.request("http://a/");
  connecting.catch(() => {});
  await at.clock.advance(9_999);
  assert.is(await outcome(at.clock, connecting), "pending");
  await at.clock.advance(1);
  assert.is((await outcome(at.clock, connecting) as TimeoutError).phase, "connect");
  at.serve("b", () => {});
  const silent = at.agent.request("http://b/");
  silent.catch(() => {});
  await at.clock.advance(299_999);
  assert.is(await outcome(at.clock, silent), "pending");
  await at.clock.advance(1);
  assert.is((await outcome(at.clock, silent) as TimeoutError).phase, "headers");
});

test("0 and Infinity are no deadline", async () => {
  for (const headers of [0, Infinity]) {
    const at = fixture();
    at.serve("a", () => {});
    const silent = at.agent.request("http://a/", { timeouts: { headers } });
    silent.catch(() => {});
    await at.clock.advance(1_000_000);
    assert.is(await outcome(at.clock, silent), "pending");
    at.agent.destroy();
  }
});

test("no timer is left once a response is complete", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send(ok()));
  const timeouts = { connect: 1, headers: 1_000, body: 10, pool: 1_000, total: 1_000 };
  for (let i = 0; i < 2; i++) await (await at.agent.request("http://a/", { timeouts })).body.dump();
  await at.clock.settle();
  assert.is(at.clock.pending, 0);
  at.agent.destroy();
});

const INVALID: readonly [unknown, string][] = [
  [5, "ERR_INVALID_ARG_TYPE"],
  [null, "ERR_INVALID_ARG_TYPE"],
  [{ connect: "1" }, "ERR_INVALID_ARG_TYPE"],
  [{ total: -1 }, "ERR_OUT_OF_RANGE"],
  [{ body: NaN }, "ERR_OUT_OF_RANGE"],
  [{ pool: 2 ** 31 }, "ERR_OUT_OF_RANGE"],
];

test("what is no time is refused before a connection is asked for", async () => {
  const at = fixture();
  for (const [timeouts, code] of INVALID) {
    const response = at.agent.request("http://a/", { timeouts: timeouts as RequestTimeouts });
    assert.is(await codeOf(at.clock, response), code);
  }
  assert.is(at.network.connects, 0);
});

test.run();
