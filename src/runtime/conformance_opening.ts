/**
 * Conformance: from `connect()` to `onOpen`, or to the `onClose` of a connect that failed or was given up.
 *
 * @module
 */

import { bytes, check, equal } from "./conformance_scenario.ts";
import type { ConformanceHarness } from "./conformance_harness.ts";
import type { AddTest, Client, Scenario } from "./conformance_scenario.ts";
import type { BindingOption, TlsOption } from "./capabilities.ts";
import type { ConnectOptions, LookupFunction } from "./socket.ts";

/** How many connects the storm gives up. */
const STORM_CONNECTS = 1_000;
/** How many of them at a time: a listener's queue is bounded. */
const STORM_BATCH = 50;

/** Registers the tests. */
export function openingTests(add: AddTest, harness: ConformanceHarness): void {
  openTests(add);
  stageTests(add, harness);
  failureTests(add, harness);
  abortTests(add);
  optionTests(add, harness);
}

function openTests(add: AddTest): void {
  add("connect() returns a socket that is connecting, before any event", async (s) => {
    const server = await s.listen();
    const client = s.connect(server.options);
    equal(client.log, [], "events before connect() returned");
    check(client.socket.connecting && !client.socket.destroyed, "connecting is false, or destroyed is true");
    await s.until(() => client.isOpen, "onOpen");
    check(
      !client.socket.connecting && !client.socket.destroyed,
      "connecting or destroyed is true after onOpen",
    );
  });

  add("info is set before onOpen", async (s) => {
    const server = await s.listen();
    let adapter: string | undefined;
    const client = s.connect(server.options, { onOpen: () => adapter = client.socket.info?.adapter });
    await s.until(() => client.isOpen, "onOpen");
    if (client.socket.info === undefined) return;
    equal(adapter, s.harness.capabilities.adapter, "info.adapter in onOpen");
    equal(client.socket.info.tls, undefined, "info.tls of a plain connection");
    const { port } = server.options;
    if (port !== undefined) equal(client.socket.info.remotePort, port, "info.remotePort");
  });

  add("writes before onOpen are queued, and sent in order", async (s) => {
    const server = await s.listen();
    const client = s.connect(server.options, { onOpen: () => void client.write("3") });
    client.write("1");
    client.write("2");
    equal(client.socket.pendingBytes, 2, "pendingBytes before onOpen");
    equal(client.socket.bytesWritten, 2, "bytesWritten before onOpen");
    await s.until(() => server.peers[0]?.intake.length === 3, "the bytes");
    equal(server.peers[0]!.intake.text, "123", "what the peer received");
    await s.until(() => client.socket.pendingBytes === 0, "pendingBytes to fall to 0");
    await s.until(() => client.log.includes("drain"), "onDrain");
  });

  add("end() before onOpen sends the early writes, then FIN", async (s) => {
    const server = await s.listen();
    const client = s.connect(server.options);
    client.write("early");
    client.end();
    await s.until(() => server.peers[0]?.isEnded === true, "FIN");
    equal(server.peers[0]!.intake.text, "early", "what the peer received");
    server.peers[0]!.send("answer");
    server.peers[0]!.raw.end();
    await s.until(() => client.isClosed, "onClose");
    equal(client.intake.text, "answer", "what the client received");
    equal(client.story, ["open", "data", "end", "close"], "events");
  });

  add("pause() before onOpen holds the first bytes back", async (s) => {
    const server = await s.listen("plain", (peer) => peer.send("first"));
    const client = s.connect(server.options);
    client.pause();
    await s.until(() => client.isOpen, "onOpen");
    await s.quiet();
    equal(client.intake.length, 0, "bytes while paused");
    client.resume();
    await s.until(() => client.intake.text === "first", "the bytes");
  });

  add("a handler replaced before onOpen is told in the place of the first", async (s) => {
    const server = await s.listen();
    const first = s.connect(server.options);
    const log: string[] = [];
    const note = (event: string) => (): void => {
      log.push(event);
      s.notify();
    };
    first.socket.handler = {
      onOpen: note("open"),
      onData: note("data"),
      onEnd: note("end"),
      onDrain: note("drain"),
      onClose: note("close"),
    };
    await s.until(() => log.includes("open"), "onOpen");
    first.destroy();
    await s.until(() => log.includes("close"), "onClose");
    equal(log, ["open", "close"], "events of the second handler");
    equal(first.log, [], "events of the first handler");
  });

  add("a peer that sends before it has received anything is heard", async (s) => {
    const server = await s.listen("plain", (peer) => peer.send("hello"));
    const client = s.connect(server.options);
    await s.until(() => client.intake.text === "hello", "the greeting");
    equal(client.log[0], "open", "first event");
  });

  add("a hundred connections at once each have their own peer", async (s) => {
    const server = await s.listen("plain", (peer) => {
      peer.onDataHook = () => peer.send(bytes(peer.intake.text));
    });
    const clients = Array.from({ length: 100 }, (_, index) => {
      const client = s.connect(server.options);
      client.write(String.fromCharCode(33 + index));
      return client;
    });
    await s.until(() => clients.every(({ intake }) => intake.length === 1), "every echo");
    const texts = clients.map(({ intake }) => intake.text).join("");
    equal(texts, Array.from({ length: 100 }, (_, i) => String.fromCharCode(33 + i)).join(""), "echoes");
  });
}

