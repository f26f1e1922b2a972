/**
 * Which Socket a stream stands for.
 *
 * Owns the one table of streams that were handed to a user of streams while their Socket lives on. Knows no adapter.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { Socket, SocketHandler } from "./socket.ts";

/** Gives the Socket that a stream stands for back to the caller, told to `handler` from now on. */
export type TakeBack = (handler: SocketHandler) => Socket;

const takers = new WeakMap<Duplex, TakeBack>();

/** Says how to get at the Socket behind a stream; it works once, and the last one said counts. */
export function bindDuplex(stream: Duplex, take: TakeBack): void {
  takers.set(stream, take);
}

/** The Socket behind `stream`; undefined: it is nobody's. */
export function takeBack(stream: Duplex, handler: SocketHandler): Socket | undefined {
  const take = takers.get(stream);
  takers.delete(stream);
  return take?.(handler);
}
