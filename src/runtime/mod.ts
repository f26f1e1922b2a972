/**
 * Picks the adapter: the fastest one here that honours every binding option of a connect.
 *
 * Owns which adapters this runtime has and their order. With deno.ts and bun.ts it is the only file that names `Deno` and
 * `Bun`. Must not know HTTP, nor translate an option: that is the adapters'.
 *
 * Strategy: each adapter has a capability table, and a connect goes to the first whose table holds every option given.
 * Options are of two classes: a binding one routes or is refused, a hint never routes.
 *
 * @module
 */

import { bunCapabilities, type BunLike, bunRefuses, createBunConnect } from "./bun.ts";
import { outside, useWayOut } from "./context.ts";
import { createDenoConnect, denoCapabilities, type DenoLike, denoRefuses, denoWayOut } from "./deno.ts";
import { argumentError, unsupportedOptionError } from "./errors.ts";
import { connectNode, nodeCapabilities } from "./node.ts";
import { type Capabilities, type Connect, type ConnectOptions, unsupportedOption } from "./socket.ts";

export { bindDuplex, fromDuplex, lendDuplex } from "./node.ts";

/** The adapters' names, as in `info.adapter` and {@linkcode ConnectorOptions.runtime}. */
export const adapterNames: readonly AdapterName[] = ["deno", "bun", "node"];

/** An adapter's name. */
export type AdapterName = "node" | "deno" | "bun";

/** How {@linkcode createConnect} chooses. */
export interface ConnectorOptions {
  /** One adapter by name, or a `Connect` of the user's own, for every connect; default: chosen for each by its options. */
  readonly runtime?: AdapterName | Connect | undefined;
}

/** An adapter that this runtime has. */
export interface Adapter {
  /** What it honours. */
  readonly capabilities: Capabilities;
  /** The first option given, by name, that it does not honour. */
  readonly refuses: (options: ConnectOptions) => string | undefined;
  /** Its way to connect. */
  readonly connect: Connect;
}

/**
 * Makes a `Connect` over the adapters that this runtime has, or over the one that is asked for.
 *
 * The `Connect` throws a TypeError with the code ERR_UNSUPPORTED_OPTION, which names the option, where no adapter (or
 * not the one asked for) honours a binding option. `createConnect` itself throws it for the name of an adapter
 * that this runtime does not have. Sockets are opened outside of every asynchronous context, and so are their handlers called.
 */
export function createConnect(options: ConnectorOptions = {}): Connect {
  const { runtime } = options;
  if (typeof runtime === "function") return openOutside(runtime);
  if (runtime !== undefined) return openOutside(adapterOf(runtime).connect);
  return openOutside((target, handler) => route(adapters(), target).connect(target, handler));
}

/** The adapters of this runtime, fastest first. */
export function adapters(): readonly Adapter[] {
  return found ??= findAdapters();
}

let found: readonly Adapter[] | undefined;

// Whoever opens a socket for a pool is not whoever it will serve: it must not keep the asynchronous context of its creator.
function openOutside(connect: Connect): Connect {
  return (target, handler) => outside(() => connect(target, handler));
}

function adapterOf(name: AdapterName): Adapter {
  if (!adapterNames.includes(name)) {
    throw argumentError("ERR_INVALID_ARG_VALUE", `Cannot use runtime "${name}": not one of ${adapterNames}`);
  }
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  if (adapter === undefined) throw unsupportedOptionError("runtime", name);
  return adapter;
}

function route(candidates: readonly Adapter[], target: ConnectOptions): Adapter {
  let refused: string | undefined;
  for (const adapter of candidates) {
    refused = adapter.refuses(target);
    if (refused === undefined) return adapter;
  }
  // The last one asked, which is node:net's.
  throw unsupportedOptionError(refused ?? "runtime", "node");
}

/** The globals by which the runtime is known. */
interface Globals {
  readonly Deno?: DenoLike & { readonly version?: { readonly deno?: string } } | undefined;
  readonly Bun?: BunLike & { readonly version?: string } | undefined;
  readonly process?: { readonly versions?: Readonly<Record<string, string | undefined>> };
}

function findAdapters(): Adapter[] {
  const result: Adapter[] = [];
  const { Deno, Bun } = genuine();
  if (Deno !== undefined) {
    result.push({ capabilities: denoCapabilities, refuses: denoRefuses, connect: createDenoConnect(Deno) });
  }
  if (Bun !== undefined) {
    result.push({ capabilities: bunCapabilities, refuses: bunRefuses, connect: createBunConnect(Bun) });
  }
  result.push({ capabilities: nodeCapabilities, refuses: nodeRefuses, connect: connectNode });
  return result;
}

function nodeRefuses(options: ConnectOptions): string | undefined {
  return unsupportedOption(options, nodeCapabilities);
}

// The runtime's own process says who it is: @deno/shim-deno on Node defines Deno alone, and its sockets do not work.
function genuine(): Pick<Globals, "Deno" | "Bun"> {
  // dnt-shim-ignore
  const { Deno, Bun, process } = globalThis as unknown as Globals;
  const { deno, bun } = process?.versions ?? {};
  return {
    Deno: deno !== undefined && Deno?.version?.deno === deno ? Deno : undefined,
    Bun: bun !== undefined && Bun?.version === bun ? Bun : undefined,
  };
}

const { Deno } = genuine();
const wayOut = Deno === undefined ? undefined : denoWayOut(Deno);
if (wayOut !== undefined) useWayOut(wayOut);
