/**
 * Runs the conformance suite over one of the runtime's adapters, or tests what there is in the place of an absent one.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { bunCapabilities } from "../../src/runtime/bun.ts";
import { denoCapabilities } from "../../src/runtime/deno.ts";
import { type AdapterName, adapters, createConnect } from "../../src/runtime/mod.ts";
import { nodeCapabilities } from "../../src/runtime/node.ts";
import type { Capabilities } from "../../src/runtime/capabilities.ts";
import type { Connect } from "../../src/runtime/socket.ts";
import { socketConformance } from "../../src/testing.ts";
import { ca } from "../certs/certs.ts";
import { type Suite, suite } from "../harness/suite.ts";
import { needsAdapter } from "./adapter_flags.ts";
import { realServers } from "./conformance_servers.ts";

const tables = { node: nodeCapabilities, deno: denoCapabilities, bun: bunCapabilities };

/** Registers and runs the suite of the adapter of this name; without the adapter all of it is left out by name. */
export function launch(name: AdapterName): void {
  const test = suite(`socket contract, ${name}`);
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  register(test, tables[name], adapter?.connect);
  test("createConnect() takes the adapter's name where it is here, and refuses it where it is not", () => {
    if (adapter !== undefined) return assert.type(createConnect({ runtime: name }), "function");
    const isUnsupported = (error: { code?: string }): boolean => error.code === "ERR_UNSUPPORTED_OPTION";
    assert.throws(() => createConnect({ runtime: name }), isUnsupported);
  });
  test.run();
}

function register(test: Suite, capabilities: Capabilities, found: Connect | undefined): void {
  const hasAdapter = needsAdapter(capabilities.adapter as AdapterName);
  const connect: Connect = found ?? (() => assert.unreachable() as never);
  // An adapter without `ca` trusts what its process was started to trust.
  const byProcess = capabilities.tlsOptions.size > 0 && !capabilities.tlsOptions.has("ca");
  const isChild = process.env[partVariable] !== undefined;
  const harness = { ...realServers(byProcess ? {} : { ca }), connect, capabilities };
  socketConformance((name, body, needs) => {
    const isTls = name.startsWith("TLS") || name.startsWith("startTls");
    if (!byProcess || isTls === isChild) test.needs({ ...hasAdapter, ...needs }, name, body);
  }, harness);
  if (!byProcess || isChild) return;
  const name = "the part over TLS passes in a process that trusts the authority of the tests";
  test.needs(hasAdapter, name, () => runTrusting(capabilities.adapter));
}

// Deno's; the only adapter without `ca` is its own.
const authorityVariable = "DENO_CERT";
const partVariable = "HOLDFAST_TLS_PART";

async function runTrusting(name: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  const authority = join(folder, "ca.pem");
  writeFileSync(authority, ca);
  try {
    const file = fileURLToPath(new URL(`./conformance_${name}_suite.ts`, import.meta.url));
    const runner = fileURLToPath(new URL("../harness/run_file.ts", import.meta.url));
    const child = spawn(process.execPath, ["run", "-A", "--quiet", "--no-check", runner, file], {
      env: { ...process.env, [authorityVariable]: authority, [partVariable]: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output += String(chunk));
    const code = await new Promise((resolve) => child.on("close", resolve));
    if (code !== 0) throw new Error(`The part over TLS has failed:\n${output}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
