/** fetch and redirects, by the rules of the Fetch Standard, over the memory network. */
import * as assert from "uvu/assert";
import { Readable } from "node:stream";
import { suite } from "../harness/suite.ts";
import {
  Agent,
  type AgentRequestInit,
  type AgentResponse,
  type FetchInit,
  type RequestInput,
  TimeoutError,
} from "@holdfast/agent";
import { ManualClock, MemoryNetwork } from "@holdfast/agent/testing";
import { failure, field, origin } from "./fetch_origin.ts";
import { fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("fetch: redirects");

function redirect(status: number, location: string, body = ""): string {
  return `HTTP/1.1 ${status} X\r\nLocation: ${location}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** Status and method -> method and body after it. */
const REDIRECTS: readonly [number, string, string, string][] = [
  [301, "POST", "GET", ""],
  [302, "POST", "GET", ""],
  [301, "PUT", "PUT", "body"],
  [302, "GET", "GET", ""],
  [303, "PUT", "GET", ""],
  [303, "HEAD", "HEAD", ""],
  [307, "POST", "POST", "body"],
  [308, "PUT", "PUT", "body"],
];

for (const [status, method, after, body] of REDIRECTS) {
  test(`${status} after ${method} goes on with ${after}`, async () => {
    const at = fixture();
    const seen = origin(
      at,
      (_head, turn) => turn === 0 ? redirect(status, "/b") : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    const hasBody = method !== "GET" && method !== "HEAD";
    const headers = { "content-language": "en", "content-type": "x/y", "x-a": "1", authorization: "me" };
    const response = await at.agent.fetch("http://a/a#f", {
      method,
      headers,
      ...(hasBody ? { body: "body" } : {}),
    });
    assert.equal([response.url, response.redirected], ["http://a/b", true]);
    const second = seen[1]!;
    assert.ok(second.head.startsWith(`${after} /b `), second.head);
    assert.is(second.body, body);
    const keepsBody = after === method;
    assert.is(field(second.head, "content-type"), keepsBody ? "x/y" : undefined);
    assert.is(field(second.head, "content-language"), keepsBody ? "en" : undefined);
    assert.equal([field(second.head, "x-a"), field(second.head, "authorization")], ["1", "me"]);
    assert.is(at.network.connects, 1);
    at.agent.destroy();
  });
}

test("a Request's string is sent again, a stream is an error", async () => {
  const at = fixture();
  const seen = origin(at, (head) => head.includes("/b ") ? ok() : redirect(307, "/b"));
  await at.agent.fetch(new Request("http://a/a", { method: "POST", body: "again" }));
  assert.equal(seen.map(({ body }) => body), ["again", "again"]);
  const streams: FetchInit[] = [
    { body: new Response("x").body, duplex: "half" },
    { body: Readable.from(["x"]) },
  ];
  for (const init of streams) {
    const error = await failure(at.agent.fetch("http://a/a", { method: "POST", ...init }));
    assert.instance(error, TypeError);
    assert.is(error.code, "ERR_REDIRECT");
  }
  at.agent.destroy();
});

test("another origin gets no credentials", async () => {
  for (const to of ["http://b/", "http://a:81/"]) {
    const at = fixture();
    origin(at, () => redirect(302, to));
    const seen = origin(at, () => ok(), "b");
    at.network.listen({ host: "a", port: 81 }, async (peer) => {
      seen.push({ head: await peer.readUntil("\r\n\r\n") ?? "", body: "" });
      peer.send(ok());
    });
    const headers = {
      Authorization: "me",
      Cookie: "c=1",
      "Proxy-Authorization": "p",
      Host: "other",
      "X-A": "1",
    };
    await at.agent.fetch("http://a/", { headers });
    const { head } = seen[0]!;
    assert.equal(
      ["authorization", "cookie", "proxy-authorization", "x-a", "host"].map((name) => field(head, name)),
      [undefined, undefined, undefined, "1", new URL(to).host],
    );
    at.agent.destroy();
  }
});

test("20 redirects are followed, the 21st is an error", async () => {
  for (const [last, isOk] of [[20, true], [21, false]] as const) {
    const at = fixture();
    const seen = origin(at, (_head, turn) => turn === last ? ok() : redirect(302, `/${turn}`));
    const result = at.agent.fetch("http://a/");
    if (isOk) assert.is((await result).status, 200);
    else assert.is((await failure(result)).code, "ERR_REDIRECT");
    assert.is(seen.length, 21);
    at.agent.destroy();
  }
});

test('redirect: "error" rejects at a redirect, "manual" gives it as the response', async () => {
  const at = fixture();
  const seen = origin(at, () => redirect(302, "/b", "there"));
  assert.is((await failure(at.agent.fetch("http://a/", { redirect: "error" }))).code, "ERR_REDIRECT");
  const response = await at.agent.fetch("http://a/", { redirect: "manual" });
  assert.equal([response.status, response.headers.get("location"), await response.text()], [
    302,
    "/b",
    "there",
  ]);
  assert.is(seen.length, 2);
  at.agent.destroy();
});

const LOCATIONS: readonly [string, string | undefined][] = [
  ["b?c", "http://a/x/b?c"],
  ["//a/y", "http://a/y"],
  ["/%C3%A9", "http://a/%C3%A9"],
  ["/\xc3\xa9", "http://a/%C3%A9"],
  ["/\xe9", "http://a/%C3%A9"],
  ["#g", "http://a/x/a"],
  ["ftp://a/", undefined],
  ["data:,x", undefined],
  ["http://", undefined],
  ["http://u:p@a/", undefined],
  ["http://u@b/", undefined],
  ["?c", "http://a/x/a?c"],
];

for (const [location, url] of LOCATIONS) {
  test(`Location: ${encodeURI(location)} leads to ${url ?? "an error"}`, async () => {
    const at = fixture();
    origin(at, (_head, turn) => turn === 0 ? redirect(302, location) : ok());
    const result = at.agent.fetch("http://a/x/a");
    if (url === undefined) assert.is((await failure(result)).code, "ERR_REDIRECT");
    else assert.is((await result).url, url);
    at.agent.destroy();
  });
}

test("what browsers know and servers do not is taken, and changes nothing", async () => {
  const at = fixture();
  const seen = origin(at, () => ok());
  const inits: FetchInit[] = [
    {},
    { mode: "cors" },
    { mode: "no-cors", cache: "no-store" },
    { credentials: "include", keepalive: true, priority: "high" },
    { referrer: "http://b/", referrerPolicy: "no-referrer" },
    { headers: undefined, body: null, signal: null, method: undefined, window: null } as unknown as FetchInit,
  ];
  for (const init of inits) {
    const { type, status } = await at.agent.fetch("http://a/", init);
    assert.equal([type, status], ["basic", 200]);
  }
  assert.is(new Set(seen.map(({ head }) => head)).size, 1);
  at.agent.destroy();
});

test("a redirect without a Location is the response", async () => {
  const at = fixture();
  origin(at, () => "HTTP/1.1 302 Found\r\nContent-Length: 1\r\n\r\nx");
  const response = await at.agent.fetch("http://a/");
  assert.equal([response.status, response.redirected, await response.text()], [302, false, "x"]);
  at.agent.destroy();
});

test("at most 64 KiB of a redirect's body are read", async () => {
  const at = fixture();
  let pieces = 0;
  at.serve("a", (peer, head) => {
    if (head.includes("/b ")) return void peer.send(ok());
    peer.send("HTTP/1.1 302 X\r\nLocation: /b\r\nTransfer-Encoding: chunked\r\n\r\n");
    const send = (): void => {
      if (pieces++ < 1_000) peer.send(`400\r\n${"x".repeat(1_024)}\r\n`);
      if (pieces < 1_000) at.clock.after(1, send);
    };
    send();
  });
  const response = await at.agent.fetch("http://a/");
  assert.is(await response.text(), "ok");
  await at.clock.advance(5_000);
  const read = [...at.network.sockets].map(({ bytesRead }) => bytesRead);
  assert.ok(read.every((bytes) => bytes < 80_000), `${read}`);
  assert.is(at.network.connects, 2, "the first connection was closed");
  at.agent.destroy();
});

test("total counts over all redirects", async () => {
  const at = fixture();
  at.serve("a", (peer) => void at.clock.after(400, () => peer.send(redirect(302, "/b"))));
  const failed = failure(at.agent.fetch("http://a/", { timeouts: { total: 1_000 } }));
  await at.clock.advance(1_000);
  assert.is(((await failed).cause as TimeoutError).phase, "total");
  at.agent.destroy();
});

test("a redirect goes on after close(), which waits for it", async () => {
  const at = fixture();
  let requests = 0;
  at.serve("a", async (peer, head) => {
    requests++;
    await new Promise<void>((resolve) => at.clock.after(10, resolve));
    const isLast = head.startsWith("GET /last");
    peer.send(isLast ? ok("there") : "HTTP/1.1 302 Found\r\nLocation: /last\r\nContent-Length: 0\r\n\r\n");
  });
  const fetched = at.agent.fetch("http://a/first");
  await at.clock.settle();
  const closed = at.agent.close().then(() => requests);
  const response = await at.clock.until(fetched);
  assert.equal([response.url, await response.text()], ["http://a/last", "there"]);
  assert.equal([await at.clock.until(closed), at.network.sockets.size, at.clock.pending], [2, 0, 0]);
  const refused = await outcome(at.clock, at.agent.fetch("http://a/first"));
  assert.is((refused as { code?: string }).code, "ERR_AGENT_CLOSED");
});

test("destroy() ends a redirect between two hops", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  class Slow extends Agent {
    override async request(url: RequestInput, init?: AgentRequestInit): Promise<AgentResponse> {
      await new Promise<void>((resolve) => clock.after(10, resolve));
      return await super.request(url, init);
    }
  }
  const agent = new Slow({ keepAlive: true, runtime: network.connect, clock });
  const paths: string[] = [];
  network.listen({ host: "a" }, async (peer) => {
    paths.push((await peer.readUntil("\r\n\r\n"))!.split(" ")[1]!);
    peer.send("HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n");
  });
  const fetched = agent.fetch("http://a/first").catch((error) => error);
  await clock.advance(15);
  agent.destroy();
  const error = await clock.until(fetched) as { code?: string; attempts?: number };
  assert.equal([error.code, error.attempts, paths, clock.now()], ["ERR_AGENT_DESTROYED", 0, ["/first"], 20]);
  assert.is((await clock.until(agent.fetch("http://a/x", { redirect: "manual" }))).status, 302);
  agent.destroy();
});

test.run();
