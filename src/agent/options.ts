/**
 * What users give, read and checked: the Agent's options and a request's URL, and the name and key of an endpoint. Pure but
 * for the URL parser. Knows no pool and no connection.
 *
 * Strategy: everything is checked here, before a slot is taken or a socket opened, so that bad input costs
 * nothing but an error.
 *
 * @module
 */

import {
  ArgumentRangeError,
  ArgumentTypeError,
  invalidArgType,
  invalidArgValue,
  outOfRange,
} from "./core/errors.ts";
import type { Endpoint } from "./exchange.ts";
import type { Clock } from "../clock.ts";
import type { AdapterName } from "../runtime/mod.ts";
import type { Connect, LookupFunction, TlsOptions } from "../runtime/socket.ts";

/**
 * Options of {@linkcode Agent}; names and defaults are Node's (http document, "new Agent(options)"). Beside these, every
 * option of `net.connect` and `tls.connect` is taken and goes to `createConnection`; they win over a request's own.
 */
export interface AgentOptions extends TlsOptions {
  /** Keep connections for later requests. Default false; then each request says `Connection: close` unless maxSockets is finite. */
  readonly keepAlive?: boolean | undefined;
  /** Delay of the first TCP keep-alive probe of a parked connection, ms; Infinity: the system's own. Default 1000. */
  readonly keepAliveMsecs?: number | undefined;
  /** Taken off the server's `Keep-Alive: timeout` hint, ms. Default 1000. */
  readonly agentKeepAliveTimeoutBuffer?: number | undefined;
  /** Connections to one origin at once, from 1. Default `Agent.defaultMaxSockets`: Infinity; 0 counts as unset. */
  readonly maxSockets?: number | undefined;
  /** Connections to all origins at once, from 1. Default Infinity. */
  readonly maxTotalSockets?: number | undefined;
  /** Parked connections to one origin, from 0. Default 256. */
  readonly maxFreeSockets?: number | undefined;
  /** Which parked connection is used first: the most ("lifo") or the least ("fifo") recently used. Default "lifo". */
  readonly scheduling?: "lifo" | "fifo" | undefined;
  /**
   * Inactivity after which the stream of a request of node:http emits 'timeout', ms, unless the request has a time of its
   * own; and how long a connection may be parked where the server does not hint at less. Default: for ever.
   */
  readonly timeout?: number | undefined;
  /** Port of requests of node:http that name none. Default 80, and 443 for HttpsAgent. */
  readonly defaultPort?: number | undefined;
  /** Protocol of the requests of node:http. Default "http:", and "https:" for HttpsAgent. */
  readonly protocol?: string | undefined;
  /** TCP_NODELAY. Default true. */
  readonly noDelay?: boolean | undefined;
  /** Local address to bind. */
  readonly localAddress?: string | undefined;
  /** Local port to bind. */
  readonly localPort?: number | undefined;
  /** 4 or 6: addresses of that family alone. Default: both. */
  readonly family?: number | undefined;
  /** Flags for the system's resolver. */
  readonly hints?: number | undefined;
  /** Looks names up in the place of the system's resolver. */
  readonly lookup?: LookupFunction | undefined;
  /** Race the addresses of a name (RFC 8305). Default true. */
  readonly autoSelectFamily?: boolean | undefined;
  /** Time from one attempt to the next, ms. Default 250. */
  readonly autoSelectFamilyAttemptTimeout?: number | undefined;
  /**
   * TLS sessions that are kept for resumption, one for each peer and option set; 0: none. Default 100; agents that do not
   * give it share those of their own requests.
   */
  readonly maxCachedSessions?: number | undefined;
  /** EventEmitter's: rejections of asynchronous listeners become 'error' events. Default false. */
  readonly captureRejections?: boolean | undefined;
  /** Requests that may wait for a connection, from 0; one more fails with ERR_POOL_QUEUE_FULL. Default Infinity. Differs from Node: new. */
  readonly maxPending?: number | undefined;
  /** Longest wait for a connection under the caps, ms; then ETIMEDOUT, phase "pool". Default: none. Differs from Node: new. */
  readonly queueTimeout?: number | undefined;
  /** Longest time for name lookup, TCP and TLS together, ms; then ETIMEDOUT, phase "connect". Default: none. Differs from Node: new. */
  readonly connectTimeout?: number | undefined;
  /**
   * How long a connection may be parked, ms, where the server does not hint at less; 0 or Infinity: for ever. Default:
   * `timeout`. Differs from Node: new.
   */
  readonly idleTimeout?: number | undefined;
  /**
   * How long a connection takes new requests, ms from its dial; each up to a tenth less, so that those opened together do
   * not end together. Default: for ever. Differs from Node: new.
   */
  readonly maxLifetime?: number | undefined;
  /** Requests on one connection, from 1; then it is closed. Default Infinity. Differs from Node: new. */
  readonly maxRequestsPerSocket?: number | undefined;
  /**
   * How long a response's body may lie unread, ms; then its connection is closed and the request fails. Default: for ever on
   * requests of node:http and of the http face; `agent.request` and `fetch` have `timeouts.body` besides. A request of the
   * runtime's own node:http is looked at from time to time: it may take twice as long. Differs from Node: new.
   */
  readonly unreadBodyTimeout?: number | undefined;
  /** The adapter for every connection, or a Connect of the user's own. Default: the fastest that can. Differs from Node: new. */
  readonly runtime?: AdapterName | Connect | undefined;
  /** Time, for tests: default the process's own. Differs from Node: new. */
  readonly clock?: Clock | undefined;
}

