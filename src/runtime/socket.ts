/**
 * The socket contract: the one seam between the HTTP agent and whatever moves the bytes.
 *
 * Owns the types and what they promise. Knows no HTTP and no runtime. Push, synchronous connect, bytes only:
 * a pooled socket has to notice its peer's close and any unsolicited byte at once, and push gives that for
 * nothing.
 *
 * @module
 */

import type { SocketError } from "./errors.ts";

/** Begins a connection and returns its socket at once; `handler.onOpen` or `handler.onClose` follows. */
export type Connect = (options: ConnectOptions, handler: SocketHandler) => Socket;

/** A byte stream in both directions. */
export interface Socket {
  /** True until `onOpen` or `onClose`. */
  readonly connecting: boolean;
  /** True from `destroy()` or from the moment the connection is known to be gone. */
  readonly destroyed: boolean;
  /** Bytes accepted by `write()` and not yet taken by the system. */
  readonly pendingBytes: number;
  /** Bytes given to `onData` so far. */
  readonly bytesRead: number;
  /** Bytes accepted by `write()` so far. */
  readonly bytesWritten: number;
  /** Addresses and TLS facts; set before `onOpen`. Optional capability. */
  readonly info?: SocketInfo | undefined;
  /** Who is told; replaceable, and the next event goes to the new one. */
  handler: SocketHandler;
  /**
   * Takes all of `chunk`; false asks the caller to wait for `onDrain`. The bytes are the socket's until `onDrain`.
   * `more` says that another chunk follows in this turn, so that the adapter may hold and join.
   */
  write(chunk: Uint8Array, more?: boolean): boolean;
  /** Sends FIN after the pending bytes; reading goes on. */
  end(): void;
  /** Closes at once, both ways; idempotent; also cancels a connect. `onClose(error)` follows. */
  destroy(error?: Error): void;
  /** Stops `onData`; exact when called inside `onData`. */
  pause(): void;
  /** Lets `onData` go on. */
  resume(): void;
  /** Lets the socket hold the process. Optional capability. */
  ref?(): void;
  /** The socket no longer holds the process. Optional capability. */
  unref?(): void;
  /** TCP_NODELAY. Optional capability. */
  setNoDelay?(on: boolean): void;
  /** SO_KEEPALIVE; the delay in milliseconds. Optional capability. */
  setKeepAlive?(on: boolean, initialDelayMs: number): void;
  /** Consumes this socket and returns one that speaks TLS over it. Optional capability. */
  startTls?(options: StartTlsOptions, handler: SocketHandler): Socket;
}

/** What a socket tells its user. No member is called inside a call to the socket. */
export interface SocketHandler {
  /** TCP, and TLS if asked for, are ready and verified. */
  onOpen(): void;
  /** Bytes came; `chunk` is lent for the call: copy what is kept. */
  onData(chunk: Uint8Array): void;
  /** The peer sent FIN. `authenticated` is false where TLS ended without close_notify and the adapter can see it. */
  onEnd(authenticated?: boolean): void;
  /** `pendingBytes` fell to 0, whatever `write` returned. */
  onDrain(): void;
  /** The socket is gone: exactly once, last. */
  onClose(error?: SocketError): void;
}

/** Where to connect, and how. */
export interface ConnectOptions {
  /** Name or address; IPv6 without brackets. Default `"localhost"`. */
  host?: string | undefined;
  /** 0 to 65535. */
  port?: number | undefined;
  /** A unix socket's path, in the place of host and port. */
  path?: string | undefined;
  /** 4 or 6: addresses of that family alone; 0 or undefined: both. Binding. */
  family?: 0 | 4 | 6 | undefined;
  /** Looks a name up in the place of the system's resolver (Node's `dns.lookup` signature). Binding. */
  lookup?: LookupFunction | undefined;
  /** Flags for the system's resolver (`dns.lookup` hints). Binding. */
  hints?: number | undefined;
  /** Local address to bind. Binding. */
  localAddress?: string | undefined;
  /** Local port to bind. Binding. */
  localPort?: number | undefined;
  /** Given: TLS over the connection, verified. */
  tls?: TlsOptions | undefined;
  /** TCP_NODELAY; default true. Hint. */
  noDelay?: boolean | undefined;
  /** SO_KEEPALIVE; default false. Hint. */
  keepAlive?: boolean | undefined;
  /** Delay of the first keep-alive probe, ms; default 0: the system's. Hint. */
  keepAliveInitialDelayMs?: number | undefined;
  /** Race the addresses of a name (RFC 8305); default true. Hint. */
  autoSelectFamily?: boolean | undefined;
  /** Time from one attempt to the next, ms; default 250. Hint. */
  autoSelectFamilyAttemptTimeoutMs?: number | undefined;
  /** Size of a read, bytes. Hint. */
  highWaterMark?: number | undefined;
}

/** Key material as Node takes it. */
export type PemInput = string | Uint8Array | readonly (string | Uint8Array)[];

