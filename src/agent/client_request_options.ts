/**
 * What `request(url[, options][, callback])` is given, read and checked (Node's http document, "http.request").
 *
 * Owns the three forms of the arguments, the meaning and the errors of each option that a request itself needs. The others are
 * the agent's and the socket's: they are passed on as they are. Pure.
 *
 * @module
 */

import { isReplaced } from "./agent_hooks.ts";
import { isToken } from "./core/characters.ts";
import {
  ArgumentTypeError,
  badPort,
  invalidArgType,
  invalidArgValue,
  invalidToken,
  outOfRange,
  unescapedCharacters,
} from "./core/errors.ts";
import { ALL_LENIENT, type Leniency } from "./core/leniency.ts";
import type { ParserLimits } from "./core/response_parser.ts";

/** An agent as a request needs it: ours, the runtime's, or anybody's. */
export interface AgentLike {
  /** Finds a connection for the request and answers by its onSocket(). */
  addRequest(request: unknown, options: Record<string, unknown>): void;
  /** `"http:"` or `"https:"`. */
  readonly protocol?: string | undefined;
  /** 80 or 443. */
  readonly defaultPort?: number | undefined;
  /** Connections are kept. */
  readonly keepAlive?: boolean | undefined;
  /** Connections to one origin. */
  readonly maxSockets?: number | undefined;
  /** As they were given to it. */
  readonly options?: { readonly timeout?: number | undefined } | undefined;
}

/** See {@linkcode RequestOptions.httpValidation}. */
export type HttpValidation = "strict" | "relaxed" | "insecure";

/** May a request that failed be sent again? See {@linkcode RequestOptions.retry}. */
export type RetryOption = "idempotent" | false;

/** Options of `request()`; names and defaults are Node's. All others are passed to the agent, and so to the socket. */
export interface RequestOptions {
  /** Default: the shared agent of the scheme; false: a connection of its own, with default options. */
  agent?: AgentLike | boolean | undefined;
  /** Basic authentication, `"user:password"`. */
  auth?: string | null | undefined;
  /** Makes the connection where no agent is given. */
  createConnection?:
    | ((
      options: Record<string, unknown>,
      callback: (error: Error | null, stream?: unknown) => void,
    ) => unknown)
    | undefined;
  /** Default: the agent's. */
  defaultPort?: number | string | undefined;
  /** 4 or 6: addresses of that family alone. */
  family?: number | undefined;
  /** An object, pairs, or a flat array of names and values. */
  headers?: Readonly<Record<string, unknown>> | readonly unknown[] | undefined;
  /** Flags of dns.lookup(). */
  hints?: number | undefined;
  /** Default `"localhost"`. */
  host?: string | null | undefined;
  /** As host; it wins. */
  hostname?: string | null | undefined;
  /**
   * "strict": values of headers are what RFC 9110 section 5.5 allows, both ways. "relaxed": any octet but NUL, CR and LF, as the
   * Fetch Standard has it. "insecure": that, and accept what HTTP forbids. Default "strict"; not beside insecureHTTPParser.
   */
  httpValidation?: HttpValidation | undefined;
  /** Accept what HTTP forbids. Default false. */
  insecureHTTPParser?: boolean | undefined;
  /** Join repeated fields of the response of which Node keeps the first. Default false. */
  joinDuplicateHeaders?: boolean | undefined;
  /** Local address to bind. */
  localAddress?: string | undefined;
  /** Local port to bind. */
  localPort?: number | undefined;
  /** Looks names up in the place of dns.lookup(). */
  lookup?: unknown;
  /** Bytes of the response's head. Default 16,384. */
  maxHeaderSize?: number | undefined;
  /** Default "GET"; sent in upper case. */
  method?: string | undefined;
  /** Default `"/"`. */
  path?: string | null | undefined;
  /** Default: defaultPort. */
  port?: number | string | null | undefined;
  /** Must be the agent's. */
  protocol?: string | null | undefined;
  /**
   * "idempotent": a request that fails on a connection that has served before, without a byte of an answer, is sent once
   * more over a new one if its method permits (RFC 9110 section 9.2.2). false: never. Default "idempotent". Differs from
   * Node: new.
   */
  retry?: RetryOption | undefined;
  /** Add Connection, Content-Length, Transfer-Encoding and Host. Default true. */
  setDefaultHeaders?: boolean | undefined;
  /** Add Host. Default: setDefaultHeaders. */
  setHost?: boolean | undefined;
  /** Destroys the request with an AbortError. */
  signal?: AbortSignal | undefined;
  /** Unix domain socket. */
  socketPath?: string | undefined;
  /** Time of inactivity of the connection after which 'timeout' is emitted, ms; includes connecting. */
  timeout?: number | undefined;
  /** Names of headers whose values are joined into one line by "; ". */
  uniqueHeaders?: readonly (string | readonly string[])[] | undefined;
  /** Bytes from which write() returns false. Default 65,536. */
  highWaterMark?: number | undefined;
  /** Whatever net.connect() and tls.connect() take. */
  [name: string]: unknown;
}