/** {@linkcode AgentOptions}, checked, with their defaults. Mutable where Node's are. */
export interface AgentSettings {
  keepAlive: boolean;
  keepAliveMsecs: number;
  agentKeepAliveTimeoutBuffer: number;
  maxSockets: number;
  maxTotalSockets: number;
  maxFreeSockets: number;
  scheduling: "lifo" | "fifo";
  readonly maxPending: number;
  readonly queueTimeout: number;
  readonly connectTimeout: number;
  readonly idleTimeout: number | undefined;
  readonly maxLifetime: number;
  readonly maxRequestsPerSocket: number;
  readonly unreadBodyTimeout: number;
}

/** Node's default; the server's parked connections are its own burden as well. */
export const DEFAULT_MAX_FREE_SOCKETS = 256;
/** Longest delay that setTimeout takes: 2^31 - 1 ms, some 24 days. */
const MAX_DELAY_MS = 2_147_483_647;

/** Checks an Agent's options and fills in their defaults. */
export function readAgentOptions(
  options: AgentOptions = {},
  defaultMaxSockets: number = Infinity,
): AgentSettings {
  if (typeof options !== "object" || options === null) {
    throw invalidArgType("options", "of type object", options);
  }
  checkClock(options.clock);
  return readGiven(withoutNulls(options), defaultMaxSockets);
}

// In Node null counts as unset, as in `{ timeout: settings.timeout ?? null }`, but as the total cap.
function withoutNulls(options: AgentOptions): AgentOptions {
  const isNull = ([name, value]: [string, unknown]): boolean => value === null && name !== "maxTotalSockets";
  const entries = Object.entries(options);
  return entries.some(isNull) ? Object.fromEntries(entries.filter((entry) => !isNull(entry))) : options;
}

function readGiven(options: AgentOptions, defaultMaxSockets: number): AgentSettings {
  if ((options as { proxyEnv?: unknown }).proxyEnv !== undefined) {
    throw new ArgumentTypeError("ERR_UNSUPPORTED_OPTION", 'The option "proxyEnv" is not supported yet');
  }
  const { scheduling = "lifo", keepAlive = false, agentKeepAliveTimeoutBuffer: buffer } = options;
  if (scheduling !== "lifo" && scheduling !== "fifo") {
    throw invalidArgValue("scheduling", "must be one of: 'fifo', 'lifo'", scheduling);
  }
  if (typeof keepAlive !== "boolean") throw invalidArgType("options.keepAlive", "of type boolean", keepAlive);
  familyOf(options.family);
  delay("timeout", options.timeout);
  cap("maxCachedSessions", options.maxCachedSessions, 0);
  return {
    keepAlive,
    scheduling,
    // Infinity: the system's own delay, as in Node.
    keepAliveMsecs: options.keepAliveMsecs === Infinity
      ? Infinity
      : delay("keepAliveMsecs", options.keepAliveMsecs) || 1000,
    // As Node: what is no non-negative finite number counts as unset.
    agentKeepAliveTimeoutBuffer: typeof buffer === "number" && buffer >= 0 && buffer < Infinity
      ? buffer
      : 1000,
    maxSockets: cap("maxSockets", options.maxSockets, 0) || defaultMaxSockets,
    maxTotalSockets: cap("maxTotalSockets", options.maxTotalSockets, 1) ?? Infinity,
    maxFreeSockets: cap("maxFreeSockets", options.maxFreeSockets, 0) ?? DEFAULT_MAX_FREE_SOCKETS,
    maxPending: cap("maxPending", options.maxPending, 0) ?? Infinity,
    maxRequestsPerSocket: cap("maxRequestsPerSocket", options.maxRequestsPerSocket, 1) ?? Infinity,
    queueTimeout: limit("queueTimeout", options.queueTimeout),
    connectTimeout: limit("connectTimeout", options.connectTimeout),
    maxLifetime: limit("maxLifetime", options.maxLifetime),
    idleTimeout: options.idleTimeout === undefined ? undefined : limit("idleTimeout", options.idleTimeout),
    unreadBodyTimeout: limit("unreadBodyTimeout", options.unreadBodyTimeout),
  };
}

