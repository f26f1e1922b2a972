/**
 * Emits the npm package by dnt: ESM, CommonJS and declarations from the Deno-first sources, then runs the Deno.test
 * smoke file over both on Node, with @deno/shim-deno under it.
 *
 * Uses only options that dnt 0.42 has too. Needs JSR; where it is out of reach `emit_npm.ts` stands in.
 *
 * ```sh
 * deno run -A scripts/build_npm.ts
 * ```
 */
import { build, emptyDir } from "@deno/dnt";
import { shareDefaultExports } from "./commonjs_default.ts";
import { packageFields, readDenoConfig } from "./npm_manifest.ts";

const config = await readDenoConfig();

await emptyDir("./npm");
await build({
  entryPoints: Object.entries(config.exports).map(([name, path]) => ({ name, path })),
  outDir: "./npm",
  // The library must see Node as Node: a shimmed `Deno` in shipped code would be taken for the real one.
  shims: {
    deno: false,
    customDev: [{ package: { name: "@deno/shim-deno", version: "~0.19.2" }, globalNames: ["Deno"] }],
  },
  package: packageFields(config),
  compilerOptions: { target: "ES2022", lib: ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"] },
  // Not "separate": its CommonJS entry points get the declarations of an ES module.
  declaration: "inline",
  typeCheck: "both",
  skipSourceOutput: true,
  test: true,
  testPattern: "tests/smoke_deno.ts",
  async postBuild(): Promise<void> {
    await shareDefaultExports(new URL("../npm/", import.meta.url));
    for (const file of ["LICENSE", "README.md", "CHANGELOG.md"]) await Deno.copyFile(file, `npm/${file}`);
  },
});
