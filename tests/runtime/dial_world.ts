/** What the suite of the dialer dials in. */
import * as assert from "uvu/assert";
import type { Clock } from "../../src/clock.ts";
import type { Capabilities } from "../../src/runtime/capabilities.ts";
import { createDialer } from "../../src/runtime/dial.ts";
import type { DialerSettings } from "../../src/runtime/dial_types.ts";
import type { ConnectOptions, LookupAddress, Socket } from "../../src/runtime/socket.ts";
import { ManualClock, memoryCapabilities, MemoryNetwork } from "../../src/testing.ts";
import { Recorder } from "./node_harness.ts";

/** Where everybody listens. */
export const port: number = 80;
/** Of an adapter without TLS; a test of TLS adds what it is about. */
export const plain: Capabilities = {
  ...memoryCapabilities,
  tlsOptions: new Set(),
  startTls: false,
  startTlsOptions: new Set(),
};
/** An address of IPv6. */
export const v6 = (address: string): LookupAddress => ({ address, family: 6 });
/** An address of IPv4. */
export const v4 = (address: string): LookupAddress => ({ address, family: 4 });

/** A network with a dialer over it that writes down when each attempt starts and ends. */
export class World {
  readonly clock: ManualClock = new ManualClock();
  readonly network: MemoryNetwork;
  readonly log: string[] = [];
  readonly seen: Recorder = new Recorder();
  readonly settings: DialerSettings;
  /** The dialer's own timers that have neither run nor been cancelled. */
  readonly timers: Set<() => void> = new Set();

  constructor(addresses: readonly LookupAddress[], latencyMs = 0) {
    this.network = new MemoryNetwork({ clock: this.clock, latencyMs });
    this.settings = {
      capabilities: plain,
      clock: this.#counting(),
      lookup: (name, options, done) => {
        this.log.push(`${this.clock.now()} look up ${name} ${JSON.stringify(options)}`);
        done(null, addresses);
      },
      connect: (options, handler) => {
        this.log.push(`${this.clock.now()} ${options.host}`);
        const socket = this.network.connect(options, handler);
        const destroy = socket.destroy.bind(socket);
        socket.destroy = (error) => {
          this.log.push(`${this.clock.now()} cancel ${options.host}`);
          destroy(error);
        };
        return socket;
      },
    };
  }

  dial(options: ConnectOptions = {}): Socket {
    return createDialer(this.settings)({ host: "peer.test", port, ...options }, this.seen);
  }

  listen(host: string, latencyMs = 0): void {
    this.network.listen({ host, port }, (peer) => void peer.send(host), { latencyMs });
  }

  #counting(): Clock {
    return {
      now: () => this.clock.now(),
      after: (ms, fn) => {
        this.timers.add(fn);
        const timer = this.clock.after(ms, () => {
          this.timers.delete(fn);
          fn();
        });
        return {
          cancel: () => {
            this.timers.delete(fn);
            timer.cancel();
          },
        };
      },
    };
  }

  /** The log without the look-up. */
  get attempts(): string[] {
    return this.log.filter((line) => !line.includes("look up"));
  }

  assertNothingLeft(): void {
    assert.is(this.timers.size, 0, "timers");
    assert.is(this.network.sockets.size, 0, "sockets");
  }
}
