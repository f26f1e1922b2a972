/**
 * What `require()` gives of the entry points that stand in for a module of Node's: their default export itself, as `require("node:http")`
 * is what `import http from "node:http"` gives. Else what one program replaces there, as tools do that record or answer
 * requests, another would not see.
 */

/** Entry points of `npm/script/src` whose default export has all their names. */
const ENTRY_POINTS = ["http.js", "https.js"];

const ONE_OBJECT = `
module.exports = Object.defineProperties(exports.default, {
  __esModule: { value: true },
  default: { value: exports.default, configurable: true, writable: true },
});
`;

/** Appends to the emitted modules; `npm` is the package's folder. */
export async function shareDefaultExports(npm: URL): Promise<void> {
  for (const name of ENTRY_POINTS) {
    await Deno.writeTextFile(new URL(`script/src/${name}`, npm), ONE_OBJECT, { append: true });
  }
}
