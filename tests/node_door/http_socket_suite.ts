/** What `req.socket` is while a name is dialled: a net.Socket of node:net's where its adapter is used, with its events in order. */
import * as net from "node:net";
import * as tls from "node:tls";
import http, { type Agent as HttpAgent, type ClientRequest } from "@holdfast/agent/http";
import https from "@holdfast/agent/https";
import { equal, is, ok as truthy } from "uvu/assert";
import { ca, good } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { closed, responseTo, textOf } from "./http_log.ts";
import { ok, type WireOrigin, wireOrigin, withWireOrigin } from "./http_origin.ts";

const test = suite("http: the socket of a request to a name");

const EVENTS = [
  "lookup",
  "connectionAttempt",
  "connectionAttemptFailed",
  "connect",
  "secureConnect",
  "ready",
  "error",
  "close",
];

type Lookup = (name: string, options: object, done: (error: Error | null, found: unknown) => void) => void;

/** Answers with these addresses, a tick later as a resolver's cache does, or at once. */
function lookupOf(addresses: readonly string[], isAtOnce: boolean = false): Lookup {
  return (_name, _options, done): void => {
    const found = addresses.map((address) => ({ address, family: net.isIP(address) }));
    if (isAtOnce) done(null, found);
    else queueMicrotask(() => done(null, found));
  };
}

/** What the socket of a request tells, from 'socket' on. */
function socketLog(request: ClientRequest): { socket?: net.Socket; log: string[]; facts: string[] } {
  const result: { socket?: net.Socket; log: string[]; facts: string[] } = { log: [], facts: [] };
  request.once("socket", (socket) => {
    result.socket = socket as net.Socket;
    result.facts.push(`${socket.connecting} ${socket.pending} ${socket.destroyed} ${socket.readyState}`);
    for (const event of EVENTS) {
      socket.on(event, (...args: unknown[]) => result.log.push(`${event}${detail(event, args)}`));
    }
  });
  return result;
}

function detail(event: string, [first, second]: unknown[]): string {
  if (event === "lookup") return ` ${second ?? (first as { code?: string })?.code}`;
  if (event === "connectionAttempt" || event === "connectionAttemptFailed") return ` ${first}`;
  if (event === "error") return ` ${(first as { code?: string }).code}`;
  return event === "close" ? ` ${first}` : "";
}

function withOrigin(body: (origin: WireOrigin) => Promise<void>): Promise<void> {
  return withWireOrigin((socket) => socket.write(ok("body")), body);
}

function agentOver(runtime: "node" | undefined): HttpAgent {
  return new http.Agent({ keepAlive: true, ...runtime && { runtime } });
}

/** By default, too: a look-up of one's own is honoured by no other adapter. */
const ADAPTERS = ["node", undefined] as const;

