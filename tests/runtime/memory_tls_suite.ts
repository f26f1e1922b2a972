import * as assert from "uvu/assert";
import { ManualClock, MemoryNetwork } from "../../src/testing.ts";
import type { MemoryPeer } from "../../src/testing.ts";
import type {
  Connect,
  ConnectOptions,
  PeerCertificate,
  Socket,
  SocketHandler,
} from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";

const test = suite("MemoryNetwork, TLS");

const origin = { host: "a.example", port: 443 };
const proxy = { host: "proxy.example", port: 3128 };

interface Recorded extends SocketHandler {
  readonly log: string[];
  onText: (text: string) => void;
}

function recorder(): Recorded {
  const log: string[] = [];
  const handler: Recorded = {
    log,
    onText: () => {},
    onOpen: () => void log.push("open"),
    onData: (chunk) => {
      const text = String.fromCharCode(...chunk);
      log.push(`data ${text}`);
      handler.onText(text);
    },
    onEnd: (authenticated) => void log.push(`end ${authenticated}`),
    onDrain: () => {},
    onClose: (error) => void log.push(error === undefined ? "close" : `close ${error.code}`),
  };
  return handler;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** An origin that greets whoever gets through. */
function greet(network: MemoryNetwork, names: string[] = ["a.example"]): MemoryPeer[] {
  const peers: MemoryPeer[] = [];
  network.listen(origin, (peer) => {
    peers.push(peer);
    peer.send("hello");
  }, { tls: { certificate: { names }, ALPNProtocols: ["http/1.1"] } });
  return peers;
}

async function dial(
  options: Partial<ConnectOptions>,
  names?: string[],
): Promise<{ log: string[]; socket: Socket; peers: MemoryPeer[] }> {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  const peers = greet(network, names);
  const seen = recorder();
  const socket = network.connect({ ...origin, tls: {}, ...options }, seen);
  await clock.settle();
  return { log: seen.log, socket, peers };
}

test("connect() takes two round trips: one of TCP, one of the handshake", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: 10 });
  greet(network);
  const seen = recorder();
  network.connect({ ...origin, tls: {} }, seen);
  await clock.advance(39);
  assert.equal(seen.log, []);
  await clock.advance(1);
  assert.equal(seen.log, ["open"]);
  await clock.advance(20);
  assert.equal(seen.log, ["open", "data hello"]);
});

test("the listener learns the name, the protocol and whether there was a certificate", async () => {
  const tls = { ALPNProtocols: ["h2", "http/1.1"], cert: "mine", key: "my key" };
  const { peers, socket } = await dial({ tls });
  assert.equal(peers[0]!.tls, { servername: "a.example", alpnProtocol: "http/1.1", hasCertificate: true });
  assert.is(socket.info?.tls?.alpnProtocol, "http/1.1");
});

test("a wildcard covers one whole label", async () => {
  const outcomes: Record<string, string> = {};
  for (const servername of ["a.example", "b.example", "x.b.example", "example"]) {
    const { log } = await dial({ tls: { servername } }, ["*.example"]);
    outcomes[servername] = log[0]!;
  }
  const refused = "close ERR_TLS_CERT_ALTNAME_INVALID";
  assert.equal(outcomes, {
    "a.example": "open",
    "b.example": "open",
    "x.b.example": refused,
    "example": refused,
  });
});

test("checkServerIdentity is given the certificate's names", async () => {
  let shown: PeerCertificate | undefined;
  const checkServerIdentity = (_name: string, certificate: PeerCertificate): undefined => {
    shown = certificate;
  };
  await dial({ tls: { checkServerIdentity } }, ["a.example", "10.0.0.1"]);
  assert.is(shown?.subjectaltname, "DNS:a.example, IP Address:10.0.0.1");
  assert.equal(shown?.subject, { CN: "a.example" });
});

test("a listener whose certificate is refused never hears of the connection", async () => {
  const { log, peers } = await dial({}, ["elsewhere.test"]);
  assert.equal(log, ["close ERR_TLS_CERT_ALTNAME_INVALID"]);
  assert.equal(peers, []);
});

test("truncate() is an end without close_notify, end() one with it", async () => {
  for (const way of ["truncate", "end"] as const) {
    const clock = new ManualClock();
    const network = new MemoryNetwork({ clock });
    network.listen(origin, (peer) => peer[way](), { tls: {} });
    const seen = recorder();
    network.connect({ ...origin, tls: {} }, seen);
    await clock.settle();
    assert.equal(seen.log, ["open", `end ${way === "end"}`]);
  }
});

/** A proxy that answers a line and then passes everything on. */
function relaying(network: MemoryNetwork, isTls: boolean): void {
  network.listen(proxy, async (peer) => {
    await peer.readUntil("\n");
    peer.send("ok");
    peer.relay(network.connect(origin, recorder()));
  }, isTls ? { tls: { certificate: { names: [proxy.host] } } } : {});
}

/** Goes through the proxy, then speaks TLS with the origin. */
function tunnel(connect: Connect, handler: Recorded, name: string, isTls: boolean): Socket {
  const outer = recorder();
  const socket = connect({ ...proxy, tls: isTls ? {} : undefined }, outer);
  outer.onText = () => {
    socket.pause();
    socket.startTls!({ host: name }, handler);
  };
  socket.write(bytes("CONNECT\n"));
  return socket;
}

test("startTls() reaches an origin through a proxy that relays, over plain TCP and over TLS", async () => {
  for (const isTls of [false, true]) {
    const clock = new ManualClock();
    const network = new MemoryNetwork({ clock });
    const peers = greet(network);
    relaying(network, isTls);
    const seen = recorder();
    const outer = tunnel(network.connect, seen, origin.host, isTls);
    await clock.settle();
    assert.equal(seen.log, ["open", "data hello"]);
    assert.is(outer.destroyed, true);
    assert.is(peers[0]!.tls?.servername, "a.example");
    peers[0]!.end();
    await clock.settle();
    assert.equal(seen.log.slice(2), ["end true"]);
  }
});

test("startTls() in a tunnel verifies the origin, not the proxy", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  const peers = greet(network);
  relaying(network, true);
  const seen = recorder();
  tunnel(network.connect, seen, "other.example", true);
  await clock.settle();
  assert.equal(seen.log, ["close ERR_TLS_CERT_ALTNAME_INVALID"]);
  assert.equal(peers, []);
});

test("peer.startTls() plays the origin behind the proxy", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  network.listen(proxy, async (peer) => {
    await peer.readUntil("\n");
    peer.send("ok");
    await peer.startTls({ certificate: { names: ["a.example"] } });
    peer.send(`hello ${peer.tls?.servername}`);
  });
  const seen = recorder();
  tunnel(network.connect, seen, "a.example", false);
  await clock.settle();
  assert.equal(seen.log, ["open", "data hello a.example"]);
});

test("cutAfterSending() in onAccept cuts the handshake", async () => {
  for (const by of ["fin", "rst"] as const) {
    const clock = new ManualClock();
    const network = new MemoryNetwork({ clock });
    const onAccept = (wire: MemoryPeer["wire"]): void => wire.cutAfterSending(7, by);
    network.listen(origin, () => assert.unreachable("the handshake was cut"), { tls: {}, onAccept });
    const seen = recorder();
    network.connect({ ...origin, tls: {} }, seen);
    await clock.settle();
    assert.equal(seen.log, ["close ECONNRESET"]);
    assert.is(network.sockets.size, 0);
  }
});

test.run();
