/**
 * Peers over node:net for the conformance suite, for every adapter that reaches loopback.
 *
 * Owns the servers and what they do to a connection. Knows no adapter.
 *
 * @module
 */

import * as net from "node:net";
import { ca, client } from "../certs/certs.ts";
import { listening } from "../harness/listening.ts";
import { takeUncaught } from "./uncaught.ts";
import { listenTls } from "./conformance_tls_servers.ts";
import type { TlsOptions } from "../../src/runtime/socket.ts";
import type {
  ConformanceHarness,
  ConformancePeer,
  ConformancePeerEvents,
  PeerKind,
} from "../../src/testing.ts";

/** Called for each connection. */
export type Accept = (peer: ConformancePeer) => ConformancePeerEvents;

/** Every kind of peer. */
export const peerKinds: ReadonlySet<PeerKind> = new Set<PeerKind>([
  "plain",
  "silent",
  "notTls",
  "tls",
  "tunnel",
  "tlsWrongHost",
  "tlsExpired",
  "tlsSelfSigned",
  "tlsUnknownAuthority",
  "tlsClientCertificate",
]);

/** All of a harness that has nothing to do with the adapter; `trust` is what its clients are to trust peers by. */
export function realServers(
  trust: TlsOptions = { ca },
): Omit<ConformanceHarness, "connect" | "capabilities"> {
  return {
    kinds: peerKinds,
    ports: true,
    resets: true,
    clientCertificate: client,
    listen: async (kind, accept, cut) => {
      if (kind !== "plain" && kind !== "silent" && kind !== "notTls") {
        return await listenTls(kind, accept, trust, cut);
      }
      const { port, close } = await listening(net.createServer({ allowHalfOpen: true }, (socket) => {
        serve(socket, accept, peerOf(socket));
        if (kind === "notTls") socket.once("data", () => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      }));
      return {
        options: kind === "plain" ? { host: "127.0.0.1", port } : { host: "localhost", port, tls: trust },
        close,
      };
    },
    refused: async () => {
      const { port, close } = await listening(net.createServer());
      await close();
      return { host: "127.0.0.1", port };
    },
    uncaught: takeUncaught,
    unknownName: () => Promise.resolve({ host: "nowhere.invalid", port: 80 }),
  };
}

/** Tells the suite of a connection. */
export function serve(socket: net.Socket, accept: Accept, peer: ConformancePeer): void {
  const events = accept(peer);
  socket.on("data", (chunk: Uint8Array) => events.onData(chunk));
  socket.on("end", () => events.onEnd());
  socket.on("close", () => events.onClose());
}

/** A connection as the suite wants it. */
export function peerOf(socket: net.Socket): ConformancePeer {
  return {
    send: (bytes) => void socket.write(bytes),
    get pendingBytes() {
      return socket.writableLength;
    },
    end: () => void socket.end(),
    destroy: () => void socket.destroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    reset: () => void socket.resetAndDestroy(),
  };
}