function stageTests(add: AddTest, harness: ConformanceHarness): void {
  const { capabilities } = harness;
  const { tellsOpening, tellsLookup } = capabilities;
  const connectStage = tellsOpening ? "connectMs" : "";

  add(
    `info.opening ${tellsOpening ? "says" : "does not say"} how long the connect took, before onOpen`,
    async (s) => {
      const server = await s.listen();
      let stages = "";
      const client = s.connect(server.options, { onOpen: () => stages = stagesOf(client) });
      await s.until(() => client.isOpen, "onOpen");
      equal(stages.replace("lookupMs,", ""), connectStage, "stages that were told");
    },
  );

  if (!capabilities.options.has("lookup") || !harness.ports) return;
  add(
    `info.opening ${tellsLookup ? "tells" : "does not tell"} the look-up of a name by itself`,
    async (s) => {
      const server = await s.listen();
      const lookup: LookupFunction = (_name, { all }, done) => {
        const { host: address = "127.0.0.1" } = server.options;
        if (all === true) done(null, [{ address, family: 4 }]);
        else done(null, address, 4);
      };
      const client = s.connect({ ...server.options, host: "peer.test", lookup, autoSelectFamily: false });
      await s.until(() => client.isOpen, "onOpen");
      const expected = tellsLookup ? `lookupMs,${connectStage}` : connectStage;
      equal(stagesOf(client), expected, "stages that were told of a connect to a name");
    },
  );
}

/** The names of the stages that `info.opening` tells; each is a time. */
export function stagesOf({ socket }: Client): string {
  const stages = Object.entries(socket.info?.opening ?? {}).filter(([, ms]) => ms !== undefined);
  for (const [name, ms] of stages) check(ms! >= 0 && ms! < 60_000, `info.opening.${name} is ${ms}`);
  return ["lookupMs", "connectMs", "tlsMs"].filter((name) => stages.some(([told]) => told === name)).join();
}

function failureTests(add: AddTest, harness: ConformanceHarness): void {
  const { knowsCodes = true } = harness;
  const refusedCode = knowsCodes ? "ECONNREFUSED" : "ERR_SOCKET_FAILED";
  add(`a refused connect is one onClose with ${refusedCode}`, async (s) => {
    const options = await harness.refused!();
    const client = s.connect(options);
    client.write("never sent");
    await s.until(() => client.isClosed, "onClose");
    equal(client.log, [`close ${refusedCode}`], "events");
    const { error } = client;
    equal([error?.phase, error?.syscall], ["connect", "connect"], "phase and syscall");
    if (knowsCodes) equal(error?.port, options.port, "port");
    check(error!.message.length > 0, "the message is empty");
    await s.quiet();
    equal(client.log.length, 1, "number of events");
  }, { refused: harness.refused !== undefined });

  add("destroy() after a refused connect changes nothing", async (s) => {
    const client = s.connect(await harness.refused!());
    await s.until(() => client.isClosed, "onClose");
    client.destroy(new Error("too late"));
    await s.quiet();
    equal(client.log, [`close ${refusedCode}`], "events");
  }, { refused: harness.refused !== undefined });

  const nameCode = knowsCodes ? "Node's code, phase lookup" : "ERR_SOCKET_FAILED";
  add(`an unknown name is one onClose with ${nameCode}`, async (s) => {
    const client = s.connect(await harness.unknownName!());
    await s.until(() => client.isClosed, "onClose");
    equal(client.log.length, 1, "number of events");
    if (!knowsCodes) return equal(client.error?.code, "ERR_SOCKET_FAILED", "code");
    // EAI_AGAIN where no name server answers.
    check(/^(ENOTFOUND|EAI_AGAIN)$/.test(client.error?.code ?? ""), `code is "${client.error?.code}"`);
    equal([client.error?.phase, client.error?.syscall], ["lookup", "getaddrinfo"], "phase and syscall");
  }, { unknownName: harness.unknownName !== undefined });

  if (harness.capabilities.options.has("lookup")) lookupTests(add);

  add("a port out of range is thrown by connect()", async (s) => {
    const server = await s.listen();
    for (const port of [-1, 65_536, 1.5, NaN]) {
      const error = thrownBy(() => s.connect({ ...server.options, port }));
      check(error instanceof RangeError, `port ${port} is not refused by a RangeError`);
      equal(error.code, "ERR_SOCKET_BAD_PORT", `code for port ${port}`);
    }
  }, { ports: harness.ports });
}

