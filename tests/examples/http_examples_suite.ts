/** The examples of the http face say on every runtime what they say here; some are CommonJS. */
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { type ChildResult, runChild } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";

const test = suite("examples of http");

const EXPECTED: Readonly<Record<string, string>> = {
  http_agent_tour: `/first on connection 1, keep-alive
/kept on connection 1, keep-alive
/taken-out on connection 1, keep-alive
/after on connection 2, keep-alive
/alone on connection 3, close
[Function: connect]
HTTP/1.1 200 OK
`,
  http_tunnel: `proxy: CONNECT to the origin
client: tunnel is open, 200 example
client: true
`,
  http_interim_responses: `the server wants the body
ahead of the response: </style.css>; rel=preload
the response: 200
upgraded to shout
HELLO
`,
};

/** A CommonJS file is run as it is: it requires the emitted package by its name. */
async function runScript(name: string): Promise<ChildResult> {
  const [program, ...before] = JSON.parse(process.env["HOLDFAST_TEST_COMMAND"] ?? "[]") as string[];
  const root = import.meta.url.endsWith(".ts") ? "../../" : "../../../../";
  const file = fileURLToPath(new URL(`${root}examples/${name}.cjs`, import.meta.url));
  const child = spawn(program!, [...before, file], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1" },
  });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const exitCode = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { exitCode, output };
}

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`${name} says what it promises`, async () => {
    assert.equal(await runScript(name), { exitCode: 0, output: expected });
  });
}

test("http_upload says what it promises", async () => {
  assert.equal(await runChild("examples/http_upload"), {
    exitCode: 0,
    output: `200 {"bytes":1000000}\nAbortError ABORT_ERR\n`,
  });
});

test.run();
