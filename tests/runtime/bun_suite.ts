import * as assert from "uvu/assert";
import { type BunLike, createBunConnect } from "../../src/runtime/bun.ts";
import { bunError } from "../../src/runtime/errors.ts";
import type { ConnectOptions } from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";
import { connecting, opened, settled } from "./fake_bun.ts";
import { assertUnsupported, bytes, Recorder } from "./node_harness.ts";

// The traps of TRAPS.md that are Bun's, on a Bun that does as it is told. The conformance suite runs over the real one.
const test = suite("runtime/bun");

function coded(message: string, code?: string): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

test("trap 3: destroy() is onClose at once; the connection that comes later is closed and told to nobody", async () => {
  for (const outcome of ["opens", "fails"]) {
    const { bun, log, seen, socket } = connecting();
    socket.destroy();
    assert.equal([seen.log, socket.destroyed, socket.connecting], [[], true, true]);
    await settled();
    assert.equal([seen.log, socket.connecting], [["close"], false]);
    if (outcome === "opens") {
      const native = await bun.open();
      native.handlers.data(native, bytes("late"));
      assert.equal(log, ["close"]);
    } else await bun.refuse(coded("Failed to connect", "ECONNREFUSED"));
    assert.equal(seen.log, ["close"]);
  }
});

test("a refused connect is one onClose with Node's form", async () => {
  const { bun, seen } = connecting();
  await bun.refuse(coded("Failed to connect", "ECONNREFUSED"));
  assert.equal(seen.log, ["close ECONNREFUSED"]);
  assert.is(seen.error!.message, "connect ECONNREFUSED peer.test:80");
  assert.equal([seen.error!.phase, seen.error!.syscall], ["connect", "connect"]);
});

test("what Bun throws at once is told by onClose", async () => {
  const seen = new Recorder();
  const bun: BunLike = {
    connect: () => {
      throw coded("Invalid CA", "ERR_BORINGSSL");
    },
  };
  createBunConnect(bun)({ host: "peer.test", port: 80, tls: { ca: "x" } }, seen);
  assert.equal(seen.log, []);
  assert.is((await seen.closed)!.code, "ERR_BORINGSSL");
});

test("trap 5: end() flushes, then shuts down; it does not close", async () => {
  const { native, log, socket, seen } = await opened();
  native.room = 3;
  socket.write(bytes("abcdef"));
  socket.end();
  await settled();
  native.room = 0;
  assert.equal(log, ["write abc"]);
  native.room = Infinity;
  native.handlers.drain(native);
  assert.equal(log, ["write abc", "write def", "shutdown"]);
  assert.equal(seen.log, ["open", "drain"]);
  native.handlers.data(native, bytes("answer"));
  native.handlers.end(native);
  assert.equal(seen.log, ["open", "drain", "data 6", "end", "close"]);
});

test("trap 5: after our FIN the peer's comes as close() alone, and is an end all the same", async () => {
  const { native, socket, seen } = await opened();
  socket.end();
  await settled();
  native.handlers.close(native);
  assert.equal(seen.log, ["open", "end", "close"]);
});

test("close() with an error is no end", async () => {
  const { native, seen } = await opened();
  native.handlers.close(native, coded("read ECONNRESET", "ECONNRESET"));
  assert.equal(seen.log, ["open", "close ECONNRESET"]);
});

test("close() inside a call to the socket is told after it", async () => {
  const { native, seen, socket } = await opened();
  native.write = () => {
    native.handlers.close(native, coded("write EPIPE", "EPIPE"));
    return -1;
  };
  socket.write(bytes("x"));
  assert.equal(seen.log, ["open"]);
  await settled();
  assert.equal(seen.log, ["open", "close EPIPE"]);
});

test("trap 8: what write() leaves is sent when Bun drains, in order; a drain without need tells nothing", async () => {
  const { native, log, socket, seen } = await opened();
  native.handlers.drain(native);
  assert.equal(seen.log, ["open"]);
  native.room = 2;
  assert.is(socket.write(bytes("abc")), true);
  native.room = 0;
  socket.write(bytes("def"));
  assert.is(socket.pendingBytes, 4);
  native.handlers.drain(native);
  assert.is(socket.pendingBytes, 4);
  native.room = Infinity;
  native.handlers.drain(native);
  assert.equal(log, ["write ab", "write cdef"]);
  assert.equal(seen.log, ["open", "drain"]);
  native.handlers.drain(native);
  assert.equal(seen.log, ["open", "drain"]);
});

test("a chunk that is taken at once is its owner's again, and no onDrain follows", async () => {
  const { log, socket, seen } = await opened();
  assert.is(socket.write(bytes("abc")), true);
  assert.is(socket.pendingBytes, 0);
  await settled();
  assert.equal(log, ["write abc"]);
  assert.equal(seen.log, ["open"]);
  socket.write(bytes("head "), true);
  socket.write(bytes("body"));
  assert.equal(log, ["write abc", "write head body"]);
  await settled();
  assert.equal(seen.log, ["open", "drain"]);
});

