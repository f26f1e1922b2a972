/**
 * `agent.sockets`, `agent.freeSockets` and `agent.requests`: the pool as Node shows it. Owns the three objects; counts
 * nothing, and costs nothing until somebody looks.
 *
 * Strategy: objects without a prototype that hold nothing themselves: each look reads the pool. An array is a snapshot of
 * its moment; the streams and requests in it are the same objects each time. What is written into a view is ignored:
 * the pool cannot be brought out of step by it.
 *
 * @module
 */

/** An object whose members are read off when they are asked for; undefined: there is no such member. */
export interface ViewSource<T> {
  /** The names of the members. */
  names(): Iterable<string>;
  /** One member. */
  member(name: string): T[] | undefined;
}

/** util.inspect() and console.log() look past a proxy, at its target: this is all that it has for them. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** Makes a view. */
export function makeView<T>(source: ViewSource<T>): Readonly<Record<string, T[] | undefined>> {
  const member = (name: string | symbol): T[] | undefined =>
    typeof name === "string" ? source.member(name) : undefined;
  const shown = (): object => ({ __proto__: null, ...view });
  const target = Object.defineProperty(Object.create(null), INSPECT, { value: shown, configurable: true });
  const view: Record<string, T[] | undefined> = new Proxy(target, {
    get: (_target, name): T[] | undefined => member(name),
    has: (_target, name): boolean => member(name) !== undefined,
    ownKeys: (): string[] => Array.from(source.names()).filter((name) => source.member(name) !== undefined),
    getOwnPropertyDescriptor: (_target, name): PropertyDescriptor | undefined => {
      const value = member(name);
      return value && { value, enumerable: true, configurable: true, writable: true };
    },
    set: (): boolean => true,
    deleteProperty: (): boolean => true,
    defineProperty: (): boolean => true,
  });
  return view;
}
