/**
 * What tests of code over `@holdfast/agent` need: a network in memory and a clock moved by hand.
 *
 * @module
 */

export { ConformanceFailure, minimalCapabilities, socketConformance } from "./runtime/conformance.ts";
export type {
  ConformanceHarness,
  ConformanceListener,
  ConformancePeer,
  ConformancePeerEvents,
  Cut,
  Needs,
  PeerKind,
  RegisterTest,
} from "./runtime/conformance.ts";
export { ManualClock } from "./runtime/manual_clock.ts";
export { memoryCapabilities, MemoryNetwork } from "./runtime/memory.ts";
export type {
  MemoryAddress,
  MemoryConnectionHandler,
  MemoryListener,
  MemoryListenOptions,
  MemoryNetworkOptions,
} from "./runtime/memory.ts";
export { MemoryPeer } from "./runtime/memory_peer.ts";
export { MemorySocket } from "./runtime/memory_socket.ts";
export type { Link, LinkOptions } from "./runtime/memory_socket.ts";
export type { MemoryCertificate } from "./runtime/memory_certificate.ts";
export type { MemoryTlsClient, MemoryTlsOptions } from "./runtime/memory_tls.ts";
export type { Clock, Timer } from "./clock.ts";
export { SocketError } from "./runtime/errors.ts";
export type { SocketErrorInit, SocketPhase } from "./runtime/errors.ts";
export type { BindingOption, Capabilities, HintOption, TlsOption } from "./runtime/capabilities.ts";
export type * from "./runtime/socket.ts";
