/** Each example says on every runtime what it says here. */
import * as assert from "uvu/assert";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { suite } from "../harness/suite.ts";

const test = suite("examples");

/** How the runner started this process: the program and what precedes the file (scripts/test.ts). */
const command: string[] = JSON.parse(process.env["HOLDFAST_TEST_COMMAND"] ?? "[]");
const ending = import.meta.url.endsWith(".ts") ? "ts" : "js";

const EXPECTED: Readonly<Record<string, string>> = {
  first_request: `200 you asked for /a over a new socket
200 you asked for /b over the same socket
200 you asked for /c over the same socket
refused: ECONNREFUSED
`,
};

async function outputOf(name: string): Promise<{ exitCode: number | null; output: string }> {
  const file = fileURLToPath(new URL(`../../examples/${name}.${ending}`, import.meta.url));
  const [program, ...args] = [...command, file];
  const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { exitCode, output };
}

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`${name} says what it promises`, async () => {
    assert.equal(await outputOf(name), { exitCode: 0, output: expected });
  });
}

test.run();
