/**
 * Conformance: TLS: who is let through, who is not, and what a refused peer gets to see.
 *
 * @module
 */

import { check, equal, pattern } from "./conformance_scenario.ts";
import type { ConformanceHarness, PeerKind } from "./conformance_harness.ts";
import type { AddTest, Client } from "./conformance_scenario.ts";
import { answerTwoParts, expectNoStall } from "./conformance_flow.ts";
import { expectReason, stagesOf } from "./conformance_opening.ts";
import type { Capabilities, TlsOption } from "./capabilities.ts";
import type { ConnectOptions, TlsOptions } from "./socket.ts";

const MIB = 1024 * 1024;
/** Where a handshake is cut: before the answer, inside its first record's head, in its first record, behind that. */
const CUTS = [0, 3, 60, 400];

/** Certificates that are refused. */
const refusals: readonly (readonly [PeerKind, string])[] = [
  ["tlsWrongHost", "names another host"],
  ["tlsExpired", "has expired"],
  ["tlsSelfSigned", "is self-signed"],
  ["tlsUnknownAuthority", "comes from an unknown authority"],
];

/** Registers the tests. */
export function tlsTests(add: AddTest, harness: ConformanceHarness): void {
  openTests(add, harness);
  refusalTests(add, harness);
  handshakeTests(add, harness);
  endTests(add, harness);
}

/** Names the flags of kinds and options that a test needs. */
export function needs(
  harness: ConformanceHarness,
  kinds: readonly PeerKind[],
  options: readonly TlsOption[] = [],
): Record<string, boolean> {
  const flags: Record<string, boolean> = {};
  for (const kind of kinds) flags[`peer "${kind}"`] = harness.kinds.has(kind);
  for (const option of options) flags[`tls.${option}`] = harness.capabilities.tlsOptions.has(option);
  return flags;
}

function withTls(options: ConnectOptions, tls: TlsOptions): ConnectOptions {
  return { ...options, tls: { ...options.tls, ...tls } };
}

