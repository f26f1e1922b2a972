/**
 * Conformance: `startTls`, the inside of a CONNECT tunnel: what it needs, what it refuses, who is told what.
 *
 * @module
 */

import type { ConformanceHarness } from "./conformance_harness.ts";
import { check, equal, pattern } from "./conformance_scenario.ts";
import type { AddTest, Client, Hooks, Scenario } from "./conformance_scenario.ts";
import { expectNoByte, needs } from "./conformance_tls.ts";
import type { ConnectOptions, TlsOptions } from "./socket.ts";

const MIB = 1024 * 1024;

/** A client that has been through the plain part of a tunnel, paused inside the onData that ended it. */
async function tunnelled(
  s: Scenario,
  options: ConnectOptions,
  onReady: (client: Client) => void,
): Promise<Client> {
  let isReady = false;
  const client = s.connect({ ...options, tls: undefined }, {
    onData: () => {
      client.pause();
      isReady = true;
      onReady(client);
    },
  });
  client.write("CONNECT\n");
  await s.until(() => isReady, "the tunnel's answer");
  return client;
}

function startTls(
  s: Scenario,
  client: Client,
  options: ConnectOptions,
  more: TlsOptions = {},
  hooks: Hooks = {},
): Client {
  const { host = "localhost", port } = options;
  return s.adopt(
    hooks,
    (handler) => client.socket.startTls!({ ...options.tls, ...more, host, port } as never, handler),
  );
}

/** Registers the tests. */
export function startTlsTests(add: AddTest, harness: ConformanceHarness): void {
  const flags = { ...needs(harness, ["tunnel"]), startTls: harness.capabilities.startTls };

  add("startTls() inside the last onData: a verified TLS socket, and the old one is silent", async (s) => {
    const server = await s.listen("tunnel", (peer) => {
      peer.onDataHook = () => peer.send(`echo ${peer.intake.text}`);
    });
    let inner!: Client;
    const outer = await tunnelled(s, server.options, (client) => {
      inner = startTls(s, client, server.options);
      inner.write("early");
    });
    equal([outer.socket.destroyed, outer.intake.text], [true, "ok\n"], "the old socket");
    check(inner.socket !== outer.socket && inner.socket.connecting, "no new socket, or it is not connecting");
    await s.until(() => inner.intake.text === "echo early", "the echo");
    equal(inner.socket.info?.tls?.authorized, true, "info.tls.authorized");
    inner.end();
    await s.until(() => server.peers[0]!.isEnded, "the peer's onEnd");
    server.peers[0]!.raw.end();
    await s.until(() => inner.isClosed, "onClose");
    equal(inner.story, ["open", "data", "end", "close"], "events");
    equal(outer.story, ["open", "data"], "events of the old socket");
  }, flags);

  add("startTls() in a later turn works on a paused socket", async (s) => {
    const server = await s.listen("tunnel", (peer) => peer.send("hello"));
    const outer = await tunnelled(s, server.options, () => {});
    await s.quiet();
    const inner = startTls(s, outer, server.options);
    await s.until(() => inner.intake.text === "hello", "the greeting");
  }, flags);

  add("startTls() refuses a peer of another name, and tells it nothing", async (s) => {
    const server = await s.listen("tunnel");
    let inner!: Client;
    await tunnelled(s, server.options, (client) => {
      inner = startTls(s, client, { ...server.options, host: "other.example" }, {
        servername: "other.example",
      });
      inner.write("a secret");
    });
    await s.until(() => inner.isClosed, "onClose");
    await s.quiet();
    equal([inner.log, inner.error?.phase], [["close ERR_TLS_CERT_ALTNAME_INVALID"], "tls"], "events, phase");
    expectNoByte(server.peers);
  }, flags);

  add("startTls() throws while connecting or with bytes pending, and the socket stays usable", async (s) => {
    const server = await s.listen("plain", (peer) => peer.raw.pause());
    const client = s.connect(server.options);
    expectInvalidState(s, client, server.options);
    await s.until(() => client.isOpen && server.peers.length === 1, "the connection to open");
    client.write(pattern(1, 0, 32 * MIB));
    if (client.socket.pendingBytes > 0) expectInvalidState(s, client, server.options);
    server.peers[0]!.intake.expect(1);
    server.peers[0]!.raw.resume();
    await s.until(() => server.peers[0]!.intake.length === 32 * MIB, "the bytes");
    client.destroy();
    expectInvalidState(s, client, server.options);
  }, { startTls: harness.capabilities.startTls });

  add("startTls() refuses an option that it cannot honour, and the socket stays usable", async (s) => {
    const unsupported = (["pfx", "checkServerIdentity", "ciphers", "dhparam", "session"] as const)
      .find((option) => !harness.capabilities.startTlsOptions.has(option));
    const server = await s.listen("plain");
    const client = s.connect(server.options);
    await s.until(() => client.isOpen && server.peers.length === 1, "the connection to open");
    client.pause();
    if (unsupported !== undefined) {
      equal(
        thrownCode(() => startTls(s, client, server.options, { [unsupported]: "x" })),
        "ERR_UNSUPPORTED_OPTION",
        "code",
      );
    }
    client.resume();
    server.peers[0]!.send("still plain");
    await s.until(() => client.intake.text === "still plain", "the bytes");
  }, { startTls: harness.capabilities.startTls });

  add("startTls() without a host to verify throws, and the socket stays usable", async (s) => {
    const server = await s.listen("plain");
    const client = s.connect(server.options);
    await s.until(() => client.isOpen && server.peers.length === 1, "the connection to open");
    client.pause();
    for (const host of [undefined, null, ""]) {
      const options = { host } as never;
      const start = (): void => void s.adopt({}, (handler) => client.socket.startTls!(options, handler));
      equal(thrownCode(start), "ERR_INVALID_ARG_VALUE", `code for host ${JSON.stringify(host)}`);
    }
    client.resume();
    server.peers[0]!.send("still plain");
    await s.until(() => client.intake.text === "still plain", "the bytes");
  }, { startTls: harness.capabilities.startTls });

  add("destroy() during startTls() is one onClose", async (s) => {
    const server = await s.listen("tunnel");
    let inner!: Client;
    await tunnelled(s, server.options, (client) => {
      inner = startTls(s, client, server.options);
      inner.destroy();
    });
    await s.until(() => inner.isClosed, "onClose");
    await s.quiet();
    equal(inner.log, ["close"], "events");
  }, flags);
}

function expectInvalidState(s: Scenario, client: Client, options: ConnectOptions): void {
  equal(
    thrownCode(() => startTls(s, client, options)),
    "ERR_INVALID_STATE",
    "code of what startTls() throws",
  );
}

function thrownCode(fn: () => unknown): unknown {
  try {
    fn();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "nothing was thrown";
}
