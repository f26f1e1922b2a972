/**
 * What node:net and node:tls honour on the runtime that they run on.
 *
 * Deno's and Bun's own versions of the two modules differ from Node's; each difference was measured and stands here with
 * its flag, so that nothing else asks which runtime it is.
 *
 * @module
 */

import type { BindingOption, Capabilities, HintOption, TlsOption } from "./capabilities.ts";

/** The table of the `node` adapter on this runtime. */
export const nodeCapabilities: Capabilities = tableOf(hostOf());

/** A paused TLSSocket reads on without bound and loses the end; node_gate.ts is the way out. */
export const tlsNeedsGate: boolean = hostOf() === "deno";

/** A stream that connects asks its handle to do so, that of TLS, too: elsewhere there is none until the connection is there. */
export const handlesConnect: boolean = hostOf() !== "bun";

/** A TLSSocket over a stream that connects says and tells nothing of that. */
export const hidesTransport: boolean = hostOf() === "deno";

/** A net.Socket that is ended in the turn that opened it tells the peer's end and not the bytes before it. */
export const endsTooSoon: boolean = hostOf() === "deno";

/**
 * The system reads into the common buffer only when the microtasks that the last read has led to have run. Not of TLS, which
 * may give several records in one call.
 */
export const lentOutlastsCall: boolean = hostOf() === "node";

/** `createSecureContext` goes on without a key or a certificate that it cannot read, or whose passphrase is wrong. */
export const contextHidesBadKey: boolean = hostOf() === "deno";

/** Given a `secureContext`, `tls.connect` sends the host as SNI although the `servername` is empty. */
export const contextForcesSni: boolean = hostOf() === "bun";

/**
 * `tls.connect` looks at the name and the session when it has begun to connect: what throws then leaves a stream that nobody
 * has, whose error is nobody's either. They are set on the stream afterwards instead; Deno's wants them before.
 */
export const connectsBeforeChecks: boolean = hostOf() !== "deno";

type Host = "node" | "deno" | "bun";

// By what only the runtime itself defines: a global `Deno` may be a shim on Node.
function hostOf(): Host {
  const versions = runtimeVersions();
  if (versions["deno"] !== undefined) return "deno";
  return versions["bun"] !== undefined ? "bun" : "node";
}

function runtimeVersions(): Readonly<Record<string, string | undefined>> {
  return (globalThis as { process?: { versions?: Record<string, string | undefined> } }).process?.versions ??
    {};
}

// libuv before 1.52 (Node 20 and 22): a hang-up that is polled together with a short read becomes an end, and the reset that
// a further read would show is not looked for.
function makesEndOfReset(): boolean {
  const [major = 0, minor = 0] = (runtimeVersions()["uv"] ?? "").split(".").map(Number);
  return major === 1 && minor < 52;
}

function tableOf(host: Host): Capabilities {
  const tlsOptions = tlsOptionsOf(host);
  return {
    adapter: "node",
    options: new Set<BindingOption>(["path", "family", "lookup", "hints", "localAddress", "localPort"]),
    tlsOptions,
    startTlsOptions: tlsOptions,
    hints: new Set<HintOption>([
      "noDelay",
      "keepAlive",
      "keepAliveInitialDelayMs",
      "autoSelectFamily",
      "autoSelectFamilyAttemptTimeoutMs",
    ]),
    cancelsConnect: true,
    cancelsHandshake: true,
    halfClose: true,
    startTls: true,
    tlsInTls: true,
    tlsOverPath: true,
    seesCloseNotify: false,
    resumesSessions: host !== "deno",
    ref: true,
    unrefsConnect: host === "deno",
    seesCloseWhilePaused: true,
    keepsDataBeforeReset: host !== "bun",
    resetAfterPauseLooksClean: host === "node" && makesEndOfReset(),
    tlsResetLooksClean: false,
    reportsExpiredWithCa: host !== "deno",
    reportsSelfSigned: true,
    reportsUnreachable: host !== "bun",
    reportsLocalAddress: host !== "deno",
    choosesTls13Ciphers: host === "node",
    acceptsCommonName: true,
    tellsOpening: true,
    tellsLookup: true,
  };
}

function tlsOptionsOf(host: Host): ReadonlySet<TlsOption> {
  const all = new Set<TlsOption>([
    "ca",
    "cert",
    "key",
    "passphrase",
    "pfx",
    "servername",
    "ALPNProtocols",
    "rejectUnauthorized",
    "checkServerIdentity",
    "minVersion",
    "maxVersion",
    "ciphers",
    "session",
    "secureContext",
    "crl",
    "ecdhCurve",
    "sigalgs",
    "secureOptions",
    "secureProtocol",
    "honorCipherOrder",
    "dhparam",
    "sessionIdContext",
  ]);
  // Deno's node:tls takes these without a word and does not apply them (measured on 2.9.5: each has its test).
  if (host === "deno") {
    for (const name of ["ciphers", "crl", "ecdhCurve", "secureOptions", "sigalgs"] as const) all.delete(name);
  }
  return all;
}
