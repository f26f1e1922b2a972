/**
 * The socket contract: the one seam between the HTTP agent and whatever moves the bytes.
 *
 * Owns the types and what they promise; what an adapter may not be able to do is in capabilities.ts. Knows no HTTP and no
 * runtime. `tests/runtime` and the conformance suite hold every adapter to each sentence here.
 *
 * Strategy: push, a synchronous connect, bytes only. A pooled socket has to notice its peer's close and any unsolicited
 * byte at once, and push gives that for nothing. Rules that hold for all members:
 *
 * - No handler is called inside a call to `Connect` or to a member of `Socket`; inside a handler's call every member may be
 *   used. A handler must not throw: what it throws is the process's uncaught exception, and the socket goes on.
 * - The order is `onOpen`, then any of `onData` and `onDrain`, at most one `onEnd` after the last `onData`, and exactly one
 *   `onClose`, last. A connect that fails or is cancelled is `onClose` alone.
 * - There is no timeout here: their owners hold timers (clock.ts) and call `destroy`.
 *
 * @module
 */

import type { SocketError } from "./errors.ts";

/**
 * Begins a connection and returns its socket at once; `handler.onOpen` or `handler.onClose` follows.
 *
 * `options` and the TLS options in it are read during the call; what they refer to (key material, functions) must not
 * change while the socket connects.
 *
 * Only the caller's faults are thrown, before anything is dialled: TypeError ERR_UNSUPPORTED_OPTION for a binding option
 * that the adapter does not honour, RangeError ERR_SOCKET_BAD_PORT, TypeError ERR_INVALID_ARG_TYPE and
 * ERR_INVALID_ARG_VALUE. Everything else, unreadable key material included, is told by `onClose`.
 */
export type Connect = (options: ConnectOptions, handler: SocketHandler) => Socket;

/** A byte stream in both directions. The optional members are capabilities: a user's own adapter needs the rest alone. */
export interface Socket {
  /** True until `onOpen` or `onClose`; also after `destroy()` until then. */
  readonly connecting: boolean;
  /**
   * True from `destroy()` on, or from the moment the connection is known to be gone, which may be before `onClose`: while
   * the socket is paused, what came before the end waits for `resume()`. Writes are not taken any more.
   */
  readonly destroyed: boolean;
  /**
   * Bytes accepted by `write()` and not yet taken by the system. 0 does not say that the peer has them. 0 once
   * `destroyed`.
   */
  readonly pendingBytes: number;
  /** Bytes given to `onData` so far. */
  readonly bytesRead: number;
  /** Bytes accepted by `write()` so far, taken by the system or not. */
  readonly bytesWritten: number;
  /** Addresses and TLS facts; set before `onOpen`, and kept after `onClose`. Undefined until then. */
  readonly info?: SocketInfo | undefined;
  /** Who is told; replaceable at any time, and the next event goes to the new one. */
  handler: SocketHandler;
  /**
   * Takes all of `chunk`, in order; before `onOpen` it is queued, and sent only once the peer is verified.
   *
   * False asks the caller to wait for `onDrain`, and asks only: more is taken. `more` says that another chunk follows in
   * this turn, so that the adapter may hold this one and join the two; what is held goes out at the end of the turn at
   * the latest, and before `end()`.
   *
   * The bytes belong to the socket until `pendingBytes` is 0, which `onDrain` tells: until then they must not change. If
   * `pendingBytes` is 0 on return they are the caller's again, and no `onDrain` follows.
   *
   * After `end()` and once `destroyed` nothing is taken, false is returned and nothing is told: `onClose` says why.
   */
  write(chunk: Uint8Array, more?: boolean): boolean;
  /**
   * Sends FIN after the pending bytes (close_notify before it, with TLS); reading goes on where the capability
   * `halfClose` says so. Idempotent; allowed before `onOpen`. When the peer has ended too, `onClose` follows by itself.
   */
  end(): void;
  /**
   * Closes at once, both ways, and drops what is pending in either direction. Also cancels a connect, in the look-up, on
   * the way and in the TLS handshake; the system's handle may last until the attempt ends by itself (capabilities
   * `cancelsConnect`, `cancelsHandshake`). `onClose` is the only call that follows, soon, once; it is told `error`, as a
   * SocketError (with the code of `error`, which is the cause), or nothing. Idempotent: the first error counts. Never
   * throws.
   */
  destroy(error?: Error): void;
  /**
   * Stops `onData` and `onEnd`; exact when called inside `onData`: nothing more comes until `resume()`. Reading from the
   * system stops after at most one more chunk, which waits, so the peer is held back. An end or an error with nothing
   * waiting before it may be told while paused (capability `seesCloseWhilePaused`). Idempotent.
   */
  pause(): void;
  /** Lets `onData` go on, after the call has returned. Idempotent. */
  resume(): void;
  /** Lets the socket hold the process, as a new one does. Idempotent. */
  ref?(): void;
  /**
   * The socket no longer holds the process, and still tells what happens while the process lives. A connect that has not
   * ended may hold it all the same (capability `unrefsConnect`). Idempotent.
   */
  unref?(): void;
  /** TCP_NODELAY; a hint, as the option `noDelay`. */
  setNoDelay?(on: boolean): void;
  /** SO_KEEPALIVE, and the idle time before the first probe in milliseconds (0: the system's); a hint. */
  setKeepAlive?(on: boolean, initialDelayMs: number): void;
  /**
   * Speaks TLS over this connection from here on (the inside of a CONNECT tunnel): returns a new socket that is connecting
   * until the handshake is done, and consumes this one, whose handler is not called any more and whose `destroyed` is true.
   *
   * Allowed on an open socket with nothing pending and nothing waiting to be read; inside `onData`, `pause()` first. Else it
   * throws Error ERR_INVALID_STATE, and this socket stays usable. Options that the adapter does not honour are thrown
   * as by {@linkcode Connect}.
   */
  startTls?(options: StartTlsOptions, handler: SocketHandler): Socket;
}

