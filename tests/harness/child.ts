/** Runs a file of this project in a process of its own, on the runtime that runs this one. */
import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

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
export function runChild(path: string, ...args: string[]): Promise<ChildResult> {
  return run(fileOf(path), args);
}

/**
 * Runs a CommonJS file of the project, which requires the emitted package by its name. It runs in a folder outside of the project:
 * inside, Bun would follow tsconfig.json's paths to the sources.
 */
export async function runScript(path: string, ...args: string[]): Promise<ChildResult> {
  // The emitted suites lie two folders deeper than the sources.
  const root = new URL(ending === "ts" ? "../../" : "../../../../", import.meta.url);
  const folder = await mkdtemp(join(tmpdir(), "holdfast-"));
  try {
    const script = join(folder, basename(path));
    await copyFile(new URL(path, root), script);
    await writeFile(join(folder, "package.json"), "{}");
    await mkdir(join(folder, "node_modules", "@holdfast"), { recursive: true });
    await symlink(fileURLToPath(new URL("npm", root)), join(folder, "node_modules", "@holdfast", "agent"));
    return await run(script, args);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function run(file: string, args: readonly string[]): Promise<ChildResult> {
  const [program, ...before] = command;
  if (program === undefined) {
    throw new Error("Run the suites by scripts/test.ts: HOLDFAST_TEST_COMMAND is not set");
  }
  const child = spawn(program, [...before, file, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  child.stdout.on("data", (chunk) => output += chunk);
  child.stderr.on("data", (chunk) => output += chunk);
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  return { exitCode, output };
}