function lookupTests(add: AddTest): void {
  // Each holds nothing that is an address.
  const answers: readonly unknown[] = [5, ["127.0.0.1"], { address: "127.0.0.1" }, [null], [{}], "nobody"];
  for (const autoSelectFamily of [true, false]) {
    const how = autoSelectFamily ? "in a race" : "without a race";
    add(
      `a look-up that answers with no address is one onClose with ERR_INVALID_IP_ADDRESS, ${how}`,
      async (s) => {
        for (const answer of answers) {
          const client = s.connect({
            host: "a.example",
            port: 1,
            autoSelectFamily,
            lookup: (_name, _options, done) => done(null, answer as string),
          });
          await s.until(() => client.isClosed, "onClose");
          equal(client.log, ["close ERR_INVALID_IP_ADDRESS"], `events for ${JSON.stringify(answer)}`);
          equal(client.error?.phase, "lookup", "phase");
        }
      },
    );

    const reason = Object.assign(new Error("no look-up today"), { code: "ERR_OWN_LOOKUP" });
    const faults: readonly (readonly [what: string, lookup: LookupFunction])[] = [
      ["throws", () => {
        throw reason;
      }],
      // An async function: nobody else looks at its promise.
      ["rejects", () => Promise.reject(reason) as never],
    ];
    for (const [what, lookup] of faults) {
      add(`a look-up that ${what} is one onClose with its error, ${how}`, async (s) => {
        const client = s.connect({ host: "a.example", port: 1, autoSelectFamily, lookup });
        await s.until(() => client.isClosed, "onClose");
        equal([client.log, client.error?.phase], [["close ERR_OWN_LOOKUP"], "lookup"], "events, phase");
        expectReason(client, reason);
      });
    }
  }
}

function abortTests(add: AddTest): void {
  add("destroy() in the turn of connect() is one onClose and nothing else", async (s) => {
    const server = await s.listen();
    const client = s.connect(server.options);
    client.write("never sent");
    client.destroy();
    check(client.socket.destroyed, "destroyed is false after destroy()");
    check(client.socket.connecting, "connecting is false before onClose");
    equal(client.socket.pendingBytes, 0, "pendingBytes after destroy()");
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log, ["close"], "events");
    await s.until(
      () => server.peers.every(({ isClosed, isEnded }) => isClosed || isEnded),
      "the peer's close",
    );
    equal(server.peers.map(({ intake }) => intake.text).join(""), "", "what the peer received");
  });

  add("destroy(error) while connecting gives it to onClose", async (s) => {
    const server = await s.listen();
    const client = s.connect(server.options);
    const reason = new Error("given up");
    client.destroy(reason);
    client.destroy(new Error("a second reason"));
    await s.until(() => client.isClosed, "onClose");
    expectReason(client, reason);
  });

  add("destroy() inside onOpen is followed by onClose alone", async (s) => {
    const server = await s.listen("plain", (peer) => peer.send("greeting"));
    const client = s.connect(server.options, { onOpen: () => client.destroy() });
    client.write("early");
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log.filter((event) => event !== "drain"), ["open", "close"], "events");
  });

  add("a thousand connects given up at every moment leave nothing behind", async (s) => {
    const server = await s.listen("plain", (peer) => peer.send("greeting"));
    for (let done = 0; done < STORM_CONNECTS; done += STORM_BATCH) {
      const clients = Array.from({ length: STORM_BATCH }, (_, index) => storm(s, server.options, index));
      await s.until(() => clients.every(({ isClosed }) => isClosed), "every onClose");
      for (const { log } of clients) equal(log[log.length - 1], "close", "last event");
    }
    await s.until(
      () => server.peers.every(({ isClosed, isEnded }) => isClosed || isEnded),
      "every peer's close",
    );
    // The listener still works, and so does the adapter.
    const last = s.connect(server.options);
    await s.until(() => last.intake.text === "greeting", "a connection after the storm");
  });
}

