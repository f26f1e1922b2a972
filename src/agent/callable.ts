/**
 * Classes that may be called as Node's constructors may: without `new`, and by `Class.call(this, ...)` of a subclass made with
 * `util.inherits()`, as packages did before there were classes. Owns what such a call does; must not know which class it is.
 *
 * Strategy: private members are given to whatever object the base class's constructor returns. So for such a call, and for
 * it alone, the class at the root has another base, which returns the caller's object. A plain `new` does nothing that it
 * would not do by itself.
 *
 * @module
 */

type Constructor = new (...args: never[]) => object;

/** What of a class is callable. */
export interface CallableClass {
  /** Its name as Node has it; default: its own. */
  readonly name?: string | undefined;
  /** The class of ours that extends one of node:stream's or node:events'; default: the class itself. */
  readonly root?: Constructor | undefined;
  /** What a call without `new` and without an object does: default: it makes an instance. */
  readonly needsNew?: boolean | undefined;
}

/** Makes a class callable; the class itself stays as it is, but for `prototype.constructor`. */
export function callable<Result>(
  Class: Constructor,
  { name, root = Class, needsNew }: CallableClass = {},
): Result {
  if (name !== undefined) Object.defineProperty(Class, "name", { value: name });
  const result = new Proxy(Class, {
    apply(_target, self: unknown, args: never[]): object {
      const isHeir = Function.prototype[Symbol.hasInstance].call(Class, self);
      if (isHeir) return construct(Class, root, self as object, args);
      if (needsNew !== true) return new Class(...args);
      throw new TypeError(`Class constructor ${Class.name} cannot be invoked without 'new'`);
    },
  });
  Object.defineProperty(Class.prototype, "constructor", {
    value: result,
    writable: true,
    configurable: true,
  });
  return result as Result;
}

/** Makes `self` an instance: what `Class.call(self, ...args)` of a function does. */
function construct(Class: Constructor, root: Constructor, self: object, args: never[]): object {
  const Base = Object.getPrototypeOf(root) as Constructor;
  const Heir = function (): void {} as unknown as Constructor;
  Object.defineProperty(Heir, "prototype", { value: Object.getPrototypeOf(self) });
  const Stamp = function (...given: never[]): object {
    const made = new.target as unknown as Constructor;
    // Another one that is made on the way.
    if (made !== Heir) return Reflect.construct(Base, given, made);
    Object.setPrototypeOf(root, Base);
    (Base as unknown as (...given: never[]) => void).apply(self, given);
    return self;
  };
  Object.setPrototypeOf(Stamp, Base);
  Object.setPrototypeOf(root, Stamp);
  try {
    return Reflect.construct(Class, args, Heir);
  } finally {
    Object.setPrototypeOf(root, Base);
  }
}