/** What `request()` was given. */
export interface RequestArguments {
  /** An object of our own. */
  readonly options: RequestOptions;
  /** A listener for 'response'. */
  readonly callback: ((...args: never[]) => void) | undefined;
}

/** Reads `(url[, options][, callback])` and `(options[, callback])`. ERR_INVALID_URL, ERR_INVALID_ARG_TYPE. */
export function readArguments(input: unknown, second: unknown, third: unknown): RequestArguments {
  const isUrl = typeof input === "string" || isUrlLike(input);
  const fromUrl = isUrl
    ? urlToHttpOptions(typeof input === "string" ? parse(input) : input as URL)
    : undefined;
  const rest = isUrl ? [second, third] : [input, second];
  if (typeof rest[0] === "function") {
    return { options: fromUrl ?? {}, callback: rest[0] as RequestArguments["callback"] };
  }
  if (rest[1] && typeof rest[1] !== "function") throw invalidArgType("listener", "of type function", rest[1]);
  const callback = (rest[1] || undefined) as RequestArguments["callback"];
  // A copy of one object takes an engine half the time of a second into it.
  const given = inherited(rest[0]);
  return { options: fromUrl === undefined ? { ...given } : { ...fromUrl, ...given }, callback };
}

// `{ ...options }` leaves out what an options object inherits, as Node's Object.assign does; url.parse()'s has methods there.
function inherited(options: unknown): RequestOptions {
  return typeof options === "object" && options !== null ? options as RequestOptions : {};
}

function parse(text: string): URL {
  try {
    return new URL(text);
  } catch (error) {
    // The runtime's own has Node's code on Node and Deno; `input` may hold a password, and it is the caller's own.
    throw Object.assign(new ArgumentTypeError("ERR_INVALID_URL", "Invalid URL"), {
      input: text,
      cause: error,
    });
  }
}

// Node's test for a WHATWG URL of any realm; url.parse()'s has `auth` and `path`.
function isUrlLike(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { href, protocol, auth, path } = value as Record<string, unknown>;
  return Boolean(href && protocol && auth === undefined && path === undefined);
}

/** Node's `url.urlToHttpOptions()`. */
function urlToHttpOptions(url: URL): RequestOptions {
  const { hostname, pathname, search, username, password, port } = url;
  const options: RequestOptions = {
    ...url,
    protocol: url.protocol,
    hostname: hostname.startsWith("[") ? hostname.slice(1, -1) : hostname,
    hash: url.hash,
    search,
    pathname,
    path: `${pathname || ""}${search || ""}`,
    href: url.href,
  };
  if (port !== "") options.port = Number(port);
  if (username || password) options.auth = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return options;
}

/** The agent that serves the request; undefined: `createConnection` does. ERR_INVALID_ARG_TYPE. */
export function chooseAgent(options: RequestOptions, defaultAgent: AgentLike): AgentLike | undefined {
  const { agent } = options;
  if (agent === false) return new (defaultAgent.constructor as new () => AgentLike)();
  if (agent === undefined || agent === null) {
    return typeof options.createConnection === "function" ? undefined : defaultAgent;
  }
  if (typeof (agent as AgentLike).addRequest === "function") return agent as AgentLike;
  throw invalidArgType("options.agent", "one of Agent-like Object, undefined, or false", agent);
}

/**
 * True of agents made with agent-base (https-proxy-agent, socks-proxy-agent and their kin): they serve both schemes, and what
 * they say of their protocol and port depends on who asks, since they look for the runtime's https module on the stack. They
 * are told by the option `secureEndpoint`.
 */
export function servesBothSchemes(agent: AgentLike | undefined): boolean {
  const { isSecureEndpoint, callback } = (agent ?? {}) as Record<string, unknown>;
  // The method came with its version 7; before, the one that connects was named so.
  return typeof isSecureEndpoint === "function" || typeof callback === "function";
}

