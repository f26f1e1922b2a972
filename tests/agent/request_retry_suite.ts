/** Retries of agent.request(): no GET is lost to a stale connection, and no POST is sent twice. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import type { Agent, AgentRequestInit, FailureFacts, RetryFailure } from "@holdfast/agent";
import { codeOf, type Fixture, fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("retries of agent.request()");

/** An origin that answers the first request of each connection and fails the second one as told. */
function stale(at: Fixture, end: "end" | "reset" | "destroy" | "partial"): string[] {
  const seen: string[] = [];
  at.network.listen({ host: "a" }, async (peer) => {
    for (let turn = 0; await peer.readUntil("\r\n\r\n") !== undefined; turn++) {
      seen.push(turn === 0 ? "answered" : "refused");
      if (turn === 0) peer.send(ok());
      else if (end === "partial") {
        peer.send("HTTP/1.1 1");
        peer.end();
      } else peer[end]();
    }
    peer.end();
  });
  return seen;
}

async function warm(agent: Agent): Promise<void> {
  await (await agent.request("http://a/")).body.dump();
}

function factsOf(error: unknown): FailureFacts {
  const { reusedSocket, bytesWritten, bytesRead, attempts } = error as FailureFacts;
  return { reusedSocket, bytesWritten, bytesRead, attempts };
}

for (const end of ["end", "reset", "destroy"] as const) {
  for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
    test(`${method} on a connection that fails by ${end} goes again, once, on a new one`, async () => {
      const at = fixture();
      const seen = stale(at, end);
      await warm(at.agent);
      const response = await at.agent.request("http://a/", { method, body: method === "PUT" ? "x" : null });
      assert.equal([response.status, response.reusedSocket], [200, false]);
      assert.equal(seen, ["answered", "refused", "answered"]);
      at.agent.destroy();
    });
  }

  test(`POST on a connection that fails by ${end} is not sent again; the error says why`, async () => {
    const at = fixture();
    const seen = stale(at, end);
    await warm(at.agent);
    const error = await outcome(at.clock, at.agent.request("http://a/", { method: "POST", body: "x" }));
    assert.is((error as { code: string }).code, "ECONNRESET");
    const { bytesWritten, ...facts } = factsOf(error);
    assert.equal(facts, { reusedSocket: true, bytesRead: 0, attempts: 1 });
    assert.ok(bytesWritten > 20);
    assert.equal(seen, ["answered", "refused"]);
    at.agent.destroy();
  });
}

test("POST with an Idempotency-Key goes again", async () => {
  const at = fixture();
  stale(at, "reset");
  await warm(at.agent);
  const headers = { "Idempotency-Key": "k" };
  const response = await at.agent.request("http://a/", { method: "POST", body: "x", headers });
  assert.is(response.status, 200);
  at.agent.destroy();
});

test("an Idempotency-Key without a value, or in the body, is none", async () => {
  for (const init of [{ headers: { "Idempotency-Key": " " } }, { body: "\r\nIdempotency-Key: k" }]) {
    const at = fixture();
    stale(at, "reset");
    await warm(at.agent);
    const error = await outcome(
      at.clock,
      at.agent.request("http://a/", { method: "POST", body: "x", ...init }),
    );
    assert.is((error as { code?: string }).code, "ECONNRESET");
    at.agent.destroy();
  }
});

const NOT_AGAIN: readonly [string, AgentRequestInit][] = [
  ["retry is false", { retry: false }],
  ["the policy refuses", { retry: () => false }],
  ["the body can be read once", { method: "PUT", body: new Response("x").body! }],
  ["the policy would repeat a POST", { method: "POST", body: "x", retry: () => true }],
];

for (const [name, init] of NOT_AGAIN) {
  test(`nothing goes again where ${name}`, async () => {
    const at = fixture();
    const seen = stale(at, "reset");
    await warm(at.agent);
    const error = await outcome(at.clock, at.agent.request("http://a/", init));
    assert.is((error as { code?: string }).code, "ECONNRESET");
    assert.is(factsOf(error).attempts, 1);
    assert.is(seen.length, 2);
    at.agent.destroy();
  });
}

test("nothing goes again once a byte of the response has come", async () => {
  const at = fixture();
  const seen = stale(at, "partial");
  await warm(at.agent);
  const error = await outcome(at.clock, at.agent.request("http://a/"));
  assert.is((error as { code?: string }).code, "ECONNRESET");
  assert.is(factsOf(error).bytesRead, 10);
  assert.is(seen.length, 2);
  at.agent.destroy();
});

