/**
 * An adapter of one's own: the TCP sockets of workerd (Cloudflare Workers), whose `connect()` gives two web streams.
 *
 * It passes the conformance suite of the package (tests/runtime/conformance_workerd_suite.ts), which is what makes it fit for an Agent:
 *
 * ```ts
 * import { connect } from "cloudflare:sockets";
 * const agent = new Agent({ runtime: workerdConnect(connect) });
 * ```
 *
 * @module
 */

import {
  type Capabilities,
  checkPort,
  type Connect,
  fromStreams,
  unsupportedOption,
  unsupportedOptionError,
} from "../mod.ts";
import { minimalCapabilities } from "../src/testing.ts";

/** The part of workerd's `connect()` that is used. */
export type WorkerdConnect = (
  address: { hostname: string; port: number },
  options: { allowHalfOpen: boolean; secureTransport: "on" | "off" },
) => {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly opened: Promise<unknown>;
  readonly closed: Promise<unknown>;
  close(): Promise<void>;
};

/** TLS is verified by workerd with its own roots, and takes no option; everything but host and port is refused. */
export const workerdCapabilities: Capabilities = {
  ...minimalCapabilities,
  adapter: "workerd",
  keepsDataBeforeReset: false,
};

/** A `Connect` over workerd's sockets. */
export function workerdConnect(connect: WorkerdConnect): Connect {
  return (options, handler) => {
    const refused = unsupportedOption(options, workerdCapabilities);
    if (refused !== undefined) throw unsupportedOptionError(refused, "workerd");
    checkPort(options.port);
    const { host = "localhost", port = 0 } = options;
    // IPv6 goes in brackets there.
    const hostname = host.includes(":") ? `[${host}]` : host;
    const socket = connect({ hostname, port }, { allowHalfOpen: true, secureTransport: "off" });
    // Both repeat what `opened` or the streams say.
    socket.closed.catch(() => {});
    const opened = socket.opened.then(() => ({ adapter: "workerd", remoteAddress: host, remotePort: port }));
    return fromStreams({ ...socket, opened, close: () => void socket.close().catch(() => {}) }, handler);
  };
}
