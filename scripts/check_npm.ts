/**
 * Holds the emitted npm package to what its users' tools expect: packs it, lints the tarball (publint, attw), and compiles
 * programs that use it with old and new TypeScript against old and new types of Node.
 *
 * The programs are `tests/types/consumer.mts` and `.cts`. They are compiled in a folder of their own, with the library's
 * declarations checked too (`skipLibCheck` is off), so that nothing of this workspace's types is in reach.
 */

import { type CommandResult, runCommand } from "./command.ts";
import { root } from "./runtimes.ts";

const npm = new URL("npm/", root);

/** A way to compile the consumers: TypeScript's and Node's types' package in node_modules, and how modules are found. */
interface Compilation {
  readonly typescript: string;
  readonly types: string;
  readonly resolution: "nodenext" | "bundler";
}

const COMPILATIONS: readonly Compilation[] = [
  { typescript: "typescript-5.6", types: "node-types-20", resolution: "nodenext" },
  { typescript: "typescript-5.9", types: "node-types-22", resolution: "bundler" },
  { typescript: "typescript", types: "node-types-24", resolution: "nodenext" },
  { typescript: "typescript-7", types: "@types/node", resolution: "nodenext" },
];

/** Complaints about the package as it lies in `npm/`; undefined: there are none. */
export async function checkNpm(): Promise<string | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "consumer" });
  try {
    const packed = await runCommand("npm", ["pack", "--silent", "--pack-destination", folder], npm);
    if (!packed.success) return packed.text;
    const tarball = `${folder}/${packed.text.trim().split("\n").at(-1)}`;
    const installed = `${folder}/node_modules/@holdfast/agent`;
    await Deno.mkdir(installed, { recursive: true });
    const unpacked = await runCommand("tar", ["-xzf", tarball, "-C", installed, "--strip-components=1"]);
    if (!unpacked.success) return unpacked.text;
    const results = [
      await node("publint/src/cli.js", ["run", tarball, "--strict"]),
      await node("@arethetypeswrong/cli/dist/index.js", [tarball, "--profile", "node16", "--no-emoji"]),
    ];
    for (const compilation of COMPILATIONS) results.push(await compile(folder, compilation));
    const complaints = results.filter(({ success }) => !success).map(({ text }) => text);
    return complaints.length > 0 ? complaints.join("\n") : undefined;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function compile(
  folder: string,
  { typescript, types, resolution }: Compilation,
): Promise<CommandResult> {
  await Deno.remove(`${folder}/node_modules/@types`, { recursive: true }).catch(ignoreNotFound);
  await copyTypes(folder, types);
  for (const file of ["consumer.mts", "consumer.cts"]) {
    await Deno.copyFile(new URL(`tests/types/${file}`, root), `${folder}/${file}`);
  }
  const compilerOptions = {
    target: "es2022",
    lib: ["es2022", "esnext.disposable", "dom", "dom.iterable"],
    module: resolution === "bundler" ? "preserve" : "nodenext",
    moduleResolution: resolution,
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  };
  const files = resolution === "bundler" ? ["consumer.mts"] : ["consumer.mts", "consumer.cts"];
  await Deno.writeTextFile(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions, files }));
  const compiler = typescript === "typescript-7" ? "bin/tsc" : "lib/tsc.js";
  const { success, text } = await node(`${typescript}/${compiler}`, ["-p", folder]);
  return { success, text: `${typescript}, ${types}, ${resolution}:\n${text}` };
}

// Of one version alone, and with what they import themselves.
async function copyTypes(folder: string, types: string): Promise<void> {
  const source = new URL(`node_modules/${types}/`, root);
  const { dependencies = {} } = JSON.parse(await Deno.readTextFile(new URL("package.json", source)));
  await copy(source, `${folder}/node_modules/@types/node`);
  for (const name of Object.keys(dependencies)) {
    const nested = new URL(`node_modules/${name}/`, source);
    const isNested = await Deno.stat(nested).then(() => true, ignoreNotFound);
    const place = isNested ? nested : new URL(`node_modules/${name}/`, root);
    await copy(place, `${folder}/node_modules/@types/node/node_modules/${name}`);
  }
}

async function copy(source: URL, target: string): Promise<void> {
  await Deno.mkdir(target, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(source)) {
    if (name === "node_modules") continue;
    const from = new URL(`${source.href}${name}`);
    if (isDirectory) await copy(new URL(`${from.href}/`), `${target}/${name}`);
    else await Deno.copyFile(from, `${target}/${name}`);
  }
}

function node(file: string, args: string[]): Promise<CommandResult> {
  return runCommand("node", [new URL(`node_modules/${file}`, root).pathname, ...args]);
}

function ignoreNotFound(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

if (import.meta.main) {
  const complaints = await checkNpm();
  if (complaints !== undefined) console.error(complaints);
  Deno.exit(complaints === undefined ? 0 : 1);
}
