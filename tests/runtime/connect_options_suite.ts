/** Options that no adapter can use: the same error on every runtime, before anything is opened. */
import { createServer, isIP, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions } from "@holdfast/agent";
import { adapters, createConnect } from "../../src/runtime/mod.ts";
import { isAddress } from "../../src/runtime/addresses.ts";
import type { Connect, ConnectOptions, TlsOptions } from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";
import { Recorder, settle } from "./node_harness.ts";

const test = suite("readConnectOptions()");

let server: Server;
let port = 0;
let accepted = 0;

test.before(async () => {
  server = createServer((socket) => {
    accepted++;
    socket.on("error", () => {}).resume();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});

test.after(async () => {
  await new Promise((resolve) => server.close(resolve));
});

const TYPE = "ERR_INVALID_ARG_TYPE";
const RANGE = "ERR_OUT_OF_RANGE";
const VERSION = "ERR_TLS_INVALID_PROTOCOL_VERSION";

const plain: readonly [keyof ConnectOptions, unknown, string][] = [
  ["host", 5, TYPE],
  ["host", "local\0host", "ERR_INVALID_ARG_VALUE"],
  ["path", 5, TYPE],
  ["path", "/run/a.sock\0b", "ERR_INVALID_ARG_VALUE"],
  ["path", "\0a\0b", "ERR_INVALID_ARG_VALUE"],
  ["port", 65_536, "ERR_SOCKET_BAD_PORT"],
  ["port", "80", "ERR_SOCKET_BAD_PORT"],
  ["family", 5, "ERR_INVALID_ARG_VALUE"],
  ["lookup", "x", TYPE],
  ["hints", "x", TYPE],
  ["localAddress", 5, "ERR_INVALID_IP_ADDRESS"],
  ["localAddress", "1.2.3.256", "ERR_INVALID_IP_ADDRESS"],
  ["localPort", "x", TYPE],
  ["localPort", 99_999, "ERR_SOCKET_BAD_PORT"],
  ["noDelay", "x", TYPE],
  ["keepAlive", "x", TYPE],
  ["keepAliveInitialDelayMs", "x", TYPE],
  ["keepAliveInitialDelayMs", -1, RANGE],
  ["autoSelectFamily", "x", TYPE],
  ["autoSelectFamilyAttemptTimeoutMs", "x", TYPE],
  ["autoSelectFamilyAttemptTimeoutMs", NaN, RANGE],
  ["highWaterMark", "x", TYPE],
  ["tls", 5, TYPE],
];

const secure: readonly [keyof TlsOptions, unknown, string][] = [
  ["host", 5, TYPE],
  ["servername", 5, TYPE],
  ["ALPNProtocols", "http/1.1", TYPE],
  ["ALPNProtocols", [5], TYPE],
  ["ALPNProtocols", [""], RANGE],
  ["ALPNProtocols", ["x".repeat(256)], RANGE],
  ["checkServerIdentity", 5, TYPE],
  ["rejectUnauthorized", "false", TYPE],
  ["ca", 5, TYPE],
  ["ca", [], "ERR_INVALID_ARG_VALUE"],
  ["ca", [""], "ERR_INVALID_ARG_VALUE"],
  ["cert", [5], TYPE],
  ["key", [{ pem: 5 }], TYPE],
  ["key", [null], TYPE],
  ["pfx", [{ pem: "x" }], TYPE],
  ["passphrase", 5, TYPE],
  ["minVersion", "x", VERSION],
  ["maxVersion", 5, VERSION],
  ["ciphers", 5, TYPE],
  ["session", "x", TYPE],
  ["secureContext", 5, "ERR_TLS_INVALID_CONTEXT"],
  ["crl", 5, TYPE],
  ["ecdhCurve", 5, TYPE],
  ["sigalgs", 5, TYPE],
  ["secureOptions", "x", TYPE],
  ["secureProtocol", 5, TYPE],
  ["honorCipherOrder", "x", TYPE],
  ["dhparam", 5, TYPE],
  ["sessionIdContext", 5, TYPE],
];

const cases: readonly { name: string; options: ConnectOptions; code: string }[] = [
  ...plain.map(([name, value, code]) => ({ name: name as string, options: { [name]: value }, code })),
  ...secure.map(([name, value, code]) => ({
    name: name as string,
    options: { tls: { [name]: value } },
    code,
  })),
];

/** Every way to connect: chosen, each adapter by itself, and one of the user's own. */
function ways(): [string, Connect][] {
  const own = createConnect({ runtime: () => assert.unreachable() as never });
  const each = adapters().map(({ capabilities, connect }): [string, Connect] => [
    capabilities.adapter,
    connect,
  ]);
  return [["chosen", createConnect()], ["own", own], ...each];
}

for (const { name, options, code } of cases) {
  const value = Object.values(options.tls ?? options).join();
  test(`${name}: ${value} (${options.tls ? "tls" : "plain"}) throws ${code}`, () => {
    for (const host of ["127.0.0.1", "localhost"]) {
      for (const [way, connect] of ways()) {
        const seen = new Recorder();
        try {
          connect({ host, port, ...options }, seen);
        } catch (error) {
          assert.is((error as { code?: string }).code, code, `${way}, ${host}: ${error}`);
          assert.ok(error instanceof TypeError || error instanceof RangeError);
          continue;
        }
        assert.unreachable(`${way} connects to ${host}`);
      }
    }
  });
}

test("what is null or undefined counts as not given", async () => {
  const nothing = { family: null, lookup: null, localAddress: undefined, noDelay: null, hints: null };
  const seen = new Recorder();
  const socket = createConnect()({ host: "127.0.0.1", port, ...nothing } as never, seen);
  await seen.opened;
  socket.destroy();
  await seen.closed;
});

test("inherited members are as good as own ones", () => {
  const inherited = { host: "127.0.0.1", port, tls: Object.create({ ca: [] }) };
  for (const [way, connect] of ways()) {
    for (const options of [inherited, Object.create({ ...inherited, tls: { ca: [] } })]) {
      const isRefused = (error: { code?: string }): boolean => error.code === "ERR_INVALID_ARG_VALUE";
      assert.throws(() => connect(options, new Recorder()), isRefused, way);
    }
  }
});

test("a request rejects with the same code, and no connection was begun", async () => {
  accepted = 0;
  const asAgentOptions: readonly [string, unknown, string][] = [
    ["servername", 5, TYPE],
    ["ALPNProtocols", [5], TYPE],
    ["checkServerIdentity", 5, TYPE],
    ["localPort", 99_999, "ERR_SOCKET_BAD_PORT"],
    ["noDelay", "x", TYPE],
    ["hints", "x", TYPE],
    ["lookup", "x", TYPE],
    ["autoSelectFamily", "x", TYPE],
  ];
  for (const [name, value, code] of asAgentOptions) {
    const agent = new Agent({ [name]: value } as AgentOptions);
    const error = await agent.request(`https://127.0.0.1:${port}/`).then(() => undefined, (error) => error);
    assert.is(error?.code, code, `${name}: ${error}`);
    assert.is(agent.totalSocketCount, 0);
  }
  await settle(20);
  assert.is(accepted, 0);
});

test("isAddress() is true where net.isIP() is", () => {
  const hosts = [
    "127.0.0.1",
    "0.0.0.0",
    "255.249.199.99",
    "256.0.0.1",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.4.",
    "01.2.3.4",
    "1.2.3.x",
  ];
  const others = ["", "localhost", "1e100.net", "127.1", "0x7f.0.0.1", " 127.0.0.1", "127.0.0.1\n"];
  const six = ["::1", "::", "fe80::1%lo", "::ffff:127.0.0.1", "2001:db8::1"];
  for (const host of [...hosts, ...others, ...six]) assert.is(isAddress(host), isIP(host) !== 0, host);
});

test.run();
