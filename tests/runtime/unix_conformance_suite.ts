import { mkdtempSync, rmSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bunCapabilities } from "../../src/runtime/bun.ts";
import { denoCapabilities } from "../../src/runtime/deno.ts";
import { type AdapterName, adapters } from "../../src/runtime/mod.ts";
import { nodeCapabilities } from "../../src/runtime/node.ts";
import type { Capabilities } from "../../src/runtime/capabilities.ts";
import type { Connect } from "../../src/runtime/socket.ts";
import { type ConformanceHarness, socketConformance } from "../../src/testing.ts";
import { type Suite, suite } from "../harness/suite.ts";
import { needsAdapter } from "./adapter_flags.ts";
import { peerOf, serve } from "./conformance_servers.ts";
import { takeUncaught } from "./uncaught.ts";

// The contract over unix sockets, for each adapter: they have no address, no RST and no no-delay.
const tables: Readonly<Record<AdapterName, Capabilities>> = {
  deno: denoCapabilities,
  bun: bunCapabilities,
  node: nodeCapabilities,
};

let folder = "";
let paths = 0;

const servers: Omit<ConformanceHarness, "connect" | "capabilities"> = {
  kinds: new Set(["plain"]),
  ports: false,
  resets: false,
  uncaught: takeUncaught,
  listen: async (_kind, accept) => {
    const path = join(folder, `${++paths}.sock`);
    const connections = new Set<net.Socket>();
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      connections.add(socket.on("error", () => {}));
      serve(socket, accept, peerOf(socket));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const close = async (): Promise<void> => {
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    };
    return { options: { path }, close };
  },
};

for (const name of ["deno", "bun", "node"] as const) {
  const test = suite(`socket contract over unix sockets, ${name}`);
  test.before(() => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  });
  test.after(() => rmSync(folder, { recursive: true }));
  register(test, name);
  test.run();
}

function register(test: Suite, name: AdapterName): void {
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  const hasAdapter = needsAdapter(name);
  const connect: Connect = (options, handler) => adapter!.connect(options, handler);
  socketConformance((title, body, needs) => {
    // What is told of options is the same for every address; the other peers are TCP's.
    const isOfTcp = Object.keys(needs).some((flag) =>
      !needs[flag] && /^(peer|ports|resets|refused|unknown)/.test(flag)
    );
    if (!isOfTcp && !title.startsWith("option ")) test.needs({ ...hasAdapter, ...needs }, title, body);
  }, { ...servers, connect, capabilities: tables[name] });
}
