/** Retries of agent.request(): no GET is lost to a stale connection, and no POST is sent twice. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import type { Agent, AgentRequestInit, FailureFacts, RetryFailure } from "@holdfast/agent";
import { type Fixture, fixture, ok, outcome } from "./memory_origin.ts";

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

test.run();
