/**
 * Names and keys: what makes two requests' connections the same. Owns Node's `getName()` strings, the keys of the pool,
 * and the memory of both. Knows no connection and no pool.
 *
 * Strategy: the name is Node's, letter for letter, because programs look it up in `agent.sockets`; it leaves out options
 * that decide who the peer is, and it holds whole certificates. So the key is another string: the plain name and, for
 * every option that says who the peer is or what is verified, a number that stands for its value. Both are made once for
 * a set of options: a request whose options are the same objects and strings finds its endpoint by comparing them.
 *
 * @module
 */

import type { Place } from "./core/pool.ts";
import { SpareParsers } from "./core/spare_parsers.ts";
import type { Endpoint } from "./exchange.ts";
import { familyOf, probeDelay } from "./options.ts";
import { RecentMap } from "./recent_map.ts";
import type { TlsOption } from "../runtime/capabilities.ts";
import { isAddress } from "../runtime/addresses.ts";
import type { ConnectOptions, TlsOptions } from "../runtime/socket.ts";

/** A request's options under its agent's, as Node's `addRequest` and `createConnection` have them. */
export type NodeOptions = Record<string, unknown>;

/**
 * Options without any that they inherit. `{ __proto__: null }` would do, but engines keep it as a dictionary, which takes five
 * times as long to fill and to copy, and as much memory.
 */
export const BareOptions: new () => NodeOptions = function (): void {} as unknown as new () => NodeOptions;
BareOptions.prototype = Object.freeze(Object.create(null));

/** An endpoint and the options it was made from. */
export interface KnownEndpoint extends Endpoint {
  /** Its name, and its key: that and every option that says who the peer is, by which connections are reused. */
  readonly place: Place;
  /** What of a request's options makes the endpoint; `createConnection` is given these. Not to be written into. */
  readonly options: NodeOptions;
  /** The connection has to be encrypted. */
  readonly isSecure: boolean;
  /** What its connections read responses with. */
  readonly parsers: SpareParsers;
}

/** Hosts and ports whose endpoints are remembered. */
const MAX_PLACES = 32_768;
/** Endpoints of one host and port that are remembered: where each request brings a function of its own, none is found again. */
const MAX_ENDPOINTS = 32;

/** The names in {@linkcode TlsOptions}; the type makes the list complete. */
const TLS_NAMES: Readonly<Record<TlsOption, true>> = {
  ca: true,
  cert: true,
  key: true,
  passphrase: true,
  pfx: true,
  servername: true,
  ALPNProtocols: true,
  rejectUnauthorized: true,
  checkServerIdentity: true,
  minVersion: true,
  maxVersion: true,
  ciphers: true,
  session: true,
  secureContext: true,
  crl: true,
  ecdhCurve: true,
  sigalgs: true,
  secureOptions: true,
  secureProtocol: true,
  honorCipherOrder: true,
  dhparam: true,
  sessionIdContext: true,
};

/** Says where a connection goes; each is in the plain name or in the key. */
const PLACE_NAMES = [
  "host",
  "port",
  "localAddress",
  "family",
  "socketPath",
  "localPort",
  "lookup",
  "hints",
] as const;

/** What {@linkcode isSamePlace} compares. */
export type PlaceOptions = { readonly [Name in typeof PLACE_NAMES[number]]?: unknown };

/** As the places are, of TLS: those of our contract, and what Node's own name holds beside them. */
const SECURE_NAMES: readonly string[] = [
  // A session is a hint for the handshake: whoever resumes it is verified as everybody is.
  ...Object.keys(TLS_NAMES).filter((name) => name !== "session"),
  "clientCertEngine",
  "privateKeyIdentifier",
  "privateKeyEngine",
];

/** Says how a connection is made, and not where to. */
const CONNECT_NAMES = [
  "protocol",
  "noDelay",
  "keepAlive",
  "keepAliveInitialDelay",
  "autoSelectFamily",
  "autoSelectFamilyAttemptTimeout",
  "highWaterMark",
  "session",
] as const;

/** In the plain name: not in the numbered part. */
const NAMED = new Set<string>(PLACE_NAMES.slice(0, 5));