test("a function's body is made anew for the retry", async () => {
  const at = fixture();
  const bodies: string[] = [];
  at.network.listen({ host: "a" }, async (peer) => {
    for (let turn = 0; await peer.readUntil("\r\n\r\n") !== undefined; turn++) {
      if (turn === 0 && bodies.length === 0) {
        bodies.push("warm");
        peer.send(ok());
        continue;
      }
      bodies.push((await peer.readUntil("0\r\n\r\n"))!);
      if (bodies.length === 2) peer.reset();
      else peer.send(ok());
    }
  });
  await warm(at.agent);
  let made = 0;
  async function* body(): AsyncIterable<string> {
    yield `body ${++made}`;
  }
  const response = await at.agent.request("http://a/", { method: "PUT", body });
  assert.is(response.status, 200);
  assert.equal(bodies, ["warm", "6\r\nbody 1\r\n0\r\n\r\n", "6\r\nbody 2\r\n0\r\n\r\n"]);
  at.agent.destroy();
});

test("a failure on a new connection goes again by a policy alone, at most 4 times in all", async () => {
  const at = fixture();
  at.network.fault({ host: "a" }, "ECONNREFUSED");
  const failures: RetryFailure[] = [];
  const retry = (failure: RetryFailure): boolean => failures.push(failure) > 0;
  const error = await outcome(at.clock, at.agent.request("http://a/", { retry }));
  assert.is((error as { code?: string }).code, "ECONNREFUSED");
  assert.equal(factsOf(error), { reusedSocket: false, bytesWritten: 0, bytesRead: 0, attempts: 4 });
  assert.equal(failures.map(({ attempts }) => attempts), [1, 2, 3]);
  assert.is(at.network.connects, 4);
  const plain = await outcome(at.clock, at.agent.request("http://a/"));
  assert.is(factsOf(plain).attempts, 1);
});

test("a policy's number is the wait before the next attempt; an abort ends it", async () => {
  const at = fixture();
  at.network.fault({ host: "a" }, "ECONNREFUSED");
  const controller = new AbortController();
  const response = at.agent.request("http://a/", { retry: () => 1_000, signal: controller.signal });
  const settled = outcome(at.clock, response);
  assert.is(await settled, "pending");
  assert.is(at.network.connects, 1);
  await at.clock.advance(999);
  assert.is(at.network.connects, 1);
  await at.clock.advance(1);
  assert.is(at.network.connects, 2);
  controller.abort();
  assert.is((await outcome(at.clock, response) as { code: string }).code, "ABORT_ERR");
  await at.clock.advance(10_000);
  assert.is(at.network.connects, 2);
  assert.is(at.clock.pending, 0);
});

test("each request that destroy() ends has its own facts", async () => {
  const at = fixture({ maxSockets: 1 });
  at.serve("a", () => {});
  const errors = [at.agent.request("http://a/"), at.agent.request("http://a/")]
    .map((response) => response.catch((error) => error));
  await at.clock.settle();
  at.agent.destroy();
  const [sent, queued] = await Promise.all(errors);
  assert.equal([factsOf(sent).bytesWritten > 0, factsOf(queued).bytesWritten], [true, 0]);
});

test("a retry waits for its place under the caps", async () => {
  const at = fixture({ maxSockets: 1 });
  stale(at, "reset");
  await warm(at.agent);
  const responses = await Promise.all(
    [1, 2, 3].map(async () => {
      const response = await at.agent.request("http://a/");
      await response.body.dump();
      return response.status;
    }),
  );
  assert.equal(responses, [200, 200, 200]);
  at.agent.destroy();
});

/** An origin that cannot answer the first `times` requests. */
function busy(at: Fixture, times: number, field: string): number[] {
  const seen: number[] = [];
  at.serve("a", (peer) => {
    seen.push(at.clock.now());
    const head = seen.length > times ? "200 OK" : `503 Busy\r\n${field}`;
    peer.send(`HTTP/1.1 ${head}\r\nContent-Length: 0\r\n\r\n`);
  });
  return seen;
}

const SOON = "Date: Sat, 29 Feb 2020 23:59:58 GMT\r\nRetry-After: Sun, 01 Mar 2020 00:00:01 GMT";