test("a write that takes along what waited is drained, after the call", async () => {
  const { native, log, socket, seen } = await opened();
  native.room = 0;
  socket.write(bytes("abc"));
  native.room = Infinity;
  socket.write(bytes("def"));
  assert.equal([log, socket.pendingBytes, seen.log], [["write abcdef"], 0, ["open"]]);
  await settled();
  assert.equal(seen.log, ["open", "drain"]);
});

test("trap 12: the handshake's verdict is both: authorized, and no error", async () => {
  const mismatch = coded("Hostname/IP does not match", "ERR_TLS_CERT_ALTNAME_INVALID");
  const verdicts: [boolean, Error | null, string][] = [
    [true, null, "open"],
    [true, undefined as never, "open"],
    [
      true,
      coded("self signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT"),
      "close DEPTH_ZERO_SELF_SIGNED_CERT",
    ],
    [false, mismatch, "close ERR_TLS_CERT_ALTNAME_INVALID"],
    [false, null, "close EPROTO"],
  ];
  for (const [isAuthorized, error, expected] of verdicts) {
    const { bun, log, seen, socket } = connecting({ tls: {} });
    socket.write(bytes("secret"));
    const native = await bun.open();
    assert.equal([seen.log, socket.connecting], [[], true]);
    native.handlers.handshake(native, isAuthorized, error);
    assert.is(seen.log[0], expected);
    assert.is(log.includes("write secret"), expected === "open");
    if (expected !== "open") assert.equal([seen.log.length, seen.error!.phase], [1, "tls"]);
  }
});

test("TLS: a close in the handshake is an error, however it is told", async () => {
  for (const how of ["close", "end and close", "close with an error"]) {
    const { bun, seen } = connecting({ tls: {} });
    const native = await bun.open();
    if (how === "end and close") native.handlers.end(native);
    native.handlers.close(native, how === "close with an error" ? coded("read", "ECONNRESET") : undefined);
    assert.equal(seen.log, ["close ECONNRESET"], how);
    assert.is(seen.error!.phase, "tls");
  }
});

test("TLS: an alert after the handshake is the reason of the close", async () => {
  const { bun, seen } = connecting({ tls: {} });
  const native = await bun.open();
  native.handlers.handshake(native, true, null);
  const alert = "error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED";
  native.handlers.error(native, coded(alert, "EPROTO"));
  native.handlers.close(native);
  assert.equal(seen.log, ["open", "close ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"]);
});

test("trap 15: after startTls() the old handlers go on getting ciphertext and a close, and tell nobody", async () => {
  const { native, seen, socket } = await opened();
  const over = new Recorder();
  seen.dataHook = () => socket.pause();
  native.handlers.data(native, bytes("200"));
  const secured = socket.startTls!({ host: "origin.test", ALPNProtocols: ["http/1.1"] }, over);
  assert.equal([socket.destroyed, secured.connecting, over.log], [true, true, []]);
  const tls = native.upgraded!;
  native.handlers.data(native, bytes("ciphertext"));
  tls.handlers.handshake(tls, true, null);
  tls.handlers.data(tls, bytes("plain"));
  native.handlers.close(native);
  tls.handlers.end(tls);
  assert.equal(seen.log, ["open", "data 3"]);
  assert.equal(over.log, ["open", "data 5", "end"]);
  assert.equal(
    native.upgrade!.tls,
    { serverName: "origin.test", rejectUnauthorized: true, ALPNProtocols: bytes("\x08http/1.1") } as never,
  );
  secured.destroy();
  await settled();
  assert.equal(over.log, ["open", "data 5", "end", "close"]);
});

test("trap 15: upgradeTLS() that gives nothing is a failed connect", async () => {
  const { native, socket, log } = await opened();
  native.upgradeTLS = () => undefined as never;
  const over = new Recorder();
  const secured = socket.startTls!({ host: "origin.test" }, over);
  assert.equal(over.log, []);
  await settled();
  assert.equal(over.log, ["close EPROTO"]);
  assert.is(secured.destroyed, true);
  assert.equal(log, ["close"]);
});

test("trap 16: what Bun would ignore without a word is refused before it dials", () => {
  const refused: [ConnectOptions, string][] = [
    [{ localAddress: "127.0.0.1" }, "localAddress"],
    [{ family: 6 }, "family"],
    [{ tls: { pfx: "x" } }, "tls.pfx"],
    [{ tls: { checkServerIdentity: () => undefined } }, "tls.checkServerIdentity"],
    [{ tls: { rejectUnauthorized: false } }, "tls.rejectUnauthorized"],
    [{ tls: { minVersion: "TLSv1.3" } }, "tls.minVersion"],
    [{ tls: { key: [{ pem: "x", passphrase: "y" }] } }, "tls.key"],
    [{ path: "/run/x", tls: {} }, "path"],
  ];
  for (const [options, name] of refused) assertUnsupported(() => connecting(options), name);
});

