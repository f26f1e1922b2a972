import * as assert from "uvu/assert";
import { fromNodeError, SocketError, type SocketPhase } from "../../src/runtime/errors.ts";
import { suite } from "../harness/suite.ts";

const test = suite("fromNodeError");

function coded(message: string, facts: object): Error {
  return Object.assign(new Error(message), facts);
}

test("keeps Node's code, syscall, address and port, and the error as cause", () => {
  const native = coded("connect ECONNREFUSED 192.0.2.1:80", {
    code: "ECONNREFUSED",
    syscall: "connect",
    address: "192.0.2.1",
    port: 80,
  });
  const error = fromNodeError(native, { phase: "connect", address: "a.test", port: 443 });
  assert.instance(error, SocketError);
  assert.equal(
    [error.code, error.syscall, error.address, error.port, error.phase, error.message],
    ["ECONNREFUSED", "connect", "192.0.2.1", 80, "connect", "connect ECONNREFUSED 192.0.2.1:80"],
  );
  assert.is(error.cause, native);
});

test("names the peer that was asked for where the native error names none", () => {
  const error = fromNodeError(coded("read ECONNRESET", { code: "ECONNRESET" }), {
    phase: "open",
    address: "a.test",
    port: 443,
  });
  assert.equal([error.address, error.port, error.phase], ["a.test", 443, "open"]);
});

test("a SocketError stays the one it is", () => {
  const error = new SocketError("x", { code: "EPIPE", phase: "open" });
  assert.is(fromNodeError(error, { phase: "connect" }), error);
});

test("a failed getaddrinfo is the phase lookup", () => {
  const native = coded("getaddrinfo ENOTFOUND a.test", { code: "ENOTFOUND", syscall: "getaddrinfo" });
  assert.is(fromNodeError(native, { phase: "connect" }).phase, "lookup");
});

test("an AggregateError's attempts become the message", () => {
  const attempts = [new Error("connect ECONNREFUSED ::1:80"), new Error("connect ECONNREFUSED 127.0.0.1:80")];
  const native = Object.assign(new AggregateError(attempts, ""), { code: "ECONNREFUSED" });
  const error = fromNodeError(native, { phase: "connect" });
  assert.is(error.message, "connect ECONNREFUSED ::1:80; connect ECONNREFUSED 127.0.0.1:80");
  assert.is(error.cause, native);
});

test("one fault has one code, whichever library names it", () => {
  const names: readonly [string, string][] = [
    ["ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE"],
    ["ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED", "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_WRONG_VERSION_NUMBER"],
  ];
  for (const [given, expected] of names) {
    assert.is(fromNodeError(coded("x", { code: given }), { phase: "tls" }).code, expected);
  }
});

test("what has no code gets one by its name or its phase", () => {
  const cases: readonly [unknown, SocketPhase, string][] = [
    [new DOMException("stop", "AbortError"), "connect", "ABORT_ERR"],
    [new DOMException("late", "TimeoutError"), "open", "ETIMEDOUT"],
    [new Error("refused by the user's own check"), "tls", "EPROTO"],
    [new Error("enough"), "open", "ECONNABORTED"],
    ["no error at all", "open", "ECONNABORTED"],
    [undefined, "open", "ECONNABORTED"],
  ];
  for (const [cause, phase, code] of cases) {
    const error = fromNodeError(cause, { phase });
    assert.is(error.code, code, String(cause));
    assert.ok(error.message.length > 0);
  }
});

test.run();
