/**
 * TLS over node:tls: options translated, contexts and sessions used again, the peer's name verified.
 *
 * Owns what `tls.connect` is given and the last word on whether the peer is the one that was asked for. Knows neither how
 * bytes move (node_socket.ts) nor how the TCP connection is made (node.ts).
 *
 * Strategy: the name is verified by our own function over node:tls's, so that it is always the name that was given, on
 * every runtime, and so that the certificate is at hand when a session is resumed.
 *
 * @module
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import * as net from "node:net";
import * as tls from "node:tls";
import { argumentError, SocketError, unsupportedOptionError } from "./errors.ts";
import { contextForcesSni, contextHidesBadKey, nodeCapabilities } from "./node_capabilities.ts";
import type { PeerCertificate, TlsInfo, TlsOptions } from "./socket.ts";
import {
  BoundedCache,
  type CachedSession,
  contextKey,
  contextOptions,
  sessionKey,
} from "./tls_session_cache.ts";

/** What connects of one factory share. */
export interface TlsMemory {
  /** Sessions by key. */
  readonly sessions: BoundedCache<CachedSession>;
  /** One SecureContext per option set, by key. */
  readonly contexts: BoundedCache<tls.SecureContext>;
}

/** Makes the memory; 0 sessions: none is resumed unless given by option. */
export function createTlsMemory(maxCachedSessions?: number): TlsMemory {
  return { sessions: new BoundedCache(maxCachedSessions), contexts: new BoundedCache() };
}

// Sessions that a user may have got from a 'session' event and gives back as an option. Neither the chain nor the name is
// looked at when one is resumed (measured: taken with one authority, it opens a connection that trusts another), so it
// is offered only where every option is as it was.
const origins = new WeakMap<Uint8Array, { readonly key: string; readonly certificate: PeerCertificate }>();

/** What `tls.connect` itself calls with these options; it is not in the types. */
interface Hearing {
  setServername(name: string): void;
  setSession(session: Uint8Array): void;
}

/** The TLS part of one connect. */
export class TlsAttempt {
  /** For `tls.connect`, to be joined with how to reach the peer. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** For `tls.connect` too, or for `say()`: the name sent as SNI, "" for none, and the session offered. */
  readonly hello: { readonly servername: string; readonly session?: Uint8Array };
  readonly #options: TlsOptions;
  readonly #memory: TlsMemory;
  readonly #key: string;
  // The name or address that the certificate has to be for.
  readonly #subject: string;
  readonly #offered: CachedSession | undefined;
  #certificate: PeerCertificate | undefined;
  // Why a peer that is let through all the same is not the one asked for: of a resumed session node:tls knows nothing.
  #refusal: Error | undefined;

