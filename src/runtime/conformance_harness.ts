/**
 * What a suite tells the conformance tests of the adapter under test, and how they start peers.
 *
 * Owns the seam between the tests and their surroundings: types alone. Must not know any adapter or test framework.
 *
 * @module
 */

import type { Capabilities } from "./capabilities.ts";
import type { Connect, ConnectOptions, TlsOptions } from "./socket.ts";

/**
 * What listens:
 * - `plain`: speaks no TLS;
 * - `silent`: accepts connections and never answers a handshake (dialled with TLS);
 * - `notTls`: speaks plain text where TLS is expected (dialled with TLS): answers a ClientHello with an HTTP response;
 * - `tls`: its certificate is good for the host dialled; ALPN chooses "http/1.1";
 * - `tlsWrongHost`, `tlsExpired`, `tlsSelfSigned`, `tlsUnknownAuthority`: its certificate is not;
 * - `tlsClientCertificate`: asks for a client certificate, and refuses whoever has none;
 * - `tunnel`: plain until it has received a line, which it answers with the line `ok`; from then on as `tls`.
 */
export type PeerKind =
  | "plain"
  | "silent"
  | "notTls"
  | "tls"
  | "tlsWrongHost"
  | "tlsExpired"
  | "tlsSelfSigned"
  | "tlsUnknownAuthority"
  | "tlsClientCertificate"
  | "tunnel";

/** The server's end of one connection, as the harness gives it. */
export interface ConformancePeer {
  /** Sends all of it, now or later; the bytes are not changed. */
  send(bytes: Uint8Array): void;
  /** Bytes given to `send()` and not yet taken by the system. */
  readonly pendingBytes: number;
  /** FIN after what was sent; reading goes on. */
  end(): void;
  /** Closes both ways. */
  destroy(): void;
  /** Stops reading. */
  pause(): void;
  /** Reads again. */
  resume(): void;
  /** Closes with an RST. Only where `harness.resets`. */
  reset?(): void;
  /** Ends the connection below TLS by a FIN: no close_notify. Only of the `tls` kinds. */
  truncate?(): void;
}

/** What the harness tells of one connection. */
export interface ConformancePeerEvents {
  /** Bytes came. */
  onData(chunk: Uint8Array): void;
  /** The client's FIN came. */
  onEnd(): void;
  /** The connection is gone. */
  onClose(): void;
}

/** Cuts a connection on its way: for each one that a listener accepts. */
export interface Cut {
  /** After how many bytes from the peer to the client; 0: once the client's first bytes came. */
  readonly afterBytes: number;
  /** How. */
  readonly by: "fin" | "rst";
}

/** Something that listens. */
export interface ConformanceListener {
  /** What a client dials it with; `tls` is there for the kinds that speak it, with the authority to trust. */
  readonly options: ConnectOptions;
  /** Stops listening and closes what is open. */
  close(): Promise<void>;
}

/**
 * What a suite says of the adapter under test, and how it starts peers. The peers must not be of the adapter under
 * test, or one mistake could hide another.
 */
export interface ConformanceHarness {
  /** The adapter under test. */
  readonly connect: Connect;
  /** What it can do; start from {@linkcode minimalCapabilities}. */
  readonly capabilities: Capabilities;
  /** Kinds of peers that `listen` can start; `plain` at least. */
  readonly kinds: ReadonlySet<PeerKind>;
  /** Peers are dialled by port. */
  readonly ports: boolean;
  /** The transport has RST: peers have `reset()`, and the adapter reports it. */
  readonly resets: boolean;
  /** Starts a peer; `accept` is called for each connection, before anything is told of it. */
  listen(
    kind: PeerKind,
    accept: (peer: ConformancePeer) => ConformancePeerEvents,
    cut?: Cut,
  ): Promise<ConformanceListener>;
  /** Node's code of a refused connect and of an unknown name is known; default true. False: ERR_SOCKET_FAILED. */
  readonly knowsCodes?: boolean;
  /** Options of a connect that is refused; undefined where the transport cannot refuse. */
  refused?(): Promise<ConnectOptions>;
  /** Options of a connect to a name that does not exist; undefined where the transport knows no names. */
  unknownName?(): Promise<ConnectOptions>;
  /** A client certificate that the peer `tlsClientCertificate` takes. */
  readonly clientCertificate?: TlsOptions;
  /** The name in the certificate of the peer `tlsWrongHost`; default "elsewhere.test". */
  readonly otherName?: string;
  /** How long a test waits for an event, ms; default 10,000. */
  readonly deadlineMs?: number;
  /**
   * Gives the process's uncaught exceptions to `take`, and to nobody else, until the function returned is called; undefined
   * where that cannot be done.
   */
  uncaught?(take: (error: unknown) => void): () => void;
  /** Resolves when nothing is under way any more; default: 30 ms later. */
  quiet?(): Promise<void>;
}

/** Flags, by name, that a test needs: it is to be run where all are true. */
export type Needs = Readonly<Record<string, boolean>>;

/** Registers a test with a framework; `needs` is empty for most. */
export type RegisterTest = (name: string, body: () => Promise<void>, needs: Needs) => void;
