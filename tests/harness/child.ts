/** Runs a file of this project in a process of its own, on the runtime that runs this one. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import process from "node:process";

/** The program and what precedes the file; set by scripts/test.ts. */
const command: string[] = JSON.parse(process.env["HOLDFAST_TEST_COMMAND"] ?? "[]");

/** The ending that the files have here: `js` where they were emitted. */
const ending = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** What came of it. */
export interface ChildResult {
  /** Null: ended by a signal. */
  exitCode: number | null;
  /** Standard output and standard error. */
  output: string;
}

/** The emitted or original file for `path`, which is relative to the project's root and has no ending. */
export function fileOf(path: string): string {
  return fileURLToPath(new URL(`../../${path}.${ending}`, import.meta.url));
}

/** Runs `path` (as for {@linkcode fileOf}) with these arguments. */
export async function runChild(path: string, ...args: string[]): Promise<ChildResult> {
  const [program, ...before] = command;
  if (program === undefined) {
    throw new Error("Run the suites by scripts/test.ts: HOLDFAST_TEST_COMMAND is not set");
  }
  const child = spawn(program, [...before, fileOf(path), ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { exitCode, output };
}
