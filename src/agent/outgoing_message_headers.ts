/**
 * The headers of an outgoing message while they may still change.
 *
 * Owns Node's header methods (http document, "Class: http.OutgoingMessage"): names keep their case and are found in any.
 * Values stay what the caller gave, so that getHeader() returns them; they are converted and checked again when the head
 * is rendered (outgoing_message_head.ts), because an object may give another text then. Knows no framing and no socket.
 *
 * @module
 */

import { isFieldValue, isToken } from "./core/characters.ts";
import { invalidArgType, invalidHeaderContent, invalidToken } from "./core/errors.ts";
import { headerText } from "./core/request_lines.ts";

/** A header's value as Node's setHeader() takes it: a number, a string, or several. */
export type OutgoingHeaderValue = number | string | readonly string[];

/** Throws ERR_INVALID_HTTP_TOKEN where `name` is none. Node's `http.validateHeaderName(name[, label])`. */
export function validateHeaderName(name: string, label?: string): void {
  if (typeof name !== "string" || !isToken(name)) throw invalidToken(label ?? "Header name", name);
}

/**
 * Throws ERR_HTTP_INVALID_HEADER_VALUE where `value` is undefined or a symbol, ERR_INVALID_CHAR where it holds what RFC 9110 section 5.5
 * forbids. Node's `http.validateHeaderValue(name, value)`.
 */
export function validateHeaderValue(name: string, value: unknown): void {
  checkValue(name, value, false);
}

function checkValue(name: string, value: unknown, isLenient: boolean): void {
  if (typeof value === "number") return;
  if (!isFieldValue(headerText(name, value), isLenient)) throw invalidHeaderContent(name);
}

/** The last Host that was found in order: the header of nearly every request. */
let lastHost: string | undefined;

const NO_KEYS: string[] = [];
const NO_PAIRS: [string, unknown][] = [];

/** From this many fields on they are found by a Map: until then one look at each costs less than to make it. */
const MANY_FIELDS = 16;

/** See the file's comment. */
export class OutgoingHeaders {
  /** Lower-cased names, in the order set. */
  #keys: string[] = NO_KEYS;
  /** Name and value as given, in the same order. Lists: an object without a prototype is a dictionary, slow to make and to list. */
  #pairs: [string, unknown][] = NO_PAIRS;
  /** Where a name is found, once there are many; undefined: until then, and anew after one was taken away. */
  #places: Map<string, number> | undefined;
  readonly #isLenient: boolean;

  /** None yet. `isLenient`: values may hold any octet but those that would end a line. */
  constructor(isLenient: boolean = false) {
    this.#isLenient = isLenient;
  }

  #find(key: string): number {
    const keys = this.#keys;
    if (keys.length < MANY_FIELDS) {
      for (let place = 0; place < keys.length; place++) if (keys[place] === key) return place;
      return -1;
    }
    this.#places ??= new Map(this.#keys.map((known, place) => [known, place]));
    return this.#places.get(key) ?? -1;
  }

  /** Replaces whatever was there under this name. */
  set(name: string, value: unknown): void {
    if (name !== "Host" || value !== lastHost) {
      validateHeaderName(name);
      checkValue(name, value, this.#isLenient);
      if (name === "Host" && typeof value === "string" && !this.#isLenient) lastHost = value;
    }
    const key = name.toLowerCase();
    const place = this.#find(key);
    if (place !== -1) {
      this.#pairs[place] = [name, value];
      return;
    }
    // An engine makes room for sixteen with the first push: most requests have one header, Host.
    if (this.#keys.length === 0) {
      this.#keys = [key];
      this.#pairs = [[name, value]];
      return;
    }
    this.#places?.set(key, this.#keys.length);
    this.#keys.push(key);
    this.#pairs.push([name, value]);
  }

  /** Sets each field of a Headers or a Map; several set-cookie entries become one of many values. */
  setAll(headers: Iterable<readonly [string, unknown]>): void {
    const { keys, get } = (headers ?? {}) as { keys?: unknown; get?: unknown };
    if (Array.isArray(headers) || typeof keys !== "function" || typeof get !== "function") {
      throw invalidArgType("headers", "an instance of Headers or Map", headers);
    }
    const cookies: unknown[] = [];
    for (const [name, value] of headers) {
      if (name !== "set-cookie") this.set(name, value);
      else if (Array.isArray(value)) cookies.push(...value);
      else cookies.push(value);
    }
    if (cookies.length > 0) this.set("set-cookie", cookies);
  }

  /** Adds to what is there. */
  append(name: string, value: unknown): void {
    validateHeaderName(name);
    checkValue(name, value, this.#isLenient);
    const pair = this.#pairs[this.#find(name.toLowerCase())];
    if (pair === undefined) return this.set(name, value);
    const present = Array.isArray(pair[1]) ? pair[1] : [pair[1]];
    pair[1] = present.concat(value);
  }

  /** The value as it was given. */
  get(name: string): unknown {
    return this.getLower(lower(name));
  }

  /** The same by a name in lower case. */
  getLower(key: string): unknown {
    return this.#pairs[this.#find(key)]?.[1];
  }

  /** True where it is set. */
  has(name: string): boolean {
    return this.#find(lower(name)) !== -1;
  }

  /** Takes it away. */
  delete(name: string): void {
    const place = this.#find(name.toLowerCase());
    if (place === -1) return;
    this.#keys.splice(place, 1);
    this.#pairs.splice(place, 1);
    this.#places = undefined;
  }

  /** Lower-cased, in the order set. */
  names(): string[] {
    return this.#keys.slice();
  }

  /** As given, in the order set. */
  rawNames(): string[] {
    return this.#pairs.map(([name]) => name);
  }

  /** Lower-cased names with their values: a copy without a prototype. */
  toObject(): Record<string, unknown> {
    const object: Record<string, unknown> = Object.create(null);
    this.#keys.forEach((key, place) => object[key] = this.#pairs[place]![1]);
    return object;
  }

  /** Names and values as given, in the order set: names have been checked, and so have values that are strings. */
  entries(): readonly (readonly [string, unknown])[] {
    return this.#pairs;
  }
}

function lower(name: string): string {
  if (typeof name !== "string") throw invalidArgType("name", "of type string", name);
  return name.toLowerCase();
}
