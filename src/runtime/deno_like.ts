/**
 * The part of the `Deno` namespace that the adapter uses, declared by its structure, so that no type of Deno's is needed by
 * whoever uses this library; tests/types assigns the real one to it.
 *
 * @module
 */

/** One end of a connection, as Deno describes it. */
export interface DenoAddrLike {
  /** "tcp" or "unix". */
  readonly transport: string;
  /** The address, of TCP. */
  readonly hostname?: string;
  /** The port, of TCP. */
  readonly port?: number;
}

/** The members of `Deno.Conn`, `Deno.TcpConn` and `Deno.TlsConn` that the adapter uses. */
export interface DenoConnLike {
  /** This end. */
  readonly localAddr: DenoAddrLike;
  /** The peer. */
  readonly remoteAddr: DenoAddrLike;
  /** Resolves to a count, or null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Resolves to a count, which may be less than was given. */
  write(chunk: Uint8Array): Promise<number>;
  /** Sends FIN. */
  closeWrite(): Promise<void>;
  /** Closes both ways; a pending read rejects. */
  close(): void;
  /** A pending read holds the process. */
  ref(): void;
  /** A pending read does not hold the process. */
  unref(): void;
}

/** The members of `Deno.TcpConn` that the adapter uses. */
export interface DenoTcpConnLike extends DenoConnLike {
  /** TCP_NODELAY. */
  setNoDelay(on?: boolean): void;
  /** SO_KEEPALIVE, with the kernel's delay. */
  setKeepAlive(on?: boolean): void;
}

/** The members of `Deno.TlsConn` that the adapter uses. */
export interface DenoTlsConnLike extends DenoConnLike {
  /** Ends the handshake; until then nothing is verified. */
  handshake(): Promise<{ readonly alpnProtocol: string | null }>;
}

/** The part of the `Deno` namespace that the adapter uses; the real one is assigned to it in tests/types. */
export interface DenoLike {
  /** Over TCP. */
  connect(options: {
    port: number;
    hostname?: string;
    transport?: "tcp";
    signal?: AbortSignal;
    autoSelectFamily?: boolean;
    autoSelectFamilyAttemptDelay?: number;
  }): Promise<DenoTcpConnLike>;
  /** Over a unix socket. */
  connect(options: { transport: "unix"; path: string }): Promise<DenoConnLike>;
  /** Consumes the connection. */
  startTls(
    conn: never,
    options?: { hostname?: string; alpnProtocols?: string[] },
  ): Promise<DenoTlsConnLike>;
}
