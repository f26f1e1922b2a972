import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import process from "node:process";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { connectNode, nodeCapabilities } from "../../src/runtime/node.ts";
import type { TlsOption } from "../../src/runtime/capabilities.ts";
import type { ConnectOptions, Socket, TlsOptions } from "../../src/runtime/socket.ts";
import * as certs from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import {
  assertUnsupported,
  bytes,
  type Listening,
  listenTcp,
  listenTls,
  Recorder,
  settle,
} from "./node_harness.ts";

const { ca, good } = certs;
const test = suite("connectNode: TLS");

/** What became of one connect to a server: what the client saw, and what reached the server. */
interface Outcome {
  readonly seen: Recorder;
  readonly socket: Socket;
  /** The name that the server was asked for by SNI; false: none. */
  readonly sentName: string | false | null | undefined;
  /** Bytes that the server received in the clear. */
  readonly received: string;
  /** The subject of the client's certificate, as the server saw it. */
  readonly clientName: string | undefined;
}

/** Connects once, writes early, waits for the server's greeting or the failure, and closes. */
async function attempt(
  serverOptions: tls.TlsOptions,
  clientOptions: TlsOptions,
  target: ConnectOptions = {},
): Promise<Outcome> {
  let sentName: Outcome["sentName"];
  let received = "";
  let clientName: string | undefined;
  const server = await listenTls(serverOptions, (connection) => {
    sentName = (connection as { servername?: string | false }).servername;
    clientName = connection.getPeerCertificate()?.subject?.CN as string | undefined;
    connection.on("data", (chunk: Uint8Array) => received += new TextDecoder().decode(chunk));
    connection.write("hello");
  }, target.host === "::1" ? { host: "::1" } : {});
  const seen = new Recorder();
  const socket = connectNode(
    { host: "localhost", family: 4, port: server.port, ...target, tls: clientOptions },
    seen,
  );
  socket.write(bytes("secret"));
  await Promise.race([seen.untilText("hello"), seen.closed]);
  if (!socket.destroyed) await settle(5);
  socket.destroy();
  await seen.closed;
  await settle(5);
  await server.close();
  return { seen, socket, sentName: sentName || false, received, clientName };
}

/** The close of a peer that was refused: one event, the code, and nothing sent. */
function assertRefused(outcome: Outcome, code: string): void {
  assert.equal(outcome.seen.log, [`close ${code}`]);
  assert.is(outcome.seen.error?.phase, "tls");
  assert.is(outcome.received, "", "no early write may reach a peer that is refused");
}

function assertOpened(outcome: Outcome): void {
  assert.is(outcome.seen.log[0], "open", outcome.seen.log.join(", "));
  assert.is(outcome.seen.text, "hello");
  assert.is(outcome.received, "secret");
}

test("verifies the host by default and sends it as SNI", async () => {
  const outcome = await attempt(good, { ca });
  assertOpened(outcome);
  assert.is(outcome.sentName, "localhost");
  assert.is(outcome.socket.info?.tls?.authorized, true);
  assert.is(outcome.socket.info?.tls?.authorizationError, undefined);
  assert.is(outcome.socket.info?.tls?.protocol, "TLSv1.3");
  assert.is(outcome.socket.info?.tls?.alpnProtocol, undefined);
  assert.is(outcome.socket.info?.remoteAddress, "127.0.0.1");
});

for (const host of ["127.0.0.1", "::1"]) {
  test(`verifies the address ${host}, and sends no SNI`, async () => {
    const outcome = await attempt(good, { ca }, { host, family: 0 });
    assertOpened(outcome);
    assert.is(outcome.sentName, false);
    assertRefused(
      await attempt(certs.wrongHost, { ca }, { host, family: 0 }),
      "ERR_TLS_CERT_ALTNAME_INVALID",
    );
  });
}

