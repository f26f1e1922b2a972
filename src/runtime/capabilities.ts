/**
 * What an adapter can do: its table, and which option of a connect is not in it.
 *
 * Owns which options are binding and which are hints. Must not know the values that an option may have
 * (connect_options.ts), nor any adapter.
 *
 * @module
 */

import type { ConnectOptions, StartTlsOptions, TlsOptions } from "./socket.ts";

/** The members of {@linkcode ConnectOptions} that are binding: honoured with Node's meaning, or refused. */
export type BindingOption = "path" | "family" | "lookup" | "hints" | "localAddress" | "localPort";

/** The members of {@linkcode ConnectOptions} that are hints: best effort, reported in `info.ignoredHints`. */
export type HintOption =
  | "noDelay"
  | "keepAlive"
  | "keepAliveInitialDelayMs"
  | "autoSelectFamily"
  | "autoSelectFamilyAttemptTimeoutMs"
  | "highWaterMark";

/** Any member of {@linkcode TlsOptions} but `host`, which every adapter that speaks TLS verifies; all are binding. */
export type TlsOption = Exclude<keyof TlsOptions, "host">;

/**
 * What one adapter can do on the runtime that it runs on. A difference between runtimes is a flag here, with its
 * reason where the table is made and a test of its own; nobody asks for a runtime's name.
 */
export interface Capabilities {
  /** The adapter's name, as in `info.adapter`. */
  readonly adapter: string;
  /** Binding connect options that it honours. */
  readonly options: ReadonlySet<BindingOption>;
  /** TLS options that `connect` honours; empty: no TLS. */
  readonly tlsOptions: ReadonlySet<TlsOption>;
  /** TLS options that `startTls` honours; empty: no `startTls`. */
  readonly startTlsOptions: ReadonlySet<TlsOption>;
  /** Hints that it can follow. */
  readonly hints: ReadonlySet<HintOption>;
  /** `destroy()` during a connect lets go of the system's handle at once; false: when the attempt ends by itself. */
  readonly cancelsConnect: boolean;
  /**
   * `destroy()` during a TLS handshake closes the connection at once; false: when the peer answers or goes. Until then it holds
   * neither the process nor anything that was written. The way out on Deno: `runtime: "node"`.
   */
  readonly cancelsHandshake: boolean;
  /** `end()` sends FIN and reading goes on. */
  readonly halfClose: boolean;
  /** Sockets have `startTls`. */
  readonly startTls: boolean;
  /** `startTls` works on a socket that already speaks TLS (an https proxy). */
  readonly tlsInTls: boolean;
  /** TLS over a unix socket works. */
  readonly tlsOverPath: boolean;
  /** `onEnd(false)` is told from `onEnd(true)`: the end of TLS without close_notify is seen. */
  readonly seesCloseNotify: boolean;
  /** TLS sessions are resumed, so that a second connect with the same options is cheaper. */
  readonly resumesSessions: boolean;
  /** `ref` and `unref` exist and count from the moment that `connect` returned. */
  readonly ref: boolean;
  /** `unref()` also releases the process from a connect that has not ended. */
  readonly unrefsConnect: boolean;
  /** A FIN or RST is reported while the socket is paused and nothing waits to be read. */
  readonly seesCloseWhilePaused: boolean;
  /** Data that came before an RST is delivered although the socket was paused when it came. */
  readonly keepsDataBeforeReset: boolean;
  /** An RST that came while the socket was paused with data waiting is reported as the peer's clean end. */
  readonly resetAfterPauseLooksClean: boolean;
  /** An RST on an idle TLS connection is reported as the peer's clean end. */
  readonly tlsResetLooksClean: boolean;
  /** An expired certificate is CERT_HAS_EXPIRED although `ca` is given; false: UNABLE_TO_VERIFY_LEAF_SIGNATURE. */
  readonly reportsExpiredWithCa: boolean;
  /** A self-signed certificate is DEPTH_ZERO_SELF_SIGNED_CERT; false: UNABLE_TO_VERIFY_LEAF_SIGNATURE. */
  readonly reportsSelfSigned: boolean;
  /** EHOSTUNREACH and ENETUNREACH are told from ECONNREFUSED. */
  readonly reportsUnreachable: boolean;
  /** A `localAddress` that this machine has not is EADDRNOTAVAIL; false: EINVAL. */
  readonly reportsLocalAddress: boolean;
  /** `ciphers` also chooses among the suites of TLS 1.3; false: a list that names some of the three alone is refused. */
  readonly choosesTls13Ciphers: boolean;
  /** A certificate that names the host in its CN alone is accepted, as Node does. */
  readonly acceptsCommonName: boolean;
  /** `info.opening` says how long the connection took, and TLS over it. */
  readonly tellsOpening: boolean;
  /** `info.opening.lookupMs` tells the look-up of a name from the connect to its address. */
  readonly tellsLookup: boolean;
}

/**
 * The first option given that the adapter does not honour, or undefined: `"localAddress"`, `"tls.pfx"`. An option is given
 * when its value is not undefined and asks for something: `family: 0` and `rejectUnauthorized: true` ask for nothing.
 *
 * @example
 * ```ts
 * import { type Capabilities, type Connect, unsupportedOption, unsupportedOptionError } from "@holdfast/agent";
 *
 * declare const capabilities: Capabilities;
 * declare const open: Connect;
 * const connect: Connect = (options, handler) => {
 *   const refused = unsupportedOption(options, capabilities);
 *   if (refused !== undefined) throw unsupportedOptionError(refused, capabilities.adapter);
 *   return open(options, handler);
 * };
 * ```
 */
export function unsupportedOption(options: ConnectOptions, capabilities: Capabilities): string | undefined {
  for (const name of bindingOptions) {
    if (isGiven(name, options[name]) && !capabilities.options.has(name)) return name;
  }
  if (options.tls === undefined) return undefined;
  if (capabilities.tlsOptions.size === 0) return "tls";
  if (options.path !== undefined && !capabilities.tlsOverPath) return "path";
  return unsupportedTlsOption(options.tls, capabilities.tlsOptions);
}

/** The first TLS option given that is not in `honoured`, as `"tls.pfx"`, or undefined. */
export function unsupportedTlsOption(
  options: TlsOptions,
  honoured: ReadonlySet<TlsOption>,
): string | undefined {
  for (const name of Object.keys(options) as (keyof StartTlsOptions)[]) {
    if (name === "host" || name === "port") continue;
    if (isGiven(name, options[name]) && !honoured.has(name)) return `tls.${name}`;
  }
  return undefined;
}

/** The hints given that the adapter does not follow, for `info.ignoredHints`; undefined: none. */
export function ignoredHints(
  options: ConnectOptions,
  capabilities: Capabilities,
): readonly HintOption[] | undefined {
  const ignored = hintOptions.filter((name) => options[name] !== undefined && !capabilities.hints.has(name));
  return ignored.length > 0 ? ignored : undefined;
}

const hintOptions: readonly HintOption[] = [
  "noDelay",
  "keepAlive",
  "keepAliveInitialDelayMs",
  "autoSelectFamily",
  "autoSelectFamilyAttemptTimeoutMs",
  "highWaterMark",
];

const bindingOptions: readonly BindingOption[] = [
  "path",
  "family",
  "lookup",
  "hints",
  "localAddress",
  "localPort",
];

function isGiven(name: BindingOption | TlsOption, value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (name === "family" || name === "hints" || name === "localPort") return value !== 0;
  if (name === "rejectUnauthorized") return value === false;
  return true;
}
