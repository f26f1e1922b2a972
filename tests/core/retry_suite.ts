import fc from "fast-check";
import "../harness/seed.ts";
import * as assert from "uvu/assert";
import { isIdempotent, MAX_TRIES, type RetryFacts, retryVerdict } from "../../src/agent/core/retry.ts";
import { suite } from "../harness/suite.ts";

const test = suite("retryVerdict()");

const STALE: RetryFacts = {
  method: "GET",
  hasIdempotencyKey: false,
  reused: true,
  bytesWritten: 100,
  bytesRead: 0,
  bodyReplayable: true,
  userDestroyed: false,
  tries: 1,
};

function reasonOf(facts: Partial<RetryFacts>): string {
  const verdict = retryVerdict({ ...STALE, ...facts });
  return verdict.retry ? `retry on a ${verdict.connection} one` : verdict.reason;
}

test("sends a GET again that met a stale connection, on a new one", () => {
  assert.is(reasonOf({}), "retry on a new one");
});

for (const method of ["HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY", "PROPFIND", "REPORT", "SEARCH"]) {
  test(`sends ${method} again`, () => {
    assert.is(reasonOf({ method }), "retry on a new one");
  });
}

for (const method of ["POST", "PATCH", "CONNECT", "LOCK", "get", "X-ANY"]) {
  test(`does not send ${method} again`, () => {
    assert.is(reasonOf({ method }), "not-idempotent");
  });
}

test("sends a POST again of which no byte was written", () => {
  assert.is(reasonOf({ method: "POST", bytesWritten: 0 }), "retry on a new one");
});

test("sends a POST with an Idempotency-Key again", () => {
  assert.is(reasonOf({ method: "POST", hasIdempotencyKey: true }), "retry on a new one");
});

test("does not send again once a byte of the response came", () => {
  assert.is(reasonOf({ bytesRead: 1 }), "response-begun");
});

test("does not send again what the user destroyed", () => {
  assert.is(reasonOf({ userDestroyed: true }), "user-destroyed");
});

test("does not send a one-shot body again", () => {
  assert.is(reasonOf({ method: "PUT", bodyReplayable: false }), "body-not-replayable");
});

test("does not send again after a failure on a fresh connection, unless the policy says so", () => {
  assert.is(reasonOf({ reused: false }), "fresh-connection");
  assert.is(reasonOf({ reused: false, policy: { maxTries: 2, freshToo: true } }), "retry on a new one");
});

test("tries twice by default, four times at most", () => {
  assert.is(reasonOf({ tries: 2 }), "tries-exhausted");
  assert.is(reasonOf({ tries: 3, policy: { maxTries: 100, freshToo: false } }), "retry on a new one");
  assert.is(reasonOf({ tries: 4, policy: { maxTries: 100, freshToo: false } }), "tries-exhausted");
  assert.is(reasonOf({ tries: 1, policy: { maxTries: 1, freshToo: true } }), "tries-exhausted");
});

test("refuses numbers that are none", () => {
  assert.is(reasonOf({ tries: NaN }), "tries-exhausted");
  assert.is(reasonOf({ policy: { maxTries: NaN, freshToo: true } }), "tries-exhausted");
  assert.is(reasonOf({ method: "POST", bytesWritten: NaN }), "not-idempotent");
  assert.is(reasonOf({ bytesRead: NaN }), "response-begun");
});

const anyFacts: fc.Arbitrary<RetryFacts> = fc.record({
  method: fc.constantFrom("GET", "POST", "PATCH", "PUT", "DELETE", "CONNECT", "post", "FOO"),
  hasIdempotencyKey: fc.boolean(),
  reused: fc.boolean(),
  bytesWritten: fc.oneof(fc.constant(0), fc.nat(), fc.constantFrom(NaN, -1, Infinity)),
  bytesRead: fc.oneof(fc.constant(0), fc.nat(3), fc.constant(NaN)),
  bodyReplayable: fc.boolean(),
  userDestroyed: fc.boolean(),
  tries: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constant(NaN)),
  policy: fc.option(
    fc.record({
      maxTries: fc.oneof(fc.integer({ min: -1, max: 10 }), fc.constantFrom(NaN, Infinity)),
      freshToo: fc.boolean(),
    }),
    { nil: undefined },
  ),
});

test("no input has a POST without Idempotency-Key sent twice once a byte of it may have been read", () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      const verdict = retryVerdict(facts);
      if (facts.bytesWritten === 0 || facts.hasIdempotencyKey || isIdempotent(facts.method)) return;
      assert.is(verdict.retry, false);
    }),
    { numRuns: 5_000 },
  );
});

test("no input has anything sent again after a response byte, by a user who gave up, without its body, or a fifth time", () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      if (!retryVerdict(facts).retry) return;
      assert.is(facts.bytesRead, 0);
      assert.not(facts.userDestroyed);
      assert.ok(facts.bodyReplayable);
      assert.ok(facts.tries < MAX_TRIES);
    }),
    { numRuns: 5_000 },
  );
});

test("a request that is tried until it is refused ends, and each server sees a POST once", () => {
  fc.assert(
    fc.property(
      anyFacts,
      fc.array(fc.record({ reused: fc.boolean(), bytesWritten: fc.nat(1) }), { maxLength: 10 }),
      (facts, fates) => {
        let seen = 0;
        let tries = 0;
        for (const fate of fates) {
          tries++;
          if (fate.bytesWritten > 0) seen++;
          if (!retryVerdict({ ...facts, ...fate, tries }).retry) break;
        }
        assert.ok(tries <= MAX_TRIES);
        if (!facts.hasIdempotencyKey && !isIdempotent(facts.method)) {
          assert.ok(
            seen <= 1,
            `seen ${seen} times`,
          );
        }
      },
    ),
    { numRuns: 5_000 },
  );
});

test.run();
