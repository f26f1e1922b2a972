/**
 * The real `Deno`, as its own types declare it, is what the Deno adapter takes. For `deno check` alone, never run.
 */
import type {
  DenoConnLike,
  DenoLike,
  DenoTcpConnLike,
  DenoTlsConnLike,
} from "../../src/runtime/deno_like.ts";
import { createDenoConnect } from "../../src/runtime/deno.ts";

export const deno: DenoLike = Deno;
export const connect: ReturnType<typeof createDenoConnect> = createDenoConnect(Deno);

/** What the real functions resolve to is what the adapter expects. */
export const tcp = (real: Deno.TcpConn): DenoTcpConnLike => real;
export const unix = (real: Deno.UnixConn): DenoConnLike => real;
export const tls = (real: Deno.TlsConn): DenoTlsConnLike => real;

// Deno ignores what it does not know without a word, so a name that it has not got is an error here.
type Known<Ours, Real> = [Exclude<keyof Ours, keyof Real>] extends [never] ? true : never;
type Options<Connect> = Connect extends { (options: infer Tcp): unknown; (options: infer Unix): unknown }
  ? Tcp & Unix
  : never;
export const optionNames: Known<Options<DenoLike["connect"]>, Deno.ConnectOptions & Deno.UnixConnectOptions> =
  true;
export const tlsNames: Known<NonNullable<Parameters<DenoLike["startTls"]>[1]>, Deno.StartTlsOptions> = true;

// Each member that the adapter calls exists there; a slice that is wrong about one is an error here.
// @ts-expect-error -- the slice must not be satisfied by anything
export const nothing: DenoLike = {};
// @ts-expect-error -- read() resolves to null at the end, not to 0
export const wrong: Deno.Conn = null as unknown as DenoConnLike;
