/** docs/errors.md names every code of the union, once, and no other; each with its cause and its remedy. */
import * as assert from "uvu/assert";
import { readFileSync } from "node:fs";
import { suite } from "../harness/suite.ts";

const test = suite("docs/errors.md");

// The gate runs every suite from the root of the project.
const source = readFileSync("src/agent/core/errors.ts", "utf8");
const document = readFileSync("docs/errors.md", "utf8");

/** The members of the unions whose names end in ErrorCode. */
const codes = [...source.matchAll(/export type \w+ErrorCode =\n((?: {2}\| "\w+";?\n)+)/g)]
  .flatMap(([, members]) => [...members!.matchAll(/"(\w+)"/g)].map(([, code]) => code!));

/** The rows of its tables that begin with a code. */
const rows = [...document.matchAll(/^\| `([A-Z]\w+)`\s*\|(.*)\|$/gm)]
  .map(([, code, rest]) => ({ code: code!, cells: rest!.split(/(?<!\\)\|/).map((cell) => cell.trim()) }));

test("names the codes of the union", () => {
  assert.ok(codes.length > 60, `${codes.length} were found`);
  assert.equal(rows.map(({ code }) => code).sort(), [...codes].sort());
});

test("gives each a cause and a remedy", () => {
  for (const { code, cells } of rows) {
    assert.ok(cells.slice(-2).every((cell) => cell.length >= 4), code);
    assert.ok(cells.length >= 2, code);
  }
});

test.run();
