/** Which sockets a test needs, as capability flags: whose they are is the adapter's name, whether they are here is the flag. */
import { type AdapterName, adapters } from "../../src/runtime/mod.ts";

const FLAGS: Readonly<Record<AdapterName, string>> = {
  node: "nodeSockets",
  deno: "nativeDenoSockets",
  bun: "nativeBunSockets",
};

/** For `test.needs`: the adapter of this name is there. */
export function needsAdapter(name: AdapterName): Readonly<Record<string, boolean>> {
  return { [FLAGS[name]]: adapters().some(({ capabilities }) => capabilities.adapter === name) };
}
