/**
 * PROMISES: what a user may rely on, a test for each, in virtual time over the memory network. What only a kernel can show
 * is in promises_network_suite.ts, what takes a certificate in network_suite.ts. Named as the rows of the README's table.
 */
import * as assert from "uvu/assert";
import { Readable } from "node:stream";
import zlib from "node:zlib";
import { suite } from "../harness/suite.ts";
import type { AgentRequestInit, RequestBodyInput, TimeoutError } from "@holdfast/agent";
import { codeOf, type Fixture, fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("promises");

/** An origin whose every answer is `message`, ended as told. */
function serving(at: Fixture, message: string, end: "stay" | "end" | "reset" = "stay"): void {
  at.serve("a", (peer) => {
    peer.send(message);
    if (end === "end") peer.end();
    // What is still on its way would be lost.
    if (end === "reset") at.clock.after(1, () => peer.reset());
  });
}

/** The code with which reading the whole response fails; "no error but ..." where it does not. */
function codeOfWhole(at: Fixture, init?: AgentRequestInit): Promise<unknown> {
  return codeOf(at.clock, at.agent.request("http://a/", init).then(({ body }) => body.text()));
}

async function isReused(at: Fixture): Promise<boolean> {
  const response = await at.agent.request("http://a/");
  await response.body.dump();
  return response.reusedSocket;
}

const HEAD = "HTTP/1.1 200 OK\r\n";

const MISFRAMED: readonly [string, string][] = [
  [
    "Content-Length and Transfer-Encoding",
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["two different lengths", "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"],
  ["a list of different lengths", "Content-Length: 1, 2\r\n\r\nxx"],
  ["a negative length", "Content-Length: -1\r\n\r\n"],
  ["a length with a sign", "Content-Length: +1\r\n\r\nx"],
  ["a length in hexadecimal", "Content-Length: 0x1\r\n\r\nx"],
  ["a chunk size that is no number", "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"],
  ["a chunk size with a sign", "Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n"],
  ["a chunk size beyond all numbers", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx"],
  ["a chunk line ended by a bare LF", "Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n"],
  ["a chunk longer than its size", "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n"],
  ["a header line ended by a bare LF", "Content-Length: 0\nX: y\r\n\r\n"],
  ["obs-fold", "X: y\r\n z\r\nContent-Length: 0\r\n\r\n"],
  ["a NUL in a value", "X: y\0z\r\nContent-Length: 0\r\n\r\n"],
  ["a space before the colon", "Content-Length : 0\r\n\r\n"],
];

for (const [name, rest] of MISFRAMED) {
  test(`framing: ${name} is an error; the connection is closed and never reused`, async () => {
    const at = fixture();
    serving(at, HEAD + rest);
    assert.match(String(await codeOfWhole(at)), /^HPE_/);
    await at.clock.settle();
    assert.is(at.network.sockets.size, 0);
  });
}

test("close-delimited body: complete on a FIN only, and says what it is", async () => {
  for (const [end, outcome] of [["end", "no error but half"], ["reset", "ECONNRESET"]] as const) {
    const at = fixture();
    serving(at, `${HEAD}\r\nhalf`, end);
    const { body } = await at.agent.request("http://a/");
    assert.is(body.framing, "close");
    const text = body.text();
    text.catch(() => {});
    await at.clock.advance(1);
    assert.is(await codeOf(at.clock, text), outcome);
  }
});

const NEVER_REUSED: readonly [string, string, AgentRequestInit?][] = [
  ["bytes after the response", `${HEAD}Content-Length: 0\r\n\r\nsurplus`],
  [
    "HTTP/1.0 with Transfer-Encoding",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
  ["Connection: close received", `${HEAD}Connection: x, Close\r\nContent-Length: 0\r\n\r\n`],
  ["Connection: close sent", `${HEAD}Content-Length: 0\r\n\r\n`, { headers: { connection: "close" } }],
];

for (const [name, message, init] of NEVER_REUSED) {
  test(`pool reuse: never after ${name}`, async () => {
    const at = fixture();
    serving(at, message);
    await (await at.agent.request("http://a/", init)).body.dump();
    await at.clock.settle();
    assert.is(await isReused(at), false);
    at.agent.destroy();
  });
}

test("pool reuse, poisoning: bytes while idle close the connection, whatever they say", async () => {
  const at = fixture();
  const { peers } = at.serve("a", (peer) => void peer.send(ok("mine")));
  await isReused(at);
  await at.clock.settle();
  for (const peer of peers) peer.send(ok("poison"));
  await at.clock.settle();
  assert.is(at.network.sockets.size, 0);
  const response = at.agent.request("http://a/");
  assert.is(await (await response).body.text(), "mine");
  at.agent.destroy();
});

test("stale race: no GET is lost and no POST is sent twice, whatever fails and when", async () => {
  const at = fixture({ maxSockets: 3 });
  const served = new Map<string, number>();
  let requests = 0;
  at.network.listen({ host: "a" }, async (peer) => {
    for (let turn = 0;; turn++) {
      const head = await peer.readUntil("\r\n\r\n");
      if (head === undefined) return peer.end();
      requests++;
      // Every kept connection fails sooner or later: with the request, before it, or while it lies idle.
      if (turn > 0 && requests % 3 === 0) return requests % 2 === 0 ? peer.reset() : peer.end();
      const id = /id: (\S+)/.exec(head)![1]!;
      served.set(id, (served.get(id) ?? 0) + 1);
      peer.send(ok());
      if (requests % 5 === 0) {
        at.clock.after(requests % 4, () => requests % 2 === 0 ? peer.reset() : peer.end());
      }
    }
  });
  const send = async (i: number): Promise<string> => {
    await new Promise<void>((resolve) => at.clock.after(i % 7, resolve));
    const method = i % 4 === 0 ? "POST" : "GET";
    const id = `${method}-${i}`;
    try {
      const response = await at.agent.request("http://a/", { method, headers: { id } });
      await response.body.dump();
      return `${id} ${response.status}`;
    } catch (error) {
      const { code, reusedSocket, bytesWritten } = error as {
        code: string;
        reusedSocket: boolean;
        bytesWritten: number;
      };
      return `${id} ${code} ${reusedSocket} ${bytesWritten > 0}`;
    }
  };
  const results = await at.clock.until(Promise.all(Array.from({ length: 400 }, (_, i) => send(i))));
  const failed = results.filter((result) => !result.endsWith(" 200"));
  assert.equal(failed.filter((result) => result.startsWith("GET")), []);
  assert.ok(failed.length > 5, "the race took place");
  assert.equal(failed.filter((result) => !/ (ECONNRESET|EPIPE) true true$/.test(result)), []);
  assert.equal([...served].filter(([id, times]) => id.startsWith("POST") && times > 1), []);
  at.agent.destroy();
});

test("one-shot bodies: never silently empty, not on a retry and not on a 307", async () => {
  const bodies: (() => RequestBodyInput)[] = [
    () => new Response("x").body!,
    () => Readable.from(["x"]),
  ];
  for (const body of bodies) {
    const at = fixture();
    const seen: string[] = [];
    at.network.listen({ host: "a" }, async (peer) => {
      for (let turn = 0;; turn++) {
        const head = await peer.readUntil("\r\n\r\n");
        if (head === undefined) return peer.end();
        const isChunked = head.includes("chunked");
        const content = isChunked ? await peer.readUntil("0\r\n\r\n") : "";
        seen.push(`${turn} ${content}`);
        if (head.includes("/redirect")) {
          peer.send("HTTP/1.1 307 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        } else if (turn > 0) return peer.reset();
        else peer.send(ok());
      }
    });
    await isReused(at);
    assert.is(
      await codeOf(at.clock, at.agent.request("http://a/", { method: "PUT", body: body() })),
      "ECONNRESET",
    );
    const init = { method: "PUT", body: body() as ReadableStream, duplex: "half" } as const;
    assert.is(await codeOf(at.clock, at.agent.fetch("http://a/redirect", init)), "ERR_REDIRECT");
    assert.equal(seen, ["0 ", "1 1\r\nx\r\n0\r\n\r\n", "0 1\r\nx\r\n0\r\n\r\n"]);
    at.agent.destroy();
  }
});

test("timeouts: headers is a deadline that 1xx cannot reset, and a dripped head neither", async () => {
  for (const drip of ["HTTP/1.1 102 Processing\r\n\r\n", "X: y\r\n"]) {
    const at = fixture();
    at.serve("a", (peer) => {
      if (drip.startsWith("X")) peer.send(HEAD);
      for (let i = 0; i < 90; i++) at.clock.after(50 * i, () => void peer.send(drip));
    });
    const response = at.agent.request("http://a/", { timeouts: { headers: 1_000 } });
    response.catch(() => {});
    await at.clock.advance(1_000);
    assert.is((await outcome(at.clock, response) as TimeoutError).phase, "headers");
    assert.is(at.network.sockets.size, 0);
  }
});

test("abort: 10,000 of them at every stage settle at once; nothing hangs, no socket and no timer is left", async () => {
  const at = fixture({ maxSockets: 50, maxTotalSockets: 150 });
  at.serve("a", () => {});
  at.serve("b", (peer) => void peer.send(`${HEAD}Content-Length: 9\r\n\r\nx`));
  at.network.fault({ host: "c" }, "hang");
  const controller = new AbortController();
  const { signal } = controller;
  let settled = 0;
  const whole = async (i: number): Promise<void> => {
    try {
      await (await at.agent.request(`http://${"abc"[i % 3]}/`, { signal, timeouts: { pool: 60_000 } })).body
        .text();
    } catch (error) {
      if ((error as { code: string }).code === "ABORT_ERR") settled++;
    }
  };
  const all = Promise.all(Array.from({ length: 10_000 }, (_, i) => whole(i)));
  await at.clock.settle();
  controller.abort();
  await at.clock.settle();
  assert.is(settled, 10_000);
  await all;
  assert.is(at.clock.now(), 0);
  assert.is(at.network.sockets.size, 0);
  assert.is(at.clock.pending, 0);
  assert.is(at.agent.totalSocketCount, 0);
});

/** Each is one over its limit, by what it says; the second is within. */
const LIMITS: readonly [string, string, string][] = [
  ["a head of 16 KiB", `${HEAD}X: ${"x".repeat(16_400)}\r\n\r\n`, `${HEAD}X: ${"x".repeat(16_000)}\r\n\r\n`],
  ["2,000 header lines", `${HEAD}${"a:\r\n".repeat(2_001)}\r\n`, `${HEAD}${"a:\r\n".repeat(1_990)}\r\n`],
  ["a status line of 16 KiB", `HTTP/1.1 200 ${"x".repeat(17_000)}`, "HTTP/1.1 200 x\r\n\r\n"],
  [
    "trailers of 16 KiB",
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\nX: ${"x".repeat(16_400)}\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\nX: ${"x".repeat(16_000)}\r\n\r\n`,
  ],
  [
    "a chunk line of 16 KiB",
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n1;x=${"x".repeat(17_000)}\r\nx\r\n0\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n1;x=${"x".repeat(1_000)}\r\nx\r\n0\r\n\r\n`,
  ],
  [
    "100 interim responses",
    `${"HTTP/1.1 102 P\r\n\r\n".repeat(101)}${HEAD}\r\n`,
    `${"HTTP/1.1 102 P\r\n\r\n".repeat(100)}${HEAD}\r\n`,
  ],
];

for (const [name, over, within] of LIMITS) {
  test(`limits: ${name}; more is an error, never cut`, async () => {
    const at = fixture();
    serving(at, over, "end");
    assert.match(String(await codeOfWhole(at)), /^HPE_.*OVERFLOW$/);
    const other = fixture();
    serving(other, within, "end");
    assert.match(String(await codeOfWhole(other)), /^no error/);
  });
}

test("memory: an endless head, a paused reader and a bomb take what they need and no more", async () => {
  const endless = fixture();
  endless.serve("a", (peer) => {
    const send = (): void => void (peer.send("X: y\r\n".repeat(1_000)) && endless.clock.after(1, send));
    peer.send(HEAD);
    send();
  });
  const failed = endless.agent.request("http://a/").catch((error) => error.code);
  assert.is(await endless.clock.until(failed), "HPE_HEADER_OVERFLOW");
  const paused = fixture();
  serving(paused, ok("x".repeat(2_000_000)));
  const bomb = fixture();
  const coded = zlib.gzipSync(new Uint8Array(5_000_000));
  bomb.serve("a", (peer) => {
    peer.send(`${HEAD}Content-Encoding: gzip\r\nContent-Length: ${coded.length}\r\n\r\n`);
    peer.send(coded);
  });
  const { body } = await paused.agent.request("http://a/");
  await paused.clock.settle();
  assert.ok([...paused.network.sockets].every(({ bytesRead }) => bytesRead < 500_000));
  assert.is(body.bodyUsed, false);
  const bombed = await bomb.agent.request("http://a/", { decode: true });
  let taken = 0;
  for await (const piece of bombed.body) {
    taken += piece.length;
    if (taken > 200_000) break;
  }
  assert.ok(taken < 300_000);
  paused.agent.destroy();
  bomb.agent.destroy();
});

test("pool limits: maxSockets and maxTotalSockets hold by the server's count, faults included", async () => {
  const at = fixture({ maxSockets: 3, maxTotalSockets: 5 });
  const open = new Map<string, number>();
  let [peak, peakTotal, requests] = [0, 0, 0];
  for (const host of ["a", "b", "c"]) {
    at.network.listen({ host }, async (peer) => {
      open.set(host, (open.get(host) ?? 0) + 1);
      peak = Math.max(peak, ...open.values());
      peakTotal = Math.max(peakTotal, [...open.values()].reduce((sum, one) => sum + one));
      void peer.closed.then(() => open.set(host, open.get(host)! - 1));
      while (await peer.readUntil("\r\n\r\n") !== undefined) {
        const turn = requests++;
        if (turn % 11 === 0) return peer.reset();
        await new Promise<void>((resolve) => at.clock.after(turn % 4, resolve));
        peer.send(turn % 7 === 0 ? ok("x", "Connection: close") : ok());
      }
      peer.end();
    });
  }
  const send = async (i: number): Promise<void> => {
    const host = "abcd"[i % 4];
    const signal = i % 13 === 0 ? AbortSignal.abort() : undefined;
    // Refused, aborted, reset: none of them may cost a slot for good.
    await at.agent.request(`http://${host}/`, { signal }).then(({ body }) => body.dump()).catch(() => {});
  };
  await at.clock.until(Promise.all(Array.from({ length: 500 }, (_, i) => send(i))));
  assert.ok(peak <= 3 && peakTotal <= 5, `${peak} and ${peakTotal}`);
  assert.ok(requests > 300);
  at.agent.destroy();
  await at.clock.advance(2_000);
  assert.is(at.agent.totalSocketCount, 0);
});

test("pool limits: arrival order; a request that is invalid costs no slot", async () => {
  const at = fixture({ maxSockets: 1 });
  const paths: string[] = [];
  at.serve("a", (peer, head) => {
    paths.push(head.split(" ")[1]!);
    peer.send(ok());
  });
  const sent = ["/1", "/2", "/3", "/4", "/5"].map(async (path) => {
    const invalid = { headers: { "a b": "1" } };
    assert.is(await codeOf(at.clock, at.agent.request(`http://a${path}`, invalid)), "ERR_INVALID_HTTP_TOKEN");
    await (await at.agent.request(`http://a${path}`)).body.dump();
  });
  await Promise.all(sent);
  assert.equal(paths, ["/1", "/2", "/3", "/4", "/5"]);
  at.agent.destroy();
});

test("uploads: a response that ends before the upload stops it, closes its source, and nothing hangs", async () => {
  const at = fixture();
  at.network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.socket.pause();
    peer.send("HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n");
  });
  const body = new Readable({ read: () => void body.push(new Uint8Array(1_000)) });
  assert.is((await at.agent.request("http://a/", { method: "POST", body })).status, 413);
  await at.clock.settle();
  assert.equal([body.destroyed, at.network.sockets.size, at.clock.pending], [true, 0, 0]);
});

test("Expect: 100-continue: waits; after a final status the body is not sent", async () => {
  const at = fixture();
  let rest = "";
  at.network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.send("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n");
    await peer.closed;
    rest = peer.received;
  });
  const init = { method: "POST", body: "secret", expectContinue: true };
  assert.is((await at.agent.request("http://a/", init)).status, 401);
  await at.clock.advance(5_000);
  assert.is(rest, "");
});

test("shutdown: destroy() rejects all at once and sends nothing more; close() drains", async () => {
  const at = fixture({ maxSockets: 2 });
  let received = 0;
  at.serve("a", () => void received++);
  const all = Array.from({ length: 50 }, () => codeOf(at.clock, at.agent.request("http://a/")));
  await at.clock.settle();
  at.agent.destroy();
  assert.equal(new Set(await Promise.all(all)), new Set(["no error but pending"]));
  await at.clock.settle();
  assert.equal([received, at.network.sockets.size, at.clock.pending, at.clock.now()], [2, 0, 0, 0]);
  const draining = fixture({ maxSockets: 2 });
  serving(draining, ok());
  const responses = Array.from(
    { length: 20 },
    () => draining.agent.request("http://a/").then(({ body }) => body.text()),
  );
  const closed = draining.agent.close();
  assert.equal(new Set(await Promise.all(responses)), new Set(["ok"]));
  await draining.clock.until(closed);
  assert.is(await codeOf(draining.clock, draining.agent.request("http://a/")), "ERR_AGENT_CLOSED");
  assert.is(draining.network.sockets.size, 0);
});

test("shutdown: what destroy() ends says so, at every stage", async () => {
  const at = fixture({ maxSockets: 1 });
  serving(at, `${HEAD}Content-Length: 9\r\n\r\nx`);
  at.network.fault({ host: "b" }, "hang");
  const { body } = await at.agent.request("http://a/");
  const pending = [at.agent.request("http://a/"), at.agent.request("http://b/"), body.text()];
  const codes = Promise.all(pending.map((each) => each.catch((error: { code: string }) => error.code)));
  await at.clock.settle();
  at.agent.destroy();
  assert.equal(await codes, Array.from(pending, () => "ERR_AGENT_DESTROYED"));
});

/** Answers "a" once and "b\r\nInjected: 1" from then on: what is checked must be what is sent. */
function twoFaced(): { toString(): string } {
  let turn = 0;
  return { toString: () => turn++ === 0 ? "a" : "b\r\nInjected: 1" };
}

const REFUSED: readonly [string, AgentRequestInit, string][] = [
  ["CR LF in a method", { method: "GET / HTTP/1.1\r\nX: y" }, "ERR_INVALID_HTTP_TOKEN"],
  ["CR LF in a name", { headers: { "a\r\nb": "1" } }, "ERR_INVALID_HTTP_TOKEN"],
  ["CR LF in a value", { headers: { a: "1\r\nb: 2" } }, "ERR_INVALID_CHAR"],
  ["LF in a value", { headers: { a: "1\nb: 2" } }, "ERR_INVALID_CHAR"],
  ["NUL in a value", { headers: { a: "1\0" } }, "ERR_INVALID_CHAR"],
  ["two hosts", { headers: [["Host", "a"], ["host", "b"]] }, "ERR_HTTP_INVALID_HEADER_VALUE"],
  [
    "two lengths",
    { headers: [["Content-Length", "1"], ["content-length", "2"]] },
    "ERR_HTTP_INVALID_HEADER_VALUE",
  ],
  [
    "a body longer than its length",
    { method: "POST", headers: { "content-length": 1 }, body: "xx" },
    "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
  ],
  [
    "a body shorter than its length",
    { method: "POST", headers: { "content-length": 3 }, body: "xx" },
    "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
  ],
];

for (const [name, init, code] of REFUSED) {
  test(`request side: ${name} is refused`, async () => {
    const at = fixture();
    serving(at, ok());
    assert.is(await codeOf(at.clock, at.agent.request("http://a/", init)), code);
    assert.is(at.network.connects, 0);
  });
}

test("request side: a value is converted once, then checked; one framing header", async () => {
  const at = fixture();
  const heads: string[] = [];
  at.serve("a", async (peer, head) => {
    heads.push(head);
    if (head.includes("chunked")) await peer.readUntil("0\r\n\r\n");
    peer.send(ok());
  });
  const headers = { a: twoFaced(), "content-length": 1, "transfer-encoding": "chunked" };
  await (await at.agent.request("http://a/", { method: "POST", headers, body: "x" })).body.dump();
  const head = heads[0]!;
  assert.match(head, /\r\na: a\r\n/);
  assert.not.match(head, /Injected|content-length/i);
  at.agent.destroy();
});

test("redirects: 20 hops, no credentials to another origin, at most 64 KiB of a body", async () => {
  const at = fixture();
  let hops = 0;
  at.serve("a", (peer) => {
    hops++;
    peer.send(
      `HTTP/1.1 302 X\r\nLocation: /${hops}\r\nContent-Length: 9999999\r\n\r\n${"x".repeat(100_000)}`,
    );
  });
  assert.is(await codeOf(at.clock, at.agent.fetch("http://a/")), "ERR_REDIRECT");
  await at.clock.settle();
  assert.is(hops, 21);
  assert.is(at.network.sockets.size, 0);
  const other = fixture();
  const heads: string[] = [];
  other.serve(
    "a",
    (peer) => void peer.send("HTTP/1.1 302 X\r\nLocation: http://b/\r\nContent-Length: 0\r\n\r\n"),
  );
  other.serve("b", (peer, head) => {
    heads.push(head);
    peer.send(ok());
  });
  await other.agent.fetch("http://a/", {
    headers: { authorization: "1", cookie: "2", "proxy-authorization": "3" },
  });
  assert.not.match(heads[0]!, /authorization|cookie/i);
  other.agent.destroy();
});

test.run();