/** ERR_INVALID_PROTOCOL where the scheme is not the agent's. */
export function checkProtocol(
  options: RequestOptions,
  agent: AgentLike | undefined,
  defaultAgent: AgentLike,
): void {
  const protocol = options.protocol || defaultAgent.protocol;
  const expected = (servesBothSchemes(agent) ? undefined : agent?.protocol) || defaultAgent.protocol;
  if (protocol === expected) return;
  throw new ArgumentTypeError(
    "ERR_INVALID_PROTOCOL",
    `Protocol "${protocol}" not supported. Expected "${expected}"`,
  );
}

/** The name that TLS verifies is read off it. ERR_INVALID_ARG_TYPE. */
export function checkHostHeader(host: unknown): void {
  if (host && typeof host !== "string") throw invalidArgType("options.headers.host", "of type string", host);
}

/** The last path that was found in order: programs ask for the same again and again. */
let lastPath = "/";

/** A path converted once. ERR_UNESCAPED_CHARACTERS. */
export function readPath(path: unknown): string {
  const text = String(path);
  if (text === lastPath) return text;
  if (/[^\u0021-\u00ff]/.test(text)) throw unescapedCharacters("Request path");
  return lastPath = text;
}

/** In upper case; default "GET". ERR_INVALID_ARG_TYPE, ERR_INVALID_HTTP_TOKEN. */
export function readMethod(method: unknown): string {
  if (method === undefined || method === null) return "GET";
  if (typeof method !== "string") throw invalidArgType("options.method", "of type string", method);
  if (method === "") return "GET";
  if (!isToken(method)) throw invalidToken("Method", method);
  return method.toUpperCase();
}

/** hostname, host, or "localhost". ERR_INVALID_ARG_TYPE. */
export function readHost(options: RequestOptions): string {
  return hostOption(options.hostname, "hostname") || hostOption(options.host, "host") || "localhost";
}

function hostOption(host: unknown, name: string): string | null | undefined {
  if (host === undefined || host === null || typeof host === "string") return host;
  throw invalidArgType(`options.${name}`, "of type string or one of undefined or null", host);
}

/**
 * What an agent of ours cannot dial is said at the call, as in Node, whose agent dials inside it: ERR_SOCKET_BAD_PORT,
 * ERR_INVALID_ARG_TYPE. A createConnection of the user's may read both as it likes.
 */
export function checkPlace(options: RequestOptions, agent: AgentLike | undefined, port: unknown): void {
  const { socketPath } = options;
  const isFine = socketPath ? typeof socketPath === "string" : isPort(port);
  if (isFine || agent === undefined || options.createConnection || !dialsByItself(agent)) return;
  throw socketPath ? invalidArgType("options.path", "of type string", socketPath) : badPort(port);
}

function isPort(port: unknown): boolean {
  if (typeof port === "string" ? port.trim() === "" : typeof port !== "number") return false;
  return Number(port) === (Number(port) & 0xffff);
}

function dialsByItself(agent: AgentLike & { createConnection?: unknown; createSocket?: unknown }): boolean {
  return !isReplaced(agent.addRequest) && !isReplaced(agent.createConnection) &&
    !isReplaced(agent.createSocket);
}

/** Undefined or a boolean. ERR_INVALID_ARG_TYPE. */
export function readBoolean(value: unknown, name: string): boolean | undefined {
  if (value === undefined || typeof value === "boolean") return value;
  throw invalidArgType(name, "of type boolean", value);
}

/** Undefined or one of the three; not beside `insecure`, Node's older option. ERR_INVALID_ARG_VALUE. */
export function readHttpValidation(
  value: unknown,
  insecure: boolean | undefined,
): HttpValidation | undefined {
  if (value === undefined) return undefined;
  if (value !== "strict" && value !== "relaxed" && value !== "insecure") {
    throw invalidArgValue("options.httpValidation", "must be one of: 'strict', 'relaxed', 'insecure'", value);
  }
  if (insecure === undefined) return value;
  throw invalidArgValue(
    "options.httpValidation",
    "cannot be used together with options.insecureHTTPParser",
    value,
  );
}

const RELAXED: Leniency = { headerValueRelaxed: true };

/** What the two options forgive; undefined: nothing. */
export function leniencyOf(
  validation: HttpValidation | undefined,
  insecure: boolean | undefined,
): Leniency | undefined {
  if (validation === "relaxed") return RELAXED;
  return validation === "insecure" || insecure === true ? ALL_LENIENT : undefined;
}

