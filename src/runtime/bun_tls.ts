/**
 * Node's TLS options in Bun's form.
 *
 * Owns the translation, and the few values that Bun has no form for. Strategy: Bun sends `serverName` as SNI and verifies
 * it, an address too; with an empty one it sends none and verifies the host that was dialled (both measured).
 *
 * @module
 */

import type { BunPemLike, BunTlsLike } from "./bun_like.ts";
import { isAddress } from "./addresses.ts";
import type { TlsOptions } from "./socket.ts";

/**
 * The option whose value Bun has no form for, or undefined. `host` is the name verified by default, `dialled` what
 * Bun verifies without a server name; undefined: nothing that may be relied upon.
 */
export function refusedByBunTls(
  options: TlsOptions,
  host: string,
  dialled: string | undefined,
): string | undefined {
  const name = options.servername || options.host || host;
  const sendsNone = options.servername === "" || isAddress(name);
  if (sendsNone && name !== dialled) return "tls.servername";
  if (Array.isArray(options.key) && options.key.some((key) => !isPem(key))) return "tls.key";
  return undefined;
}

/** Bun's form of options that {@linkcode refusedByBunTls} lets pass, for a peer that is `host` by default. */
export function bunTls(options: TlsOptions, host: string): BunTlsLike {
  const name = options.servername ?? (options.host || host);
  // An address is no name for SNI (RFC 6066 section 3).
  // Said, because NODE_TLS_REJECT_UNAUTHORIZED would else be heard.
  const result: BunTlsLike = { serverName: isAddress(name) ? "" : name, rejectUnauthorized: true };
  if (options.ca !== undefined) result.ca = pem(options.ca);
  if (options.cert !== undefined) result.cert = pem(options.cert);
  if (options.key !== undefined) result.key = pem(options.key);
  if (options.passphrase !== undefined) result.passphrase = options.passphrase;
  if (options.ALPNProtocols !== undefined) result.ALPNProtocols = alpnWire(options.ALPNProtocols);
  return result;
}

function isPem(value: unknown): boolean {
  return typeof value === "string" || value instanceof Uint8Array;
}

function pem(input: NonNullable<TlsOptions["ca" | "key"]>): BunPemLike {
  return (Array.isArray(input) ? [...input] : input) as BunPemLike;
}

// A length byte before each name (RFC 7301 section 3.1): Bun throws at an array, and takes a bare name for none.
function alpnWire(protocols: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts = protocols.map((protocol) => encoder.encode(protocol));
  const wire = new Uint8Array(parts.reduce((length, part) => length + 1 + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    wire[offset] = part.length;
    wire.set(part, offset + 1);
    offset += 1 + part.length;
  }
  return wire;
}