function openTests(add: AddTest, harness: ConformanceHarness): void {
  const { capabilities } = harness;

  add("TLS: onOpen comes when the peer is verified, and info.tls says so", async (s) => {
    const server = await s.listen("tls");
    let wasAuthorized: boolean | undefined;
    const client = s.connect(server.options, {
      onOpen: () => wasAuthorized = client.socket.info?.tls?.authorized,
    });
    await s.until(() => client.isOpen && server.peers.length === 1, "the connection to open");
    equal(wasAuthorized, true, "info.tls.authorized in onOpen");
    equal(client.socket.info?.tls?.authorizationError, undefined, "info.tls.authorizationError");
  }, needs(harness, ["tls"]));

  add("TLS: info.opening tells TLS from the connection below it", async (s) => {
    const server = await s.listen("tls");
    const client = s.connect(server.options);
    await s.until(() => client.isOpen, "onOpen");
    equal(stagesOf(client).replace("lookupMs,", ""), "connectMs,tlsMs", "stages that were told");
  }, { ...needs(harness, ["tls"]), tellsOpening: capabilities.tellsOpening });

  add("TLS: the protocol chosen by ALPN is in info.tls", async (s) => {
    const server = await s.listen("tls");
    for (const [offered, chosen] of [[["h2", "http/1.1"], "http/1.1"], [undefined, undefined]] as const) {
      const client = s.connect(withTls(server.options, { ALPNProtocols: offered }));
      await s.until(() => client.isOpen, "onOpen");
      equal(client.socket.info?.tls?.alpnProtocol, chosen, `protocol chosen of ${offered}`);
    }
  }, needs(harness, ["tls"], ["ALPNProtocols"]));

  add("TLS: early writes are sent once the peer is verified; much goes both ways", async (s) => {
    const server = await s.listen("tls", (peer) => {
      peer.intake.expect(1);
      peer.send(pattern(2, 0, 2 * MIB));
    });
    const client = s.connect(server.options);
    client.intake.expect(2);
    client.write(pattern(1, 0, MIB));
    client.write(pattern(1, MIB, MIB));
    await s.until(() => client.intake.length === 2 * MIB, "bytes for the client");
    await s.until(() => server.peers[0]?.intake.length === 2 * MIB, "bytes for the peer");
    equal([client.intake.wrongAt, server.peers[0]!.intake.wrongAt], [-1, -1], "first wrong bytes");
  }, needs(harness, ["tls"]));

  add("TLS: large transfers over many sockets at once keep their contents", async (s) => {
    const server = await s.listen("tls", (peer) => {
      peer.intake.expect(3);
      peer.send(pattern(4, 0, MIB + 77));
    });
    const clients = Array.from({ length: 6 }, () => {
      const client = s.connect(server.options);
      client.intake.expect(4);
      client.write(pattern(3, 0, MIB + 77));
      return client;
    });
    const all = (): boolean => server.peers.length === 6 && [...clients, ...server.peers].every(isWhole);
    const isWhole = ({ intake }: { intake: { length: number } }): boolean => intake.length === MIB + 77;
    await s.until(all, "every transfer");
    for (const { intake } of [...clients, ...server.peers]) equal(intake.wrongAt, -1, "first wrong byte");
  }, needs(harness, ["tls"]));

  add("TLS: a request in two writes is not held back for an acknowledgement", async (s) => {
    const server = await s.listen("tls", answerTwoParts);
    await expectNoStall(s, s.connect(server.options));
  }, needs(harness, ["tls"]));

  add("TLS: pause() inside onData is exact", async (s) => {
    const { client, peer } = await s.pair("tls", { onData: () => client.pause() });
    client.intake.expect(1);
    peer.send(pattern(1, 0, MIB));
    await s.until(() => client.intake.length > 0, "bytes");
    const seen = client.intake.length;
    await s.quiet();
    equal(client.intake.length, seen, "bytes given while paused");
    client.hooks = {};
    client.resume();
    await s.until(() => client.intake.length === MIB, "all bytes");
    equal(client.intake.wrongAt, -1, "first wrong byte");
  }, needs(harness, ["tls"]));

  add("TLS: the peer sees a client certificate that is given", async (s) => {
    const server = await s.listen("tlsClientCertificate", (peer) => peer.send("welcome"));
    const client = s.connect(withTls(server.options, harness.clientCertificate!));
    await s.until(() => client.intake.text === "welcome", "the greeting");
  }, {
    ...needs(harness, ["tlsClientCertificate"], ["cert", "key"]),
    clientCertificate: harness.clientCertificate !== undefined,
  });

  add("TLS: servername is verified in the place of the host", async (s) => {
    const server = await s.listen("tlsWrongHost");
    const client = s.connect(withTls(server.options, { servername: harness.otherName ?? "elsewhere.test" }));
    await s.until(() => client.isOpen, "onOpen");
    equal(client.socket.info?.tls?.authorized, true, "info.tls.authorized");
    const good = await s.listen("tls");
    const refused = s.connect(withTls(good.options, { servername: harness.otherName ?? "elsewhere.test" }));
    await s.until(() => refused.isClosed, "onClose");
    equal(refused.log, ["close ERR_TLS_CERT_ALTNAME_INVALID"], "events");
  }, needs(harness, ["tls", "tlsWrongHost"], ["servername"]));

  const resumes = capabilities.resumesSessions
    ? "is resumed at most for the same options"
    : "is never resumed";
  add(`TLS: a session ${resumes}`, async (s) => {
    const server = await s.listen("tls", (peer) => peer.send("x"));
    for (let round = 0; round < 3; round++) {
      const client = s.connect(server.options);
      await s.until(() => client.intake.length === 1, "the greeting");
      if (!capabilities.resumesSessions || round === 0) {
        check(client.socket.info?.tls?.resumed !== true, "the first session is resumed");
      }
      client.destroy();
      await s.until(() => client.isClosed, "onClose");
    }
  }, needs(harness, ["tls"]));
}

