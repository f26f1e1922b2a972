/**
 * Sets the checkout up, then runs the pinned Deno with the arguments given: what `npm start`, `npm test` and
 * `npm run deno` are made of.
 *
 * The binary is called by its path. A `deno` in node_modules/.bin would be taken for a package's script by `deno task`,
 * so .npmrc keeps npm from making one.
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { denoPath } from "./setup.mjs";

const { status, signal, error } = spawnSync(denoPath, process.argv.slice(2), { stdio: "inherit" });
if (error) throw error;
process.exit(signal === null ? status : 1);