test("a name is verified and sent; an address is verified and not sent, or refused where Bun would verify another", async () => {
  const names: [ConnectOptions, string | undefined][] = [
    [{ tls: {} }, "peer.test"],
    [{ tls: { servername: "a.test" } }, "a.test"],
    [{ tls: { host: "b.test" } }, "b.test"],
    [{ tls: { servername: "" } }, ""],
    [{ host: "10.0.0.1", tls: {} }, ""],
    [{ host: "::1", tls: {} }, ""],
    [{ host: "10.0.0.1", tls: { servername: "a.test" } }, "a.test"],
    [{ tls: { servername: "", host: "b.test" } }, undefined],
    [{ tls: { servername: "10.0.0.1" } }, undefined],
    [{ tls: { host: "10.0.0.1" } }, undefined],
  ];
  for (const [options, expected] of names) {
    if (expected === undefined) {
      assert.throws(
        () => connecting(options),
        (error: { code?: string }) => error.code === "ERR_UNSUPPORTED_OPTION",
      );
      continue;
    }
    const { bun, socket } = connecting(options);
    assert.is(bun.dials[0]!.options.tls!.serverName, expected, JSON.stringify(options));
    socket.destroy();
    await settled();
  }
  const { socket } = await opened();
  assert.throws(
    () => socket.startTls!({ host: "10.0.0.1" }, new Recorder()),
    (error: { code?: string }) => error.code === "ERR_UNSUPPORTED_OPTION",
  );
  assert.is(socket.destroyed, false);
});

test("data that Bun gives while paused waits, and so does what follows it", async () => {
  for (const end of ["end", "close", "error"]) {
    const { native, seen, socket, log } = await opened();
    seen.dataHook = () => socket.pause();
    native.handlers.data(native, bytes("a"));
    native.handlers.data(native, bytes("bc"));
    native.handlers.data(native, bytes("def"));
    if (end === "end") native.handlers.end(native);
    else native.handlers.close(native, end === "error" ? coded("read ECONNRESET", "ECONNRESET") : undefined);
    assert.equal(seen.log, ["open", "data 1"], end);
    assert.is(socket.destroyed, end !== "end");
    socket.resume();
    assert.equal(seen.log, ["open", "data 1"]);
    await settled();
    assert.equal(seen.log, ["open", "data 1", "data 2"]);
    assert.equal(log, ["pause", "unref", "resume", "ref", "pause", "unref"]);
    seen.dataHook = undefined;
    socket.resume();
    await settled();
    const last = { end: ["end"], close: ["end", "close"], error: ["close ECONNRESET"] }[end];
    assert.equal(seen.log, ["open", "data 1", "data 2", "data 3", ...last!]);
  }
});

test("a handler that throws is the process's affair, and no error of the socket's", async () => {
  const { native, seen } = await opened();
  const thrown: unknown[] = [];
  const queue = globalThis.queueMicrotask;
  // The rethrow in a microtask of its own is what makes it the process's.
  globalThis.queueMicrotask = (fn): void => {
    try {
      fn();
    } catch (error) {
      thrown.push(error);
    }
  };
  try {
    seen.dataHook = () => {
      throw new Error("user's");
    };
    assert.not.throws(() => native.handlers.data(native, bytes("a")));
  } finally {
    globalThis.queueMicrotask = queue;
  }
  assert.is((thrown[0] as Error).message, "user's");
  seen.dataHook = undefined;
  native.handlers.data(native, bytes("bc"));
  assert.equal(seen.log, ["open", "data 2"]);
});

test("options of an open socket are not lost while it connects", async () => {
  const { bun, log, socket } = connecting();
  socket.pause();
  socket.unref!();
  socket.setNoDelay!(false);
  socket.setKeepAlive!(true, 7000);
  await bun.open();
  assert.equal(log, ["noDelay false", "keepAlive true 7000", "unref", "pause"]);
});

test("bunError() has Node's code for what Bun says", () => {
  const table: [string, string | undefined, string][] = [
    ["Failed to connect", "ECONNREFUSED", "ECONNREFUSED"],
    [
      "error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER",
      "EPROTO",
      "ERR_SSL_WRONG_VERSION_NUMBER",
    ],
    ["certificate has expired", "CERT_HAS_EXPIRED", "CERT_HAS_EXPIRED"],
    ["no code at all", undefined, "EPROTO"],
  ];
  for (const [message, native, code] of table) {
    assert.is(bunError(coded(message, native), { phase: "tls" }).code, code);
  }
  const lookup = bunError(
    Object.assign(coded("getaddrinfo ENOTFOUND", "ENOTFOUND"), { name: "DNSException" }),
    {
      phase: "connect",
      address: "nowhere.test",
      port: 80,
    },
  );
  assert.equal([lookup.code, lookup.phase, lookup.syscall], ["ENOTFOUND", "lookup", "getaddrinfo"]);
  assert.is(lookup.message, "getaddrinfo ENOTFOUND nowhere.test");
});

test.run();
