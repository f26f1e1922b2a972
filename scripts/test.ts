/**
 * The gate: every check of the project, then every suite on every runtime. Ends with `N passed, N failed`, where a
 * check counts as one.
 *
 * ```sh
 * npm test                                # everything
 * npm test -- pool --runtime deno         # the suites whose path has "pool" in it, on Deno; no checks
 * ```
 */
import { parseArgs } from "node:util";
import { checkArchitecture } from "./check_architecture.ts";
import { checkNpm } from "./check_npm.ts";
import { runCommand } from "./command.ts";
import { emitNpm } from "./emit_npm.ts";
import { findRuntimes, root, type Runtime } from "./runtimes.ts";

/** Longest time one suite file may take, ms; over it the process is killed and the file has failed. */
const FILE_TIMEOUT_MS = 120_000;
/** Suite files run at once; each is a process. */
const CONCURRENCY = Math.min(4, navigator.hardwareConcurrency);
/** Begins a file's result line (tests/harness/run_file.ts). */
const RESULT_MARK = "@@result ";

interface Outcome {
  passed: number;
  failed: number;
  skipped: Record<string, string[]>;
  problems: string[];
}

interface Tally {
  passed: number;
  failed: number;
}

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: { runtime: { type: "string", multiple: true } },
});
const isPartial = positionals.length > 0 || values.runtime !== undefined;
const total: Tally = { passed: 0, failed: 0 };
const runtimes = await findRuntimes(values.runtime).catch((error) => {
  console.error(error.message);
  Deno.exit(2);
});
const files = await suiteFiles(positionals);

if (!isPartial) await runChecks();
await check("package", emitNpm);
if (!isPartial) await check("package for its users", checkNpm);
if (!isPartial) await check("deno test file on node", () => run(["node", "scripts/run_deno_tests.mjs"]));
/** Tests and skips of a file, a number for each runtime. */
const counts = new Map<string, number[]>();
/** How many runtimes skipped a test, by its file, flag and name. */
const skippedBy = new Map<string, number>();
for (const runtime of runtimes) await runSuites(runtime, files);
await check("same tests everywhere", compareCounts);
if (!isPartial) await check("every test somewhere", findUnrun);
console.log(`\n${total.passed} passed, ${total.failed} failed`);
Deno.exit(total.failed > 0 ? 1 : 0);

async function runChecks(): Promise<void> {
  const deno = Deno.execPath();
  await check("format", () => run([deno, "fmt", "--check", "--quiet"]));
  await check("lint", () => run([deno, "lint", "--quiet"]));
  await check(
    "types (deno)",
    () =>
      run([
        deno,
        "check",
        "--quiet",
        "--doc",
        "mod.ts",
        "src",
        "tests/types/deno_types.ts",
        "scripts/test.ts",
        "scripts/start.ts",
      ]),
  );
  await check(
    "types (node)",
    () => run([deno, "run", "-A", "--quiet", "node_modules/typescript/bin/tsc", "-p", "."]),
  );
  await check(
    "types (bun)",
    () =>
      run([
        deno,
        "run",
        "-A",
        "--quiet",
        "node_modules/typescript/bin/tsc",
        "-p",
        "tests/types/tsconfig.bun.json",
      ]),
  );
  await check(
    "documentation",
    () => run([deno, "doc", "--lint", "mod.ts", "src/http.ts", "src/https.ts", "src/testing.ts"]),
  );
  await check(
    "code in the documentation",
    async () => run([deno, "check", "--quiet", "--doc-only", "README.md", ...await documents()]),
  );
  await check("files of ARCHITECTURE.md", checkArchitecture);
  await check(
    "dependency rule",
    () =>
      run([
        "node",
        "node_modules/dependency-cruiser/bin/dependency-cruise.mjs",
        "--config",
        "scripts/dependency_rule.cjs",
        "mod.ts",
        "src",
      ]),
  );
}

async function documents(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(new URL("docs/", root))) names.push(`docs/${name}`);
  return names.sort();
}