/** Node's `http.Agent.prototype.getName`. */
export function plainName(options: NodeOptions): string {
  const { host, port, localAddress, family, socketPath } = options;
  let name = `${host || "localhost"}:${port || ""}:${localAddress || ""}`;
  if (family === 4 || family === 6) name += `:${family}`;
  if (socketPath) name += `:${socketPath}`;
  return name;
}

/** Node's `https.Agent.prototype.getName`: `plain` is what the plain one returned. */
export function secureName(plain: string, options: NodeOptions): string {
  const { servername, host, rejectUnauthorized, honorCipherOrder, secureOptions, sigalgs } = options;
  return [
    plain,
    options["ca"] || "",
    options["cert"] || "",
    options["clientCertEngine"] || "",
    options["ciphers"] || "",
    options["key"] || "",
    options["pfx"] || "",
    rejectUnauthorized ?? "",
    servername && servername !== host ? servername : "",
    options["minVersion"] || "",
    options["maxVersion"] || "",
    options["secureProtocol"] || "",
    options["crl"] || "",
    honorCipherOrder ?? "",
    options["ecdhCurve"] || "",
    options["dhparam"] || "",
    secureOptions ?? "",
    options["sessionIdContext"] || "",
    sigalgs ? JSON.stringify(sigalgs) : "",
    options["privateKeyIdentifier"] || "",
    options["privateKeyEngine"] || "",
  ].join(":");
}

/** The members of `options` that are {@linkcode TlsOptions}, those that are undefined or null left out. */
export function tlsOptionsOf(options: NodeOptions): TlsOptions {
  const tls: Record<string, unknown> = {};
  for (const name of Object.keys(TLS_NAMES)) {
    const value = identityOf(options, name);
    if (value !== undefined && value !== null) tls[name] = value;
  }
  return tls;
}

/** How a connection is made, in the words of the socket contract. ERR_INVALID_ARG_VALUE for a family that is none. */
function connectOptionsOf(options: NodeOptions, isSecure: boolean): ConnectOptions {
  const { socketPath } = options;
  const family = familyOf(options["family"]);
  const path = typeof socketPath === "string" && socketPath !== "" ? socketPath : undefined;
  // No spread: Node 20's V8 gives what one makes a hidden class of its own, 700 bytes.
  return {
    path,
    host: options["host"],
    port: path === undefined ? Number(options["port"]) : undefined,
    family: path === undefined ? family : undefined,
    lookup: options["lookup"],
    hints: options["hints"],
    localAddress: options["localAddress"],
    localPort: options["localPort"],
    noDelay: options["noDelay"],
    keepAlive: options["keepAlive"] === true ? true : undefined,
    keepAliveInitialDelayMs: options["keepAlive"] === true
      ? probeDelay(options["keepAliveInitialDelay"])
      : undefined,
    autoSelectFamily: options["autoSelectFamily"],
    autoSelectFamilyAttemptTimeoutMs: options["autoSelectFamilyAttemptTimeout"],
    highWaterMark: options["highWaterMark"],
    tls: isSecure ? tlsOptionsOf(options) : undefined,
  } as ConnectOptions;
}

/** Finds the endpoint of a set of options. */
export class EndpointTable {
  readonly #endpoints = new RecentMap<KnownEndpoint[]>(MAX_PLACES);
  readonly #ids = new ValueIds();

  /**
   * The endpoint of `options`: the same object for the same options.
   *
   * @param nameOf what `agent.getName()` says of the options; called only for those that are new, unless `isNameLive`
   */
  find(
    options: NodeOptions,
    isSecure: boolean,
    nameOf: (options: NodeOptions) => string,
    isNameLive: boolean = false,
  ): KnownEndpoint {
    const place = `${isSecure ? "tls" : "tcp"} ${options["host"]}:${options["port"]}`;
    const here = this.#endpoints.get(place);
    const name = isNameLive ? nameOf(options) : undefined;
    const known = here?.find((one) =>
      (name === undefined || one.name === name) && isSame(one.options, options, isSecure)
    );
    if (known !== undefined) return known;
    const endpoint = this.#make(options, isSecure, name ?? nameOf(options));
    if (here === undefined) this.#endpoints.set(place, [endpoint]);
    else if (here.push(endpoint) > MAX_ENDPOINTS) here.shift();
    return endpoint;
  }

