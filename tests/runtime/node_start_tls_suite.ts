import * as net from "node:net";
import type * as tls from "node:tls";
import * as assert from "uvu/assert";
import { connectNode, createNodeConnect, fromDuplex, nodeCapabilities } from "../../src/runtime/node.ts";
import type { Connect, ConnectOptions, Socket, StartTlsOptions } from "../../src/runtime/socket.ts";
import * as certs from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { bytes, type Listening, listenTcp, listenTls, Recorder, settle } from "./node_harness.ts";

const { ca, good } = certs;
const test = suite("startTls of the node adapter");

/** A proxy that answers one line and then passes bytes on, in front of a TLS server that echoes. */
interface Tunnel {
  readonly proxy: Listening;
  /** What the TLS server saw of its clients. */
  readonly names: (string | false | undefined)[];
  readonly clients: (string | undefined)[];
  received: string;
  close(): Promise<void>;
}

async function tunnel(options: tls.TlsOptions, front?: tls.TlsOptions): Promise<Tunnel> {
  const origin = await listenTls({ ...options, allowHalfOpen: true } as tls.TlsOptions, (connection) => {
    result.names.push((connection as { servername?: string | false }).servername || false);
    result.clients.push(connection.getPeerCertificate()?.subject?.CN as string | undefined);
    connection.on("data", (chunk: Uint8Array) => {
      result.received += new TextDecoder().decode(chunk);
      connection.write(chunk);
    });
    connection.on("end", () => connection.end());
  });
  const onClient = (client: net.Socket): void => {
    client.once("data", () => {
      const onward = net.connect({ host: "127.0.0.1", port: origin.port, allowHalfOpen: true });
      onward.on("error", () => client.destroy());
      client.on("close", () => onward.destroy());
      client.pipe(onward).pipe(client);
      client.write("200\n");
    });
  };
  const proxy = front === undefined ? await listenTcp(onClient) : await listenTls(front, onClient);
  const close = async (): Promise<void> => {
    await proxy.close();
    await origin.close();
  };
  const result: Tunnel = { proxy, names: [], clients: [], received: "", close };
  return result;
}

/** Connects to the proxy and starts TLS inside the `onData` that shows its answer, as an agent does. */
async function through(
  { proxy }: Tunnel,
  options: StartTlsOptions,
  connect: Connect = connectNode,
  target: ConnectOptions = {},
): Promise<{ raw: Socket; rawSeen: Recorder; secured: Socket; seen: Recorder }> {
  const rawSeen = new Recorder();
  const raw = connect({ host: "127.0.0.1", port: proxy.port, ...target }, rawSeen);
  const seen = new Recorder();
  raw.write(bytes("CONNECT\n"));
  const secured = await new Promise<Socket>((resolve, reject) => {
    rawSeen.dataHook = (): void => {
      raw.pause();
      try {
        resolve(raw.startTls!(options, seen));
      } catch (error) {
        reject(error);
      }
    };
  });
  return { raw, rawSeen, secured, seen };
}

async function close({ secured, seen }: { secured: Socket; seen: Recorder }): Promise<void> {
  secured.destroy();
  await seen.closed;
}

test("speaks TLS to the host given, and consumes the plain socket", async () => {
  const via = await tunnel(good);
  const made = await through(via, { ca, host: "localhost" });
  const { raw, rawSeen, secured, seen } = made;
  assert.is(secured.connecting, true);
  assert.is(raw.destroyed, true);
  assert.is(raw.write(bytes("plain")), false);
  raw.end();
  raw.destroy();
  secured.write(bytes("early "));
  await seen.opened;
  secured.write(bytes("late"));
  await seen.untilText("early late");
  assert.equal(via.names, ["localhost"]);
  assert.is(secured.info?.tls?.authorized, true);
  assert.is(secured.info?.remotePort, via.proxy.port);
  secured.end();
  await seen.closed;
  assert.is(seen.error, undefined);
  assert.equal(seen.log.slice(-2), ["end", "close"]);
  assert.equal(rawSeen.log.filter((event) => event !== "drain"), ["open", "data 4"]);
  await via.close();
});

