/**
 * Are the options of a connect what they have to be?
 *
 * Owns the types and ranges of every option, whichever adapter will read it. Must not know which adapter that is, nor what
 * it honours: an option that is well-formed and not honoured is capabilities.ts's `unsupportedOption`.
 *
 * Strategy: one table, asked before anything is opened, because the runtimes themselves look at the same option in
 * different ways and at different times: Node's tls.connect throws at a `servername` when it has begun to connect (the
 * socket then belongs to nobody), Deno's takes `ALPNProtocols: [5]` without a word, Bun's errors have no code. The codes are
 * Node's. Null counts as not given, as Node's own agent gives it.
 *
 * @module
 */

import { argumentError, checkPort } from "./errors.ts";
import { addressFamily, isAddress } from "./addresses.ts";
import type { ConnectOptions, LookupAddress, LookupFunction, StartTlsOptions, TlsOptions } from "./socket.ts";

/** Throws what is wrong with the value of the option `name`. */
type Check = (value: unknown, name: string) => void;

const isString = typed("of type string", (value) => typeof value === "string");
const isBoolean = typed("of type boolean", (value) => typeof value === "boolean");
const isNumber = typed("of type number", (value) => typeof value === "number");
const isFunction = typed("of type function", (value) => typeof value === "function");
const isBytes = typed("an instance of Uint8Array", (value) => value instanceof Uint8Array);
const isText = typed("of type string or an instance of Uint8Array", isTextOrBytes);
const isPem = typed("text, bytes or an array of them", (value) => every(value, isTextOrBytes));
const isKey = typed(
  "text, bytes or an array of them or of { pem }",
  (value) =>
    every(value, (one) => isTextOrBytes(one) || isTextOrBytes((one as { pem?: unknown } | null)?.pem)),
);
const isPfx = typed(
  "text, bytes or an array of them or of { buf }",
  (value) =>
    every(value, (one) => isTextOrBytes(one) || isTextOrBytes((one as { buf?: unknown } | null)?.buf)),
);
const isProtocols = typed(
  "an array of string",
  (value) => Array.isArray(value) && value.every((one) => typeof one === "string"),
);

const connectChecks: Readonly<Record<Exclude<keyof ConnectOptions, "port" | "tls">, Check>> = {
  host: (value, name) => {
    isString(value, name);
    if ((value as string).includes("\0")) throw invalidValue(name, "must not contain a null byte", value);
  },
  path: (value, name) => {
    isString(value, name);
    // One in front is Linux's abstract namespace; behind one, what a runtime makes of a path is another path.
    if ((value as string).indexOf("\0", 1) !== -1) {
      throw invalidValue(name, "must not contain a null byte", value);
    }
  },
  family: (value, name) => {
    if (value !== 0 && value !== 4 && value !== 6) throw invalidValue(name, "must be one of: 0, 4, 6", value);
  },
  lookup: isFunction,
  hints: isNumber,
  localAddress: (value) => {
    if (typeof value === "string" && isAddress(value)) return;
    throw argumentError(
      "ERR_INVALID_IP_ADDRESS",
      `Invalid IP address: ${typeof value === "string" ? value : show(value)}`,
    );
  },
  localPort: (value, name) => {
    isNumber(value, name);
    checkPort(value as number);
  },
  noDelay: isBoolean,
  keepAlive: isBoolean,
  keepAliveInitialDelayMs: isDelay,
  autoSelectFamily: isBoolean,
  autoSelectFamilyAttemptTimeoutMs: isDelay,
  highWaterMark: isDelay,
};

const tlsChecks: Readonly<Record<keyof TlsOptions, Check>> = {
  host: isString,
  ca: (value, name) => {
    isPem(value, name);
    // Nobody is trusted by it in Node and everybody in Bun, where no authority given is the runtime's own.
    const isEmpty = Array.isArray(value) && value.every((one: { length?: number }) => one.length === 0);
    if (isEmpty) throw invalidValue(name, "must hold an authority", value);
  },
  cert: isPem,
  key: isKey,
  passphrase: isString,
  pfx: isPfx,
  servername: isString,
  ALPNProtocols: (value, name) => {
    isProtocols(value, name);
    // RFC 7301 section 3.1: a name is 1 to 255 bytes.
    const encoder = new TextEncoder();
    const isOdd = (length: number): boolean => length === 0 || length > 255;
    const odd = (value as string[]).find((protocol) => isOdd(encoder.encode(protocol).length));
    if (odd !== undefined) throw outOfRange(name, "names of 1 to 255 bytes", odd);
  },
  rejectUnauthorized: isBoolean,
  checkServerIdentity: isFunction,
  minVersion: isVersion,
  maxVersion: isVersion,
  ciphers: isString,
  session: isBytes,
  secureContext: (value) => {
    if (typeof value === "object") return;
    throw argumentError(
      "ERR_TLS_INVALID_CONTEXT",
      `context must be a SecureContext. Received ${show(value)}`,
    );
  },
  crl: isPem,
  ecdhCurve: isString,
  sigalgs: isString,
  secureOptions: isNumber,
  secureProtocol: isString,
  honorCipherOrder: isBoolean,
  dhparam: isText,
  sessionIdContext: isString,
};