/** Runs one check; it complains with text, or passes with undefined. */
async function check(name: string, body: () => Promise<string | undefined>): Promise<void> {
  const start = performance.now();
  const complaint = await body();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${complaint === undefined ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
  if (complaint !== undefined) console.log(complaint);
  total[complaint === undefined ? "passed" : "failed"]++;
}

/** Runs a program; its output is the complaint when it fails. */
async function run(command: string[]): Promise<string | undefined> {
  const [program, ...args] = command;
  const { success, text } = await runCommand(program!, args);
  return success ? undefined : text;
}

async function runSuites(runtime: Runtime, paths: string[]): Promise<void> {
  const tally: Tally = { passed: 0, failed: 0 };
  const skips = new Map<string, number>();
  const start = performance.now();
  const left = paths.values();
  let done = 0;
  const work = async (): Promise<void> => {
    for (const path of left) {
      const { outcome, output } = await runFile(runtime, path);
      record(runtime, path, outcome, output, tally, skips);
      if (Deno.stdout.isTerminal()) write(`\r${runtime.name}: ${++done} of ${paths.length} files`);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  if (Deno.stdout.isTerminal()) write("\r\x1b[K");
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const flags = [...skips].map(([flag, count]) => `${flag}: ${count}`).join(", ");
  const skipped = [...skips.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `${
      tally.failed === 0 ? "ok    " : "FAILED"
    } ${runtime.name} ${runtime.version}: ${paths.length} files, ` +
      `${tally.passed + tally.failed} tests, ${skipped} skipped${flags ? ` (${flags})` : ""} (${seconds} s)`,
  );
  total.passed += tally.passed;
  total.failed += tally.failed;
}

function record(
  runtime: Runtime,
  path: string,
  outcome: Outcome,
  output: string,
  tally: Tally,
  skips: Map<string, number>,
): void {
  const failed = outcome.failed + outcome.problems.length;
  tally.passed += outcome.passed;
  tally.failed += failed;
  let left = 0;
  for (const [flag, names] of Object.entries(outcome.skipped)) {
    left += names.length;
    skips.set(flag, (skips.get(flag) ?? 0) + names.length);
    for (const name of names) {
      const test = `${path}: ${flag}: ${name}`;
      skippedBy.set(test, (skippedBy.get(test) ?? 0) + 1);
    }
  }
  counts.set(path, [...counts.get(path) ?? [], outcome.passed + outcome.failed + left]);
  if (failed === 0) return;
  console.log(`FAILED ${runtime.name}: ${path}\n${output}`);
  for (const problem of outcome.problems) console.log(`  ${problem}`);
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

/** A test that no runtime runs proves nothing. The leak check depends on the system alone. */
function findUnrun(): Promise<string | undefined> {
  const unrun = [...skippedBy].filter(([test, runs]) =>
    runs === runtimes.length && !test.includes(": countsSockets: ")
  );
  return Promise.resolve(
    unrun.length === 0 ? undefined : unrun.map(([test]) => `Skipped everywhere: ${test}`).join("\n"),
  );
}

/** Runtimes differ by flags alone: what one of them cannot run is skipped under a capability's name, not left out. */
function compareCounts(): Promise<string | undefined> {
  const complaints = [...counts].filter(([, totals]) => new Set(totals).size > 1).map(([path, totals]) =>
    `${path}: ${totals.join(", ")} tests and skips on ${runtimes.map(({ name }) => name).join(", ")}: ` +
    "a test that cannot run somewhere names what it needs (test.needs)"
  );
  return Promise.resolve(complaints.length === 0 ? undefined : complaints.join("\n"));
}

async function runFile(runtime: Runtime, path: string): Promise<{ outcome: Outcome; output: string }> {
  const [program, ...args] = [...runtime.run("tests/harness/run_file.ts"), runtime.path(path)];
  const signal = AbortSignal.timeout(FILE_TIMEOUT_MS);
  // Tests that need a child process start it as they were started themselves.
  const env = { HOLDFAST_TEST_COMMAND: JSON.stringify(runtime.run("").slice(0, -1)), NO_COLOR: "1" };
  const command = new Deno.Command(program!, { args, cwd: root, env, signal, stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder().decode(stdout);
  const lines = text.split("\n");
  const result = lines.findLast((line) => line.startsWith(RESULT_MARK));
  const output = lines.filter((line) => line !== result).join("\n") + new TextDecoder().decode(stderr);
  if (result === undefined) {
    const problems = [
      signal.aborted ? `Took longer than ${FILE_TIMEOUT_MS} ms` : `Ended early, exit code ${code}`,
    ];
    return { outcome: { passed: 0, failed: 0, skipped: {}, problems }, output };
  }
  const outcome: Outcome = JSON.parse(result.slice(RESULT_MARK.length));
  if (code !== 0 && outcome.failed + outcome.problems.length === 0) {
    outcome.problems.push(`Ended with exit code ${code} after its tests had passed`);
  }
  return { outcome, output };
}

/** Every `*_suite.ts` under tests, of the paths that hold one of the words. */
async function suiteFiles(words: string[]): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for await (const entry of Deno.readDir(new URL(`${folder}/`, root))) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory) await walk(path);
      else if (path.endsWith("_suite.ts")) found.push(path);
    }
  };
  await walk("tests");
  const chosen = found.filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort();
  if (chosen.length > 0) return chosen;
  console.error(`No suite's path holds "${words.join('" or "')}"`);
  Deno.exit(1);
}
