/**
 * The memory network as the conformance suite wants it.
 *
 * @module
 */

import { peerKinds } from "./conformance_servers.ts";
import { takeUncaught } from "./uncaught.ts";
import { MemoryNetwork } from "../../src/testing.ts";
import type {
  ConformanceHarness,
  ConformancePeer,
  ConformancePeerEvents,
  ManualClock,
  MemoryNetworkOptions,
  MemoryPeer,
  MemorySocket,
  MemoryTlsOptions,
  PeerKind,
} from "../../src/testing.ts";
import { memoryCapabilities } from "../../src/testing.ts";

/** A harness over a network of its own. */
export function memoryHarness(clock: ManualClock, options: MemoryNetworkOptions = {}): ConformanceHarness {
  const network = new MemoryNetwork({ ...options, clock });
  let lastPort = 0;
  return {
    connect: network.connect,
    capabilities: { ...memoryCapabilities, keepsDataBeforeReset: options.resetOvertakesData !== true },
    kinds: peerKinds,
    clientCertificate: { cert: "a certificate", key: "its key" },
    ports: true,
    resets: true,
    // Many megabytes in small pieces keep a busy machine at work for longer than any socket needs.
    deadlineMs: 25_000,
    listen: (kind, accept, cut) => {
      const address = { host: "a.example", port: ++lastPort };
      const tls = tlsOf[kind];
      const onAccept = (wire: MemorySocket): void => {
        if (cut !== undefined) wire.cutAfterSending(cut.afterBytes, cut.by);
      };
      const listener = network.listen(address, async (peer) => {
        if (kind === "tunnel") {
          await peer.readUntil("\n");
          peer.send("ok\n");
          await peer.startTls({ certificate: { names: ["a.example"], authority } });
        }
        serve(peer, accept(conformancePeer(peer)));
        if (kind === "notTls") {
          peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
          peer.end();
        }
      }, { onAccept, tls });
      const close = (): Promise<void> => {
        listener.close();
        for (const peer of listener.peers) peer.destroy();
        return clock.settle();
      };
      const options = kind === "plain" ? address : { ...address, tls: { ca: authority } };
      return Promise.resolve({ options, close });
    },
    refused: () => Promise.resolve({ host: "127.0.0.1", port: 1 }),
    uncaught: takeUncaught,
    unknownName: () => Promise.resolve({ host: "nowhere.example", port: 1 }),
    quiet: () => clock.settle(),
  };
}

const authority = "the authority of the tests";
const ALPNProtocols = ["http/1.1"];
const names = ["a.example"];
const tlsOf: Partial<Record<PeerKind, MemoryTlsOptions>> = {
  tls: { ALPNProtocols, certificate: { names, authority } },
  tlsWrongHost: { certificate: { names: ["elsewhere.test"], authority } },
  tlsExpired: { certificate: { names, authority, isExpired: true } },
  tlsSelfSigned: { certificate: { names, isSelfSigned: true } },
  tlsUnknownAuthority: { certificate: { names, authority: "another authority" } },
  tlsClientCertificate: { certificate: { names, authority }, requestCert: true },
};

function serve(peer: MemoryPeer, events: ConformancePeerEvents): void {
  peer.socket.handler = {
    onOpen: () => {},
    onDrain: () => {},
    onData: (chunk) => events.onData(chunk),
    onEnd: () => events.onEnd(),
    onClose: () => events.onClose(),
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
    truncate: () => peer.truncate(),
  };
}