// What an adapter gives where it cannot tell.
function refusalCode(kind: PeerKind, capabilities: Capabilities): string {
  const { reportsExpiredWithCa, reportsSelfSigned } = capabilities;
  switch (kind) {
    case "tlsExpired":
      return reportsExpiredWithCa ? "CERT_HAS_EXPIRED" : "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    case "tlsSelfSigned":
      return reportsSelfSigned ? "DEPTH_ZERO_SELF_SIGNED_CERT" : "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    case "tlsUnknownAuthority":
      return "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    default:
      return "ERR_TLS_CERT_ALTNAME_INVALID";
  }
}

function refusalTests(add: AddTest, harness: ConformanceHarness): void {
  for (const [kind, what] of refusals) {
    const code = refusalCode(kind, harness.capabilities);
    add(`TLS: a certificate that ${what} is refused with ${code}, and the peer gets no byte`, async (s) => {
      const server = await s.listen(kind);
      const client = s.connect(server.options);
      client.write("a secret");
      await s.until(() => client.isClosed, "onClose");
      await s.quiet();
      equal(client.log, [`close ${code}`], "events");
      equal(client.error?.phase, "tls", "phase");
      expectNoByte(server.peers);
    }, needs(harness, [kind]));

    add(
      `TLS: a certificate that ${what} passes with rejectUnauthorized: false, and info says so`,
      async (s) => {
        const server = await s.listen(kind, (peer) => peer.send("hello"));
        const client = s.connect(withTls(server.options, { rejectUnauthorized: false }));
        await s.until(() => client.intake.text === "hello", "the greeting");
        const tls = client.socket.info?.tls;
        equal([tls?.authorized, tls?.authorizationError], [false, code], "authorized, authorizationError");
      },
      needs(harness, [kind], ["rejectUnauthorized"]),
    );
  }

  add("TLS: checkServerIdentity refuses a peer with its own error", async (s) => {
    const server = await s.listen("tls");
    const reason = Object.assign(new Error("pinned to another"), { code: "ERR_OWN_PIN" });
    let asked: string | undefined;
    const client = s.connect(withTls(server.options, {
      checkServerIdentity: (hostname) => {
        asked = hostname;
        return reason;
      },
    }));
    client.write("a secret");
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log, ["close ERR_OWN_PIN"], "events");
    expectReason(client, reason);
    equal(asked, server.options.tls?.servername ?? server.options.host, "name that was asked for");
    expectNoByte(server.peers);
  }, needs(harness, ["tls"], ["checkServerIdentity"]));

  add("TLS: a checkServerIdentity that throws refuses the peer with what it throws", async (s) => {
    const server = await s.listen("tls", (peer) => peer.send("a greeting"));
    const reason = Object.assign(new Error("no pins loaded"), { code: "ERR_OWN_PIN" });
    const client = s.connect(withTls(server.options, {
      checkServerIdentity: () => {
        throw reason;
      },
    }));
    client.write("a secret");
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal([client.log, client.error?.phase], [["close ERR_OWN_PIN"], "tls"], "events, phase");
    expectReason(client, reason);
    expectNoByte(server.peers);
  }, needs(harness, ["tls"], ["checkServerIdentity"]));

  add("TLS: a resumed session that is let through tells what its first one told", async (s) => {
    const server = await s.listen("tlsWrongHost", (peer) => peer.send("x"));
    for (let round = 0; round < 3; round++) {
      const client = s.connect(withTls(server.options, { rejectUnauthorized: false }));
      await s.until(() => client.intake.length === 1, "the greeting");
      const tls = client.socket.info?.tls;
      const told = [tls?.authorized, tls?.authorizationError];
      equal(told, [false, "ERR_TLS_CERT_ALTNAME_INVALID"], "authorized, authorizationError");
      client.destroy();
      await s.until(() => client.isClosed, "onClose");
    }
  }, needs(harness, ["tlsWrongHost"], ["rejectUnauthorized"]));

  add("TLS: an empty list of authorities trusts nobody", async (s) => {
    const server = await s.listen("tls");
    let code: unknown;
    try {
      s.connect(withTls(server.options, { ca: [] }));
    } catch (error) {
      code = (error as { code?: unknown }).code;
    }
    equal(code, "ERR_INVALID_ARG_VALUE", "code of what connect() throws");
  }, needs(harness, ["tls"], ["ca"]));

  add("TLS: inherited options are as good as own ones", async (s) => {
    const server = await s.listen("tls");
    const client = s.connect({ ...server.options, tls: Object.create(server.options.tls!) });
    await s.until(() => client.isOpen, "onOpen");
  }, needs(harness, ["tls"]));

  add("TLS: checkServerIdentity may accept another name, and nothing else", async (s) => {
    const accept = { checkServerIdentity: () => undefined };
    const wrongHost = await s.listen("tlsWrongHost");
    const client = s.connect(withTls(wrongHost.options, accept));
    await s.until(() => client.isOpen, "onOpen");
    equal(client.socket.info?.tls?.authorized, true, "info.tls.authorized");
    const unknown = await s.listen("tlsUnknownAuthority");
    const refused = s.connect(withTls(unknown.options, accept));
    await s.until(() => refused.isClosed, "onClose");
    equal(refused.log, [`close ${refusalCode("tlsUnknownAuthority", harness.capabilities)}`], "events");
  }, needs(harness, ["tlsWrongHost", "tlsUnknownAuthority"], ["checkServerIdentity"]));

  add("TLS: a peer that wants a client certificate and gets none ends in an error", async (s) => {
    const server = await s.listen("tlsClientCertificate", (peer) => peer.send("never"));
    const client = s.connect(server.options);
    client.write("request");
    // With TLS 1.3 the refusal comes after the client's handshake is done.
    await s.until(() => client.isClosed, "onClose");
    check(client.error !== undefined, `the connection ended without an error: ${client.story}`);
    equal(client.intake.length, 0, "bytes received");
  }, needs(harness, ["tlsClientCertificate"]));
}

