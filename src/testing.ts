/**
 * What tests of code over `@holdfast/agent` need: a network in memory and a clock moved by hand.
 *
 * @module
 */

export { ManualClock } from "./runtime/manual_clock.ts";
export { MemoryNetwork } from "./runtime/memory.ts";
export type {
  MemoryAddress,
  MemoryConnectionHandler,
  MemoryListener,
  MemoryNetworkOptions,
} from "./runtime/memory.ts";
export { MemoryPeer } from "./runtime/memory_peer.ts";
export { MemorySocket } from "./runtime/memory_socket.ts";
export type { Link, LinkOptions } from "./runtime/memory_socket.ts";