function checkClock(clock: unknown): void {
  if (clock === undefined) return;
  const { now, after } = (clock ?? {}) as Partial<Clock>;
  if (typeof now === "function" && typeof after === "function") return;
  throw invalidArgType("options.clock", "an object with now() and after()", clock);
}

/** A family as sockets want it; "IPv4" is what `server.address()` says and `dns.lookup()` takes. ERR_INVALID_ARG_VALUE. */
export function familyOf(family: unknown): 0 | 4 | 6 | undefined {
  if (family === undefined || family === null) return undefined;
  if (family === 0 || family === 4 || family === 6) return family;
  if (family === "IPv4") return 4;
  if (family === "IPv6") return 6;
  throw invalidArgValue("options.family", "must be one of: 0, 4, 6", family);
}

/** Delay of the first TCP keep-alive probe, ms: Infinity is the system's own, as in Node. */
export function probeDelay<T>(delayMs: T): T | 0 {
  return (delayMs as unknown) === Infinity ? 0 : delayMs;
}

function cap(name: string, value: number | undefined, least: number): number | undefined {
  if (value === undefined) return undefined;
  // The name alone, as Node's Agent has it.
  if (typeof value !== "number") throw invalidArgType(name, "of type number", value);
  if (value >= least && (Number.isInteger(value) || value === Infinity)) return value;
  throw outOfRange(name, `a whole number from ${least}, or Infinity`, value);
}

function delay(name: string, value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "number") throw invalidArgType(`options.${name}`, "of type number", value);
  if (value >= 0 && value <= MAX_DELAY_MS) return value;
  throw outOfRange(`options.${name}`, `a number of milliseconds from 0 to ${MAX_DELAY_MS}`, value);
}

/** A time that may be left out; 0 and Infinity are none. */
function limit(name: string, value: number | undefined): number {
  return (value === Infinity ? undefined : delay(name, value)) || Infinity;
}

/** What a request needs to know of its URL. */
export interface RequestTarget {
  /** Where it goes; equal for equal origins. */
  readonly endpoint: Endpoint;
  /** Value of the Host header (RFC 9110 section 7.2). */
  readonly host: string;
  /** Path and query: the request target in origin form (RFC 9112 section 3.2.1). */
  readonly path: string;
  /** Value of an Authorization header for the credentials in the URL; undefined: none. */
  readonly authorization: string | undefined;
}

/** Reads an http: or https: URL. ERR_INVALID_URL, ERR_INVALID_PROTOCOL, ERR_SOCKET_BAD_PORT. */
export function readUrl(input: string | URL): URL {
  const url = parseUrl(input);
  if (url.protocol === "http:" || url.protocol === "https:") {
    if (url.port !== "0") return url;
    // Nobody can be reached there; systems refuse it in words of their own, or late.
    throw new ArgumentRangeError(
      "ERR_SOCKET_BAD_PORT",
      "Port should be >= 1 and < 65536 in a URL. Received 0",
    );
  }
  throw new ArgumentTypeError(
    "ERR_INVALID_PROTOCOL",
    `Protocol "${url.protocol}" not supported. Expected "http:" or "https:"`,
  );
}

function parseUrl(input: string | URL): URL {
  if (input instanceof URL) return input;
  if (typeof input !== "string") throw invalidArgType("url", "of type string or an instance of URL", input);
  try {
    return new URL(input);
  } catch {
    // The message of the runtime's own error repeats the input, which may hold a password.
    throw new ArgumentTypeError("ERR_INVALID_URL", "Invalid URL");
  }
}

/** The credentials of a URL as Basic authentication (RFC 7617 section 2). */
export function authorizationOf(url: URL): string | undefined {
  if (url.username === "" && url.password === "") return undefined;
  const bytes = new TextEncoder().encode(`${decoded(url.username)}:${decoded(url.password)}`);
  return `Basic ${btoa(String.fromCharCode(...bytes))}`;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ArgumentTypeError("ERR_INVALID_URL", "Invalid percent-encoding in the credentials of the URL");
  }
}

/** `[::1]` as a URL has it, `::1` as sockets want it. */
export function unbracketed(hostname: string): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}
