/** The runner is what all other tests are believed by: each fault that it must not pass over is seeded here. */
import * as assert from "uvu/assert";
import process from "node:process";
import { fileOf, runChild } from "./child.ts";
import { suite } from "./suite.ts";

const test = suite("run_file.ts");

interface Report {
  exitCode: number | null;
  output: string;
  passed: number;
  failed: number;
  skipped: Record<string, string[]>;
  problems: string[];
}

async function runFault(name: string): Promise<Report> {
  const { exitCode, output } = await runChild(
    "tests/harness/run_file",
    fileOf(`tests/harness/faults/${name}`),
  );
  const line = output.split("\n").find((text) => text.startsWith("@@result "));
  const none = { passed: 0, failed: 0, skipped: {}, problems: [] };
  return { ...none, ...JSON.parse(line?.slice("@@result ".length) ?? "{}"), exitCode, output };
}

test("passes a good file and names the capability of a skip", async () => {
  const { exitCode, passed, failed, skipped, problems } = await runFault("passing");
  assert.equal([exitCode, passed, failed, problems], [0, 2, 0, []]);
  assert.equal(skipped["flies"], ["passing: needs a capability that nobody has"]);
});

test("fails a failing test", async () => {
  const { exitCode, passed, failed } = await runFault("failing");
  assert.equal([exitCode, passed, failed], [1, 1, 1]);
});

const FAULTS: readonly [string, string][] = [
  ["no_test", "The file holds no test"],
  ["no_run", "1 tests did not run: .run() is missing"],
  ["throwing_before", "before failed"],
  ["throwing_after_each", "after each failed"],
  ["unhandled_rejection", "nobody listens"],
  ["plain_uvu", "Tests must be made by tests/harness/suite.ts"],
];

for (const [name, problem] of FAULTS) {
  test(`fails ${name}`, async () => {
    const { exitCode, problems, output } = await runFault(name);
    assert.is(exitCode, 1, output);
    assert.ok(problems.some((text) => text.includes(problem)), output);
  });
}

test("fails a test that throws no Error, and says what it threw", async () => {
  const { exitCode, failed, output } = await runFault("thrown_string");
  assert.equal([exitCode, failed], [1, 1]);
  assert.match(output, /no Error: a string/);
});

test("fails a file that leaves a handle open which holds the process", async () => {
  const { exitCode, output } = await runFault("running_timer");
  assert.is(exitCode, 1, output);
  assert.match(output, /Leaked handles keep the process alive/);
});

test.needs(
  { countsSockets: process.platform === "linux" },
  "fails a file that leaves a socket open",
  async () => {
    const { exitCode, problems, output } = await runFault("open_socket");
    assert.is(exitCode, 1, output);
    assert.ok(problems.some((text) => text.includes("sockets were left open")), output);
  },
);

test.run();
