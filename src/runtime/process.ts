/**
 * What of Node's process the http face is bound to by Node's documents: the tick after which its events are told, and warnings.
 * Knows no socket and no HTTP.
 *
 * @module
 */

import { emitWarning as emit, nextTick as defer } from "node:process";

/**
 * Calls `fn` when what runs has ended, ahead of every promise: where Node says `process.nextTick`, users' own ticks are told
 * from it by their order.
 */
export function nextTick(fn: () => void): void {
  defer(fn);
}

/** A warning of the process, with the caller's stack. */
export function emitWarning(message: string, type: string): void {
  emit(message, type);
}
