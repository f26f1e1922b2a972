/**
 * TLS sessions of streams that users see from the first moment on: those of a request of the runtime's own node:https.
 *
 * Owns which session such a stream is offered. Knows neither sockets of the contract (node_tls.ts has their sessions) nor
 * who asks.
 *
 * Strategy: as Node's https.Agent, which keeps the last session of each of its names, with two differences. The key also
 * holds every option that Node's name leaves out. And a resumed session is not looked at again by node:tls
 * (tests/runtime/TRAPS.md, trap 13): so the certificate that its peer showed is checked before the session is offered, and a
 * session without one, or that is refused now, gives way to a full handshake.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { nodeCapabilities } from "./node_capabilities.ts";
import type { PeerCertificate } from "./socket.ts";
import { BoundedCache, type CachedSession, contextOptions, sessionKey } from "./tls_session_cache.ts";

/** What of the options says who the peer is and what is verified; the rest of Node's own is in its `_agentKey`. */
const IDENTITY: readonly string[] = [
  ...contextOptions,
  "servername",
  "ALPNProtocols",
  "rejectUnauthorized",
  "checkServerIdentity",
  "secureContext",
  "pskCallback",
  "allowPartialTrustChain",
];

/** `tls.connect`'s options as an agent gives them. */
export type StreamTlsOptions = tls.ConnectionOptions & {
  /** The agent's name of the origin: without one nothing is kept, as in Node. */
  readonly _agentKey?: string | undefined;
};

/** See the file's comment. */
export class StreamSessions {
  readonly #sessions: BoundedCache<CachedSession>;

  /** For so many peers and option sets, default 100, as Node's `maxCachedSessions`; 0: none. */
  constructor(maxCachedSessions?: number) {
    this.#sessions = new BoundedCache(maxCachedSessions);
  }

  /** `tls.connect`, with the last session of this peer under these options. */
  connect(options: StreamTlsOptions): tls.TLSSocket {
    const key = keyOf(options);
    if (key === undefined) return tls.connect(options);
    const offered = this.#find(key, options);
    const session = offered?.session as tls.ConnectionOptions["session"];
    const stream = tls.connect(session === undefined ? options : { ...options, session });
    this.#watch(stream, key, offered);
    return stream;
  }

  #find(key: string, options: StreamTlsOptions): CachedSession | undefined {
    const known = this.#sessions.get(key);
    if (known === undefined || isWelcome(options, known)) return known;
    this.#sessions.delete(key, known);
    return undefined;
  }

  /** Keeps the stream's sessions; one that had a part in a failure is not offered again. */
  #watch(stream: tls.TLSSocket, key: string, offered: CachedSession | undefined): void {
    let latest = offered;
    stream.on("session", (session: Uint8Array) => {
      const certificate = stream.isSessionReused() ? offered?.certificate : certificateOf(stream);
      if (certificate === undefined) return;
      latest = { session, certificate };
      this.#sessions.set(key, latest);
    });
    stream.once("close", (hasFailed: boolean) => {
      if (hasFailed && latest !== undefined) this.#sessions.delete(key, latest);
    });
  }
}

/** Undefined: no session is used but the user's own. */
function keyOf(options: StreamTlsOptions): string | undefined {
  const { _agentKey, session, socket } = options as StreamTlsOptions & { socket?: Duplex };
  if (!nodeCapabilities.resumesSessions || !_agentKey) return undefined;
  if (session !== undefined && session !== null || socket) return undefined;
  const { host = "localhost", port, path } = options;
  const identity: Record<string, unknown> = {};
  for (const name of IDENTITY) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && value !== null) identity[name] = value;
  }
  return sessionKey(`${_agentKey}/${host}/${path ?? port}`, identity);
}

function isWelcome(options: StreamTlsOptions, { certificate }: CachedSession): boolean {
  const check = options.checkServerIdentity ?? tls.checkServerIdentity;
  const name = options.servername || options.host || "localhost";
  // A check that throws is heard of where the full handshake calls it.
  try {
    return check(name, certificate as tls.PeerCertificate) === undefined;
  } catch {
    return false;
  }
}

function certificateOf(stream: tls.TLSSocket): PeerCertificate | undefined {
  const certificate = stream.getPeerCertificate(true) as tls.DetailedPeerCertificate | null | undefined;
  // Empty where the peer has shown none.
  return certificate && Object.keys(certificate).length > 0 ? certificate as PeerCertificate : undefined;
}
