/**
 * The adapter over Bun's own sockets: Bun.connect.
 *
 * Owns what they honour. Reading, writing and the order of events are bun_socket.ts's. Must not know HTTP, nor whether it
 * runs on Bun: the function comes in as {@linkcode BunLike}, so the file loads everywhere.
 *
 * @module
 */

import type { BunLike } from "./bun_like.ts";
import { BunSocket } from "./bun_socket.ts";
import { refusedByBunTls } from "./bun_tls.ts";
import { readConnectOptions } from "./connect_options.ts";
import { assertHonoured } from "./errors.ts";
import { type Capabilities, ignoredHints, type TlsOption, unsupportedOption } from "./capabilities.ts";
import type { Connect, ConnectOptions } from "./socket.ts";
import type { StartTlsRules } from "./start_tls.ts";

export type { BunLike };

// Bun ignores pfx, checkServerIdentity and whatever it does not know without a word (trap 16); with rejectUnauthorized:
// false its verdict does not tell a bad certificate from a failed handshake (trap 12).
const tlsOptions: ReadonlySet<TlsOption> = new Set(
  ["ca", "cert", "key", "passphrase", "servername", "ALPNProtocols"] as const,
);

/** What Bun's own sockets honour; tests/runtime/TRAPS.md says why. */
export const bunCapabilities: Capabilities = {
  adapter: "bun",
  // localAddress works but is not documented.
  options: new Set(["path"] as const),
  tlsOptions,
  startTlsOptions: tlsOptions,
  // Both families at once, without a choice; reads have sizes of their own.
  hints: new Set(["noDelay", "keepAlive", "keepAliveInitialDelayMs"] as const),
  // There is no handle before open: onClose comes at once, the handle is closed when it opens or fails (trap 3). The way
  // out, where a hanging connect must not hold the process: `runtime: "node"`.
  cancelsConnect: false,
  cancelsHandshake: true,
  halfClose: true,
  startTls: true,
  // upgradeTLS returns undefined for a socket that speaks TLS.
  tlsInTls: false,
  tlsOverPath: false,
  seesCloseNotify: false,
  resumesSessions: false,
  ref: true,
  unrefsConnect: false,
  // A FIN is told after resume(); an RST at once, and what waited before it is lost.
  seesCloseWhilePaused: false,
  keepsDataBeforeReset: false,
  resetAfterPauseLooksClean: false,
  tlsResetLooksClean: false,
  reportsExpiredWithCa: true,
  reportsSelfSigned: true,
  // ECONNREFUSED for all three.
  reportsUnreachable: false,
  reportsLocalAddress: true,
  choosesTls13Ciphers: false,
  acceptsCommonName: true,
  tellsOpening: true,
  // Bun.connect() looks names up inside, without an event of it; mod.ts has them looked up before.
  tellsLookup: false,
};

/** The option by which a connect is not for Bun's own sockets, or undefined. */
export function bunRefuses(options: ConnectOptions): string | undefined {
  const host = options.host ?? "localhost";
  return unsupportedOption(options, bunCapabilities) ??
    (options.tls && refusedByBunTls(options.tls, host, host));
}

const startTlsRules: StartTlsRules = {
  capabilities: bunCapabilities,
  // What Bun verifies without a server name is the address that was dialled: the proxy's.
  refuses: (options) => refusedByBunTls(options, options.host, undefined),
};

/** Makes the adapter over the given namespace; `begin` calls its argument when it is time to dial. */
export function createBunConnect(bun: BunLike, begin: (dial: () => void) => void = atOnce): Connect {
  return (given, handler) => {
    const options = readConnectOptions(given);
    assertHonoured(bunRefuses(options), bunCapabilities.adapter);
    const socket = new BunSocket(options, handler, startTlsRules);
    socket.connect(bun, ignoredHints(options, bunCapabilities), begin);
    return socket;
  };
}

function atOnce(dial: () => void): void {
  dial();
}
