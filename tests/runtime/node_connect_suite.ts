import { suite } from "../harness/suite.ts";
import * as assert from "uvu/assert";
import { connectNode } from "../../src/runtime/node.ts";
import { ca, good, wrongHost } from "../certs/certs.ts";
import { bytes, listenTcp, listenTls, Recorder } from "./node_harness.ts";

const test = suite("connectNode");

test("sends early writes, receives, ends", async () => {
  const server = await listenTcp((connection) => connection.pipe(connection));
  const seen = new Recorder();
  const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
  assert.is(socket.connecting, true);
  socket.write(bytes("early "));
  assert.is(socket.pendingBytes, 6);
  await seen.opened;
  socket.write(bytes("late"));
  await seen.untilText("late");
  assert.is(seen.text, "early late");
  socket.end();
  await seen.closed;
  assert.is(seen.error, undefined);
  assert.equal(seen.log.slice(-2), ["end", "close"]);
  await server.close();
});

test("refused is one close with Node's code", async () => {
  const server = await listenTcp();
  await server.close();
  const seen = new Recorder();
  connectNode({ host: "127.0.0.1", port: server.port }, seen);
  const error = await seen.closed;
  assert.equal(seen.log, ["close ECONNREFUSED"]);
  assert.is(error?.phase, "connect");
  assert.is(error?.syscall, "connect");
  assert.is(error?.address, "127.0.0.1");
  assert.is(error?.port, server.port);
});

test("speaks TLS and verifies", async () => {
  const server = await listenTls(good, (connection) => connection.pipe(connection));
  const seen = new Recorder();
  const socket = connectNode({ host: "localhost", port: server.port, family: 4, tls: { ca } }, seen);
  socket.write(bytes("hello"));
  await seen.untilText("hello");
  assert.is(socket.info?.tls?.authorized, true);
  assert.is(socket.info?.remoteAddress, "127.0.0.1");
  socket.destroy();
  await seen.closed;
  assert.is(seen.error, undefined);
  await server.close();
});

test("refuses a certificate of another host", async () => {
  let received = 0;
  const server = await listenTls(wrongHost, (connection) => {
    connection.on("data", (chunk) => received += chunk.length);
  });
  const seen = new Recorder();
  const socket = connectNode({ host: "localhost", port: server.port, family: 4, tls: { ca } }, seen);
  socket.write(bytes("secret"));
  const error = await seen.closed;
  assert.equal(seen.log, ["close ERR_TLS_CERT_ALTNAME_INVALID"]);
  assert.is(error?.phase, "tls");
  assert.is(received, 0);
  await server.close();
});

test.run();
