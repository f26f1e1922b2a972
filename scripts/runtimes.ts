/**
 * The runtimes that the suites and the main job run on, and how each starts a file: Node runs what `emit_npm.ts`
 * emitted, Deno and Bun run the sources.
 */

/** The project's root folder. */
export const root: URL = new URL("../", import.meta.url);

/** One runtime at hand. */
export interface Runtime {
  /** "node", "deno", "bun", or "node22" and the like. */
  readonly name: string;
  /** What it says of itself. */
  readonly version: string;
  /** The command that runs a source file, given by its path from the root. */
  run(path: string): string[];
  /** The file that stands for a source file there, by its absolute path. */
  path(path: string): string;
}

const source = (path: string): string => decodeURIComponent(new URL(path, root).pathname);
const emitted = (path: string): string => source(`npm/esm/${path.replace(/\.ts$/, ".js")}`);
const bun = source("node_modules/bun/bin/bun.exe");

interface Known {
  name: string;
  /** The program, which may have to be fetched first. */
  program(): Promise<string>;
  prefix: string[];
  path: (path: string) => string;
}

const given = (program: string) => (): Promise<string> => Promise.resolve(program);
const nodeFlags = ["--enable-source-maps"];

const KNOWN: readonly Known[] = [
  { name: "node", program: given("node"), prefix: nodeFlags, path: emitted },
  {
    name: "deno",
    program: given(Deno.execPath()),
    prefix: ["run", "-A", "--quiet", "--no-check"],
    path: source,
  },
  { name: "bun", program: given(bun), prefix: [], path: source },
  // Other Nodes than the machine's own, when asked for by name.
  ...["20", "22", "24", "26"].map((major): Known => ({
    name: `node${major}`,
    program: () => fetchNode(major),
    prefix: nodeFlags,
    path: emitted,
  })),
];

/** Those of every run. */
const EVERYDAY = ["node", "deno", "bun"];

/** Node's binaries are npm packages, one for each platform; they are kept in .cache. */
async function fetchNode(major: string): Promise<string> {
  const folder = source(`.cache/node-${major}`);
  const platform = Deno.build.os === "windows" ? "win" : Deno.build.os;
  const name = `node-${platform}-${Deno.build.arch === "aarch64" ? "arm64" : "x64"}`;
  const program = `${folder}/node_modules/${name}/bin/node`;
  if (await Deno.stat(program).then(() => true, () => false)) return program;
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/package.json`, '{ "private": true }\n');
  const args = ["install", "--no-audit", "--no-fund", "--prefix", folder, `${name}@${major}`];
  const { success, stderr } = await new Deno.Command("npm", { args }).output();
  if (!success) throw new Error(`Cannot fetch Node ${major}: ${new TextDecoder().decode(stderr)}`);
  return program;
}

const KNOWN_NAMES = KNOWN.map(({ name }) => name).join(", ");

/** A name that is no runtime's. */
export class UnknownRuntimeError extends Error {
  /** As Node's for a bad argument. */
  readonly code = "ERR_INVALID_ARG_VALUE" as const;
}

/** Finds the runtimes of these names, by default those of every run; throws for one that is missing or unknown. */
export async function findRuntimes(
  names: readonly string[] = EVERYDAY,
): Promise<Runtime[]> {
  return await Promise.all(names.map(async (name) => {
    const known = KNOWN.find((runtime) => runtime.name === name);
    if (known === undefined) {
      throw new UnknownRuntimeError(`Unknown runtime "${name}": not one of ${KNOWN_NAMES}`);
    }
    const { prefix, path } = known;
    const program = await known.program();
    return { name, version: await versionOf(program), path, run: (file) => [program, ...prefix, path(file)] };
  }));
}

async function versionOf(program: string): Promise<string> {
  try {
    const { stdout } = await new Deno.Command(program, { args: ["--version"] }).output();
    return /\d+\.\d+\.\d+/.exec(new TextDecoder().decode(stdout))?.[0] ?? "of an unknown version";
  } catch (error) {
    throw new Error(`Cannot run "${program}"`, { cause: error });
  }
}
