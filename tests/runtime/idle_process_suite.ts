import * as net from "node:net";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { adapters } from "../../src/runtime/mod.ts";
import type { ConnectOptions } from "../../src/runtime/socket.ts";
import { ca, good } from "../certs/certs.ts";
import { runChild } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";
import { needsAdapter } from "./adapter_flags.ts";
import { listening } from "../harness/listening.ts";
import type { Plan } from "./idle_process.ts";

const test = suite("a process that holds an idle connection");

type OnConnection = (socket: net.Socket) => void;

/** Runs the process against a server of its own, and gives what it printed, as words. */
async function run(
  name: string,
  plan: Plan,
  onConnection: OnConnection = () => {},
  isTls: "plain" | "tls" | "silent" = "plain",
): Promise<{ story: string; exitCode: number | null }> {
  const server = isTls === "tls"
    ? tls.createServer({ ...good, allowHalfOpen: true } as tls.TlsOptions, onConnection)
    : net.createServer({ allowHalfOpen: true }, onConnection);
  const { port, close } = await listening(server);
  const options: ConnectOptions = isTls === "plain"
    ? { host: "127.0.0.1", port }
    : { host: "localhost", port, tls: isTls === "tls" ? { ca } : {} };
  try {
    const words = [name, JSON.stringify(options), JSON.stringify(plan)];
    const { output, exitCode } = await runChild("tests/runtime/idle_process", ...words);
    return { story: output.trim().split(/\s+/).join(" "), exitCode };
  } finally {
    await close();
  }
}

const later = (act: OnConnection): OnConnection => (socket) => {
  socket.on("error", () => {});
  setTimeout(() => act(socket), 300);
};

for (const name of ["node", "deno", "bun"] as const) {
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  const here = needsAdapter(name);
  const capabilities = adapter?.capabilities;
  const overTls = { ...here, "tls.ca": capabilities?.tlsOptions.has("ca") ?? false };
  const hasTls = { ...here, tls: (capabilities?.tlsOptions.size ?? 0) > 0 };

  test.needs(here, `${name}: ends by itself once the socket is unref'd`, async () => {
    assert.equal(await run(name, { open: ["unref"] }), { story: "open", exitCode: 0 });
  });

  test.needs(here, `${name}: unref() right after connect() counts once it is open`, async () => {
    const { story, exitCode } = await run(name, { early: ["unref"] });
    // Where a connect can be let go of as well, the process may end before it is open.
    assert.ok(story === "open" || (capabilities!.unrefsConnect && story === ""), story);
    assert.is(exitCode, 0);
  });

  test.needs(here, `${name}: lives while the socket is ref'd, also again`, async () => {
    for (const open of [[], ["unref", "ref"]] as const) {
      const result = await run(name, { open }, later((socket) => void socket.end()));
      assert.equal(result, { story: "open end close", exitCode: 0 });
    }
  });

  test.needs(
    here,
    `${name}: ends by itself where the socket is paused with data to read, and nothing to write`,
    async () => {
      const flood: OnConnection = (socket) => {
        socket.on("error", () => {});
        socket.write(new Uint8Array(4 << 20));
      };
      assert.equal(await run(name, { data: "pause" }, flood), { story: "open data", exitCode: 0 });
    },
  );

  test.needs(here, `${name}: an unref'd socket reports FIN and RST while the process lives`, async () => {
    const plan: Plan = { open: ["unref"], livesMs: 1_000 };
    const fin = await run(name, plan, later((socket) => void socket.end()));
    assert.equal(fin, { story: "open end close", exitCode: 0 });
    const rst = await run(name, plan, later((socket) => void socket.resetAndDestroy()));
    assert.equal(rst, { story: "open close ECONNRESET", exitCode: 0 });
  });

  test.needs(
    overTls,
    `${name}: ends by itself with an unref'd TLS socket, and hears of its end`,
    async () => {
      const quiet = await run(name, { open: ["unref"] }, () => {}, "tls");
      assert.equal(quiet, { story: "open", exitCode: 0 });
      const plan: Plan = { open: ["unref"], livesMs: 1_000 };
      const heard = await run(name, plan, later((socket) => void socket.end()), "tls");
      assert.equal(heard, { story: "open end close", exitCode: 0 });
    },
  );

  test.needs(
    hasTls,
    `${name}: an unref'd handshake that hangs holds it no longer than the peer lasts`,
    async () => {
      const { story, exitCode } = await run(
        name,
        { early: ["unref"] },
        later((socket) => void socket.destroy()),
        "silent",
      );
      // Without unrefsConnect it may hold the process or not (Node's and Bun's handles are let go of after TCP).
      assert.ok(story === "" || (!capabilities!.unrefsConnect && story === "close ECONNRESET"), story);
      assert.is(exitCode, 0);
    },
  );
}

test.run();
