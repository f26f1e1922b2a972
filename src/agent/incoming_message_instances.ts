/**
 * `instanceof` for programs that swap their import: the messages of the runtime's own server are none of ours, and still
 * `request instanceof http.IncomingMessage` is to hold in a handler, and `response instanceof http.OutgoingMessage`.
 *
 * Owns which of the runtime's classes stands beside which of ours. Loads none of them: an entry point that passes the
 * runtime's server through says so.
 *
 * @module
 */

type Class = abstract new (...args: never[]) => object;

const counterparts = new WeakMap<object, Class>();

/** From now on instances of `theirs` count as instances of `ours`, a class whose `Symbol.hasInstance` is {@linkcode isInstance}. */
export function countAs(ours: object, theirs: Class): void {
  counterparts.set(ours, theirs);
}

/** What `value instanceof Class` says; subclasses have no counterpart. */
export function isInstance(Class: object, value: unknown): boolean {
  if (Function.prototype[Symbol.hasInstance].call(Class as () => void, value)) return true;
  const theirs = counterparts.get(Class);
  return theirs !== undefined && value instanceof theirs;
}
