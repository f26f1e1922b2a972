/**
 * The memory network as the conformance suite wants it.
 *
 * @module
 */

import { MemoryNetwork } from "../../src/testing.ts";
import type {
  ConformanceHarness,
  ConformancePeer,
  ManualClock,
  MemoryNetworkOptions,
  MemoryPeer,
} from "../../src/testing.ts";
import { memoryCapabilities } from "../../src/testing.ts";

/** A harness over a network of its own. */
export function memoryHarness(clock: ManualClock, options: MemoryNetworkOptions = {}): ConformanceHarness {
  const network = new MemoryNetwork({ ...options, clock });
  let lastPort = 0;
  return {
    connect: network.connect,
    capabilities: memoryCapabilities,
    kinds: new Set(["plain"]),
    ports: true,
    resets: true,
    listen: (_kind, accept) => {
      const address = { host: "a.example", port: ++lastPort };
      const listener = network.listen(address, (peer) => {
        const events = accept(conformancePeer(peer));
        peer.socket.handler = {
          onOpen: () => {},
          onDrain: () => {},
          onData: (chunk) => events.onData(chunk),
          onEnd: () => events.onEnd(),
          onClose: () => events.onClose(),
        };
      });
      const close = (): Promise<void> => {
        listener.close();
        for (const peer of listener.peers) peer.destroy();
        return clock.settle();
      };
      return Promise.resolve({ options: address, close });
    },
    refused: () => Promise.resolve({ host: "127.0.0.1", port: 1 }),
    unknownName: () => Promise.resolve({ host: "nowhere.example", port: 1 }),
    quiet: () => clock.settle(),
  };
}

function conformancePeer(peer: MemoryPeer): ConformancePeer {
  return {
    send: (bytes) => void peer.send(bytes),
    get pendingBytes() {
      return peer.socket.pendingBytes;
    },
    end: () => peer.end(),
    destroy: () => peer.destroy(),
    pause: () => peer.socket.pause(),
    resume: () => peer.socket.resume(),
    reset: () => peer.reset(),
  };
}
