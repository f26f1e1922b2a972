/**
 * The part of the `Bun` namespace that the adapter uses, declared by its structure, so that no type of Bun's is needed by
 * whoever uses this library; tests/types assigns the real one to it.
 *
 * @module
 */

/** The members of Bun's socket that the adapter uses. */
export interface BunSocketLike {
  /** What `connect` was given. */
  data: unknown;
  /** This end. */
  readonly localAddress: string;
  /** This end's port. */
  readonly localPort: number;
  /** The peer. */
  readonly remoteAddress: string;
  /** The peer's port. */
  readonly remotePort: number;
  /** Returns what was taken: 0 when full, -1 when closed. */
  write(chunk: Uint8Array): number;
  /** Sends FIN. */
  shutdown(): void;
  /** Closes both ways. */
  close(): void;
  /** Closes both ways with RST. */
  terminate(): void;
  /** Stops 'data'. */
  pause(): void;
  /** Lets 'data' go on. */
  resume(): void;
  /** Holds the process. */
  ref(): void;
  /** Does not hold the process. */
  unref(): void;
  /** TCP_NODELAY. */
  setNoDelay(on?: boolean): boolean;
  /** SO_KEEPALIVE; the delay in milliseconds. */
  setKeepAlive(on?: boolean, initialDelayMs?: number): boolean;
  /** The protocol chosen by ALPN. */
  readonly alpnProtocol: string | false | null;
  /** "TLSv1.3". */
  getTLSVersion(): string;
  /** The session was resumed. */
  isSessionReused(): boolean;
  /** Starts TLS; the first socket of the pair goes on to report the ciphertext, to the handlers of the old one. */
  upgradeTLS(options: {
    tls: BunTlsLike;
    data: unknown;
    socket: BunHandlersLike;
  }): [raw: BunSocketLike, tls: BunSocketLike] | undefined;
}

/** The members of Bun's TLS options that the adapter uses. */
export interface BunTlsLike {
  /** SNI and the name verified; `""`: no SNI, and the host is verified. */
  serverName: string;
  /** Bun closes what it does not authorize. */
  rejectUnauthorized: true;
  /** In the place of the default roots. */
  ca?: BunPemLike;
  /** Client certificate chain. */
  cert?: BunPemLike;
  /** Client private key. */
  key?: BunPemLike;
  /** Of the key. */
  passphrase?: string;
  /** In wire format: a length byte before each name. */
  ALPNProtocols?: Uint8Array<ArrayBuffer>;
}

/** Key material as Bun takes it. */
export type BunPemLike = string | Uint8Array<ArrayBuffer> | (string | Uint8Array<ArrayBuffer>)[];

/** The events of Bun's socket that the adapter takes. */
export interface BunHandlersLike {
  /** TCP is ready; TLS is not. */
  open(socket: BunSocketLike): void;
  /** Bytes, in a buffer of their own. */
  data(socket: BunSocketLike, chunk: Uint8Array): void;
  /** The peer's FIN. */
  end(socket: BunSocketLike): void;
  /** The system takes bytes again; also without need (trap 8). */
  drain(socket: BunSocketLike): void;
  /** The socket is gone. */
  close(socket: BunSocketLike, error?: Error): void;
  /** A failure of an open connection, before close(). */
  error(socket: BunSocketLike, error: Error): void;
  /** The end of the handshake: verified only with `isAuthorized` and no error, of which there may be each without the other. */
  handshake(socket: BunSocketLike, isAuthorized: boolean, error: Error | null): void;
  /** No connection. */
  connectError(socket: BunSocketLike, error: Error): void;
}

/** The part of the `Bun` namespace that the adapter uses; the real one is assigned to it in tests/types. */
export interface BunLike {
  /** Over TCP. */
  connect(options: {
    hostname: string;
    port: number;
    socket: BunHandlersLike;
    data: unknown;
    allowHalfOpen: boolean;
    tls?: BunTlsLike;
  }): Promise<BunSocketLike>;
  /** Over a unix socket. */
  connect(options: {
    unix: string;
    socket: BunHandlersLike;
    data: unknown;
    allowHalfOpen: boolean;
  }): Promise<BunSocketLike>;
}
