import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { connectNode, createNodeConnect, lendDuplex, nodeCapabilities } from "../../src/runtime/node.ts";
import { createTlsMemory, TlsAttempt } from "../../src/runtime/node_tls.ts";
import type { TlsOption } from "../../src/runtime/capabilities.ts";
import type { Connect, TlsOptions } from "../../src/runtime/socket.ts";
import { BoundedCache, contextKey, sessionKey } from "../../src/runtime/tls_session_cache.ts";
import { ca, client, good, otherCa, wrongHost } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { bytes, type Listening, listenTls, Recorder, settle } from "./node_harness.ts";

const test = suite("TLS sessions and contexts");
const { resumesSessions } = nodeCapabilities;

async function usingServer(
  options: tls.TlsOptions,
  body: (server: Listening) => Promise<void>,
): Promise<void> {
  const server = await listenTls(options, (connection) => {
    connection.write("hello");
    connection.on("data", () => connection.end());
  });
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

/** Connects, exchanges a few bytes so that TLS 1.3's tickets come, and says what became of it. */
async function visit(connect: Connect, port: number, options: TlsOptions): Promise<string> {
  const seen = new Recorder();
  const socket = connect({ host: "localhost", family: 4, port, tls: options }, seen);
  await Promise.race([seen.untilText("hello"), seen.closed]);
  socket.write(bytes("bye"));
  await Promise.race([seen.ended, seen.closed]);
  socket.destroy();
  await seen.closed;
  if (seen.error !== undefined) return seen.error.code;
  return socket.info?.tls?.resumed === true ? "resumed" : "full";
}

const control = tls as unknown as {
  setDefaultCACertificates?(list: readonly (string | Uint8Array)[]): void;
  getCACertificates?(type: string): string[];
};
const setsDefaultAuthorities = control.setDefaultCACertificates !== undefined && resumesSessions;

test.needs(
  { setsDefaultAuthorities },
  "authorities set by tls.setDefaultCACertificates() hold from the next connect on, for sessions too",
  () =>
    usingServer({ ...good, maxVersion: "TLSv1.2" }, async ({ port }) => {
      const before = control.getCACertificates!("default");
      const connect = createNodeConnect();
      try {
        control.setDefaultCACertificates!([ca]);
        assert.is(await visit(connect, port, {}), "full");
        // Bun makes the list anew each time once it has been set, and so each connect a context.
        assert.ok(["full", "resumed"].includes(await visit(connect, port, {})));
        control.setDefaultCACertificates!([otherCa]);
        assert.not.ok(["full", "resumed"].includes(await visit(connect, port, {})));
        control.setDefaultCACertificates!([ca]);
        assert.is(await visit(connect, port, {}), "full");
      } finally {
        control.setDefaultCACertificates!(before);
      }
    }),
);

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
  test.needs(
    { resumesSessions },
    `a second ${maxVersion} connect resumes the first one's session`,
    () =>
      usingServer({ ...good, maxVersion }, async ({ port }) => {
        const connect = createNodeConnect();
        assert.is(await visit(connect, port, { ca }), "full");
        assert.is(await visit(connect, port, { ca }), "resumed");
        assert.is(await visit(connect, port, { ca: [ca] }), "full", "other options, other key");
        assert.is(await visit(createNodeConnect(), port, { ca }), "full", "another factory has its own");
      }),
  );

  // Trap 13 of TRAPS.md: Node does not look at the name on a resumed session.
  test(`${maxVersion}: a session taken with a lax check does not open a strict connection`, () =>
    usingServer({ ...wrongHost, maxVersion }, async ({ port }) => {
      const connect = createNodeConnect();
      const lax: TlsOptions = { ca, checkServerIdentity: () => undefined };
      assert.is(await visit(connect, port, lax), "full");
      assert.is(await visit(connect, port, { ca }), "ERR_TLS_CERT_ALTNAME_INVALID");
      const insecure: TlsOptions = { ca, rejectUnauthorized: false };
      assert.is(await visit(connect, port, insecure), "full");
      assert.is(await visit(connect, port, { ca }), "ERR_TLS_CERT_ALTNAME_INVALID");
    }));

  test(`${maxVersion}: the name is checked again on a resumed session`, () =>
    usingServer({ ...good, maxVersion }, async ({ port }) => {
      const connect = createNodeConnect();
      const asked: (string | undefined)[] = [];
      let verdict: Error | undefined;
      const options: TlsOptions = {
        ca,
        checkServerIdentity: (_name, certificate) => {
          asked.push(certificate.subjectaltname);
          return verdict;
        },
      };
      assert.is(await visit(connect, port, options), "full");
      assert.is(await visit(connect, port, options), resumesSessions ? "resumed" : "full");
      verdict = Object.assign(new Error("not any more"), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
      assert.is(await visit(connect, port, options), "ERR_TLS_CERT_ALTNAME_INVALID");
      verdict = undefined;
      assert.is(await visit(connect, port, options), "full", "a session that failed is not offered again");
      assert.is(asked.length, 4);
      for (const names of asked) assert.match(names ?? "", /DNS:localhost/);
    }));
}

test("a refused resumption sends nothing", async () => {
  let received = 0;
  const server = await listenTls(good, (connection) => {
    connection.write("hello");
    connection.on("data", (chunk: Uint8Array) => {
      received += chunk.length;
      connection.end();
    });
  });
  const connect = createNodeConnect();
  const verdicts: (Error | undefined)[] = [undefined, new Error("no")];
  const options: TlsOptions = { ca, checkServerIdentity: () => verdicts.shift() };
  assert.is(await visit(connect, server.port, options), "full");
  assert.is(received, 3);
  const seen = new Recorder();
  connect({ host: "localhost", family: 4, port: server.port, tls: options }, seen).write(bytes("secret"));
  await seen.closed;
  await settle();
  assert.equal(seen.log, ["close EPROTO"]);
  assert.is(received, 3);
  await server.close();
});

/** A session as a user gets it: from the 'session' event of the stream. */
async function sessionOf(port: number, options: TlsOptions): Promise<Uint8Array> {
  const seen = new Recorder();
  const socket = connectNode({ host: "localhost", family: 4, port, tls: options }, seen);
  await seen.opened;
  const stream = lendDuplex(socket) as tls.TLSSocket;
  const session = await new Promise<Uint8Array>((resolve) => stream.once("session", resolve));
  stream.destroy();
  await seen.closed;
  return session;
}

test.needs(
  { resumesSessions },
  "a session given by option is resumed, and the name checked again",
  async () => {
    const none = createNodeConnect({ maxCachedSessions: 0 });
    await usingServer({ ...good, maxVersion: "TLSv1.3" }, async ({ port }) => {
      const session = await sessionOf(port, { ca });
      assert.is(await visit(none, port, { ca, session }), "resumed");
      assert.is(await visit(none, port, { ca }), "full");
      assert.is(
        await visit(none, port, { ca, session: session.slice() }),
        "full",
        "nobody knows its certificate",
      );
    });
    await usingServer({ ...wrongHost, maxVersion: "TLSv1.3" }, async ({ port }) => {
      const session = await sessionOf(port, { ca, checkServerIdentity: () => undefined });
      assert.is(await visit(none, port, { ca, session }), "ERR_TLS_CERT_ALTNAME_INVALID");
    });
  },
);

test.needs(
  { resumesSessions },
  "the session of an authority is refused where that authority is not trusted",
  () =>
    usingServer(good, async ({ port }) => {
      const session = await sessionOf(port, { ca });
      const none = createNodeConnect({ maxCachedSessions: 0 });
      assert.is(await visit(none, port, { ca: otherCa, session }), "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    }),
);

test("maxCachedSessions: 0 resumes no session", () =>
  usingServer(good, async ({ port }) => {
    const connect = createNodeConnect({ maxCachedSessions: 0 });
    assert.is(await visit(connect, port, { ca }), "full");
    assert.is(await visit(connect, port, { ca }), "full");
  }));

// A value for every option there is: the type makes the list complete.
const values: Readonly<Record<TlsOption | "host", unknown>> = {
  host: "elsewhere.test",
  ca,
  cert: client.cert,
  key: client.key,
  passphrase: "secret",
  pfx: Uint8Array.of(1, 2, 3),
  servername: "other.test",
  ALPNProtocols: ["http/1.1"],
  rejectUnauthorized: false,
  checkServerIdentity: () => undefined,
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.2",
  ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256",
  session: Uint8Array.of(1),
  secureContext: {},
  crl: "crl",
  ecdhCurve: "P-256",
  sigalgs: "RSA-PSS+SHA256",
  secureOptions: 4,
  secureProtocol: "TLSv1_2_method",
  honorCipherOrder: true,
  dhparam: "auto",
  sessionIdContext: "mine",
};

test("the session's key holds every option but the session itself", () => {
  const plain = sessionKey("localhost:443", {});
  for (const [name, value] of Object.entries(values)) {
    const key = sessionKey("localhost:443", { [name]: value });
    if (name === "session") assert.is(key, plain);
    else assert.is.not(key, plain, name);
    assert.is(sessionKey("localhost:443", { [name]: value }), key, `${name} is stable`);
  }
  assert.is.not(sessionKey("localhost:444", {}), plain);
});

test("keys compare texts and bytes by content, functions by identity", () => {
  const key = (options: TlsOptions): string => sessionKey("a", options);
  assert.is(key({ ca: bytes(ca) }), key({ ca: bytes(ca) }));
  assert.is(key({ ca: `${ca}` }), key({ ca: ca.slice() }));
  const changing = bytes(ca);
  const before = key({ ca: changing });
  changing[100]! ^= 1;
  assert.is.not(key({ ca: changing }), before, "bytes that changed in place");
  assert.is.not(key({ checkServerIdentity: () => undefined }), key({ checkServerIdentity: () => undefined }));
  assert.is.not(key({ ca: [ca, otherCa] }), key({ ca: [otherCa, ca] }));
  assert.is.not(key({ ca: ["a", "b"] }), key({ ca: ["a,b"] }));
  assert.is.not(key({ ca: ["a", "b"] }), key({ ca: ['a",s"b'] }));
  assert.is.not(key({ cert: "x", key: "y" }), key({ cert: "x;key=y" }));
  assert.is.not(key({ key: [{ pem: "k", passphrase: "a" }] }), key({ key: [{ pem: "k", passphrase: "b" }] }));
  assert.is.not(key({ secureContext: {} }), key({}), "a plain object still counts");
});

test("one SecureContext per option set", () => {
  const memory = createTlsMemory();
  const contextOf = (options: TlsOptions): unknown =>
    new TlsAttempt(options, "localhost", 443, memory).settings["secureContext"];
  const first = contextOf({ ca });
  assert.ok(first instanceof Object);
  assert.is(contextOf({ ca: bytes(ca).length > 0 ? `${ca}` : "" }), first);
  assert.is(
    contextOf({ ca, ALPNProtocols: ["h2"], servername: "x.test" }),
    first,
    "what is the connection's own",
  );
  assert.is.not(contextOf({ ca: otherCa }), first);
  assert.is.not(contextOf({ ca, maxVersion: "TLSv1.2" }), first);
  assert.is.not(contextKey({ ca, passphrase: "a" }), contextKey({ ca, passphrase: "b" }));
});

test("BoundedCache forgets what was used longest ago", () => {
  const cache = new BoundedCache<number>(2);
  cache.set("a", 1);
  cache.set("b", 2);
  cache.get("a");
  cache.set("c", 3);
  assert.equal([cache.get("a"), cache.get("b"), cache.get("c")], [1, undefined, 3]);
  cache.delete("a", 9);
  assert.is(cache.get("a"), 1, "not that value any more");
  cache.delete("a", 1);
  assert.is(cache.size, 1);
  const none = new BoundedCache<number>(0);
  none.set("a", 1);
  assert.is(none.size, 0);
});

test("texts are many, ids stay apart", () => {
  const long = (index: number): string => `${index}`.repeat(100);
  const first = sessionKey("a", { ca: long(1) });
  for (let index = 2; index < 600; index++) assert.is.not(sessionKey("a", { ca: long(index) }), first);
  assert.is.not(sessionKey("a", { ca: long(7) }), sessionKey("a", { ca: long(8) }));
});

test("the default connect shares its sessions across the process", () =>
  usingServer(good, async ({ port }) => {
    assert.is(await visit(connectNode, port, { ca }), "full");
    await settle(5);
    assert.is(await visit(connectNode, port, { ca }), resumesSessions ? "resumed" : "full");
  }));

test.run();
