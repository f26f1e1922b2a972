/**
 * PROMISES, the part that only a kernel can show: races between a connection's end, or bytes that nobody asked for, and the
 * next request (maxSockets by a server's count: network_suite.ts). The server is in this process, so that a test decides what has reached the kernel before a
 * request is made, and nothing depends on luck.
 */
import * as assert from "uvu/assert";
import { existsSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { suite } from "../harness/suite.ts";
import { createServer as createSecureServer } from "node:https";
import { Agent, type AgentRequestInit } from "@holdfast/agent";
import { ca, good } from "../certs/certs.ts";

const test = suite("promises over the network");

const HEAD = "HTTP/1.1 200 OK\r\n";

interface Origin {
  readonly url: string;
  /** Open connections, the youngest last. */
  readonly sockets: Socket[];
  /** "METHOD id" of each request that was received. */
  readonly seen: string[];
  close(): Promise<void>;
}

/** Answers each request whose head has come; `answer` false: it sees to it itself. */
async function origin(answer: (socket: Socket, turn: number) => boolean = () => true): Promise<Origin> {
  const sockets: Socket[] = [];
  const seen: string[] = [];
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    let turn = 0;
    socket.on("error", () => {});
    socket.on("close", () => void sockets.splice(sockets.indexOf(socket), 1));
    socket.on("data", (bytes: Uint8Array) => {
      const head = new TextDecoder("latin1").decode(bytes);
      seen.push(`${head.split(" ", 1)[0]} ${/id: (\S+)/.exec(head)?.[1]}`);
      if (answer(socket, turn++)) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const result: Origin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    sockets,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of [...sockets]) socket.destroy();
      }),
  };
  return result;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const ENDS: Readonly<Record<string, (socket: Socket) => void>> = {
  FIN: (socket) => void socket.end(),
  "FIN, and RST for what comes": (socket) => void socket.destroy(),
  RST: (socket) => void socket.resetAndDestroy(),
};

/** When the end comes, seen from the client. */
const MOMENTS: readonly [string, number, boolean][] = [
  ["in the turn of the next request", 5, false],
  ["in the turn of the last response", 0, false],
  ["at the sight of the request", 5, true],
];

for (const [name, end] of Object.entries(ENDS)) {
  for (const [moment, idleMs, isOnRequest] of MOMENTS) {
    test(`stale race: ${name} ${moment}: no GET is lost, no POST is sent twice`, async () => {
      const server = await origin((socket, turn) => {
        if (!isOnRequest || turn === 0) return true;
        end(socket);
        return false;
      });
      const agent = new Agent({ keepAlive: true });
      const failed: string[] = [];
      for (let i = 0; i < 24; i++) {
        const method = i % 3 === 0 ? "POST" : "GET";
        const headers = { id: `${i}` };
        try {
          assert.is(await (await agent.request(server.url, { headers })).body.text(), "mine");
          if (idleMs > 0) await pause(idleMs);
          if (!isOnRequest) { for (const socket of [...server.sockets]) end(socket); }
          const response = await agent.request(server.url, { method, headers: { id: `${i}-again` } });
          assert.is(await response.body.text(), "mine");
        } catch (error) {
          const { code, reusedSocket, attempts } = error as {
            code: string;
            reusedSocket: boolean;
            attempts: number;
          };
          failed.push(`${method} ${code} ${reusedSocket} ${attempts}`);
        }
      }
      agent.destroy();
      assert.equal(failed.filter((each) => !/^POST (ECONNRESET|EPIPE|ECONNABORTED) true 1$/.test(each)), []);
      const posts = server.seen.filter((each) => each.startsWith("POST"));
      assert.is(new Set(posts).size, posts.length);
      await server.close();
    });
  }
}

test("poisoning: bytes that came before the request was written are never its response", async () => {
  const server = await origin();
  const agent = new Agent({ keepAlive: true });
  const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
  const texts: string[] = [];
  for (let i = 0; i < 50; i++) {
    const response = await agent.request(server.url, { headers: { id: `${i}` } });
    texts.push(await response.body.text());
    if (i % 2 === 0) await pause(i % 6);
    // In this very turn: the kernel has it before the next request is made.
    for (const socket of server.sockets) socket.write(poison);
  }
  agent.destroy();
  assert.equal(new Set(texts), new Set(["mine"]));
  await server.close();
});

test("uploads: an early response stops the upload, on a peer that reads no more", async () => {
  const server = await origin((socket) => {
    socket.pause();
    socket.write("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n");
    return false;
  });
  const agent = new Agent({ keepAlive: true });
  let isClosed = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
    cancel: () => void (isClosed = true),
  });
  const response = await agent.request(server.url, { method: "POST", body });
  assert.is(response.status, 413);
  await response.body.dump();
  assert.ok(isClosed);
  agent.destroy();
  await server.close();
});

