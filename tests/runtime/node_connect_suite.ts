import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import * as assert from "uvu/assert";
import { connectNode, lookupNode, nodeCapabilities } from "../../src/runtime/node.ts";
import type { ConnectOptions, LookupAddress, LookupFunction } from "../../src/runtime/socket.ts";
import { ca, good } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { bytes, type Listening, listenTcp, listenTls, Recorder, settle, watched } from "./node_harness.ts";

const test = suite("connectNode");

/** Connects, waits for the end, and says where the peer was reached and from where. */
async function reached(options: ConnectOptions): Promise<Recorder & { info: string }> {
  const seen = new Recorder();
  const socket = connectNode(options, seen);
  await Promise.race([seen.opened, seen.closed]);
  const { remoteAddress, remotePort, remoteFamily, localAddress } = socket.info ?? {};
  socket.destroy();
  await seen.closed;
  // A second close would come now.
  await settle(0);
  return Object.assign(seen, { info: `${remoteAddress} ${remotePort} ${remoteFamily} from ${localAddress}` });
}

function pipePath(): string {
  const name = `holdfast-${process.pid}-${Math.random().toString(36).slice(2)}.sock`;
  return process.platform === "win32" ? `\\\\.\\pipe\\${name}` : path.join(os.tmpdir(), name);
}