test("verifies the host given and no other: not the proxy's, not localhost", async () => {
  const via = await tunnel(good);
  // The proxy is reached by a name that the certificate has; the origin's name is another.
  const made = await through(via, { ca, host: "elsewhere.test" }, connectNode, {
    host: "localhost",
    family: 4,
  });
  made.secured.write(bytes("secret"));
  const error = await made.seen.closed;
  assert.equal(made.seen.log, ["close ERR_TLS_CERT_ALTNAME_INVALID"]);
  assert.is(error?.phase, "tls");
  assert.is(error?.address, "elsewhere.test");
  assert.is(via.received, "");
  await via.close();
});

test("an address is verified and sends no SNI, whatever the proxy's name is", async () => {
  const via = await tunnel(good);
  const byName = { host: "localhost", family: 4 } as const;
  for (const options of [{ host: "127.0.0.1" }, { host: "localhost", servername: "" }]) {
    const made = await through(via, { ca, ...options }, connectNode, byName);
    made.secured.write(bytes("x"));
    await made.seen.untilText("x");
    await close(made);
  }
  assert.equal(via.names, [false, false]);
  const other = await through(via, { ca, host: "192.0.2.1" }, connectNode, byName);
  assert.is((await other.seen.closed)?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
  await via.close();
});

test("a client certificate is shown inside the tunnel", async () => {
  const via = await tunnel({ ...good, ca, requestCert: true, rejectUnauthorized: true });
  const made = await through(via, { ca, host: "localhost", ...certs.client });
  made.secured.write(bytes("who am I"));
  await made.seen.untilText("who am I");
  assert.equal(via.clients, ["holdfast test client"]);
  await close(made);
  await via.close();
});

test("large contents arrive whole in both directions, and pause is exact", async () => {
  const via = await tunnel(good);
  const made = await through(via, { ca, host: "localhost" });
  const { secured, seen } = made;
  const size = 3_000_000;
  let pauses = 0;
  seen.dataHook = (): void => {
    if (++pauses % 7 !== 0) return;
    secured.pause();
    const count = seen.chunks.length;
    setTimeout(() => {
      assert.is(seen.chunks.length, count);
      secured.resume();
    }, 2);
  };
  secured.write(new Uint8Array(size).fill(7));
  await seen.until(() => seen.length === size);
  assert.ok(seen.chunks.every((chunk) => chunk.every((byte) => byte === 7)));
  secured.end();
  await seen.ended;
  await close(made);
  await via.close();
});

test("a session made in one tunnel is resumed in the next, by the name and not by the proxy", async () => {
  const connect = createNodeConnect();
  const via = await tunnel(good);
  const resumed: (boolean | undefined)[] = [];
  for (const host of ["localhost", "localhost", "127.0.0.1"]) {
    const made = await through(via, { ca, host, port: 443 }, connect);
    made.secured.write(bytes("x"));
    await made.seen.untilText("x");
    resumed.push(made.secured.info?.tls?.resumed);
    await close(made);
  }
  assert.equal(resumed, [false, nodeCapabilities.resumesSessions, false]);
  await via.close();
});

test.needs({ tlsInTls: nodeCapabilities.tlsInTls }, "TLS inside TLS, through an https proxy", async () => {
  const via = await tunnel(good, { ...good, allowHalfOpen: true } as tls.TlsOptions);
  const made = await through(via, { ca, host: "localhost" }, connectNode, { host: "127.0.0.1", tls: { ca } });
  made.secured.write(bytes("twice"));
  await made.seen.untilText("twice");
  await close(made);
  const other = await through(via, { ca, host: "elsewhere.test" }, connectNode, { tls: { ca } });
  assert.is((await other.seen.closed)?.code, "ERR_TLS_CERT_ALTNAME_INVALID");
  await via.close();
});

test("startTls() works over a stream that fromDuplex() has taken", async () => {
  const via = await tunnel(good);
  const connect: Connect = (options, handler) =>
    fromDuplex(net.connect({ host: "127.0.0.1", port: options.port!, allowHalfOpen: true }), handler);
  const made = await through(via, { ca, host: "localhost" }, connect);
  made.secured.write(bytes("foreign"));
  await made.seen.untilText("foreign");
  await close(made);
  await via.close();
});

test("key material that cannot be read is one close, and closes the plain connection", async () => {
  const via = await tunnel(good);
  const pfx = Uint8Array.of(1, 2, 3);
  const { raw, seen } = await through(via, { host: "localhost", pfx });
  const error = await seen.closed;
  assert.is(seen.log.length, 1);
  assert.is(error?.phase, "tls");
  assert.is(raw.destroyed, true);
  const connection = via.proxy.connections[0]!;
  await new Promise<void>((resolve) => {
    if (connection.readableEnded || connection.destroyed) resolve();
    else connection.once("end", resolve).once("close", resolve);
  });
  await via.close();
});

test("throws where it may not be called, and leaves the socket usable", async () => {
  let peer: net.Socket | undefined;
  const server = await listenTcp((connection) => {
    peer = connection;
    connection.pipe(connection);
  });
  const seen = new Recorder();
  const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
  const isInvalid = (error: { code?: string }): boolean => error.code === "ERR_INVALID_STATE";
  const start = (): Socket => socket.startTls!({ ca, host: "localhost" }, new Recorder());
  assert.throws(start, isInvalid, "while connecting");
  await seen.opened;
  socket.pause();
  socket.write(new Uint8Array(8_000_000));
  assert.throws(start, isInvalid, "while bytes are pending");
  socket.resume();
  await seen.until(() => seen.length === 8_000_000);
  socket.pause();
  socket.write(bytes("echo"));
  while (peer!.bytesWritten < 8_000_004) await settle(5);
  await settle(30);
  assert.throws(start, isInvalid, "while bytes wait to be read");
  socket.resume();
  await seen.untilText("echo");
  socket.end();
  assert.throws(start, isInvalid, "after end()");
  await seen.closed;
  assert.throws(start, isInvalid, "after the close");
  await server.close();
});

test("an option that is not honoured or cannot be is thrown, and the socket stays usable", async () => {
  const server = await listenTcp((connection) => connection.pipe(connection));
  const seen = new Recorder();
  const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
  await seen.opened;
  for (
    const [option, code] of [[{ nonsense: 1 }, "ERR_UNSUPPORTED_OPTION"], [
      { servername: 5 },
      "ERR_INVALID_ARG_TYPE",
    ]] as const
  ) {
    assert.throws(
      () => socket.startTls!({ host: "localhost", ...option as object }, new Recorder()),
      (error: { code?: string }) => error.code === code,
    );
  }
  socket.write(bytes("still here"));
  await seen.untilText("still here");
  socket.destroy();
  await seen.closed;
  await server.close();
});

for (
  const [name, ending] of Object.entries({
    "FIN": (connection: net.Socket): void => void connection.end(),
    "RST": (connection: net.Socket): void => void connection.resetAndDestroy(),
  })
) {
  test(`a ${name} of the proxy in the handshake is ECONNRESET`, async () => {
    const server = await listenTcp((connection) => {
      connection.once("data", () => {
        connection.write("200\n");
        connection.once("data", () => ending(connection));
      });
    });
    const { seen } = await through({ proxy: server } as Tunnel, { ca, host: "localhost" });
    const error = await seen.closed;
    assert.equal(seen.log, ["close ECONNRESET"]);
    assert.is(error?.phase, "tls");
    await server.close();
  });
}

test("destroy() in the handshake is one close, and frees the connection", async () => {
  const server = await listenTcp((connection) => connection.once("data", () => connection.write("200\n")));
  const made = await through({ proxy: server } as Tunnel, { ca, host: "localhost" });
  made.secured.write(bytes("dropped"));
  await settle(5);
  made.secured.destroy();
  await made.seen.closed;
  await settle();
  assert.equal(made.seen.log, ["close"]);
  await server.close();
});

test.run();