test("memory: a body that nobody reads is not read for him", async () => {
  const piece = new Uint8Array(1_000_000);
  let isAllTaken = false;
  const server = await origin((socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n`);
    let rest = 64;
    const send = (): void => {
      if (rest-- === 0) isAllTaken = true;
      else socket.write(piece, send);
    };
    send();
    return false;
  });
  const agent = new Agent({ keepAlive: true });
  const { body } = await agent.request(server.url);
  await pause(300);
  assert.is(isAllTaken, false);
  let length = 0;
  await body.forEach((lent) => void (length += lent.length));
  assert.is(length, 64_000_000);
  assert.is((await agent.request(server.url, { method: "HEAD" })).reusedSocket, true);
  agent.destroy();
  await server.close();
});

test("abort: the socket is gone from the server's sight", async () => {
  const server = await origin(() => false);
  const agent = new Agent({ keepAlive: true });
  const controller = new AbortController();
  const all = Array.from(
    { length: 20 },
    () => agent.request(server.url, { signal: controller.signal }).catch((error) => error.code),
  );
  while (server.seen.length < 20) await pause(1);
  controller.abort();
  assert.equal(new Set(await Promise.all(all)), new Set(["ABORT_ERR"]));
  while (server.sockets.length > 0) await pause(1);
  await server.close();
});

/** Numbers of this process's open sockets, where the system shows them. */
async function openSockets(): Promise<Set<string>> {
  const names = await readdir("/proc/self/fd");
  const links = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => "")));
  return new Set(links.filter((link) => link.startsWith("socket:")));
}

const seesDescriptors = existsSync("/proc/self/fd");

test.needs({ seesDescriptors }, "abort: 2,000 of them, at every stage, leave no descriptor", async () => {
  // The turn of a socket's request decides how far its response comes.
  const server = await origin((socket) => {
    const answers = [
      "",
      "HTTP/1.1 200 O",
      `${HEAD}Content-Length: 9\r\n\r\n`,
      `${HEAD}Content-Length: 9\r\n\r\nx`,
    ];
    socket.write(answers[server.seen.length % 4]!);
    return false;
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const codes = new Map<string, number>();
  const whole = async (signal: AbortSignal): Promise<void> => {
    try {
      await (await agent.request(server.url, { signal })).body.text();
    } catch (error) {
      const { code } = error as { code: string };
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  };
  const before = await openSockets();
  for (let batch = 0; batch < 50; batch++) {
    const controller = new AbortController();
    const all = Array.from({ length: 40 }, () => whole(controller.signal));
    // At once, while they connect, and when the server has seen them.
    if (batch % 3 > 0) await pause(batch % 3 === 1 ? 0 : 5);
    controller.abort();
    await Promise.all(all);
  }
  assert.equal([...codes], [["ABORT_ERR", 2_000]]);
  while (server.sockets.length > 0 || agent.totalSocketCount > 0) await pause(1);
  // A connect that cannot be cancelled ends a little later.
  const isLeft = (open: Set<string>): boolean => [...open].some((socket) => !before.has(socket));
  while (isLeft(await openSockets())) await pause(5);
  agent.destroy();
  await server.close();
});

test("TLS: verified by default; no connection crosses the options that say who the peer is", async () => {
  const server = createSecureServer(
    { key: good.key, cert: good.cert },
    (_request, response) => response.end("mine"),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  const agent = new Agent({ keepAlive: true });
  const told: string[] = [];
  const checkServerIdentity = (host: string): undefined => void told.push(host);
  const refuses = (): Error => new Error("not him");
  const inits: AgentRequestInit[] = [
    {},
    { tls: { ca } },
    { tls: { ca } },
    {},
    { tls: { ca, checkServerIdentity } },
    { tls: { ca, checkServerIdentity } },
    { tls: { ca, checkServerIdentity: refuses } },
    { tls: { ca, servername: "wrong.example" } },
    { tls: { rejectUnauthorized: false } },
  ];
  const results: string[] = [];
  for (const init of inits) {
    try {
      const { body, reusedSocket } = await agent.request(url, init);
      results.push(`${await body.text()} ${reusedSocket}`);
    } catch (error) {
      results.push((error as { bytesWritten: number }).bytesWritten === 0 ? "refused" : "refused late");
    }
  }
  assert.equal(results, [
    "refused",
    "mine false",
    "mine true",
    "refused",
    "mine false",
    "mine true",
    "refused",
    "refused",
    "mine false",
  ]);
  assert.equal(told, ["localhost"]);
  agent.destroy();
  await new Promise((resolve) => server.close(resolve));
});

test.run();