for (const runtime of ADAPTERS) {
  const over = runtime === undefined ? "by default" : "over node:net";

  for (const isAtOnce of [false, true]) {
    const when = isAtOnce ? "looked up at once" : "looked up later";

    test(`${over}, ${when}: 'socket' is told of a net.Socket that is connecting, and tells how it connects`, () =>
      withOrigin(async ({ port }) => {
        const agent = agentOver(runtime);
        // Begun in a microtask, where a tick comes late.
        await Promise.resolve();
        const request = http.get({
          host: "a.test",
          port,
          agent,
          lookup: lookupOf(["127.0.0.1"], isAtOnce) as never,
        });
        const seen = socketLog(request);
        const response = await responseTo(request);
        is(seen.socket instanceof net.Socket, true);
        is(response.socket, seen.socket);
        is(request.socket, seen.socket);
        equal(seen.facts, ["true true false opening"]);
        equal(seen.log, ["lookup 127.0.0.1", "connectionAttempt 127.0.0.1", "connect", "ready"]);
        const { connecting, readyState, remoteAddress, remotePort, localPort } = seen.socket!;
        equal([connecting, readyState, remoteAddress, remotePort], [false, "open", "127.0.0.1", port]);
        truthy(localPort! > 0);
        is(await textOf(response), "body");
        await closed(request);
        agent.destroy();
      }));
  }

  test(`${over}: after a failed attempt the socket is the next one's`, () =>
    withOrigin(async ({ port }) => {
      const agent = agentOver(runtime);
      const request = http.get({
        host: "a.test",
        port,
        agent,
        lookup: lookupOf(["::1", "127.0.0.1"]) as never,
      });
      const seen = socketLog(request);
      is(await textOf(await responseTo(request)), "body");
      is(seen.socket!.remoteAddress, "127.0.0.1");
      equal(seen.log, [
        "lookup ::1",
        "lookup 127.0.0.1",
        "connectionAttempt ::1",
        "connectionAttemptFailed ::1",
        "connectionAttempt 127.0.0.1",
        "connect",
        "ready",
      ]);
      await closed(request);
      agent.destroy();
    }));

  test(`${over}: where every attempt fails, the error of the request is the socket's`, async () => {
    const gone = await wireOrigin(() => {});
    await gone.close();
    const agent = agentOver(runtime);
    for (const addresses of [["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]]) {
      const request = http.get({
        host: "a.test",
        port: gone.port,
        agent,
        lookup: lookupOf(addresses) as never,
      });
      const seen = socketLog(request);
      const told: Error[] = [];
      request.once("socket", (socket) => socket.on("error", (error: Error) => told.push(error)));
      const error = await new Promise<AggregateError & { code: string }>((resolve) =>
        void request.on("error", resolve as () => void)
      );
      await closed(request);
      is(error.code, "ECONNREFUSED");
      equal([told.length, told[0] === error], [1, true]);
      for (const address of addresses) truthy(messages(error).includes(`${address}:${gone.port}`), address);
      is(error instanceof AggregateError, addresses.length > 1);
      equal(seen.log.slice(-2), ["error ECONNREFUSED", "close true"]);
      is(seen.socket!.destroyed, true);
    }
    agent.destroy();
  });

  test(`${over}: a look-up that fails is told by the socket, too`, async () => {
    const agent = agentOver(runtime);
    const lookup = (_name: string, _options: object, done: (error: Error) => void): void =>
      done(Object.assign(new Error("none"), { code: "ENOTFOUND", syscall: "getaddrinfo" }));
    const request = http.get({ host: "a.test", port: 1, agent, lookup: lookup as never });
    const seen = socketLog(request);
    const error = await new Promise<Error & { code?: string }>((resolve) =>
      void request.on("error", resolve)
    );
    await closed(request);
    equal([error.code, error.message], ["ENOTFOUND", "none"]);
    equal(seen.log, ["lookup ENOTFOUND", "error ENOTFOUND", "close true"]);
    agent.destroy();
  });

  test(`${over}: what is asked of the socket while it connects holds`, () =>
    withOrigin(async ({ port }) => {
      const agent = agentOver(runtime);
      const request = http.get({ host: "a.test", port, agent, lookup: lookupOf(["127.0.0.1"]) as never });
      const asked: string[] = [];
      request.once("socket", (socket) => {
        socket.setKeepAlive(true, 5_000);
        socket.setNoDelay(false);
        socket.setTimeout(60_000, () => asked.push("timeout"));
        socket.once("connect", () => asked.push("connect"));
        socket.unref();
        socket.ref();
      });
      is(await textOf(await responseTo(request)), "body");
      equal(asked, ["connect"]);
      await closed(request);
      agent.destroy();
    }));

  for (
    const moment of ["socket", "lookup", "connectionAttempt", "connectionAttemptFailed", "connect", "ready"]
  ) {
    for (const who of ["socket", "request"]) {
      test(`${over}: at '${moment}' the ${who} is destroyed, which ends both and leaves nothing behind`, () =>
        withOrigin(async ({ port }) => {
          const agent = agentOver(runtime);
          const lookup = lookupOf(["::1", "127.0.0.1"]) as never;
          const request = http.get({ host: "a.test", port, agent, lookup });
          const seen = socketLog(request);
          request.once("socket", (socket) => {
            const end = (): unknown => who === "socket" ? socket.destroy() : request.destroy();
            if (moment === "socket") end();
            else socket.once(moment, end);
          });
          const error = await new Promise<Error & { code?: string }>((resolve) =>
            void request.on("error", resolve)
          );
          equal([error.code, error.message], ["ECONNRESET", "socket hang up"]);
          await closed(request);
          is(seen.socket!.destroyed, true);
          await agent.close();
        }));
    }
  }

  test(`${over}: the request destroyed while its socket connects`, () =>
    withOrigin(async ({ port }) => {
      const agent = agentOver(runtime);
      const request = http.get({ host: "a.test", port, agent, lookup: lookupOf(["127.0.0.1"]) as never });
      const seen = socketLog(request);
      request.once("socket", () => request.destroy(new Error("mine")));
      const error = await new Promise<Error>((resolve) => void request.on("error", resolve));
      is(error.message, "mine");
      await closed(request);
      is(seen.socket!.destroyed, true);
      equal(seen.log.filter((line) => /connect$|ready/.test(line)), []);
      await agent.close();
    }));

  test(`${over}: a look-up that never answers ends with the connectTimeout, and its socket with it`, async () => {
    const agent = new http.Agent({ connectTimeout: 50, ...runtime && { runtime } });
    const request = http.get({ host: "a.test", port: 1, agent, lookup: () => {} });
    const seen = socketLog(request);
    const error = await new Promise<Error & { code?: string }>((resolve) =>
      void request.on("error", resolve)
    );
    is(error.code, "ETIMEDOUT");
    await closed(request);
    is(seen.socket!.destroyed, true);
    equal(seen.log.filter((line) => !line.startsWith("close")), []);
    await agent.close();
  });

  test(`${over}: agent.sockets shows the socket that connects, and it is the request's`, () =>
    withOrigin(async ({ port }) => {
      const agent = agentOver(runtime);
      const request = http.get({ host: "a.test", port, agent, lookup: lookupOf(["127.0.0.1"]) as never });
      const [[socket]] = Object.values(agent.sockets) as unknown as [[net.Socket]];
      is(socket instanceof net.Socket, true);
      is(socket.connecting, true);
      is(await textOf(await responseTo(request)), "body");
      await closed(request);
      const [[free]] = Object.values(agent.freeSockets) as unknown as [[net.Socket]];
      is(free, socket);
      agent.destroy();
    }));

  test(`${over}: an upgrade gives the socket that 'socket' gave`, async () => {
    const origin = await wireOrigin((socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nfirst");
      socket.on("data", (chunk) => socket.write(`echo ${chunk}`));
    });
    const agent = agentOver(runtime);
    const request = http.get({
      host: "a.test",
      port: origin.port,
      agent,
      headers: { connection: "Upgrade", upgrade: "x" },
      lookup: lookupOf(["127.0.0.1"]) as never,
    });
    const seen = socketLog(request);
    const [stream, first] = await new Promise<[net.Socket, Uint8Array]>((resolve) =>
      void request.on("upgrade", (_response, socket, head) => resolve([socket as net.Socket, head]))
    );
    is(stream, seen.socket);
    is(stream instanceof net.Socket, true);
    is(String(first), "first");
    stream.write("more");
    is(String(await new Promise((resolve) => stream.once("data", resolve))), "echo more");
    stream.destroy();
    await origin.close();
    agent.destroy();
  });
}

/** The adapter that dials a name by default is node:net's: elsewhere the runtime's own socket is shown by a Duplex. */
const dialsByNode = !("Deno" in globalThis || "Bun" in globalThis);

test("a name without anything that only node:net honours: 'socket' is told of what the default adapter has", () =>
  withOrigin(async ({ port }) => {
    const agent = agentOver(undefined);
    const request = http.get({ host: "localhost", port, agent, family: undefined });
    const seen = socketLog(request);
    is(await textOf(await responseTo(request)), "body");
    is(seen.socket instanceof net.Socket, dialsByNode);
    equal(seen.facts, ["true true false opening"]);
    equal(seen.log.slice(-2), ["connect", "ready"]);
    await closed(request);
    agent.destroy();
  }));

function messages(error: AggregateError): string {
  return [error, ...error.errors ?? []].map((each: Error) => each.message).join(" ");
}

test("over TLS it is a TLSSocket, verified, with its events in order", async () => {
  const server = tls.createServer(good, (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(ok("secret")));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  for (const isAtOnce of [false, true]) {
    const agent = new https.Agent({ keepAlive: true, ca });
    const lookup = lookupOf(["::1", "127.0.0.1"], isAtOnce) as never;
    const request = https.get({ host: "localhost", port, agent, lookup });
    const seen = socketLog(request);
    const response = await responseTo(request);
    truthy(seen.socket instanceof tls.TLSSocket);
    equal(seen.facts, ["true true false opening"]);
    equal(seen.log.slice(-3), ["connect", "ready", "secureConnect"]);
    equal(seen.log.slice(0, 2), ["lookup ::1", "lookup 127.0.0.1"]);
    const socket = seen.socket as tls.TLSSocket;
    equal([socket.authorized, socket.encrypted, socket.remotePort], [true, true, port]);
    is(socket.getPeerCertificate().subject.CN, "localhost");
    is(await textOf(response), "secret");
    await closed(request);
    // And is kept.
    const again = https.get({ host: "localhost", port, agent, lookup });
    is(await textOf(await responseTo(again)), "secret");
    is(again.reusedSocket, true);
    is(again.socket, seen.socket);
    await closed(again);
    agent.destroy();
  }
  {
    const agent = new https.Agent({ ca });
    const request = https.get({ host: "a.test", port, agent, lookup: lookupOf(["127.0.0.1"]) as never });
    const seen = socketLog(request);
    const error = await new Promise<Error & { code?: string }>((resolve) =>
      void request.on("error", resolve)
    );
    is(error.code, "ERR_TLS_CERT_ALTNAME_INVALID");
    truthy(seen.socket instanceof tls.TLSSocket);
    await closed(request);
    agent.destroy();
  }
  await new Promise<void>((resolve) => void server.close(() => resolve()));
});

test.run();