/** TLS client options; names and meaning are `tls.connect`'s. All are binding. */
export interface TlsOptions {
  /** Certificate authorities in the place of the default roots. */
  ca?: PemInput | undefined;
  /** Client certificate chain. */
  cert?: PemInput | undefined;
  /** Client private key. */
  key?: PemInput | undefined;
  /** Passphrase of `key` or `pfx`. */
  passphrase?: string | undefined;
  /** PKCS #12 bundle. */
  pfx?: string | Uint8Array | undefined;
  /** Name sent as SNI and verified; default: the host. `""` sends none and verifies the host. */
  servername?: string | undefined;
  /** Protocols offered by ALPN, first choice first. */
  ALPNProtocols?: readonly string[] | undefined;
  /** False: accept whatever the peer shows. Default true. */
  rejectUnauthorized?: boolean | undefined;
  /** Node's `checkServerIdentity`: returns an Error to refuse the peer. */
  checkServerIdentity?: ((hostname: string, cert: PeerCertificate) => Error | undefined) | undefined;
  /** Lowest version: "TLSv1.2" or "TLSv1.3" (older where the runtime has them). */
  minVersion?: string | undefined;
  /** Highest version. */
  maxVersion?: string | undefined;
  /** OpenSSL cipher list. */
  ciphers?: string | undefined;
  /** Session to resume, as an earlier socket gave it. */
  session?: Uint8Array | undefined;
  /** A ready SecureContext of the runtime's node:tls. */
  secureContext?: unknown;
  /** Certificate revocation lists. */
  crl?: PemInput | undefined;
  /** Curves, `:`-separated. */
  ecdhCurve?: string | undefined;
  /** Signature algorithms, `:`-separated. */
  sigalgs?: string | undefined;
  /** OpenSSL option bits. */
  secureOptions?: number | undefined;
  /** Legacy protocol method name. */
  secureProtocol?: string | undefined;
  /** Prefer the server's cipher order. */
  honorCipherOrder?: boolean | undefined;
  /** Diffie-Hellman parameters. */
  dhparam?: string | Uint8Array | undefined;
  /** OpenSSL session id context. */
  sessionIdContext?: string | undefined;
}

/** {@linkcode TlsOptions} for a connection that is open already, whose own host may be a proxy's. */
export interface StartTlsOptions extends TlsOptions {
  /** The peer's name or address: verified, and the default of `servername`. Never taken from the open socket. */
  host: string;
  /** The peer's port: only a part of the session cache's key. */
  port?: number | undefined;
}

/** The members of Node's peer certificate that a `checkServerIdentity` commonly reads. */
export interface PeerCertificate {
  /** Distinguished name of the subject. */
  readonly subject: Readonly<Record<string, string | string[]>>;
  /** `DNS:example.com, IP Address:127.0.0.1`. */
  readonly subjectaltname?: string | undefined;
  /** SHA-256 of the certificate, colon-separated hexadecimal. */
  readonly fingerprint256: string;
  /** DER bytes. */
  readonly raw: Uint8Array;
}

/** One address of a look-up. */
export interface LookupAddress {
  /** The address. */
  readonly address: string;
  /** 4 or 6. */
  readonly family: number;
}

/** Node's `lookup` option. */
export type LookupFunction = (
  hostname: string,
  options: { all?: boolean; family?: number; hints?: number },
  callback: (
    error: Error | null,
    address?: string | readonly LookupAddress[],
    family?: number,
  ) => void,
) => void;

/** What is known of an open socket. */
export interface SocketInfo {
  /** Which adapter made it: "node", "deno", "bun", "memory", or a user's own name. */
  readonly adapter: string;
  /** This end. */
  readonly localAddress?: string | undefined;
  /** This end's port. */
  readonly localPort?: number | undefined;
  /** The peer. */
  readonly remoteAddress?: string | undefined;
  /** The peer's port. */
  readonly remotePort?: number | undefined;
  /** 4 or 6; undefined for a unix socket. */
  readonly remoteFamily?: 4 | 6 | undefined;
  /** TLS facts; undefined on a plain connection. */
  readonly tls?: TlsInfo | undefined;
  /** Hints that were asked for and could not be honoured. */
  readonly ignoredHints?: readonly string[] | undefined;
}

/** What is known of an open TLS connection. */
export interface TlsInfo {
  /** The protocol chosen by ALPN; undefined: none. */
  readonly alpnProtocol?: string | undefined;
  /** The peer's certificate was verified: chain and name. */
  readonly authorized: boolean;
  /** Why it was not, where `rejectUnauthorized: false` let it pass. */
  readonly authorizationError?: string | undefined;
  /** The session was resumed; undefined where the runtime does not tell. */
  readonly resumed?: boolean | undefined;
  /** "TLSv1.3"; undefined where the runtime does not tell. */
  readonly protocol?: string | undefined;
}