/** Retry-After, init, status, moments of the requests. */
const LATER: readonly [string, AgentRequestInit, number, number[]][] = [
  ["Retry-After: 2", { retryAfter: true }, 200, [0, 2_000, 4_000]],
  [SOON, { retryAfter: true }, 200, [0, 3_000, 6_000]],
  ["Retry-After: 0", { retryAfter: 0, method: "PUT", body: "x" }, 200, [0, 0, 0]],
  ["Retry-After: 2", {}, 503, [0]],
  ["Retry-After: 2", { retryAfter: false }, 503, [0]],
  ["Retry-After: 2", { retryAfter: 1_999 }, 503, [0]],
  ["Retry-After: 61", { retryAfter: true }, 503, [0]],
  ["Retry-After: 2", { retryAfter: true, timeouts: { total: 3_000 } }, 503, [0, 2_000]],
  ["Retry-After: 2", { retryAfter: true, method: "POST", body: "x" }, 503, [0]],
  ["Retry-After: soon", { retryAfter: true }, 503, [0]],
  ["Retry-After: Sun, 01 Mar 2020 00:00:01 GMT", { retryAfter: true }, 503, [0]],
  ["X: y", { retryAfter: true }, 503, [0]],
];

for (const [field, init, status, moments] of LATER) {
  test(`${field.replace(/\r\n/g, ", ")}, ${JSON.stringify(init)}: ${status} after ${moments.length}`, async () => {
    const at = fixture();
    const seen = busy(at, 2, field);
    const response = await at.clock.until(at.agent.request("http://a/", init));
    assert.is(response.status, status);
    assert.equal(seen, moments);
    assert.is(at.network.connects, 1);
    await response.body.dump();
    at.agent.destroy();
    await at.clock.settle();
    assert.is(at.clock.pending, 0);
  });
}

test("Retry-After is heeded 3 times, and an abort ends the wait", async () => {
  const at = fixture();
  const seen = busy(at, 9, "Retry-After: 1");
  const response = await at.clock.until(at.agent.request("http://a/", { retryAfter: true }));
  assert.equal([response.status, seen.length], [503, 4]);
  const controller = new AbortController();
  const { signal } = controller;
  const waiting = at.agent.request("http://a/", { retryAfter: true, signal });
  assert.is(await outcome(at.clock, waiting), "pending");
  controller.abort();
  assert.is((await outcome(at.clock, waiting) as { code: string }).code, "ABORT_ERR");
  assert.is(seen.length, 5);
  at.agent.destroy();
});

test("destroy() ends the wait for Retry-After at once", async () => {
  const at = fixture();
  const seen = busy(at, 9, "Retry-After: 30");
  const waiting = [1, 2].map(() => at.agent.request("http://a/", { retryAfter: true, retry: false }));
  const errors = Promise.all(waiting.map((each) => each.then(() => "none", (error) => error)));
  await at.clock.settle();
  assert.is(seen.length, 2);
  at.agent.destroy();
  const [one, two] = await at.clock.until(errors) as { code: string; attempts: number; bytesRead: number }[];
  assert.equal([one!.code, one!.attempts, one!.bytesRead > 0, one === two], [
    "ERR_AGENT_DESTROYED",
    1,
    true,
    false,
  ]);
  assert.equal([at.clock.now(), at.clock.pending, at.network.sockets.size], [0, 0, 0]);
});

test("close() waits for a request that waits for Retry-After, and takes no other", async () => {
  const at = fixture();
  const seen = busy(at, 2, "Retry-After: 5");
  const waiting = at.agent.request("http://a/", { retryAfter: true });
  await at.clock.settle();
  const closed = at.agent.close().then(() => seen.length);
  assert.is(await codeOf(at.clock, at.agent.request("http://a/")), "ERR_AGENT_CLOSED");
  const refused = at.agent.request("http://a/", { retryAfter: true });
  assert.is(await codeOf(at.clock, refused), "ERR_AGENT_CLOSED");
  const response = await at.clock.until(waiting);
  await response.body.dump();
  assert.equal([response.status, seen, await at.clock.until(closed)], [200, [0, 5_000, 10_000], 3]);
  assert.equal([at.clock.pending, at.network.sockets.size], [0, 0]);
});

test("the body of a 503 is read no further than a new connection costs", async () => {
  const at = fixture();
  at.serve("a", async (peer) => {
    if (at.network.connects > 1) return void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer.send("HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 99\r\n\r\nx");
    await new Promise<void>((resolve) => at.clock.after(3_600_000, resolve));
  });
  assert.is((await at.clock.until(at.agent.request("http://a/", { retryAfter: true }))).status, 200);
  assert.equal([at.clock.now(), at.network.connects, at.network.sockets.size], [3_000, 2, 1]);
  at.agent.destroy();
});

test.run();