/** Undefined or a whole number from 0. ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function readMaxHeaderSize(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "number") throw invalidArgType("maxHeaderSize", "of type number", value);
  if (!Number.isInteger(value)) throw outOfRange("maxHeaderSize", "an integer", value);
  if (value < 0) throw outOfRange("maxHeaderSize", `>= 0 && <= ${Number.MAX_SAFE_INTEGER}`, value);
  return value;
}

let maxHeaderSize: number | undefined;

/** Sets the limit of a response's head where the request names none, bytes: Node's `http.maxHeaderSize`. */
export function setMaxHeaderSize(bytes: number): void {
  maxHeaderSize = bytes === 16_384 ? undefined : bytes;
}

/** Longest delay of a timer: 2^31 - 1 ms. */
const MAX_DELAY_MS = 2_147_483_647;

/** A timer's duration, ms; what is too long is cut to 2^31 - 1. ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE. */
export function readDuration(value: unknown, name: string): number {
  if (typeof value !== "number") throw invalidArgType(name, "of type number", value);
  if (value < 0 || !Number.isFinite(value)) throw outOfRange(name, "a non-negative finite number", value);
  return Math.min(value, MAX_DELAY_MS);
}

/** Names in lower case; undefined where none were given. */
export function readUniqueHeaders(names: RequestOptions["uniqueHeaders"]): ReadonlySet<string> | undefined {
  return Array.isArray(names) ? new Set(names.map((name) => String(name).toLowerCase())) : undefined;
}

/** The last Host line and what it was made of. */
let lastLine:
  | { readonly host: string; readonly port: unknown; readonly defaultPort: unknown; readonly line: string }
  | undefined;

/** Value of the Host line: RFC 3986 section 3.2.2 for an IPv6 address, the port unless it is the scheme's. */
export function hostLine(
  host: string,
  port: number | string,
  defaultPort: number | string | undefined,
): string {
  if (lastLine?.host === host && lastLine.port === port && lastLine.defaultPort === defaultPort) {
    return lastLine.line;
  }
  const colon = host.indexOf(":");
  const isAddress = colon !== -1 && host.includes(":", colon + 1) && !host.startsWith("[");
  const name = isAddress ? `[${host}]` : host;
  const line = port && Number(port) !== Number(defaultPort) ? `${name}:${port}` : name;
  lastLine = { host, port, defaultPort, line };
  return line;
}

/** What the stream of a response is made with; undefined: the runtime's default. */
export function responseOptionsOf(
  { highWaterMark }: RequestOptions,
): { readonly readableHighWaterMark: number } | undefined {
  const isGiven = Number.isInteger(highWaterMark) && highWaterMark! >= 0;
  return isGiven ? { readableHighWaterMark: highWaterMark! } : undefined;
}

/** What the agent is given: a signal is the request's own. */
export function withoutSignal({ signal: _signal, ...others }: RequestOptions): RequestOptions {
  return others;
}

/** Calls `listener` with the signal's reason, now or later; returns what takes it back. ERR_INVALID_ARG_TYPE. */
export function onAbort(signal: AbortSignal, listener: (reason: unknown) => void): () => void {
  if (typeof signal !== "object" || !("aborted" in signal)) {
    throw invalidArgType("signal", "an instance of AbortSignal", signal);
  }
  const onSignal = (): void => listener(signal.reason);
  if (signal.aborted) onSignal();
  else signal.addEventListener("abort", onSignal);
  return () => signal.removeEventListener("abort", onSignal);
}

/** What differs from the connection's parser limits; undefined: nothing. */
export function limitsOf(
  givenSize: number | undefined,
  count: number | null,
  leniency: Leniency | undefined,
): Partial<ParserLimits> | undefined {
  const size = givenSize || maxHeaderSize;
  if (!size && count === null && leniency === undefined) return undefined;
  return {
    ...size ? { maxHeaderBytes: size } : undefined,
    ...limitsOfCount(count),
    ...leniency === undefined ? undefined : { leniency },
  };
}

// Node's document, "request.maxHeadersCount": 0 means no limit, anything else cuts.
function limitsOfCount(count: number | null): Partial<ParserLimits> | undefined {
  if (typeof count !== "number") return undefined;
  if (count <= 0) return { maxHeaderLines: Infinity };
  return { maxHeadersCount: count, maxHeaderLines: Infinity };
}
