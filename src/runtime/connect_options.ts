/**
 * Are the options of a connect what they have to be?
 *
 * Owns the types and ranges of every option, whichever adapter will read it. Must not know which adapter that is, nor what
 * it honours: an option that is well-formed and not honoured is socket.ts's `unsupportedOption`.
 *
 * Strategy: one table, asked before anything is opened, because the runtimes themselves look at the same option in
 * different ways and at different times: Node's tls.connect throws at a `servername` when it has begun to connect (the
 * socket then belongs to nobody), Deno's takes `ALPNProtocols: [5]` without a word, Bun's errors have no code. The codes are
 * Node's. Null counts as not given, as Node's own agent gives it.
 *
 * @module
 */

import { argumentError, checkPort } from "./errors.ts";
import type { ConnectOptions, TlsOptions } from "./socket.ts";

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
  host: isString,
  path: isString,
  family: (value, name) => {
    if (value !== 0 && value !== 4 && value !== 6) throw invalidValue(name, "must be one of: 0, 4, 6", value);
  },
  lookup: isFunction,
  hints: isNumber,
  localAddress: (value) => {
    if (typeof value === "string" && isAddress(value)) return;
    throw argumentError("ERR_INVALID_IP_ADDRESS", `Invalid IP address: ${show(value)}`);
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
  ca: isPem,
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
 * option that cannot be used whatever the adapter.
 */
export function assertConnectOptions(options: ConnectOptions): void {
  checkPort(options.port ?? undefined, (options.path ?? undefined) === undefined);
  assertEach(options, connectChecks);
  if (options.tls !== undefined) assertTlsValues(options.tls);
}

/** The same for the options of TLS alone, as `startTls` takes them. */
export function assertTlsValues(options: TlsOptions): void {
  if (typeof options !== "object" || options === null) throw invalidType("tls", "of type object", options);
  assertEach(options, tlsChecks);
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
    `${show(value)} is not a valid ${bound} TLS protocol version`,
  );
}

function isTextOrBytes(value: unknown): boolean {
  return typeof value === "string" || ArrayBuffer.isView(value);
}

function every(value: unknown, passes: (one: unknown) => boolean): boolean {
  return Array.isArray(value) ? value.every(passes) : isTextOrBytes(value);
}

function isAddress(value: string): boolean {
  const parts = value.split(".");
  return value.includes(":") ||
    parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256);
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