/** A peer that is refused gets nothing that was written to it. */
export function expectNoByte(peers: readonly { readonly intake: { readonly length: number } }[]): void {
  equal(
    peers.map(({ intake }) => intake.length).filter((length) => length > 0),
    [],
    "bytes a refused peer got",
  );
}

function handshakeTests(add: AddTest, harness: ConformanceHarness): void {
  add("TLS: a peer that speaks plain text is an error, and none of its text is data", async (s) => {
    const server = await s.listen("notTls");
    const client = s.connect(server.options);
    client.write("a secret");
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    check(/^(EPROTO|ERR_SSL_[A-Z_]+)$/.test(client.error?.code ?? ""), `code is "${client.error?.code}"`);
    equal([client.log.length, client.error?.phase], [1, "tls"], "number of events, phase");
    for (const { intake } of server.peers) check(!intake.text.includes("secret"), "the early write was sent");
  }, needs(harness, ["notTls"]));

  const { cancelsHandshake } = harness.capabilities;
  const sees = cancelsHandshake ? "sees the end" : "may hear of it later";
  add(`TLS: destroy() during the handshake is one onClose, and the peer ${sees}`, async (s) => {
    const server = await s.listen("silent");
    const client = s.connect(server.options);
    client.write("a secret");
    await s.until(() => (server.peers[0]?.intake.length ?? 0) > 0, "the ClientHello");
    await s.quiet();
    equal([client.log, client.socket.connecting], [[], true], "events during the handshake, connecting");
    const reason = new Error("timed out");
    client.destroy(reason);
    await s.until(() => client.isClosed, "onClose");
    expectReason(client, reason);
    if (cancelsHandshake) {
      await s.until(() => server.peers[0]!.isEnded || server.peers[0]!.isClosed, "the peer's end");
    } else server.peers[0]!.raw.end();
    await s.quiet();
    equal(client.log.length, 1, "number of events");
  }, needs(harness, ["silent"]));

  for (const by of ["fin", "rst"] as const) {
    for (const afterBytes of CUTS) {
      const where = afterBytes === 0 ? "before the answer" : `after ${afterBytes} bytes of the answer`;
      add(`TLS: ${by.toUpperCase()} ${where} is one onClose with ECONNRESET`, async (s) => {
        const server = await s.listen("tls", undefined, { afterBytes, by });
        const client = s.connect(server.options);
        client.write("a secret");
        await s.until(() => client.isClosed, "onClose");
        await s.quiet();
        equal([client.log, client.error?.phase], [["close ECONNRESET"], "tls"], "events, phase");
        expectNoByte(server.peers);
      }, { ...needs(harness, ["tls"]), resets: by === "fin" || harness.resets });
    }
  }

  add("TLS: a hundred handshakes given up at every moment leave nothing behind", async (s) => {
    const server = await s.listen("tls", (peer) => peer.send("greeting"));
    const clients = Array.from({ length: 100 }, (_, index) => {
      const client: Client = s.connect(server.options, {
        onOpen: () => index % 10 === 9 && client.destroy(),
      });
      client.write("early");
      void s.turns(index % 9).then(() => client.destroy());
      return client;
    });
    await s.until(() => clients.every(({ isClosed }) => isClosed), "every onClose");
    for (const { log } of clients) equal(log[log.length - 1], "close", "last event");
    const last = s.connect(server.options);
    await s.until(() => last.intake.text === "greeting", "a connection after the storm");
  }, needs(harness, ["tls"]));
}