async function usingServer(
  body: (server: Listening) => Promise<void>,
  at: { host?: string; path?: string } = {},
): Promise<void> {
  const server = await listenTcp((connection) => connection.pipe(connection), at);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

test("sends early writes, receives, ends", () =>
  usingServer(async (server) => {
    const seen = new Recorder();
    const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
    assert.is(socket.connecting, true);
    assert.is(socket.info, undefined);
    socket.write(bytes("early "));
    assert.is(socket.pendingBytes, 6);
    await seen.opened;
    assert.is(socket.connecting, false);
    socket.write(bytes("late"));
    await seen.untilText("late");
    assert.is(seen.text, "early late");
    assert.is(socket.bytesRead, 10);
    assert.is(socket.bytesWritten, 10);
    socket.end();
    await seen.closed;
    assert.is(seen.error, undefined);
    assert.equal(seen.log.slice(-2), ["end", "close"]);
    assert.is(socket.destroyed, true);
    assert.is(socket.info?.remoteAddress, "127.0.0.1", "info outlives the connection");
  }));

test("an early end goes out after the early writes", () =>
  usingServer(async (server) => {
    const seen = new Recorder();
    const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
    socket.write(bytes("all"));
    socket.end();
    assert.is(socket.write(bytes("too late")), false);
    await seen.closed;
    assert.is(seen.text, "all");
    assert.is(seen.error, undefined);
  }));

test("reaches IPv4, IPv6 and names", async () => {
  await usingServer(async ({ port }) => {
    assert.is((await reached({ host: "127.0.0.1", port })).info, `127.0.0.1 ${port} 4 from 127.0.0.1`);
    assert.is((await reached({ host: "localhost", port })).info, `127.0.0.1 ${port} 4 from 127.0.0.1`);
    assert.is((await reached({ port })).info, `127.0.0.1 ${port} 4 from 127.0.0.1`);
  });
  await usingServer(async ({ port }) => {
    assert.is((await reached({ host: "::1", port })).info, `::1 ${port} 6 from ::1`);
  }, { host: "::1" });
});

test("family takes addresses of that family alone", () =>
  usingServer(async ({ port }) => {
    const both: LookupFunction = (_name, options, callback) => {
      const all: LookupAddress[] = [{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }];
      const found = all.filter(({ family }) => !options.family || family === options.family);
      if (options.all === true) callback(null, found);
      else callback(null, found[0]!.address, found[0]!.family);
    };
    const four = await reached({ host: "a.test", port, family: 4, lookup: both });
    assert.is(four.info, `127.0.0.1 ${port} 4 from 127.0.0.1`);
    const six = await reached({ host: "a.test", port, family: 6, lookup: both });
    assert.equal(six.log, ["close ECONNREFUSED"]);
    assert.is(six.error?.address, "::1");
  }));

test("tries the next address of a name where one refuses", () =>
  usingServer(async ({ port }) => {
    const lookup: LookupFunction = (_name, options, callback) => {
      if (options.all === true) {
        callback(null, [{ address: "::1", family: 6 }, { address: "127.0.0.1", family: 4 }]);
      } else callback(null, "127.0.0.1", 4);
    };
    const seen = await reached({ host: "two.test", port, lookup });
    assert.is(seen.info, `127.0.0.1 ${port} 4 from 127.0.0.1`);
  }));

test("every address refused is one error with a message for each", async () => {
  const server = await listenTcp();
  await server.close();
  const lookup: LookupFunction = (_name, _options, callback) => {
    callback(null, [{ address: "127.0.0.1", family: 4 }, { address: "127.0.0.2", family: 4 }]);
  };
  const seen = await reached({ host: "two.test", port: server.port, lookup, autoSelectFamily: true });
  assert.equal(seen.log, ["close ECONNREFUSED"]);
  assert.is(seen.error?.phase, "connect");
  assert.ok(seen.error!.message.length > 0);
});

for (
  const [name, lookup] of Object.entries<LookupFunction>({
    "tells": (_name, _options, callback) =>
      callback(Object.assign(new Error("queryA ENOTFOUND nowhere.test"), { code: "ENOTFOUND" })),
    "throws": () => {
      throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
    },
  })
) {
  test(`a look-up that ${name} its error fails the connect in the phase "lookup"`, async () => {
    const seen = await reached({ host: "nowhere.test", port: 80, lookup });
    assert.equal(seen.log, ["close ENOTFOUND"]);
    assert.is(seen.error?.phase, "lookup");
    assert.is(seen.error?.address, "nowhere.test");
    assert.is(seen.error?.port, 80);
    assert.is((seen.error?.cause as { code: string }).code, "ENOTFOUND");
  });
}

test("a name that does not exist is ENOTFOUND or EAI_AGAIN, from getaddrinfo", async () => {
  const seen = await reached({ host: "does-not-exist.invalid", port: 80 });
  assert.ok(["ENOTFOUND", "EAI_AGAIN"].includes(seen.error!.code), seen.error!.code);
  assert.is(seen.error?.phase, "lookup");
  assert.is(seen.error?.syscall, "getaddrinfo");
});

test("hints reach the look-up", async () => {
  let given: number | undefined;
  const lookup: LookupFunction = (_name, options, callback) => {
    given = options.hints;
    callback(new Error("enough"));
  };
  await reached({ host: "a.test", port: 80, hints: 0x0020, lookup });
  assert.is(given, 0x0020);
});

test("localAddress and localPort are bound", () =>
  usingServer(async (server) => {
    const free = await listenTcp();
    await free.close();
    const seen = new Recorder();
    const socket = connectNode({
      host: "127.0.0.1",
      port: server.port,
      localAddress: "127.0.0.2",
      localPort: free.port,
    }, seen);
    await seen.opened;
    assert.is(socket.info?.localAddress, "127.0.0.2");
    assert.is(socket.info?.localPort, free.port);
    assert.is(server.connections[0]?.remoteAddress, "127.0.0.2");
    socket.destroy();
    await seen.closed;
  }));

test("a local address that this machine has not is a failed connect", async () => {
  const seen = await reached({ host: "127.0.0.1", port: 1, localAddress: "192.0.2.1" });
  assert.equal(seen.log, [nodeCapabilities.reportsLocalAddress ? "close EADDRNOTAVAIL" : "close EINVAL"]);
});

test("reaches a unix socket", async () => {
  const at = pipePath();
  await usingServer(async () => {
    const seen = new Recorder();
    const socket = connectNode({ path: at, noDelay: true }, seen);
    socket.write(bytes("through a path"));
    await seen.untilText("path");
    socket.setNoDelay?.(true);
    socket.setKeepAlive?.(true, 1000);
    assert.is(socket.info?.remoteFamily, undefined);
    socket.end();
    await seen.closed;
    assert.is(seen.error, undefined);
  }, { path: at });
});

if (process.platform === "linux") {
  // Trap 1 of TRAPS.md is between runtimes (an old libuv pads the name); each reaches its own.
  test("reaches an abstract unix socket of the same runtime", async () => {
    const at = `\0holdfast-${process.pid}-${Math.random().toString(36).slice(2)}`;
    await usingServer(async () => {
      const seen = new Recorder();
      const socket = connectNode({ path: at }, seen);
      socket.write(bytes("through no file"));
      await seen.untilText("file");
      socket.destroy();
      await seen.closed;
    }, { path: at });
  });
}

test("a unix socket that nobody listens to is ENOENT, with its path", async () => {
  const at = pipePath();
  const seen = await reached({ path: at });
  assert.equal(seen.log, ["close ENOENT"]);
  assert.is(seen.error?.address, at);
});

test("refused is one close with Node's code", async () => {
  const server = await listenTcp();
  await server.close();
  const seen = new Recorder();
  const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
  socket.write(bytes("never"));
  const error = await seen.closed;
  assert.equal(seen.log, ["close ECONNREFUSED"]);
  assert.is(error?.phase, "connect");
  assert.is(error?.syscall, "connect");
  assert.is(error?.address, "127.0.0.1");
  assert.is(error?.port, server.port);
  assert.ok(error?.cause instanceof Error);
  assert.is(socket.destroyed, true);
  assert.is(socket.pendingBytes, 0);
});

test("a bad port is thrown at once", () => {
  for (const port of [-1, 65536, 1.5, NaN, undefined]) {
    assert.throws(
      () => connectNode({ host: "127.0.0.1", port }, new Recorder()),
      (error: unknown) =>
        error instanceof RangeError && (error as { code?: string }).code === "ERR_SOCKET_BAD_PORT",
      String(port),
    );
  }
});

test("the highWaterMark is reported as a hint that is not followed", () =>
  usingServer(async ({ port }) => {
    const seen = new Recorder();
    const socket = connectNode({ host: "127.0.0.1", port, highWaterMark: 1000, keepAlive: true }, seen);
    await seen.opened;
    assert.equal(socket.info?.ignoredHints, ["highWaterMark"]);
    assert.is(socket.info?.adapter, "node");
    socket.destroy();
    await seen.closed;
  }));

test("destroy() before the connect is done is one close", () =>
  usingServer(async (server) => {
    const names: LookupFunction = (_name, _options, callback) => {
      setTimeout(() => callback(null, [{ address: "127.0.0.1", family: 4 }]), 30);
    };
    const cases: [string, ConnectOptions, number][] = [
      ["at once", { host: "127.0.0.1", port: server.port }, -1],
      ["at once, by name", { host: "localhost", port: server.port }, -1],
      ["in the look-up", { host: "slow.test", port: server.port, lookup: names }, 5],
      ["a turn later", { host: "127.0.0.1", port: server.port }, 0],
    ];
    for (const [name, options, afterMs] of cases) {
      const seen = new Recorder();
      const socket = connectNode(options, seen);
      socket.write(bytes("dropped"));
      if (afterMs >= 0) await settle(afterMs);
      const wasOpen = !socket.connecting;
      socket.destroy();
      socket.destroy();
      assert.is(socket.destroyed, true, name);
      await seen.closed;
      await settle(40);
      const log = seen.log.filter((event) => event === "open" || event.startsWith("close"));
      assert.equal(log, wasOpen ? ["open", "close"] : ["close"], name);
    }
  }));

test("hundreds of connects aborted at any moment leave one close each and nothing else", async () => {
  const echoes = await listenTcp((connection) => connection.pipe(connection));
  const silent = await listenTcp();
  const secure = await listenTls(good, (connection) => connection.pipe(connection));
  const targets: readonly ConnectOptions[] = [
    { host: "127.0.0.1", port: echoes.port },
    { host: "localhost", port: echoes.port },
    { host: "127.0.0.1", port: secure.port, tls: { ca } },
    { host: "127.0.0.1", port: silent.port, tls: { ca } },
  ];
  const abort = async (index: number): Promise<void> => {
    const seen = new Recorder();
    const socket = connectNode(targets[index % targets.length]!, seen);
    socket.write(bytes("dropped"));
    // Inside the turn of the connect, at its end, and after 0 to 11 ms.
    if (index % 14 === 1) await Promise.resolve();
    else if (index % 14 > 1) await settle(index % 14 - 2);
    socket.destroy();
    await seen.closed;
    assert.is(seen.error, undefined);
    assert.is(seen.log.filter((event) => event.startsWith("close")).length, 1);
  };
  for (let batch = 0; batch < 4; batch++) {
    await Promise.all(Array.from({ length: 100 }, (_, index) => abort(index)));
  }
  await Promise.all([echoes.close(), silent.close(), secure.close()]);
});

test("destroy(error) during the connect tells that error", async () => {
  const seen = new Recorder();
  const never: LookupFunction = () => {};
  const socket = connectNode({ host: "a.test", port: 80, lookup: never }, seen);
  const reason = new DOMException("stop", "AbortError");
  socket.destroy(reason);
  socket.destroy(new Error("second"));
  await seen.closed;
  assert.equal(seen.log, ["close ABORT_ERR"]);
  assert.is(seen.error?.cause, reason);
  assert.is(seen.error?.phase, "connect");
});

test("no callback comes inside a call", () =>
  usingServer(async (server) => {
    const seen = new Recorder();
    const socket = watched(connectNode({ host: "127.0.0.1", port: server.port }, seen), seen);
    seen.dataHook = (): void => {
      socket.pause();
      socket.write(bytes("more"));
      socket.resume();
    };
    socket.write(bytes("one"));
    await seen.untilText("onemore");
    seen.dataHook = undefined;
    socket.pause();
    socket.write(new Uint8Array(1_000_000));
    socket.resume();
    await seen.until(() => seen.length >= 1_000_007);
    socket.end();
    socket.destroy();
    await seen.closed;
    assert.equal(seen.log.filter((event) => event.startsWith("INSIDE")), []);
  }));

test("an AggregateError's message names each attempt", async () => {
  const server = await listenTcp();
  await server.close();
  const found = await new Promise<readonly LookupAddress[]>((resolve, reject) => {
    lookupNode("localhost", { all: true }, (error, addresses) => {
      if (error !== null) reject(error);
      else resolve(addresses as readonly LookupAddress[]);
    });
  });
  const seen = await reached({ host: "localhost", port: server.port });
  assert.is(seen.error?.code, "ECONNREFUSED");
  assert.ok(found.some(({ address }) => seen.error!.message.includes(address)), seen.error?.message);
});

test("lookupNode() asks the system, in the family that is asked for", async () => {
  const address = await new Promise((resolve) =>
    lookupNode("localhost", { family: 4 }, (_error, found) => resolve(found))
  );
  assert.is(address, "127.0.0.1");
  assert.is(net.isIP(String(address)), 4);
});

test("an unreachable network is ENETUNREACH where the flag says so", async () => {
  // TCP has no multicast: Linux says so before anything is sent, with or without a route.
  const seen = await reached({ host: "224.0.0.1", port: 80 });
  assert.is(seen.error?.code, nodeCapabilities.reportsUnreachable ? "ENETUNREACH" : "ECONNREFUSED");
});

test.run();
