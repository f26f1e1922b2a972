/**
 * Makes a bare checkout ready: installs the pinned development packages (Deno and Bun among them) when the lock
 * file changed since the last time, and finishes their installation where install scripts were blocked.
 *
 * Runs on Node and on Deno with nothing installed, so it uses node: modules alone. Called by `start` and `test`
 * themselves and not by pre-hooks, which `--ignore-scripts` turns off.
 */
// deno-lint-ignore-file explicit-function-return-type -- plain JavaScript: there is no place for the type
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import process from "node:process";

const root = fileURLToPath(new URL("..", import.meta.url));
const suffix = process.platform === "win32" ? ".exe" : "";

/** The pinned Deno. */
export const denoPath = `${root}node_modules/deno/deno${suffix}`;

const stamp = `${root}node_modules/.holdfast_setup`;
const wanted = createHash("sha256").update(readFileSync(`${root}package-lock.json`)).digest("hex");

/** Runs a program; its output is shown only when it fails. */
function run(command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (result.error) fail(`Cannot run "${command}": ${result.error.message}`);
  if (result.status !== 0) fail(`"${command} ${args.join(" ")}" failed\n${result.stdout}${result.stderr}`);
  return result.stdout.trim();
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** True where the program starts and says its version. */
function works(file) {
  return existsSync(file) && spawnSync(file, ["--version"], { encoding: "utf8" }).status === 0;
}

/** Node's own npm; without one, Deno's installer reads the same package.json. */
function install() {
  const npm = spawnSync("npm", ["--version"], { encoding: "utf8", shell: process.platform === "win32" });
  if (npm.status === 0) run("npm", ["ci", "--no-audit", "--no-fund"]);
  else if (globalThis.Deno) run(globalThis.Deno.execPath(), ["install", "--allow-scripts"]);
  else fail("Cannot install the development packages: npm was not found");
}

function installed() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === wanted;
}

if (!installed()) {
  process.stderr.write("Installing the development packages (once)...\n");
  install();
  const node = globalThis.Deno ? "node" : process.execPath;
  const programs = [
    [`${root}node_modules/bun/bin/bun.exe`, `${root}node_modules/bun/install.js`],
    [denoPath, `${root}node_modules/deno/install.cjs`],
  ];
  for (const [program, installer] of programs) {
    if (works(program)) continue;
    run(node, [installer]);
    if (!works(program)) fail(`Cannot start "${program}" after its installation`);
  }
  writeFileSync(stamp, wanted);
}
