/**
 * Whose asynchronous context a lent stream's events are told in: its borrower's. Owns the `emit` in front of such a stream's own.
 * Knows no pool and no request.
 *
 * Strategy: pooled streams are opened outside of every context, or the first request's stores would be shown to all later ones. But
 * a request of the runtime's own node:http tells its 'finish', 'error', 'timeout' and 'close' within events of its stream, so
 * it is there that the context is entered, on every runtime and for a used stream as for a new one. Once in front of a stream
 * the method stays: to take it off would cost every later use of the stream more than it does.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { type Context, run } from "../runtime/context.ts";

/** The context of a stream's borrower now. */
interface Borrowed {
  context: Context | undefined;
}

const borrowed = new WeakMap<Duplex, Borrowed>();

/** From now on what `stream` emits is emitted in `context`; undefined: in whatever it happens in. */
export function emitIn(stream: Duplex, context: Context | undefined): void {
  const known = borrowed.get(stream);
  if (known !== undefined) known.context = context;
  else if (context !== undefined) borrowed.set(stream, shadowed(stream, { context }));
}

function shadowed(stream: Duplex, state: Borrowed): Borrowed {
  const { emit } = stream;
  const tell = (args: unknown[]): boolean => Reflect.apply(emit, stream, args);
  const value = (...args: unknown[]): boolean =>
    state.context === undefined ? tell(args) : run(state.context, tell, undefined, args);
  Object.defineProperty(stream, "emit", { configurable: true, enumerable: false, writable: true, value });
  return state;
}