/** What a socket tells its user. No member is called inside a call to the socket. */
export interface SocketHandler {
  /** TCP, and TLS if asked for, are ready and verified. Once, before all but `onClose`. */
  onOpen(): void;
  /**
   * Bytes came: at least one. `chunk` is lent for the call, and may be a view of memory that the next read of any socket
   * overwrites: copy what is kept.
   */
  onData(chunk: Uint8Array): void;
  /**
   * The peer sent FIN; writing goes on until `end()`. With TLS `authenticated` tells close_notify (true) from a bare FIN
   * (false), which anyone on the way can send; undefined where the adapter cannot tell (capability `seesCloseNotify`)
   * and on a plain connection.
   */
  onEnd(authenticated?: boolean): void;
  /** `pendingBytes` has fallen to 0 from above it, whatever `write` returned: all bytes written are the caller's again. */
  onDrain(): void;
  /**
   * The socket is gone: exactly once, last. Without an error only after `destroy()` or where both sides have ended. An
   * `onClose` without `onEnd` before it never means that the peer has sent all that it wanted.
   */
  onClose(error?: SocketError): void;
}

/**
 * Where to connect, and how. *Binding* members are honoured with Node's meaning or refused (ERR_UNSUPPORTED_OPTION); *hints*
 * are followed where the adapter can, and listed in `info.ignoredHints` where it cannot.
 */
export interface ConnectOptions {
  /** Name or address; IPv6 without brackets. Default `"localhost"`. */
  host?: string | undefined;
  /** 0 to 65535; needed unless `path` is given. Other values throw RangeError ERR_SOCKET_BAD_PORT. */
  port?: number | undefined;
  /** A unix socket's path, in the place of host and port; an abstract one begins with NUL. Binding. */
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
  /** Given, even empty: TLS over the connection, verified. */
  tls?: TlsOptions | undefined;
  /** TCP_NODELAY; default true. Hint. */
  noDelay?: boolean | undefined;
  /** SO_KEEPALIVE; default false. Hint. */
  keepAlive?: boolean | undefined;
  /** Idle time before the first keep-alive probe, ms; default 0: the system's. Hint. */
  keepAliveInitialDelayMs?: number | undefined;
  /** Race the addresses of a name (RFC 8305); default true. Hint. */
  autoSelectFamily?: boolean | undefined;
  /** Time from one attempt to the next, ms, at least 10; default 250 (RFC 8305 section 5). Hint. */
  autoSelectFamilyAttemptTimeoutMs?: number | undefined;
  /** Size of a read, bytes. Hint. */
  highWaterMark?: number | undefined;
}

/** Key material as Node takes it. */
export type PemInput = string | Uint8Array | readonly (string | Uint8Array)[];

/** Private keys as Node takes them: PEM, each with its own passphrase or with `passphrase`. */
export type KeyInput =
  | PemInput
  | readonly { readonly pem: string | Uint8Array; readonly passphrase?: string | undefined }[];

/** PKCS #12 bundles as Node takes them, each with its own passphrase or with `passphrase`. */
export type PfxInput =
  | string
  | Uint8Array
  | readonly (
    | string
    | Uint8Array
    | { readonly buf: string | Uint8Array; readonly passphrase?: string | undefined }
  )[];

/**
 * TLS client options; names and meaning are those of Node's `tls.connect`. All are binding.
 *
 * Differs from Node: the peer is verified unless `rejectUnauthorized: false` is given *here* (the environment's
 * NODE_TLS_REJECT_UNAUTHORIZED is not read), always against a name that was given and never against "localhost" by
 * accident, and also on a resumed session.
 */
export interface TlsOptions {
  /** Name or address that is verified where `servername` names none; default: the connect's `host`. */
  host?: string | undefined;
  /** Certificate authorities in the place of the default roots. */
  ca?: PemInput | undefined;
  /** Client certificate chain. */
  cert?: PemInput | undefined;
  /** Client private key. */
  key?: KeyInput | undefined;
  /** Passphrase of `key` or `pfx`. */
  passphrase?: string | undefined;
  /** PKCS #12 bundle. */
  pfx?: PfxInput | undefined;
  /**
   * Name sent as SNI and verified; default: the host. `""` sends none and verifies the host. An address is verified and
   * never sent (RFC 6066 section 3).
   */
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
  /**
   * Session to resume, as an earlier socket of this process gave it for the same peer and with the same options. Another
   * is not offered to the peer: a resumed session is as verified as it was when it was made, with the options of then.
   */
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
  /** Name or address that is verified where `servername` names none. Never taken from the open socket. */
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
  /**
   * What `onData` was lent stays as it is until the microtasks that are queued then have run: nothing is read before. Default:
   * it means something else once the call has returned.
   */
  readonly lentOutlastsCall?: boolean | undefined;
  /** How long each stage of the connect took; undefined: the adapter does not tell, or did not connect by itself. */
  readonly opening?: SocketOpening | undefined;
}

/** The stages of a connect, one after the other, in ms; undefined: there was none, or the adapter does not tell it apart. */
export interface SocketOpening {
  /** The look-up of the name, from the call to `Connect` (capability `tellsLookup`; else a part of `connectMs`). */
  readonly lookupMs?: number | undefined;
  /** From there until the connection stood, the attempts that lost the race included; undefined for `startTls`. */
  readonly connectMs?: number | undefined;
  /** From there until TLS was ready and the peer verified; undefined on a plain connection. */
  readonly tlsMs?: number | undefined;
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
