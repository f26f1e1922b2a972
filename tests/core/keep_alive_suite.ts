import * as assert from "uvu/assert";
import {
  type CloseReason,
  type KeepAliveFacts,
  type KeepAliveHead,
  keepAliveVerdict,
  parseKeepAlive,
} from "../../src/agent/core/keep_alive.ts";
import { suite } from "../harness/suite.ts";

const test = suite("keepAliveVerdict()");

const HEAD: KeepAliveHead = {
  httpVersionMajor: 1,
  httpVersionMinor: 1,
  status: 200,
  connection: "",
  keepAlive: "",
  hasTransferEncoding: false,
  hasContentLength: true,
};

function factsOf(head: Partial<KeepAliveHead>, facts?: Partial<KeepAliveFacts>): KeepAliveFacts {
  return {
    head: { ...HEAD, ...head },
    framing: { kind: "length", length: 1 },
    connectionClose: false,
    ...facts,
  };
}

function reasonOf(head: Partial<KeepAliveHead>, facts?: Partial<KeepAliveFacts>): CloseReason | undefined {
  const verdict = keepAliveVerdict(factsOf(head, facts));
  assert.is(verdict.reusable, verdict.reason === undefined);
  return verdict.reason;
}

test("keeps an HTTP/1.1 connection whose head says nothing (RFC 9112 section 9.3)", () => {
  assert.equal(keepAliveVerdict(factsOf({})), { reusable: true });
});

test("closes after the user's own Connection: close (RFC 9112 section 9.6)", () => {
  assert.is(reasonOf({}, { connectionClose: true }), "request-close");
  assert.is(reasonOf({ connection: "keep-alive" }, { connectionClose: true }), "request-close");
});

for (
  const connection of [
    "close",
    "Close",
    "CLOSE",
    "keep-alive, close",
    "x,close ,y",
    " close\t",
    ",Close\t",
    "close, keep-alive",
  ]
) {
  test(`closes after Connection: ${JSON.stringify(connection)}`, () => {
    assert.is(reasonOf({ connection }), "response-close");
  });
}

for (const connection of ["keep-alive", "closed", "not close", "close;x", "Upgrade", ""]) {
  test(`keeps after Connection: ${JSON.stringify(connection)}`, () => {
    assert.is(reasonOf({ connection }), undefined);
  });
}

// What trim() takes for whitespace, and RFC 9110 section 5.6.3 does not.
for (const space of ["\x0b", "\x0c", "\x85", "\xa0"]) {
  test(`does not trim ${JSON.stringify(space)} off Connection and Keep-Alive`, () => {
    for (const around of [(word: string): string => word + space, (word: string): string => space + word]) {
      assert.is(reasonOf({ httpVersionMinor: 0, connection: around("keep-alive") }), "http-1.0");
      assert.is(reasonOf({ httpVersionMinor: 0, connection: `x,${around("keep-alive")}` }), "http-1.0");
      assert.is(reasonOf({ connection: around("close") }), undefined);
      assert.equal(parseKeepAlive(around("timeout=5")), { timeout: undefined, max: undefined });
      assert.equal(parseKeepAlive(`timeout=5, ${around("max=3")}`), { timeout: 5, max: undefined });
    }
  });
}

test("closes after a body that ends with the connection, whatever is said", () => {
  assert.is(reasonOf({ connection: "keep-alive" }, { framing: { kind: "close" } }), "close-delimited");
});

test("keeps after chunked and bodiless responses", () => {
  assert.is(
    reasonOf({ hasTransferEncoding: true, hasContentLength: false }, { framing: { kind: "chunked" } }),
    undefined,
  );
  assert.is(reasonOf({ status: 204 }, { framing: { kind: "none" } }), undefined);
});

test("closes after 101", () => {
  assert.is(reasonOf({ status: 101, connection: "upgrade" }, { framing: { kind: "none" } }), "upgrade");
});

test("closes an HTTP/1.0 connection that does not say keep-alive", () => {
  assert.is(reasonOf({ httpVersionMinor: 0 }), "http-1.0");
  assert.is(reasonOf({ httpVersionMinor: 0, connection: "x" }), "http-1.0");
  assert.is(reasonOf({ httpVersionMinor: 0, connection: "x, Keep-Alive" }), undefined);
});

test("closes after Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)", () => {
  const head = {
    httpVersionMinor: 0,
    connection: "keep-alive",
    hasTransferEncoding: true,
    hasContentLength: false,
  };
  assert.is(reasonOf(head, { framing: { kind: "chunked" } }), "http-1.0-transfer-encoding");
});

test("closes after other versions", () => {
  assert.is(reasonOf({ httpVersionMajor: 2, httpVersionMinor: 0, connection: "keep-alive" }), "http-version");
  assert.is(reasonOf({ httpVersionMajor: 0, httpVersionMinor: 9, connection: "keep-alive" }), "http-version");
});

test("closes after two framings, which only leniency lets in", () => {
  assert.is(reasonOf({ hasTransferEncoding: true }, { framing: { kind: "chunked" } }), "two-framings");
});

test("takes the buffer off the server's hint", () => {
  assert.equal(keepAliveVerdict(factsOf({ keepAlive: "timeout=5" })), {
    reusable: true,
    idleTimeoutMs: 4000,
    max: undefined,
  });
  assert.is(keepAliveVerdict(factsOf({ keepAlive: "timeout=5" }, { bufferMs: 0 })).idleTimeoutMs, 5000);
});

test("closes where nothing of the hint is left", () => {
  assert.is(reasonOf({ keepAlive: "timeout=1" }), "hint-expired");
  assert.is(reasonOf({ keepAlive: "timeout=0" }, { bufferMs: 0 }), "hint-expired");
  assert.is(reasonOf({ keepAlive: "timeout=5" }, { bufferMs: 60_000 }), "hint-expired");
});

for (const bufferMs of [-1, NaN, Infinity, "500" as unknown as number]) {
  test(`takes a buffer of ${String(bufferMs)} for 1000`, () => {
    assert.is(keepAliveVerdict(factsOf({ keepAlive: "timeout=5" }, { bufferMs })).idleTimeoutMs, 4000);
  });
}

test("tells the max of the Keep-Alive field, and closes at 0", () => {
  assert.equal(keepAliveVerdict(factsOf({ keepAlive: "max=3" })), { reusable: true, max: 3 });
  assert.is(reasonOf({ keepAlive: "timeout=60, max=0" }), "hint-max");
});

test("parseKeepAlive() reads a list in any order, case and spacing", () => {
  const expected = { timeout: 5, max: 100 };
  for (
    const value of [
      "timeout=5, max=100",
      "max=100, timeout=5",
      "TIMEOUT=5,Max=100",
      " timeout = 5 ;\tmax = 100 ",
      'timeout="5", max="100"',
      "x=1, timeout=5, y, max=100, z=",
      "timeout=5, max=100, timeout=9, max=200",
    ]
  ) assert.equal(parseKeepAlive(value), expected, value);
});

test("parseKeepAlive() takes what is no number for nothing", () => {
  const nothing = { timeout: undefined, max: undefined };
  for (
    const value of [
      "",
      "timeout",
      "timeout=",
      "timeout=-5",
      "timeout=5s",
      "timeout=1.5",
      "xtimeout=5",
      'timeout="5',
    ]
  ) {
    assert.equal(parseKeepAlive(value), nothing, value);
  }
});

test.run();