/** The members of {@linkcode ConnectOptions} that are binding: honoured with Node's meaning, or refused. */
export type BindingOption = "path" | "family" | "lookup" | "hints" | "localAddress" | "localPort";

/** The members of {@linkcode ConnectOptions} that are hints: best effort, reported in `info.ignoredHints`. */
export type HintOption =
  | "noDelay"
  | "keepAlive"
  | "keepAliveInitialDelayMs"
  | "autoSelectFamily"
  | "autoSelectFamilyAttemptTimeoutMs"
  | "highWaterMark";

/** Any member of {@linkcode TlsOptions}; all of them are binding. */
export type TlsOption = keyof TlsOptions;

/**
 * What one adapter can do on the runtime that it runs on. A difference between runtimes is a flag here, with its
 * reason where the table is made and a test of its own; nobody asks for a runtime's name.
 */
export interface Capabilities {
  /** The adapter's name, as in `info.adapter`. */
  readonly adapter: string;
  /** Binding connect options that it honours. */
  readonly options: ReadonlySet<BindingOption>;
  /** TLS options that `connect` honours; empty: no TLS. */
  readonly tlsOptions: ReadonlySet<TlsOption>;
  /** TLS options that `startTls` honours; empty: no `startTls`. */
  readonly startTlsOptions: ReadonlySet<TlsOption>;
  /** Hints that it can follow. */
  readonly hints: ReadonlySet<HintOption>;
  /** `destroy()` during a connect lets go of the system's handle at once; false: when the attempt ends by itself. */
  readonly cancelsConnect: boolean;
  /** `end()` sends FIN and reading goes on. */
  readonly halfClose: boolean;
  /** Sockets have `startTls`. */
  readonly startTls: boolean;
  /** `startTls` works on a socket that already speaks TLS (an https proxy). */
  readonly tlsInTls: boolean;
  /** TLS over a unix socket works. */
  readonly tlsOverPath: boolean;
  /** `onEnd(false)` is told from `onEnd(true)`: the end of TLS without close_notify is seen. */
  readonly seesCloseNotify: boolean;
  /** TLS sessions are resumed, so that a second connect with the same options is cheaper. */
  readonly resumesSessions: boolean;
  /** `ref` and `unref` exist and count from the moment that `connect` returned. */
  readonly ref: boolean;
  /** `unref()` also releases the process from a connect that has not ended. */
  readonly unrefsConnect: boolean;
  /** A FIN or RST is reported while the socket is paused and nothing waits to be read. */
  readonly seesCloseWhilePaused: boolean;
  /** Data that came before an RST is delivered although the socket was paused when it came. */
  readonly keepsDataBeforeReset: boolean;
  /** An RST that came while the socket was paused with data waiting is reported as the peer's clean end. */
  readonly resetAfterPauseLooksClean: boolean;
  /** An RST on an idle TLS connection is reported as the peer's clean end. */
  readonly tlsResetLooksClean: boolean;
  /** An expired certificate is CERT_HAS_EXPIRED although `ca` is given; false: UNABLE_TO_VERIFY_LEAF_SIGNATURE. */
  readonly reportsExpiredWithCa: boolean;
  /** EHOSTUNREACH and ENETUNREACH are told from ECONNREFUSED. */
  readonly reportsUnreachable: boolean;
  /** A wrong `passphrase` is an error; false: the client certificate is silently not sent. */
  readonly reportsBadPassphrase: boolean;
  /** A certificate that names the host in its CN alone is accepted, as Node does. */
  readonly acceptsCommonName: boolean;
}

/**
 * The first option given that the adapter does not honour, or undefined: `"localAddress"`, `"tls.pfx"`. An option is given
 * when its value is not undefined and asks for something: `family: 0` and `rejectUnauthorized: true` ask for nothing.
 */
export function unsupportedOption(options: ConnectOptions, capabilities: Capabilities): string | undefined {
  for (const name of bindingOptions) {
    if (isGiven(name, options[name]) && !capabilities.options.has(name)) return name;
  }
  if (options.tls === undefined) return undefined;
  if (capabilities.tlsOptions.size === 0) return "tls";
  if (options.path !== undefined && !capabilities.tlsOverPath) return "path";
  return unsupportedTlsOption(options.tls, capabilities.tlsOptions);
}

/** The first TLS option given that is not in `honoured`, as `"tls.pfx"`, or undefined. */
export function unsupportedTlsOption(
  options: TlsOptions,
  honoured: ReadonlySet<TlsOption>,
): string | undefined {
  for (const name of Object.keys(options) as TlsOption[]) {
    if (isGiven(name, options[name]) && !honoured.has(name)) return `tls.${name}`;
  }
  return undefined;
}

const bindingOptions: readonly BindingOption[] = [
  "path",
  "family",
  "lookup",
  "hints",
  "localAddress",
  "localPort",
];

function isGiven(name: BindingOption | TlsOption, value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (name === "family" || name === "hints" || name === "localPort") return value !== 0;
  if (name === "rejectUnauthorized") return value === false;
  return true;
}
