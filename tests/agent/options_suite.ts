import * as assert from "uvu/assert";
import { Agent, type AgentOptions } from "@holdfast/agent";
import { suite } from "../harness/suite.ts";

const test = suite("new Agent(options)");

const INVALID: readonly [string, unknown, string][] = [
  ["scheduling", "random", "ERR_INVALID_ARG_VALUE"],
  ["keepAlive", "yes", "ERR_INVALID_ARG_TYPE"],
  ["keepAliveMsecs", -1, "ERR_OUT_OF_RANGE"],
  ["maxSockets", "2", "ERR_INVALID_ARG_TYPE"],
  ["maxSockets", -1, "ERR_OUT_OF_RANGE"],
  ["maxSockets", NaN, "ERR_OUT_OF_RANGE"],
  ["maxSockets", 1.5, "ERR_OUT_OF_RANGE"],
  ["maxTotalSockets", 0, "ERR_OUT_OF_RANGE"],
  ["maxTotalSockets", "2", "ERR_INVALID_ARG_TYPE"],
  ["maxTotalSockets", null, "ERR_INVALID_ARG_TYPE"],
  ["maxTotalSockets", 2n, "ERR_INVALID_ARG_TYPE"],
  ["maxFreeSockets", -1, "ERR_OUT_OF_RANGE"],
  ["maxPending", -1, "ERR_OUT_OF_RANGE"],
  ["timeout", Infinity, "ERR_OUT_OF_RANGE"],
  ["timeout", "1", "ERR_INVALID_ARG_TYPE"],
  ["proxyEnv", {}, "ERR_UNSUPPORTED_OPTION"],
  ["runtime", "cobol", "ERR_INVALID_ARG_VALUE"],
  ["clock", {}, "ERR_INVALID_ARG_TYPE"],
  ["clock", null, "ERR_INVALID_ARG_TYPE"],
];

for (const [name, value, code] of INVALID) {
  test(`${name}: ${String(value)} (${typeof value}) throws ${code}, and the message names the option`, () => {
    assert.throws(
      () => new Agent({ [name]: value } as AgentOptions),
      (error: Error & { code?: string }) => error.code === code && error.message.includes(name),
    );
  });
}

test("options that are no object throw ERR_INVALID_ARG_TYPE", () => {
  for (const options of [null, 5, "x"]) {
    assert.throws(
      () => new Agent(options as unknown as AgentOptions),
      (error: { code?: string }) => error.code === "ERR_INVALID_ARG_TYPE",
    );
  }
});

for (const name of ["queueTimeout", "connectTimeout", "maxLifetime", "idleTimeout", "unreadBodyTimeout"]) {
  test(`${name}: 0, null, undefined and Infinity are none, and what is no time throws`, () => {
    for (const none of [0, null, undefined, Infinity]) new Agent({ [name]: none } as AgentOptions);
    for (const value of [-1, NaN, 2 ** 31, "5", 5n, true, {}]) {
      assert.throws(
        () => new Agent({ [name]: value } as AgentOptions),
        (error: Error & { code?: string }) =>
          error.message.includes(name) &&
          error.code === (typeof value === "number" ? "ERR_OUT_OF_RANGE" : "ERR_INVALID_ARG_TYPE"),
      );
    }
  });
}

test("the documented forms of no limit are accepted", () => {
  new Agent();
  new Agent({ maxSockets: 0, maxFreeSockets: 0, maxTotalSockets: Infinity, agentKeepAliveTimeoutBuffer: -1 });
});

test.run();
