/**
 * Runs the `Deno.test` smoke file as dnt's `test: true` does: emitted, on Node, as an ES module and as CommonJS, with
 * @deno/shim-deno in the place of `Deno`. It also shows that the library is not fooled by the shim.
 */
// deno-lint-ignore-file explicit-function-return-type -- plain JavaScript: there is no place for the type
import { createRequire } from "node:module";
import process from "node:process";
import { Deno } from "@deno/shim-deno";
import { testDefinitions } from "@deno/shim-deno/test-internals";

globalThis.Deno = Deno;
const require = createRequire(import.meta.url);
await import("../npm/esm/tests/smoke_deno.js");
require("../npm/script/tests/smoke_deno.js");

async function run(definition) {
  try {
    await definition.fn();
    process.stdout.write(`ok ${definition.name}\n`);
  } catch (error) {
    process.stdout.write(`FAILED ${definition.name}: ${error?.stack ?? error}\n`);
    process.exitCode = 1;
  }
}

if (testDefinitions.length < 4) throw new Error("Both module formats must define their tests");
for (const definition of testDefinitions) await run(definition);