  /** `host` and `port` (or a unix path as `port`) are the peer's; throws what the key material makes node:tls throw. */
  constructor(options: TlsOptions, host: string, port: string | number, memory: TlsMemory) {
    this.#options = options;
    this.#memory = memory;
    this.#subject = options.servername || options.host || host;
    const wanted = options.servername ?? this.#subject;
    const sentName = net.isIP(wanted) === 0 ? wanted : "";
    this.#key = `${trustOf(options)};${sessionKey(`${this.#subject}/${sentName}/${port}`, options)}`;
    this.#offered = this.#sessionToOffer();
    this.hello = {
      servername: sentName,
      ...(this.#offered === undefined ? {} : { session: this.#offered.session }),
    };
    this.settings = {
      rejectUnauthorized: this.#verifies,
      checkServerIdentity: (_name: string, certificate: PeerCertificate) => this.#check(certificate),
      ...contextSettings(options, sentName === "" && net.isIP(host) === 0, memory),
      ...(options.ALPNProtocols === undefined ? {} : { ALPNProtocols: [...options.ALPNProtocols] }),
    };
  }

  /** Gives `hello` to a stream that has not begun its handshake. */
  say(stream: tls.TLSSocket): void {
    // A connect that fails at once, as to a path that is too long, has taken the handle with it.
    if (stream.destroyed) return;
    const { servername, session } = this.hello;
    const { setServername, setSession } = stream as tls.TLSSocket & Hearing;
    if (servername !== "") setServername.call(stream, servername);
    if (session !== undefined) setSession.call(stream, session);
  }

  /** Keeps the sessions that the peer gives; to be called before the handshake. */
  watch(stream: tls.TLSSocket): void {
    // Deno's node:tls emits 'session' with bytes that resume nothing.
    if (!nodeCapabilities.resumesSessions) return;
    stream.on("session", (session: Uint8Array) => {
      if (this.#certificate === undefined) return;
      origins.set(session, { key: this.#key, certificate: this.#certificate });
      this.#memory.sessions.set(this.#key, { session, certificate: this.#certificate });
    });
  }

  /** The handshake is done: an error refuses the peer after all. */
  verify(stream: tls.TLSSocket): Error | undefined {
    if (!stream.isSessionReused()) return undefined;
    if (!this.#verifies && this.#offered === undefined) distrust(stream);
    if (this.#certificate !== undefined) return undefined;
    this.#certificate = this.#offered?.certificate;
    this.#refusal = this.#certificate === undefined
      ? new SocketError(
        `Cannot verify "${this.#subject}": its session was resumed without a certificate`,
        { code: "ERR_TLS_CERT_ALTNAME_INVALID", phase: "tls" },
      )
      : this.#check(this.#certificate);
    if (this.#certificate !== undefined) showCertificate(stream, this.#certificate);
    return this.#verifies ? this.#refusal : undefined;
  }

  /** What is told of the stream once `verify` has let it pass. */
  infoOf(stream: tls.TLSSocket): TlsInfo {
    const info = tlsInfoOf(stream);
    if (this.#refusal === undefined || !info.authorized) return info;
    return { ...info, authorized: false, authorizationError: codeOrMessage(this.#refusal) };
  }

  /** The handshake failed: a session that had a part in it is not offered again. */
  failed(): void {
    if (this.#offered !== undefined) this.#memory.sessions.delete(this.#key, this.#offered);
  }

  get #verifies(): boolean {
    return this.#options.rejectUnauthorized !== false;
  }

  #check(certificate: PeerCertificate): Error | undefined {
    this.#certificate = certificate;
    const check = this.#options.checkServerIdentity ?? defaultCheck;
    // Thrown, it would be node:tls's to lose: the connection would go on, and nobody would have verified it.
    try {
      return check(this.#subject, certificate);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #sessionToOffer(): CachedSession | undefined {
    if (!nodeCapabilities.resumesSessions) return undefined;
    const { session } = this.#options;
    if (session === undefined) return this.#memory.sessions.get(this.#key);
    const origin = origins.get(session);
    return origin?.key === this.#key ? { session, certificate: origin.certificate } : undefined;
  }
}

// Of a resumed session Node's node:tls shows no certificate. Programs that pin one at 'secureConnect' would take that for
// another's, and here sessions are resumed where Node's agents open new ones.
function showCertificate(stream: tls.TLSSocket, certificate: PeerCertificate): void {
  const shown = stream.getPeerCertificate() as object | null | undefined;
  if (shown && Object.keys(shown).length > 0) return;
  stream.getPeerCertificate = () => certificate as tls.DetailedPeerCertificate;
}

// Deno resumes sessions of its own where nothing is verified, and calls the peer authorized then.
function distrust(stream: tls.TLSSocket): void {
  stream.authorized = false;
  stream.authorizationError ??= "UNABLE_TO_VERIFY_LEAF_SIGNATURE" as unknown as Error;
}

/** What is told of an open TLS stream. */
export function tlsInfoOf(stream: tls.TLSSocket): TlsInfo {
  const { authorizationError } = stream;
  return {
    alpnProtocol: stream.alpnProtocol || undefined,
    authorized: stream.authorized,
    authorizationError: stream.authorized || !authorizationError
      ? undefined
      : codeOrMessage(authorizationError),
    resumed: stream.isSessionReused(),
    protocol: stream.getProtocol() ?? undefined,
  };
}

function codeOrMessage(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return String(code ?? message ?? error);
}

function defaultCheck(name: string, certificate: PeerCertificate): Error | undefined {
  const refusal = tls.checkServerIdentity(name, certificate as tls.PeerCertificate);
  return refusal !== undefined && net.isIPv6(name) && isNamedIn(certificate, name) ? undefined : refusal;
}

// Node 22.23 finds no IPv6 address in a certificate: it takes the host through domainToASCII, which makes "" of one.
function isNamedIn({ subjectaltname = "" }: PeerCertificate, address: string): boolean {
  // A quoted entry may hold any text, ", IP Address:" too (CVE-2021-44532).
  if (subjectaltname.includes('"')) return false;
  const wanted = canonicalIPv6(address);
  const prefix = "IP Address:";
  return subjectaltname.split(", ").some((entry) =>
    entry.startsWith(prefix) && net.isIPv6(entry.slice(prefix.length)) &&
    canonicalIPv6(entry.slice(prefix.length)) === wanted
  );
}

function canonicalIPv6(address: string): string {
  return new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname;
}

function contextSettings(options: TlsOptions, isSilent: boolean, { contexts }: TlsMemory): object {
  if (options.secureContext !== undefined) return { secureContext: options.secureContext };
  if (isSilent && contextForcesSni) return keyMaterial(options);
  const key = `${trustOf(options)};${contextKey(options)}`;
  let secureContext = contexts.get(key);
  if (secureContext === undefined) {
    if (contextHidesBadKey) assertReadable(options);
    secureContext = tls.createSecureContext(keyMaterial(options) as tls.SecureContextOptions);
    contexts.set(key, secureContext);
  }
  return { secureContext };
}

/** What may change the authorities of a process, where the runtime has it: Node from 22.19 on, and Bun. */
interface AuthorityControl {
  setDefaultCACertificates?: unknown;
  getCACertificates?(type: "default"): readonly string[];
}

let authorities: readonly string[] | undefined;
let generation = 0;

// Whoever is trusted by default is whom tls.setDefaultCACertificates() has named last: neither a context nor a session from
// before may be used for a connect that names no authority itself. The list is one object until it is set anew.
function trustOf({ ca, secureContext }: TlsOptions): number {
  const { setDefaultCACertificates, getCACertificates } = tls as unknown as AuthorityControl;
  if (ca !== undefined || secureContext !== undefined || !nodeCapabilities.resumesSessions) return 0;
  if (setDefaultCACertificates === undefined || getCACertificates === undefined) return 0;
  const now = getCACertificates("default");
  if (now !== authorities) generation++;
  authorities = now;
  return generation;
}

function keyMaterial(options: TlsOptions): object {
  return Object.fromEntries(
    contextOptions.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}

// Throws what is wrong with a client's certificate and key.
function assertReadable({ cert, key, passphrase }: TlsOptions): void {
  for (const pem of listOf(cert)) new X509Certificate(pem);
  for (const each of listOf<string | Uint8Array | EncryptedKey>(key)) {
    const { pem, passphrase: own = passphrase } = isEncryptedKey(each) ? each : { pem: each };
    createPrivateKey({ key: pem as string, passphrase: own });
  }
}

interface EncryptedKey {
  readonly pem: string | Uint8Array;
  readonly passphrase?: string | undefined;
}

function isEncryptedKey(key: string | Uint8Array | EncryptedKey): key is EncryptedKey {
  return typeof key === "object" && "pem" in key;
}

function listOf<T>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value as T];
}

const TLS13_SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/** Throws ERR_UNSUPPORTED_OPTION for a value that is not honoured here although the option is. */
export function assertTlsOptions({ ciphers, secureContext, servername }: TlsOptions): void {
  if (contextForcesSni && secureContext !== undefined && servername === "") {
    throw unsupportedOptionError("tls.servername", nodeCapabilities.adapter);
  }
  // BoringSSL, under Bun, offers its three suites of TLS 1.3 whatever the list says.
  if (ciphers === undefined || nodeCapabilities.choosesTls13Ciphers) return;
  const named = TLS13_SUITES.filter((suite) => ciphers.includes(suite)).length;
  if (named !== 0 && named !== TLS13_SUITES.length) {
    throw unsupportedOptionError("tls.ciphers", nodeCapabilities.adapter);
  }
}

/** The error of key material that node:tls cannot use, which it throws, as one that a socket can be told. */
export function contextError(error: unknown): Error {
  if (error instanceof Error && "code" in error) return error;
  const message = error instanceof Error ? error.message : String(error);
  return Object.assign(argumentError("ERR_TLS_INVALID_CONTEXT", message, Error), { cause: error });
}
