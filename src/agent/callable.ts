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
  /**
   * Members that a subclass of ours has its own of, over private state, and what stands for each on an object of the subclass
   * that this class alone has made: as a field, or this class's own where there is one.
   */
  readonly bare?: Readonly<Record<string, unknown>> | undefined;
}

const prototypes = new WeakSet<object>();

/** Makes a class callable; the class itself stays as it is, but for `prototype.constructor`. */
export function callable<Result>(
  Class: Constructor,
  { name, root = Class, needsNew, bare }: CallableClass = {},
): Result {
  prototypes.add(Class.prototype);
  if (name !== undefined) Object.defineProperty(Class, "name", { value: name });
  const result = new Proxy(Class, {
    apply(_target, self: unknown, args: never[]): object {
      const isHeir = Function.prototype[Symbol.hasInstance].call(Class, self);
      if (isHeir) {
        const made = construct(Class, root, self as object, args);
        return bare === undefined ? made : lay(bare, Class, made);
      }
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

/** Mocks make a ClientRequest so, by OutgoingMessage.call(): Node's members work on it, for they are plain ones. */
function lay(bare: Readonly<Record<string, unknown>>, Class: Constructor, self: object): object {
  for (const name of Object.keys(bare)) {
    let holder: object | null = self;
    while (holder !== null && !Object.hasOwn(holder, name)) holder = Object.getPrototypeOf(holder) as object;
    if (holder === null || holder === Class.prototype || !prototypes.has(holder)) continue;
    const own = Object.getOwnPropertyDescriptor(Class.prototype, name)?.value as unknown;
    Object.defineProperty(self, name, {
      value: own ?? bare[name],
      writable: true,
      configurable: true,
      enumerable: own === undefined,
    });
  }
  return self;
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
