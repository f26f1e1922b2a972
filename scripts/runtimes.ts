/**
 * The runtimes that the suites and the main job run on, and how each starts a file: Node runs what `emit_npm.ts`
 * emitted, Deno and Bun run the sources.
 */

/** The project's root folder. */
export const root: URL = new URL("../", import.meta.url);

/** One runtime at hand. */
export interface Runtime {
  /** "node", "deno" or "bun". */
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

const KNOWN: readonly { name: string; program: string; prefix: string[]; path: (path: string) => string }[] =
  [
    { name: "node", program: "node", prefix: ["--enable-source-maps"], path: emitted },
    { name: "deno", program: Deno.execPath(), prefix: ["run", "-A", "--quiet", "--no-check"], path: source },
    { name: "bun", program: bun, prefix: [], path: source },
  ];

const KNOWN_NAMES = KNOWN.map(({ name }) => name).join(", ");

/** A name that is no runtime's. */
export class UnknownRuntimeError extends Error {
  /** As Node's for a bad argument. */
  readonly code = "ERR_INVALID_ARG_VALUE" as const;
}

/** Finds the runtimes of these names, all by default; throws for one that is missing or unknown. */
export async function findRuntimes(
  names: readonly string[] = KNOWN.map(({ name }) => name),
): Promise<Runtime[]> {
  return await Promise.all(names.map(async (name) => {
    const known = KNOWN.find((runtime) => runtime.name === name);
    if (known === undefined) {
      throw new UnknownRuntimeError(`Unknown runtime "${name}": not one of ${KNOWN_NAMES}`);
    }
    const { program, prefix, path } = known;
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
