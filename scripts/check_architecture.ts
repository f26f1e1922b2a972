/**
 * Does ARCHITECTURE.md name every file of `src/`, and none that is not there? A part of the gate: whoever adds a file or
 * takes one away hears of it here.
 */
const root = new URL("../", import.meta.url);
/** Where the named files are. */
const places = ["src/", "scripts/", "tests/", "bench/"];
/** How the document speaks of names: `x_y.ts` is a part of `x.ts`. */
const examples = new Set(["x.ts", "x_y.ts", "x*.ts"]);

/** What is wrong, or undefined. */
export async function checkArchitecture(): Promise<string | undefined> {
  const text = await Deno.readTextFile(new URL("ARCHITECTURE.md", root));
  const files = new Set(["mod.ts"]);
  for (const place of places) await collect(new URL(place, root), files);
  const gone = namesIn(text).filter((name) => ![...files].some((file) => fits(name, file)));
  const list = namesIn(text.slice(text.indexOf("\n## Files\n"), text.indexOf("\n## The dependency rule\n")));
  const unnamed = [...files].filter((file) =>
    file.startsWith("src/") && !list.some((name) => fits(name, file))
  );
  const complaints = [
    ...gone.map((name) => `ARCHITECTURE.md names ${name}, and there is no such file`),
    ...unnamed.map((file) => `ARCHITECTURE.md does not name ${file}`),
  ];
  return complaints.length === 0 ? undefined : complaints.join("\n");
}

async function collect(folder: URL, files: Set<string>): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const place = new URL(isDirectory ? `${name}/` : name, folder);
    if (isDirectory) await collect(place, files);
    else files.add(place.pathname.slice(root.pathname.length));
  }
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/[\w/*]+\.(?:ts|cjs)\b/g)].map(([name]) => name)
    .filter((name) => !examples.has(name));
}

/** True where `file` ends with `name`, whose "*" stands for any part of a file's name. */
function fits(name: string, file: string): boolean {
  const pattern = name.split("*").map((part) => part.replaceAll(".", "\\.")).join("[a-z0-9_]*");
  return new RegExp(`(^|/)${pattern}$`).test(file);
}
