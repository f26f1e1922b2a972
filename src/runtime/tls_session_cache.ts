/**
 * TLS sessions and contexts that may be used again, and the key that says when.
 *
 * Owns the rule that nothing crosses a difference in who the peer is or in what is verified. Knows no runtime and no
 * socket.
 *
 * Strategy. The key is made from every member of TlsOptions, by content where the member is text or bytes and by identity
 * where it is a function or an object, so that a member that is added later is part of it by itself. With a session goes the
 * certificate that its peer showed: Node skips the name check on a resumed session and has no certificate there
 * (tests/runtime/TRAPS.md, trap 13), so the check is made again with that one. A session without one is not kept.
 *
 * @module
 */

import type { PeerCertificate, TlsOptions } from "./socket.ts";

/** Entries of one cache: Node's `maxCachedSessions`. */
const MAX_ENTRIES = 100;

/** A session and the certificate of the peer that gave it. */
export interface CachedSession {
  /** As the runtime gave it. */
  readonly session: Uint8Array;
  /** What the peer showed in the full handshake. */
  readonly certificate: PeerCertificate;
}

/** A Map that forgets the entry used longest ago. */
export class BoundedCache<V> {
  readonly #entries = new Map<string, V>();
  readonly #maxEntries: number;

  /** Makes a cache of so many entries, default 100; 0 keeps none. */
  constructor(maxEntries: number = MAX_ENTRIES) {
    this.#maxEntries = maxEntries;
  }

  /** Entries held. */
  get size(): number {
    return this.#entries.size;
  }

  /** The entry, which is now the youngest. */
  get(key: string): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  /** Sets the entry and forgets the oldest where there are too many. */
  set(key: string, value: V): void {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#maxEntries) return;
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#entries.delete(oldest.value);
  }

  /** Forgets the entry if it is still `value`. */
  delete(key: string, value: V): void {
    if (this.#entries.get(key) === value) this.#entries.delete(key);
  }
}

/** The members that go into a SecureContext; the rest belongs to one connection. */
export const contextOptions: readonly (keyof TlsOptions)[] = [
  "ca",
  "cert",
  "key",
  "passphrase",
  "pfx",
  "minVersion",
  "maxVersion",
  "ciphers",
  "crl",
  "ecdhCurve",
  "sigalgs",
  "secureOptions",
  "secureProtocol",
  "honorCipherOrder",
  "dhparam",
  "sessionIdContext",
];

/** A key that two option sets share only if each makes the same SecureContext. */
export function contextKey(options: TlsOptions): string {
  return contextOptions.map((name) => `${name}=${identityOf(options[name])}`).join(";");
}

/** A key that two connects share only if they reach the same name with equal options; `session` itself is no part of it. */
export function sessionKey(peer: string, options: TlsOptions): string {
  const names = Object.keys(options).filter((name) => name !== "session" && name !== "port").sort();
  const members = names.map((name) => `${name}=${identityOf(options[name as keyof TlsOptions])}`);
  return `${identityOf(peer)};${members.join(";")}`;
}

// Long texts stand in keys as numbers: a bundle of authorities is looked at once and not copied into every key.
const LONG_TEXT = 64;
const MAX_TEXTS = 256;
const textIds = new Map<string, number>();
const objectIds = new WeakMap<object, number>();
let lastId = 0;

function identityOf(value: unknown): string {
  if (typeof value === "string") return textIdentity("s", value);
  if (value instanceof Uint8Array) return textIdentity("b", byteText.decode(value));
  if (Array.isArray(value)) return `[${value.map(identityOf).join(",")}]`;
  if (typeof value === "function") return `@${objectIdentity(value)}`;
  if (typeof value !== "object" || value === null) return String(value);
  return isPlain(value) ? plainIdentity(value) : `@${objectIdentity(value)}`;
}

// Every byte is one character there and no two are the same (windows-1252, Encoding Standard), so texts compare as bytes do.
const byteText = new TextDecoder("latin1");

function textIdentity(kind: string, text: string): string {
  if (text.length < LONG_TEXT) return kind + JSON.stringify(text);
  let id = textIds.get(text);
  if (id === undefined) {
    id = ++lastId;
    textIds.set(text, id);
    // Numbers are never given twice: what forgets a text costs a handshake and confuses nothing.
    if (textIds.size > MAX_TEXTS) textIds.delete(textIds.keys().next().value!);
  }
  return `${kind}#${id}`;
}

function objectIdentity(value: object): number {
  let id = objectIds.get(value);
  if (id === undefined) objectIds.set(value, id = ++lastId);
  return id;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function plainIdentity(value: object): string {
  const entries = Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1);
  return `{${entries.map(([name, member]) => `${name}:${identityOf(member)}`).join(",")}}`;
}
