/**
 * Certificates without cryptography: facts, and a client's verdict on them.
 *
 * Owns the order of the checks and Node's codes for them. Must not know sockets.
 *
 * @module
 */

import type { PeerCertificate, PemInput, TlsOptions } from "./socket.ts";

/** What a certificate in memory says. */
export interface MemoryCertificate {
  /** Host names (`*.a.example` too) and addresses that it is for; default: every one. */
  readonly names?: readonly string[] | undefined;
  /** Who signed it: trusted where `ca` holds this very text. Default: an authority that everyone trusts. */
  readonly authority?: string | undefined;
  /** It is signed by itself. */
  readonly isSelfSigned?: boolean | undefined;
  /** It has expired. */
  readonly isExpired?: boolean | undefined;
}

/** Why a certificate is refused, with the code of Node. */
export interface Verdict {
  /** Node's code, or that of `checkServerIdentity`'s error. */
  readonly code: string;
  /** The text of the error. */
  readonly message: string;
  /** `checkServerIdentity`'s error. */
  readonly cause?: unknown;
}

// Thrown or returned: the peer is refused.
function refusalOf(check: () => Error | undefined): (Error & { code?: unknown }) | undefined {
  try {
    return check();
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Judges a certificate in OpenSSL's order: the chain, the dates, and at last, by Node, the name. */
export function verify(
  certificate: MemoryCertificate,
  options: TlsOptions,
  verified: string,
): Verdict | undefined {
  const { authority, isSelfSigned, isExpired } = certificate;
  const isTrusted = options.ca === undefined
    ? authority === undefined && isSelfSigned !== true
    : authority !== undefined && textsOf(options.ca).includes(authority);
  if (!isTrusted && isSelfSigned === true) {
    return { code: "DEPTH_ZERO_SELF_SIGNED_CERT", message: "self-signed certificate" };
  }
  if (!isTrusted) {
    return { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", message: "unable to verify the first certificate" };
  }
  if (isExpired === true) return { code: "CERT_HAS_EXPIRED", message: "certificate has expired" };
  if (options.checkServerIdentity !== undefined) {
    const refusal = refusalOf(() => options.checkServerIdentity!(verified, peerCertificate(certificate)));
    if (refusal === undefined) return undefined;
    const code = typeof refusal.code === "string" ? refusal.code : "ERR_TLS_CERT_ALTNAME_INVALID";
    return { code, message: refusal.message, cause: refusal };
  }
  if (certificate.names === undefined || certificate.names.some((name) => covers(name, verified))) {
    return undefined;
  }
  const message =
    `Hostname/IP does not match certificate's altnames: "${verified}" is not in the cert's list`;
  return { code: "ERR_TLS_CERT_ALTNAME_INVALID", message };
}

// RFC 6125 section 6.4.3: a wildcard stands for one whole label, the leftmost.
function covers(name: string, host: string): boolean {
  if (!name.startsWith("*.")) return name.toLowerCase() === host.toLowerCase();
  const dot = host.indexOf(".");
  return dot > 0 && host.slice(dot).toLowerCase() === name.slice(1).toLowerCase();
}

function peerCertificate({ names = [], authority = "" }: MemoryCertificate): PeerCertificate {
  const altNames = names.map((name) => /^[\d.]+$|:/.test(name) ? `IP Address:${name}` : `DNS:${name}`).join(
    ", ",
  );
  return {
    subject: { CN: names[0] ?? "" },
    subjectaltname: altNames,
    fingerprint256: `${authority}/${altNames}`,
    raw: new TextEncoder().encode(altNames),
  };
}

function textsOf(input: PemInput): string[] {
  const list = typeof input === "string" || input instanceof Uint8Array ? [input] : input;
  return list.map((one) => typeof one === "string" ? one : new TextDecoder().decode(one));
}
