/**
 * The adapter over Deno's own sockets: Deno.connect and Deno.startTls.
 *
 * Owns what they honour, and what Deno alone has. Opening is deno_opening.ts's; reading, writing and the order of events are deno_socket.ts's. Must not
 * know HTTP, nor whether it runs on Deno: the functions come in as {@linkcode DenoLike}, so the file loads everywhere.
 *
 * @module
 */

import type { DenoLike } from "./deno_like.ts";
import { DenoSocket } from "./deno_socket.ts";
import { readConnectOptions } from "./connect_options.ts";
import { assertHonoured } from "./errors.ts";
import { type Capabilities, ignoredHints, type TlsOption, unsupportedOption } from "./capabilities.ts";
import type { Connect, ConnectOptions, TlsOptions } from "./socket.ts";
import type { StartTlsRules } from "./start_tls.ts";

export type { DenoLike };

// `ca` would add to the roots, where Node's replaces them; startTls takes no client certificate, and connectTls neither
// a signal nor no-delay (traps 2 and 10); for the rest there is no option.
const tlsOptions: ReadonlySet<TlsOption> = new Set(["servername", "ALPNProtocols"] as const);

/** What Deno's own sockets honour; tests/runtime/TRAPS.md says why. */
export const denoCapabilities: Capabilities = {
  adapter: "deno",
  // Deno has no option for the others, and ignores what it does not know without a word (trap 16).
  options: new Set(["path"] as const),
  tlsOptions,
  startTlsOptions: tlsOptions,
  // Keep-alive is on or off, with the kernel's delay; reads have sizes of their own.
  hints: new Set(["noDelay", "keepAlive", "autoSelectFamily", "autoSelectFamilyAttemptTimeoutMs"] as const),
  cancelsConnect: true,
  // close() ends the promise, and the handshake goes on behind it until the peer answers or goes, without holding the process.
  // Nothing else ends it (measured on 2.9.5): the TcpConn was consumed by startTls (BadResource), closeWrite() waits for
  // the handshake, cancelling `readable` does what close() does, connectTls has no signal. The way out: `runtime: "node"`.
  cancelsHandshake: false,
  halfClose: true,
  startTls: true,
  // rustls runs over a TCP connection alone: BadResource for a TLS or a unix one.
  tlsInTls: false,
  tlsOverPath: false,
  seesCloseNotify: true,
  resumesSessions: false,
  ref: true,
  // A pending Deno.connect cannot be unref'd; destroy() ends it.
  unrefsConnect: false,
  // No read, no news.
  seesCloseWhilePaused: false,
  keepsDataBeforeReset: true,
  resetAfterPauseLooksClean: false,
  tlsResetLooksClean: false,
  reportsExpiredWithCa: true,
  // rustls: CaUsedAsEndEntity for one that says it is an authority, UnknownIssuer for any other.
  reportsSelfSigned: false,
  reportsUnreachable: true,
  reportsLocalAddress: true,
  choosesTls13Ciphers: false,
  // rustls reads the subject alternative names only.
  acceptsCommonName: false,
  tellsOpening: true,
  // Deno.connect() looks names up inside; Deno.resolveDns() is another resolver, that of the DNS alone.
  tellsLookup: false,
};

/** The option by which a connect is not for Deno's own sockets, or undefined. */
export function denoRefuses(options: ConnectOptions): string | undefined {
  return unsupportedOption(options, denoCapabilities) ?? (options.tls && refusedName(options.tls));
}

// No SNI, but a name verified: startTls has one option for both.
function refusedName(options: TlsOptions): string | undefined {
  return options.servername === "" ? "tls.servername" : undefined;
}

const startTlsRules: StartTlsRules = {
  capabilities: denoCapabilities,
  refuses: refusedName,
};

/** Makes the adapter over the given namespace; `begin` calls its argument when it is time to dial. */
export function createDenoConnect(deno: DenoLike, begin: (dial: () => void) => void = atOnce): Connect {
  return (given, handler) => {
    const options = readConnectOptions(given);
    assertHonoured(denoRefuses(options), denoCapabilities.adapter);
    const socket = new DenoSocket(deno, options, handler, startTlsRules);
    socket.connect(ignoredHints(options, denoCapabilities), begin);
    return socket;
  };
}

/** Deno's internals that hold the context of all stores; there is no public call for it. */
interface DenoContextLike {
  getAsyncContext(): unknown;
  setAsyncContext(context: unknown): void;
}

/** Deno's slot of the asynchronous context, for context.ts, which tries it first; undefined where it has none. */
export function denoContextSlot(deno: object): { get(): unknown; set(context: unknown): void } | undefined {
  const { internal } = deno as { internal?: unknown };
  if (typeof internal !== "symbol") return undefined;
  const { core } = (deno as Record<symbol, { core?: Partial<DenoContextLike> } | undefined>)[internal] ?? {};
  const { getAsyncContext, setAsyncContext } = core ?? {};
  if (getAsyncContext === undefined || setAsyncContext === undefined) return undefined;
  return { get: getAsyncContext, set: setAsyncContext };
}

function atOnce(dial: () => void): void {
  dial();
}
