/**
 * The real `Bun`, as bun-types declares it, is what the Bun adapter takes. Compiled and never run (tsconfig.bun.json).
 */
import type { BunHandlersLike, BunLike, BunSocketLike, BunTlsLike } from "../../src/runtime/bun_like.ts";
import { createBunConnect } from "../../src/runtime/bun.ts";

export const bun: BunLike = Bun;
export const connect: ReturnType<typeof createBunConnect> = createBunConnect(Bun);

/** What the real connect() resolves to, and hands to its handlers, is what ours expect. */
export const socket = (real: Bun.Socket<unknown>): BunSocketLike => real;
export const handlers = (ours: BunHandlersLike): Bun.SocketHandler<unknown> => ours;
export const tls = (ours: BunTlsLike): Bun.TLSOptions => ours;

// Bun ignores what it does not know without a word, so a name that it has not got is an error here.
type Known<Ours, Real> = [Exclude<keyof Ours, keyof Real>] extends [never] ? true : never;
type Options<Connect> = Connect extends { (options: infer Tcp): unknown; (options: infer Unix): unknown }
  ? Tcp & Unix
  : never;
export const handlerNames: Known<BunHandlersLike, Bun.SocketHandler> = true;
export const tlsNames: Known<BunTlsLike, Bun.TLSOptions> = true;
export const optionNames: Known<
  Options<BunLike["connect"]>,
  Bun.TCPSocketConnectOptions & Bun.UnixSocketOptions
> = true;

// Each member that the adapter calls exists there; a slice that is wrong about one is an error here.
// @ts-expect-error -- the slice must not be satisfied by anything
export const nothing: BunLike = {};
// @ts-expect-error -- write() returns a number, not a promise
export const wrong: BunSocketLike = null as unknown as Omit<Bun.Socket<unknown>, "write"> & {
  write(): Promise<void>;
};