  /** Forgets all; what is in use stays as it is, and equal options get equal keys again. */
  clear(): void {
    this.#endpoints.clear();
  }

  #make(options: NodeOptions, isSecure: boolean, name: string): KnownEndpoint {
    const names = isSecure ? [...PLACE_NAMES, ...SECURE_NAMES] : PLACE_NAMES;
    const plain = plainName(options);
    const parts = [`${isSecure ? "tls" : "tcp"} ${plain}`];
    // A name of the user's. Node's own holds nothing that is not in the key.
    if (name !== (isSecure ? secureName(plain, options) : plain)) parts.push(`name=${this.#ids.of(name)}`);
    for (const option of names) {
      const value = identityOf(options, option);
      if (NAMED.has(option) || value === undefined || value === null) continue;
      parts.push(`${option}=${this.#ids.of(value)}`);
    }
    const kept = new BareOptions();
    for (const option of [...names, ...CONNECT_NAMES]) {
      if (options[option] !== undefined) kept[option] = options[option];
    }
    const key = parts.join(" ");
    return {
      name,
      place: { name, key, record: undefined },
      connect: connectOptionsOf(options, isSecure),
      options: kept,
      isSecure,
      parsers: new SpareParsers(),
    };
  }
}

/** True where `options` say nothing of where a plain connection goes. */
export function namesNoPlace(options: NodeOptions): boolean {
  return PLACE_NAMES.every((name) => !Object.hasOwn(options, name));
}

/** True where two sets of options lead to the same place: members that say where a plain connection goes. */
export function isSamePlace(a: PlaceOptions, b: PlaceOptions): boolean {
  return a.host === b.host && a.port === b.port && a.localAddress === b.localAddress &&
    a.family === b.family &&
    a.socketPath === b.socketPath && a.localPort === b.localPort && a.lookup === b.lookup &&
    a.hints === b.hints;
}

function isSame(a: NodeOptions, b: NodeOptions, isSecure: boolean): boolean {
  if (!isSamePlace(a, b)) return false;
  if (!isSecure) return true;
  return SECURE_NAMES.every((name) => identityOf(a, name) === identityOf(b, name));
}

/** The value of an option as far as it decides who the peer is: the host's own name as servername is the default. */
function identityOf(options: NodeOptions, name: string): unknown {
  const value = options[name];
  if (name !== "servername") return value;
  const { host } = options;
  return value === host || (value === "" && isAddress(String(host))) ? undefined : value;
}

/** Values that are told apart; over it they are numbered anew, with numbers not used before. */
const MAX_VALUES = 4_096;

/**
 * Numbers for values: equal numbers only for values that mean the same. Text and bytes count by their contents, what is a
 * function or a native object by its identity. No digest: a collision would lend one peer's connection to another's.
 */
class ValueIds {
  readonly #byContents = new Map<string, number>();
  readonly #byIdentity = new WeakMap<object, number>();
  #next = 1;

  of(value: unknown): number {
    if (typeof value === "function") return this.#ofIdentity(value);
    if (typeof value !== "object" || value === null) {
      return this.#ofContents(`${typeof value} ${String(value)}`);
    }
    if (value instanceof Uint8Array) return this.#ofContents(`bytes ${latin1(value)}`);
    if (Array.isArray(value)) return this.#ofContents(`list ${value.map((one) => this.of(one)).join()}`);
    if (Object.getPrototypeOf(value) !== Object.prototype) return this.#ofIdentity(value);
    const entries = Object.entries(value).map(([name, one]) => `${name}=${this.of(one)}`);
    return this.#ofContents(`object ${entries.join()}`);
  }

  #ofContents(contents: string): number {
    const known = this.#byContents.get(contents);
    if (known !== undefined) return known;
    if (this.#byContents.size === MAX_VALUES) this.#byContents.clear();
    this.#byContents.set(contents, this.#next);
    return this.#next++;
  }

  #ofIdentity(value: object): number {
    const known = this.#byIdentity.get(value);
    if (known !== undefined) return known;
    this.#byIdentity.set(value, this.#next);
    return this.#next++;
  }
}

function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8_192) {
    text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  }
  return text;
}
