import { suite } from "../harness/suite.ts";
import * as assert from "uvu/assert";
import { SocketError } from "../../src/runtime/errors.ts";

const test = suite("SocketError");

test("keeps code, phase and cause", () => {
  const cause = new Error("native");
  const error = new SocketError("connect ECONNREFUSED", { code: "ECONNREFUSED", phase: "connect", cause });
  assert.is(error.code, "ECONNREFUSED");
  assert.is(error.cause, cause);
});

test.run();
