/**
 * What is known of a stream of Node's: its addresses, its TLS, and how long its opening took. Must not know who connects
 * it, nor who reads it.
 *
 * @module
 */

import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { systemClock } from "../clock.ts";
import type { Peer } from "./errors.ts";
import { nodeCapabilities } from "./node_capabilities.ts";
import { tlsInfoOf } from "./node_tls.ts";
import type { ConnectOptions, SocketInfo, SocketOpening } from "./socket.ts";

/** How long the stages of a connect take: each begins where the one before it has ended. */
export class Stages {
  readonly #opening: { -readonly [Stage in keyof SocketOpening]: SocketOpening[Stage] } = {};
  #startedMs = systemClock.now();

  /** Has the stream tell them; a path and an address are not looked up. */
  watch(stream: net.Socket, { host = "localhost", path }: ConnectOptions): void {
    // Bun emits it for no look-up but its own.
    if (path === undefined && net.isIP(host) === 0) stream.once("lookup", () => this.lookedUp());
    stream.once("connect", () => this.#end("connectMs"));
  }

  /** The name has its addresses. Only the first time counts. */
  lookedUp(): void {
    if (this.#opening.lookupMs === undefined) this.#end("lookupMs");
  }

  /** All of them so far, and `stage`, which ends now. */
  ended(stage?: keyof SocketOpening): SocketOpening {
    if (stage !== undefined) this.#end(stage);
    return this.#opening;
  }

  #end(stage: keyof SocketOpening): void {
    const now = systemClock.now();
    this.#opening[stage] = now - this.#startedMs;
    this.#startedMs = now;
  }
}

/** What is known of a stream, and `more`. No spread: Node 20's V8 gives what one makes a hidden class of its own, 600 bytes. */
export function infoOf(
  stream: Duplex,
  hints?: readonly string[],
  more?: Pick<SocketInfo, "tls" | "opening" | "lentOutlastsCall">,
): SocketInfo {
  const { localAddress, localPort, remoteAddress, remotePort, remoteFamily } = stream as Partial<net.Socket>;
  return {
    adapter: nodeCapabilities.adapter,
    localAddress,
    localPort,
    remoteAddress,
    remotePort,
    remoteFamily: remoteFamily === "IPv6" ? 6 : remoteFamily === "IPv4" ? 4 : undefined,
    tls: more?.tls ?? (stream instanceof tls.TLSSocket ? tlsInfoOf(stream) : undefined),
    ignoredHints: hints,
    lentOutlastsCall: more?.lentOutlastsCall,
    opening: more?.opening,
  };
}

/** The peer of a stream that others have connected. */
export function peerOfStream(stream: Duplex): Peer {
  const { remoteAddress, remotePort } = stream as Partial<net.Socket>;
  return { address: remoteAddress, port: remotePort };
}