// Given up: at once, a few microtasks later, in a later turn, in onOpen, in the first onData.
function storm(s: Scenario, options: ConnectOptions, index: number): Client {
  const moment = index % 5;
  const client: Client = s.connect(options, {
    onOpen: () => moment === 3 && client.destroy(),
    onData: () => moment === 4 && client.destroy(),
  });
  client.write("early");
  if (moment === 0) client.destroy();
  if (moment === 1) void Promise.resolve().then(() => {}).then(() => client.destroy());
  if (moment === 2) void s.turns(index % 7).then(() => client.destroy());
  return client;
}

function optionTests(add: AddTest, harness: ConformanceHarness): void {
  const { capabilities } = harness;
  const refused = Object.keys(tlsSamples).find((name) => !capabilities.tlsOptions.has(name as TlsOption));
  if (capabilities.tlsOptions.size > 0) {
    add("an inherited TLS option is looked at as an own one", async (s) => {
      const server = await s.listen();
      const code = (inherited: object): unknown =>
        thrownBy(() => s.connect({ ...server.options, tls: Object.create(inherited) })).code;
      equal(code({ ca: 5 }), "ERR_INVALID_ARG_TYPE", "code for what is no authority");
      if (refused === undefined) return;
      equal(code({ [refused]: tlsSamples[refused as TlsOption] }), "ERR_UNSUPPORTED_OPTION", "code");
    });
  }
  const samples: Record<BindingOption, ConnectOptions> = {
    path: { path: "/nowhere.sock" },
    family: { family: 4 },
    lookup: { lookup: (_name, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]) },
    hints: { hints: 32 },
    localAddress: { localAddress: "127.0.0.1" },
    localPort: { localPort: 1 },
  };
  for (const name of Object.keys(samples) as BindingOption[]) {
    optionTest(add, name, samples[name], capabilities.options.has(name));
  }
  if (capabilities.tlsOptions.size === 0) return optionTest(add, "tls", { tls: {} }, false);
  for (const [name, value] of Object.entries(tlsSamples)) {
    const isHonoured = capabilities.tlsOptions.has(name as TlsOption);
    optionTest(add, `tls.${name}`, { tls: { [name]: value } }, isHonoured);
  }
}

function optionTest(add: AddTest, name: string, sample: ConnectOptions, isHonoured: boolean): void {
  if (!isHonoured) {
    add(`option ${name} is refused, since it cannot be honoured`, async (s) => {
      const server = await s.listen();
      const error = thrownBy(() => s.connect({ ...server.options, ...sample }));
      equal(error.code, "ERR_UNSUPPORTED_OPTION", "code");
      check(error.message.includes(`"${name}"`), `the message does not name the option: ${error.message}`);
    });
  } else {
    // What it means is tested elsewhere; that a sample makes no sense may be thrown, or told by onClose.
    add(`option ${name} is taken`, async (s) => {
      const server = await s.listen();
      let client: Client;
      try {
        client = s.connect({ ...server.options, ...sample });
      } catch (error) {
        const { code, message } = error as { code?: unknown; message: string };
        return check(code !== "ERR_UNSUPPORTED_OPTION", `it is refused: ${message}`);
      }
      client.destroy();
      await s.until(() => client.isClosed, "onClose");
    });
  }
}

const tlsSamples: Record<TlsOption, unknown> = {
  ca: "-----BEGIN CERTIFICATE-----",
  cert: "-----BEGIN CERTIFICATE-----",
  key: "-----BEGIN PRIVATE KEY-----",
  passphrase: "secret",
  pfx: new Uint8Array(1),
  servername: "a.example",
  ALPNProtocols: ["http/1.1"],
  rejectUnauthorized: false,
  checkServerIdentity: () => undefined,
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.2",
  ciphers: "ECDHE-RSA-AES128-GCM-SHA256",
  session: new Uint8Array(1),
  secureContext: {},
  crl: "-----BEGIN X509 CRL-----",
  ecdhCurve: "P-256",
  sigalgs: "ecdsa_secp256r1_sha256",
  secureOptions: 1,
  secureProtocol: "TLSv1_2_method",
  honorCipherOrder: true,
  dhparam: "-----BEGIN DH PARAMETERS-----",
  sessionIdContext: "context",
};

function thrownBy(fn: () => unknown): Error & { code?: unknown } {
  try {
    fn();
  } catch (error) {
    check(error instanceof Error, "what was thrown is no Error");
    return error;
  }
  check(false, "nothing was thrown");
}

/** `destroy(error)`: the very error, or a SocketError with it as cause. */
export function expectReason(client: Client, reason: Error): void {
  const error: (Error & { cause?: unknown }) | undefined = client.error;
  check(
    error === reason || error?.cause === reason,
    `onClose came with ${String(error)}, not with the reason`,
  );
  check(error!.message.includes(reason.message), "the reason's message is lost");
}
