/**
 * TLS peers for the conformance suite: a node:tls server behind a front that can cut, reset or truncate what passes.
 *
 * Owns the certificates' use and the front. Knows no adapter.
 *
 * Strategy: the client talks to the front, a plain node:net server, which passes bytes on to the TLS server. So every
 * kind of damage is done to TCP by TCP, below TLS, with the same code on each runtime.
 *
 * @module
 */

import * as net from "node:net";
import * as tls from "node:tls";
import type { ConformanceListener, ConformancePeer, Cut, PeerKind } from "../../src/testing.ts";
import { ca, expired, good, type KeyPair, selfSigned, unknownCa, wrongHost } from "../certs/certs.ts";
import type { TlsOptions } from "../../src/runtime/socket.ts";
import { listening } from "../harness/listening.ts";
import { type Accept, peerOf, serve } from "./conformance_servers.ts";

const pairs: Partial<Record<PeerKind, KeyPair>> = {
  tls: good,
  tunnel: good,
  tlsWrongHost: wrongHost,
  tlsExpired: expired,
  tlsSelfSigned: selfSigned,
  tlsUnknownAuthority: unknownCa,
  tlsClientCertificate: good,
};

interface Front {
  readonly client: net.Socket;
  readonly server: net.Socket;
}

/** Starts a TLS peer of this kind, for clients that trust the tests' authority by the options `trust`. */
export async function listenTls(
  kind: PeerKind,
  accept: Accept,
  trust: TlsOptions,
  cut?: Cut,
): Promise<ConformanceListener> {
  // A front by its own port, as the TLS server sees it.
  const fronts = new Map<number, Front>();
  const back = await listening(tls.createServer(serverOptions(kind), (socket) => {
    socket.on("error", () => {});
    serve(socket, accept, belowTls(socket, () => fronts.get(socket.remotePort!)!));
  }));
  const front = await listening(net.createServer({ allowHalfOpen: true }, (client) => {
    const pass = (): void => {
      const server = net.connect({ port: back.port, host: "127.0.0.1", allowHalfOpen: true });
      server.on("error", () => client.destroy());
      server.on("connect", () => fronts.set(server.localPort!, { client, server }));
      client.on("close", () => server.destroy());
      client.pipe(server);
      if (cut === undefined) server.pipe(client);
      else passUpTo(cut, server, client);
    };
    if (kind === "tunnel") answerLine(client, pass);
    else pass();
  }));
  return {
    options: { host: "localhost", port: front.port, tls: trust },
    close: async () => {
      await front.close();
      await back.close();
    },
  };
}

function serverOptions(kind: PeerKind): tls.TlsOptions {
  const { cert, key } = pairs[kind]!;
  const isMutual = kind === "tlsClientCertificate";
  return {
    cert,
    key,
    // Deno's server shows what it has here with its own certificate.
    ca: isMutual ? ca : undefined,
    requestCert: isMutual,
    rejectUnauthorized: isMutual,
    ALPNProtocols: ["http/1.1"],
    allowHalfOpen: true,
  } as tls.TlsOptions;
}

// What is done to the connection below TLS is done to the front's end of it.
function belowTls(socket: tls.TLSSocket, front: () => Front): ConformancePeer {
  const peer = peerOf(socket);
  peer.reset = () => void front().client.resetAndDestroy();
  peer.truncate = () => {
    const { client, server } = front();
    server.unpipe(client);
    client.end();
  };
  return peer;
}

// Passes exactly `afterBytes` on, then cuts; 0: at the client's first bytes.
function passUpTo({ afterBytes, by }: Cut, server: net.Socket, client: net.Socket): void {
  let left = afterBytes;
  const end = (): void => {
    server.removeAllListeners("data");
    if (by === "rst") client.resetAndDestroy();
    else client.end(() => client.destroySoon());
  };
  if (afterBytes === 0) return void client.once("data", end);
  server.on("data", (chunk: Uint8Array) => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    client.write(part, () => left === 0 && end());
  });
}

// The plain part of a CONNECT tunnel.
function answerLine(client: net.Socket, pass: () => void): void {
  let line = "";
  const onData = (chunk: Uint8Array): void => {
    line += String.fromCharCode(...chunk);
    if (!line.includes("\n")) return;
    client.off("data", onData);
    client.pause();
    client.write("ok\n");
    pass();
  };
  client.on("data", onData);
}
