/**
 * How a socket tells its handler.
 *
 * Owns what becomes of a handler that throws: that is the process's affair, as with any event, and the socket goes on. A
 * runtime would else make a failure of the socket of it (Bun), leave a stream half way (Node) or reject a promise that only
 * the adapter sees (Deno, web streams). Must not know when there is something to tell.
 *
 * @module
 */

import type { SocketHandler } from "./socket.ts";

/** Calls `method`, which is the handler's, with what it is told, if anything. Never throws. */
export function tell<Told = undefined>(
  handler: SocketHandler,
  method: (this: SocketHandler, told?: Told) => void,
  told?: Told,
): void {
  try {
    method.call(handler, told);
  } catch (error) {
    throwLater(error);
  }
}

/** Lends `chunk` to the handler's `onData`, for the call. Never throws. */
export function tellData(handler: SocketHandler, chunk: Uint8Array): void {
  try {
    handler.onData(chunk);
  } catch (error) {
    throwLater(error);
  }
}

/** What a handler has thrown becomes the process's uncaught exception, and whoever called the handler goes on. */
export function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