test("servername is sent and verified in the place of the host", async () => {
  const outcome = await attempt(certs.wrongHost, { ca, servername: "elsewhere.test" });
  assertOpened(outcome);
  assert.is(outcome.sentName, "elsewhere.test");
  assertRefused(await attempt(good, { ca, servername: "elsewhere.test" }), "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("an empty servername sends none and verifies the host", async () => {
  const outcome = await attempt(good, { ca, servername: "" });
  assertOpened(outcome);
  assert.is(outcome.sentName, false);
  assertRefused(await attempt(certs.wrongHost, { ca, servername: "" }), "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("a servername that is an address is verified and not sent", async () => {
  const outcome = await attempt(good, { ca, servername: "127.0.0.1" });
  assertOpened(outcome);
  assert.is(outcome.sentName, false);
  assertRefused(await attempt(good, { ca, servername: "192.0.2.1" }), "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("tls.host is verified in the place of the address dialled", async () => {
  const byAddress = { host: "127.0.0.1", family: 0 } as const;
  const outcome = await attempt(certs.wrongHost, { ca, host: "elsewhere.test" }, byAddress);
  assertOpened(outcome);
  assert.is(outcome.sentName, "elsewhere.test");
  const silent = await attempt(certs.wrongHost, { ca, host: "elsewhere.test", servername: "" }, byAddress);
  assertOpened(silent);
  assert.is(silent.sentName, false);
  assertRefused(
    await attempt(good, { ca, host: "elsewhere.test" }, byAddress),
    "ERR_TLS_CERT_ALTNAME_INVALID",
  );
});

const refusals: readonly [string, certs.KeyPair, TlsOptions, string][] = [
  ["another host's", certs.wrongHost, { ca }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  [
    "an expired",
    certs.expired,
    { ca },
    nodeCapabilities.reportsExpiredWithCa ? "CERT_HAS_EXPIRED" : "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  ],
  ["a self-signed", certs.selfSigned, { ca }, "DEPTH_ZERO_SELF_SIGNED_CERT"],
  ["an unknown authority's", certs.unknownCa, { ca }, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  ["a good, without the authority,", good, {}, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
];
for (const [name, pair, options, code] of refusals) {
  test(`${name} certificate is refused before anything is sent`, async () => {
    assertRefused(await attempt(pair, options), code);
  });
  test(`${name} certificate passes where nothing is to be verified`, async () => {
    const outcome = await attempt(pair, { ...options, rejectUnauthorized: false });
    assertOpened(outcome);
    assert.is(outcome.socket.info?.tls?.authorized, false);
    assert.is(outcome.socket.info?.tls?.authorizationError, code);
  });
}

test("a peer that was not verified is not authorized the next time either", async () => {
  for (let time = 0; time < 3; time++) {
    const { socket } = await attempt(good, { rejectUnauthorized: false });
    assert.is(socket.info?.tls?.authorized, false);
    assert.is(socket.info?.tls?.authorizationError, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  }
});

test("the environment does not turn verification off", async () => {
  process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  try {
    assertRefused(await attempt(certs.wrongHost, { ca }), "ERR_TLS_CERT_ALTNAME_INVALID");
    assertRefused(await attempt(certs.unknownCa, { ca }), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
  } finally {
    delete process.env["NODE_TLS_REJECT_UNAUTHORIZED"];
  }
});

test("a self-signed certificate is accepted where it is the authority given", async () => {
  assertOpened(await attempt(certs.selfSigned, { ca: certs.selfSigned.cert }));
});

test("a list of authorities may be text and bytes", async () => {
  assertOpened(await attempt(good, { ca: [certs.otherCa, bytes(ca)] }));
});

test("a name in the CN alone is accepted where the flag says so", async () => {
  const outcome = await attempt(certs.commonNameOnly, { ca });
  if (nodeCapabilities.acceptsCommonName) assertOpened(outcome);
  else assertRefused(outcome, "ERR_TLS_CERT_ALTNAME_INVALID");
});

test("checkServerIdentity has the last word, and is told name and certificate", async () => {
  const asked: string[] = [];
  const lax: TlsOptions = {
    ca,
    checkServerIdentity: (name, certificate) => {
      asked.push(`${name} ${certificate.subjectaltname} ${certificate.raw.length > 100}`);
      return undefined;
    },
  };
  assertOpened(await attempt(certs.wrongHost, lax));
  assert.equal(asked, ["localhost DNS:elsewhere.test true"]);
  const reason = new Error("not this one");
  const refused = await attempt(good, { ca, checkServerIdentity: () => reason });
  assertRefused(refused, "EPROTO");
  assert.is(refused.seen.error?.cause, reason);
});

const asksForClient: tls.TlsOptions = { ...good, ca, requestCert: true, rejectUnauthorized: true };
const clients: Readonly<Record<string, TlsOptions>> = {
  "cert and key": certs.client,
  "bytes": { cert: bytes(certs.client.cert), key: bytes(certs.client.key) },
  "an encrypted key and passphrase": {
    cert: certs.client.cert,
    key: certs.encryptedClientKey,
    passphrase: certs.passphrase,
  },
  "pfx and passphrase": {
    pfx: Uint8Array.from(atob(certs.clientPfxBase64), (character) => character.charCodeAt(0)),
    passphrase: certs.passphrase,
  },
};
for (const [name, options] of Object.entries(clients)) {
  test(`a client certificate is shown: ${name}`, async () => {
    const outcome = await attempt(asksForClient, { ca, ...options });
    assertOpened(outcome);
    assert.is(outcome.clientName, "holdfast test client");
  });
}

test("a client certificate that is missing is an error, not a clean end", async () => {
  const outcome = await attempt(asksForClient, { ca });
  assert.ok(outcome.seen.error !== undefined, outcome.seen.log.join(", "));
  assert.is(outcome.seen.error.code, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
  assert.not.ok(outcome.seen.log.includes("end"));
  assert.is(outcome.received, "");
});

const unreadable: Readonly<Record<string, TlsOptions>> = {
  "a wrong passphrase": { cert: certs.client.cert, key: certs.encryptedClientKey, passphrase: "wrong" },
  "a key that is none": { cert: certs.client.cert, key: "no key" },
  "one of two keys that is none": { cert: certs.client.cert, key: [certs.client.key, "no key"] },
  "a certificate that is none": { cert: "no certificate", key: certs.client.key },
};
for (const [name, options] of Object.entries(unreadable)) {
  test(`${name} is one close, and nothing is dialled`, async () => {
    const server = await listenTcp();
    const seen = new Recorder();
    const socket = connectNode({ host: "127.0.0.1", port: server.port, tls: { ca, ...options } }, seen);
    assert.is(socket.write(bytes("secret")), false);
    const error = await seen.closed;
    assert.is(seen.log.length, 1);
    assert.is(error?.phase, "tls");
    assert.match(error?.code ?? "", /^ERR_(OSSL_|TLS_INVALID_CONTEXT)/);
    assert.is(server.connections.length, 0);
    await server.close();
  });
}

test("a pfx that cannot be read is one close", async () => {
  const { pfx } = clients["pfx and passphrase"]!;
  const seen = new Recorder();
  connectNode({ host: "127.0.0.1", port: 1, tls: { pfx, passphrase: "wrong" } }, seen);
  assert.is((await seen.closed)?.code, "ERR_TLS_INVALID_CONTEXT");
  assert.is(seen.error?.phase, "tls");
});

// Each option whose effect a handshake shows, where the adapter honours it; where it does not, that it is refused.
const SSL_OP_NO_TLSV1_3 = 0x20000000;
const effects: readonly [TlsOption, tls.TlsOptions, TlsOptions, (outcome: Outcome) => void][] = [
  [
    "ALPNProtocols",
    { ...good, ALPNProtocols: ["http/1.1"] },
    { ALPNProtocols: ["h2", "http/1.1"] },
    (outcome) => {
      assertOpened(outcome);
      assert.is(outcome.socket.info?.tls?.alpnProtocol, "http/1.1");
    },
  ],
  ["maxVersion", good, { maxVersion: "TLSv1.2" }, isTls12],
  ["minVersion", { ...good, maxVersion: "TLSv1.2" }, { minVersion: "TLSv1.3" }, (outcome) => {
    assertRefused(outcome, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  }],
  ["secureProtocol", good, { secureProtocol: "TLSv1_2_method" }, isTls12],
  ["secureOptions", good, { secureOptions: SSL_OP_NO_TLSV1_3 }, isTls12],
  ["sigalgs", good, { sigalgs: "RSA-PSS+SHA256" }, (outcome) => {
    assertRefused(outcome, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE");
  }],
  ["ecdhCurve", { ...good, ecdhCurve: "P-256" }, { ecdhCurve: "P-521" }, (outcome) => {
    assertRefused(outcome, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE");
  }],
  ["crl", good, { crl: certs.revokingCrl }, (outcome) => assertRefused(outcome, "CERT_REVOKED")],
  [
    "ciphers",
    { ...good, maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" },
    { ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305" },
    (outcome) => assertRefused(outcome, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE"),
  ],
];
function isTls12(outcome: Outcome): void {
  assertOpened(outcome);
  assert.is(outcome.socket.info?.tls?.protocol, "TLSv1.2");
}
for (const [name, serverOptions, options, check] of effects) {
  if (nodeCapabilities.tlsOptions.has(name)) {
    test(`${name} has its effect`, async () => check(await attempt(serverOptions, { ca, ...options })));
  } else {
    test(`${name} is refused where it would have no effect`, () =>
      assertRefusedHere({ ca, ...options }, name));
  }
}

function assertRefusedHere(options: TlsOptions, name: string): void {
  const seen = new Recorder();
  assertUnsupported(() => connectNode({ host: "127.0.0.1", port: 1, tls: options }, seen), `tls.${name}`);
  assert.equal(seen.log, []);
}

test("an empty revocation list refuses nobody", async () => {
  if (!nodeCapabilities.tlsOptions.has("crl")) return assertRefusedHere({ ca, crl: certs.emptyCrl }, "crl");
  assertOpened(await attempt(good, { ca, crl: certs.emptyCrl }));
});

test("a choice among the suites of TLS 1.3 is made or refused", async () => {
  const options: TlsOptions = { ca, ciphers: "TLS_CHACHA20_POLY1305_SHA256" };
  if (!nodeCapabilities.choosesTls13Ciphers) return assertRefusedHere(options, "ciphers");
  const only = await attempt({ ...good, ciphers: "TLS_AES_256_GCM_SHA384" }, options);
  assertRefused(only, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE");
});

test("a ready secureContext is used", async () => {
  const secureContext = tls.createSecureContext({ ca });
  assertOpened(await attempt(good, { secureContext }));
});

test("an option that is no option of a client's changes nothing", async () => {
  assertOpened(await attempt(good, { ca, honorCipherOrder: true, sessionIdContext: "mine" }));
});

test("a peer that speaks plain HTTP is refused", async () => {
  const server = await listenTcp((connection) => connection.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const seen = new Recorder();
  connectNode({ host: "127.0.0.1", port: server.port, tls: { ca } }, seen);
  const error = await seen.closed;
  assert.equal(seen.log, ["close ERR_SSL_WRONG_VERSION_NUMBER"]);
  assert.is(error?.phase, "tls");
  assert.is(error?.address, "127.0.0.1");
  assert.is(error?.port, server.port);
  await server.close();
});

const endings: Readonly<Record<string, (connection: net.Socket) => void>> = {
  "FIN": (connection) => connection.end(),
  "RST": (connection) => connection.resetAndDestroy(),
};
for (const [name, ending] of Object.entries(endings)) {
  test(`a ${name} in the handshake is ECONNRESET`, async () => {
    const server = await listenTcp((connection) => connection.once("data", () => ending(connection)));
    const seen = new Recorder();
    const socket = connectNode({ host: "127.0.0.1", port: server.port, tls: { ca } }, seen);
    socket.write(bytes("secret"));
    const error = await seen.closed;
    assert.equal(seen.log, ["close ECONNRESET"]);
    assert.is(error?.phase, "tls");
    await server.close();
  });
}

test("destroy() in the handshake is one close", async () => {
  const server = await listenTcp();
  for (const afterMs of [0, 5, 30]) {
    const seen = new Recorder();
    const socket = connectNode({ host: "127.0.0.1", port: server.port, tls: { ca } }, seen);
    socket.write(bytes("secret"));
    await settle(afterMs);
    assert.is(socket.connecting, true);
    socket.destroy();
    await seen.closed;
    await settle(5);
    assert.equal(seen.log, ["close"]);
  }
  await server.close();
});

test("refused is ECONNREFUSED in the phase connect, with TLS too", async () => {
  const server = await listenTcp();
  await server.close();
  const seen = new Recorder();
  connectNode({ host: "127.0.0.1", port: server.port, tls: { ca } }, seen);
  const error = await seen.closed;
  assert.equal(seen.log, ["close ECONNREFUSED"]);
  assert.is(error?.phase, "connect");
});

/** An open TLS connection and the plain one under its other end. */
async function opened(): Promise<{ seen: Recorder; socket: Socket; peer: tls.TLSSocket; server: Listening }> {
  let found: (peer: tls.TLSSocket) => void = () => {};
  const peers = new Promise<tls.TLSSocket>((resolve) => found = resolve);
  const server = await listenTls(good, found);
  const seen = new Recorder();
  const socket = connectNode({ host: "127.0.0.1", port: server.port, tls: { ca } }, seen);
  await seen.opened;
  return { seen, socket, peer: await peers, server };
}

test("a reset of an open connection is ECONNRESET", async () => {
  const { seen, server } = await opened();
  await settle();
  server.connections[0]!.resetAndDestroy();
  await Promise.race([seen.closed, seen.ended]);
  if (nodeCapabilities.tlsResetLooksClean) assert.is(seen.log.at(-1), "end");
  else assert.equal(seen.log.filter((event) => event !== "open"), ["close ECONNRESET"]);
  await server.close();
});

test("a FIN without close_notify is told as the flag says", async () => {
  const { seen, socket, server } = await opened();
  await settle();
  server.connections[0]!.end();
  await seen.ended;
  if (!nodeCapabilities.seesCloseNotify) assert.equal(seen.endings, [undefined]);
  else assert.equal(seen.endings, [false]);
  socket.destroy();
  await seen.closed;
  await server.close();
});

test.needs(
  { tlsOverPath: nodeCapabilities.tlsOverPath },
  "TLS over a unix socket verifies the host",
  async () => {
    const at = path.join(
      os.tmpdir(),
      `holdfast-tls-${process.pid}-${Math.random().toString(36).slice(2)}.sock`,
    );
    const server = await listenTls(good, (connection) => connection.pipe(connection), { path: at });
    const seen = new Recorder();
    const socket = connectNode({ path: at, host: "localhost", tls: { ca } }, seen);
    socket.write(bytes("through"));
    await seen.untilText("through");
    socket.destroy();
    await seen.closed;
    const other = new Recorder();
    connectNode({ path: at, host: "elsewhere.test", tls: { ca } }, other);
    assert.is((await other.closed)?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
    await server.close();
  },
);

// tls.connect itself calls it, on Node and Bun when it has begun to connect.
test("what throws once the connect has begun leaves no stream that nobody has", async () => {
  let open = 0;
  const server = await listenTcp((connection) => {
    open++;
    connection.on("error", () => {}).on("close", () => open--).resume();
  });
  const prototype = tls.TLSSocket.prototype as unknown as { setServername: unknown };
  const { setServername } = prototype;
  prototype.setServername = () => {
    throw new Error("seeded");
  };
  const seen = new Recorder();
  let socket: Socket | undefined;
  try {
    socket = connectNode({ host: "127.0.0.1", port: server.port, tls: { servername: "localhost" } }, seen);
  } catch {
    // Then there is no socket, and nothing may be open.
  } finally {
    prototype.setServername = setServername;
  }
  await settle(20);
  const failedAlone = socket?.destroyed === true;
  if (failedAlone) assert.equal([seen.log.length, seen.error?.message], [1, "seeded"]);
  socket?.destroy();
  if (socket !== undefined) await seen.closed;
  await settle(20);
  assert.is(open, 0);
  await server.close();
});

test.run();