/**
 * Throws TypeError or RangeError with Node's code (ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE,
 * ERR_SOCKET_BAD_PORT, ERR_INVALID_IP_ADDRESS, ERR_TLS_INVALID_PROTOCOL_VERSION, ERR_TLS_INVALID_CONTEXT) for the first
 * option that cannot be used whatever the adapter. Returns the options as an adapter is to read them: an inherited member
 * is as good as an own one, and a copy has them all.
 */
export function readConnectOptions(options: ConnectOptions): ConnectOptions {
  const own = owned(options);
  checkPort(own.port ?? undefined, (own.path ?? undefined) === undefined);
  assertEach(own, connectChecks);
  if (own.tls === undefined) return own;
  const tls = readTlsOptions(own.tls);
  return tls === own.tls ? own : { ...own, tls };
}

/** The same for the options of `startTls`, where without a host nobody would know whom to verify. */
export function readStartTlsOptions(options: StartTlsOptions): StartTlsOptions {
  const own = readTlsOptions(options);
  if (!own.host) throw invalidValue("host", "must name the peer", own.host);
  return own as StartTlsOptions;
}

/** The same for the options of TLS alone. */
export function readTlsOptions(options: TlsOptions): TlsOptions {
  if (typeof options !== "object" || options === null) throw invalidType("tls", "of type object", options);
  const own = owned(options);
  assertEach(own, tlsChecks);
  return own;
}

// Everything behind this reads own members alone, as a spread does: an inherited `ca` would be lost without a word.
function owned<Options extends object>(options: Options): Options {
  const prototype: unknown = Object.getPrototypeOf(options);
  if (prototype === Object.prototype || prototype === null) return options;
  const copy: Record<string, unknown> = {};
  for (const name in options) if (options[name] !== undefined) copy[name] = options[name];
  return copy as Options;
}

/**
 * Calls a user's `lookup`, whose first answer counts; what it throws is an answer, and so is what its promise rejects with:
 * where it is an async function nobody else would see that.
 */
export function callLookup(
  lookup: LookupFunction,
  hostname: string,
  options: Parameters<LookupFunction>[1],
  answer: (error: unknown, found?: unknown) => void,
): void {
  let isAnswered = false;
  const first = (error: unknown, found?: unknown): void => {
    if (isAnswered) return;
    isAnswered = true;
    answer(error, found);
  };
  try {
    const returned: unknown = lookup(hostname, options, first);
    if (returned instanceof Promise) returned.catch(first);
  } catch (error) {
    first(error);
  }
}

/**
 * The addresses in a `lookup`'s answer, one or many, each with the family that it is of; throws TypeError
 * ERR_INVALID_IP_ADDRESS for an answer that holds something else alone.
 */
export function lookupAddresses(found: unknown): LookupAddress[] {
  const all: readonly unknown[] = Array.isArray(found) ? found : [{ address: found }];
  const addresses = all.map((each) => (each as { address?: unknown } | null | undefined)?.address)
    .filter((address): address is string => typeof address === "string" && isAddress(address));
  if (addresses.length > 0 || all.length === 0) {
    return addresses.map((address) => ({ address, family: addressFamily(address)! }));
  }
  throw argumentError("ERR_INVALID_IP_ADDRESS", "Invalid IP address: the look-up has answered with none");
}

function assertEach(options: object, checks: Readonly<Record<string, Check>>): void {
  for (const name of Object.keys(options)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && value !== null && Object.hasOwn(checks, name)) checks[name]!(value, name);
  }
}

function typed(expected: string, passes: (value: unknown) => boolean): Check {
  return (value, name) => {
    if (!passes(value)) throw invalidType(name, expected, value);
  };
}

function isDelay(value: unknown, name: string): void {
  isNumber(value, name);
  if (!((value as number) >= 0 && (value as number) < Infinity)) throw outOfRange(name, ">= 0", value);
}

function isVersion(value: unknown, name: string): void {
  if (typeof value === "string" && /^TLSv1(\.[123])?$/.test(value)) return;
  const bound = name === "minVersion" ? "minimum" : "maximum";
  throw argumentError(
    "ERR_TLS_INVALID_PROTOCOL_VERSION",
    `${
      typeof value === "string" ? JSON.stringify(value) : show(value)
    } is not a valid ${bound} TLS protocol version`,
  );
}

function isTextOrBytes(value: unknown): boolean {
  return typeof value === "string" || ArrayBuffer.isView(value);
}

function every(value: unknown, passes: (one: unknown) => boolean): boolean {
  return Array.isArray(value) ? value.every(passes) : isTextOrBytes(value);
}

function invalidType(name: string, expected: string, value: unknown): Error {
  return argumentError(
    "ERR_INVALID_ARG_TYPE",
    `The "options.${name}" property must be ${expected}. Received ${show(value)}`,
  );
}

function invalidValue(name: string, why: string, value: unknown): Error {
  return argumentError(
    "ERR_INVALID_ARG_VALUE",
    `The property 'options.${name}' ${why}. Received ${show(value)}`,
  );
}

function outOfRange(name: string, range: string, value: unknown): Error {
  return argumentError(
    "ERR_OUT_OF_RANGE",
    `The value of "options.${name}" is out of range. It must be ${range}. Received ${show(value)}`,
    RangeError,
  );
}

// What an object holds may be a key or a passphrase, and so may the text of most options.
function show(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : `type ${typeof value}`;
}
