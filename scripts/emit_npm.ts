/**
 * Emits the npm package by tsc, into the layout that dnt gives it: `npm/esm` and `npm/script` (CommonJS), each with
 * its declarations and, as dnt does, the compiled tests, which `.npmignore` keeps out of the tarball.
 *
 * A stand-in and not dnt: where JSR cannot be reached dnt cannot be had. Node 20 cannot run TypeScript, so it is this
 * output that the suite runs over there.
 */
import { shareDefaultExports } from "./commonjs_default.ts";
import { runCommand } from "./command.ts";
import { packageManifest, readDenoConfig } from "./npm_manifest.ts";

const root = new URL("../", import.meta.url);
const out = new URL("npm/", root);
/** Compiled with the package, kept out of its tarball. */
const unpublished = ["tests", "bench", "examples"];

/** Emits everything; gives tsc's complaints, or undefined where it had none. */
export async function emitNpm(): Promise<string | undefined> {
  await Deno.remove(out, { recursive: true }).catch(ignoreNotFound);
  await Deno.mkdir(out);
  const results = await Promise.all([
    emit("esm", "tsconfig.json"),
    emit("script", "scripts/tsconfig.commonjs.json"),
  ]);
  const complaints = results.filter((text) => text !== undefined);
  if (complaints.length > 0) return complaints.join("\n");
  await shareDefaultExports(out);
  await writeManifests();
  await linkSelf();
}

/** True where nothing has changed since the last time. */
export async function isEmitted(): Promise<boolean> {
  const last = await Deno.stat(new URL("package.json", out)).catch(ignoreNotFound);
  if (!last) return false;
  for (const source of ["mod.ts", "src", ...unpublished, "deno.json", "tsconfig.json"]) {
    if (await changedAfter(new URL(source, root), last.mtime!)) return false;
  }
  return true;
}

async function changedAfter(place: URL, time: Date): Promise<boolean> {
  const { isDirectory, mtime } = await Deno.stat(place);
  if (mtime! > time) return true;
  if (!isDirectory) return false;
  for await (const { name } of Deno.readDir(place)) {
    if (await changedAfter(new URL(`${place.href}/${name}`), time)) return true;
  }
  return false;
}

async function emit(folder: "esm" | "script", project: string): Promise<string | undefined> {
  const { success, text } = await runCommand(Deno.execPath(), [
    "run",
    "-A",
    "--quiet",
    "node_modules/typescript/bin/tsc",
    ...["--project", project, "--noEmit", "false", "--declaration", "true"],
    ...["--allowImportingTsExtensions", "false", "--rewriteRelativeImportExtensions", "true"],
    ...["--rootDir", ".", "--outDir", `npm/${folder}`],
  ]);
  return success ? undefined : text;
}

async function writeManifests(): Promise<void> {
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  await Deno.writeTextFile(new URL("package.json", out), json(packageManifest(await readDenoConfig())));
  await Deno.writeTextFile(new URL("esm/package.json", out), json({ type: "module" }));
  await Deno.writeTextFile(new URL("script/package.json", out), json({ type: "commonjs" }));
  const ignored = unpublished.flatMap((name) => [`/esm/${name}/`, `/script/${name}/`]);
  await Deno.writeTextFile(new URL(".npmignore", out), `${ignored.join("\n")}\n`);
  for (const file of ["LICENSE", "README.md", "CHANGELOG.md"]) {
    await Deno.copyFile(new URL(file, root), new URL(file, out));
  }
}

/** Lets the compiled tests import the package by its own name: dnt rewrites such imports, tsc does not. */
async function linkSelf(): Promise<void> {
  const { name } = await readDenoConfig();
  const link = new URL(`node_modules/${name}`, root);
  await Deno.mkdir(new URL(".", link), { recursive: true });
  await Deno.remove(link).catch(ignoreNotFound);
  await Deno.symlink("../../npm", link, { type: "dir" });
}

function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

if (import.meta.main) {
  const complaints = await emitNpm();
  if (complaints !== undefined) console.error(complaints);
  Deno.exit(complaints === undefined ? 0 : 1);
}