function endTests(add: AddTest, harness: ConformanceHarness): void {
  const { capabilities, resets } = harness;
  const { seesCloseNotify, tlsResetLooksClean, halfClose } = capabilities;

  add("TLS: end() is an end for the peer and reading goes on", async (s) => {
    const { client, peer } = await s.pair("tls");
    client.write("request");
    client.end();
    await s.until(() => peer.isEnded, "the peer's onEnd");
    equal(peer.intake.text, "request", "what the peer received");
    peer.send("late answer");
    await s.until(() => client.intake.text === "late answer", "the answer");
    peer.raw.end();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "data", "end", "close"], "events");
  }, { ...needs(harness, ["tls"]), halfClose });

  const proper = seesCloseNotify ? "onEnd(true)" : "onEnd that says nothing of it";
  add(`TLS: data and close_notify together are all the data, then ${proper}`, async (s) => {
    const { client } = await s.pair("tls", {}, (peer) => {
      peer.send("all of it");
      peer.raw.end();
    });
    await s.until(() => client.isEnded, "onEnd");
    equal(client.intake.text, "all of it", "what the client received");
    equal(client.authenticated, seesCloseNotify ? true : undefined, "the argument of onEnd");
  }, needs(harness, ["tls"]));

  const cut = seesCloseNotify ? "is onEnd(false)" : "cannot be told from a proper end";
  add(`TLS: FIN without close_notify ${cut}`, async (s) => {
    const { client, peer } = await s.pair("tls");
    peer.send("part");
    await s.until(() => client.intake.text === "part", "the bytes");
    peer.raw.truncate!();
    await s.until(() => client.isEnded, "onEnd");
    equal(client.authenticated, seesCloseNotify ? false : undefined, "the argument of onEnd");
  }, needs(harness, ["tls"]));

  const reset = tlsResetLooksClean ? "looks like a clean end" : "is onClose with ECONNRESET";
  add(`TLS: RST on an idle connection ${reset}`, async (s) => {
    const { client, peer } = await s.pair("tls", {}, (each) => each.send("x"));
    await s.until(() => client.intake.length === 1, "the greeting");
    await s.quiet();
    peer.raw.reset!();
    await s.until(() => client.isClosed || client.isEnded, "the end");
    if (tlsResetLooksClean) check(client.isEnded || client.error === undefined, "it was told after all");
    else equal(client.story, ["open", "data", "close ECONNRESET"], "events");
  }, { ...needs(harness, ["tls"]), resets });

  add("TLS: destroy() is one onClose, last", async (s) => {
    const { client, peer } = await s.pair("tls", {}, (each) => each.send(pattern(1, 0, MIB)));
    client.write(pattern(1, 0, MIB));
    const before = client.log.length;
    client.destroy();
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log.slice(before), ["close"], "events after destroy()");
    await s.until(() => peer.isEnded || peer.isClosed, "the peer's end");
  }, needs(harness, ["tls"]));
}
