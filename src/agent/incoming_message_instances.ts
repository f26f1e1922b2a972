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

type Method = (this: unknown, a?: unknown, b?: unknown, c?: unknown) => unknown;

/**
 * Lets the prototype of `ours` stand before a message of the runtime's own server, as frameworks put it there
 * (`Object.setPrototypeOf(request, Object.create(http.IncomingMessage.prototype))`): what is none of `isOurs` is left to `theirs`.
 */
export function lendPrototype(ours: Class, theirs: Class, isOurs: (value: object) => boolean): void {
  const fields = Object.entries(Object.getOwnPropertyDescriptors(ours.prototype as object));
  for (const [name, field] of fields) {
    if (name === "constructor" || !(name in theirs.prototype)) continue;
    const lent = typeof field.value === "function"
      ? lendMethod(field.value as Method, theirs.prototype as Methods, name, isOurs)
      : lendAccessor(field, theirs.prototype as object, name, isOurs);
    Object.defineProperty(ours.prototype, name, { ...field, ...lent });
  }
  // What theirs calls on itself.
  for (const name of Reflect.ownKeys(theirs.prototype as object)) {
    const field = Object.getOwnPropertyDescriptor(theirs.prototype, name);
    if (name in ours.prototype || typeof field?.value !== "function") continue;
    Object.defineProperty(ours.prototype, name, { ...field, enumerable: false });
  }
}

type Methods = Readonly<Record<string, Method>>;

function lendMethod(
  own: Method,
  theirs: Methods,
  name: string,
  isOurs: (value: object) => boolean,
): PropertyDescriptor {
  // None of them has more parameters.
  const value: Method = function (a, b, c): unknown {
    return isOurs(this as object) ? own.call(this, a, b, c) : theirs[name]!.call(this, a, b, c);
  };
  const fixed = (fact: unknown): PropertyDescriptor => ({ value: fact, configurable: true });
  return { value: Object.defineProperties(value, { name: fixed(own.name), length: fixed(own.length) }) };
}

function lendAccessor(
  { get, set }: PropertyDescriptor,
  theirs: object,
  name: string,
  isOurs: (value: object) => boolean,
): PropertyDescriptor {
  return {
    get(this: object): unknown {
      return isOurs(this) ? get?.call(this) : Reflect.get(theirs, name, this);
    },
    set(this: object, value: unknown): void {
      if (isOurs(this)) set?.call(this, value);
      else Reflect.set(theirs, name, value, this);
    },
  };
}

/** What `value instanceof Class` says; subclasses have no counterpart. */
export function isInstance(Class: object, value: unknown): boolean {
  if (Function.prototype[Symbol.hasInstance].call(Class as () => void, value)) return true;
  const theirs = counterparts.get(Class);
  return theirs !== undefined && value instanceof theirs;
}
