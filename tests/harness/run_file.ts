/**
 * Runs one suite file in this process and prints one result line that scripts/test.ts reads. It closes what uvu
 * passes in silence: a file without tests, a forgotten `.run()`, a hook that throws, an unhandled rejection, sockets
 * left open, a process that does not end.
 */
import "./defer.ts";
import process from "node:process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { registry } from "./suite.ts";

/** Begins the result line; the rest is JSON. */
const RESULT_MARK = "@@result ";
/** Time that closing sockets get after the last test, ms: a FIN still has to travel. */
const SETTLE_MS = 5_000;
/** Time that the process gets to end by itself, ms. */
const EXIT_MS = 3_000;

/** uvu's runner of one suite: its errors (or true), tests passed, skipped and in all. */
type SuiteRunner = () => Promise<[string | true, number, number, number]>;

interface Outcome {
  passed: number;
  failed: number;
  skipped: Record<string, string[]>;
  problems: string[];
}

const queue = (globalThis as unknown as { UVU_QUEUE: SuiteRunner[][] }).UVU_QUEUE[0]!;
const problems: string[] = [];
const countsSockets = openSockets() !== undefined;

process.on("unhandledRejection", (reason) => problems.push(`Unhandled rejection: ${describe(reason)}`));
process.on("uncaughtException", (error) => problems.push(`Uncaught exception: ${describe(error)}`));
await main(process.argv[2] ?? "");

async function main(file: string): Promise<void> {
  const before = openSockets();
  let passed = 0;
  let ran = 0;
  try {
    await import(pathToFileURL(file).href);
    for (const run of queue) {
      const [errors, ok, , total] = await run();
      passed += ok;
      ran += total;
      if (errors !== true) process.stdout.write(`\n${errors}\n`);
    }
  } catch (error) {
    problems.push(`Outside of a test: ${describe(error)}`);
  }
  problems.push(...registry.hookErrors);
  const skips = [...registry.skipped.values()].flat().length;
  if (registry.registered + skips === 0) problems.push("The file holds no test");
  if (ran < registry.registered) {
    problems.push(`${registry.registered - ran} tests did not run: .run() is missing`);
  }
  if (ran > registry.registered) problems.push("Tests must be made by tests/harness/suite.ts");
  await expectSockets(before);
  await new Promise((resolve) => setTimeout(resolve, 0));
  report({ passed, failed: ran - passed, skipped: Object.fromEntries(registry.skipped), problems });
}

/** Waits until this process holds as many sockets as before the file, then gives up with a problem. */
async function expectSockets(before: number | undefined): Promise<void> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const now = openSockets();
    if (before === undefined || now === undefined || now <= before) return;
    if (performance.now() > deadline) {
      problems.push(`${now - before} sockets were left open`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/**
 * TCP sockets and unix sockets with a path that this process holds, or undefined where the system does not tell.
 * Others are the runtime's own: Deno makes a nameless pair for child processes.
 */
function openSockets(): number | undefined {
  let names: string[];
  try {
    names = readdirSync("/proc/self/fd");
  } catch {
    return undefined; // No /proc on this system: reported as `countsSockets`.
  }
  const inodes = networkInodes();
  return names.filter((name) => inodes.has(inodeOf(name))).length;
}

function networkInodes(): Set<string> {
  const inodes = new Set<string>();
  for (const table of ["tcp", "tcp6", "unix"]) {
    for (const line of readFileSync(`/proc/self/net/${table}`, "utf8").split("\n").slice(1)) {
      const columns = line.trim().split(/\s+/);
      const inode = table === "unix" ? (columns.length > 7 ? columns[6] : undefined) : columns[9];
      if (inode !== undefined) inodes.add(inode);
    }
  }
  return inodes;
}

function inodeOf(descriptor: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${descriptor}`))?.[1] ?? "";
  } catch {
    return ""; // The descriptor was the directory listing's own and is closed by now.
  }
}

function report(outcome: Outcome): void {
  if (!countsSockets) outcome.skipped["countsSockets"] = ["the leaked socket check"];
  process.stdout.write(`\n${RESULT_MARK}${JSON.stringify(outcome)}\n`);
  process.exitCode = outcome.failed + outcome.problems.length > 0 ? 1 : 0;
  // Late: problems after the report, and handles that keep the process alive, turn the exit code.
  process.on("unhandledRejection", () => process.exit(1));
  process.on("uncaughtException", () => process.exit(1));
  setTimeout(() => {
    process.stdout.write(`\nLeaked handles keep the process alive: ${activeResources()}\n`);
    process.exit(1);
  }, EXIT_MS).unref();
}

function activeResources(): string {
  const { getActiveResourcesInfo } = process as { getActiveResourcesInfo?: () => string[] };
  return getActiveResourcesInfo?.call(process).join(", ") || "unknown";
}

function describe(reason: unknown): string {
  return reason instanceof Error ? reason.stack ?? reason.message : String(reason);
}
