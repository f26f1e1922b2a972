/**
 * The conformance suite of the socket contract: one body for every adapter, and for a user's own.
 *
 * Owns the list of promises, a test each. Must not know any adapter, runtime or test framework: it gets a function that
 * registers a test, and a harness. Strategy: what differs from one adapter to the next is a capability flag; where a
 * flag is off, the test of what the adapter does instead takes the place of the other, and only a test of something that
 * is not there at all is left out, by the name of the flag.
 *
 * @module
 */

import { callbackTests } from "./conformance_callbacks.ts";
import { closingTests } from "./conformance_closing.ts";
import { flowTests } from "./conformance_flow.ts";
import { openingTests } from "./conformance_opening.ts";
import { Scenario } from "./conformance_scenario.ts";
import type { AddTest } from "./conformance_scenario.ts";
import type { ConformanceHarness, RegisterTest } from "./conformance_harness.ts";
import { startTlsTests } from "./conformance_start_tls.ts";
import { tlsTests } from "./conformance_tls.ts";
import type { Capabilities } from "./capabilities.ts";

export { ConformanceFailure } from "./conformance_scenario.ts";
export type {
  ConformanceHarness,
  ConformanceListener,
  ConformancePeer,
  ConformancePeerEvents,
  Cut,
  Needs,
  PeerKind,
  RegisterTest,
} from "./conformance_harness.ts";

/** A table of an adapter that can do nothing beyond the contract's required part: spread it and switch on what there is. */
export const minimalCapabilities: Capabilities = {
  adapter: "own",
  options: new Set(),
  tlsOptions: new Set(),
  startTlsOptions: new Set(),
  hints: new Set(),
  cancelsConnect: true,
  cancelsHandshake: true,
  halfClose: true,
  startTls: false,
  tlsInTls: false,
  tlsOverPath: false,
  seesCloseNotify: false,
  resumesSessions: false,
  ref: false,
  unrefsConnect: false,
  seesCloseWhilePaused: false,
  keepsDataBeforeReset: true,
  resetAfterPauseLooksClean: false,
  tlsResetLooksClean: false,
  reportsExpiredWithCa: true,
  reportsSelfSigned: true,
  reportsUnreachable: true,
  reportsLocalAddress: true,
  choosesTls13Ciphers: true,
  acceptsCommonName: true,
  tellsOpening: false,
  tellsLookup: false,
};

/**
 * Registers every test of the contract for one adapter.
 *
 * @example
 * ```ts
 * import type { Connect } from "@holdfast/agent";
 * import { type ConformanceHarness, minimalCapabilities, socketConformance } from "@holdfast/agent/testing";
 * import { test } from "node:test";
 *
 * declare const myConnect: Connect;
 * declare const listen: ConformanceHarness["listen"];
 *
 * socketConformance((name, body, needs) => {
 *   const missing = Object.keys(needs).filter((flag) => !needs[flag]);
 *   test(name, { skip: missing.length > 0 && `needs ${missing.join(", ")}` }, body);
 * }, { connect: myConnect, capabilities: minimalCapabilities, kinds: new Set(["plain"]), ports: true, resets: false, listen });
 * ```
 */
export function socketConformance(register: RegisterTest, harness: ConformanceHarness): void {
  const add: AddTest = (name, body, needs = {}) => {
    register(name, async () => {
      const scenario = new Scenario(harness);
      try {
        await body(scenario);
      } catch (error) {
        // What the test found comes first; what closing finds would only hide it.
        await scenario.finish().catch(() => {});
        throw error;
      }
      await scenario.finish();
    }, needs);
  };
  openingTests(add, harness);
  flowTests(add);
  callbackTests(add, harness);
  closingTests(add, harness);
  if (harness.capabilities.tlsOptions.size > 0) tlsTests(add, harness);
  if (harness.capabilities.tlsOptions.size > 0) startTlsTests(add, harness);
}
