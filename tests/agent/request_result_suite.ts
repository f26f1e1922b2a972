/** What agent.request() resolves with: the body's ways to be read, trailers, timings, interim responses. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type AgentRequestInit, type AgentResponse, type ResponseBody, SocketError } from "@holdfast/agent";
import { RequestMoments } from "../../src/agent/request_timings.ts";
import { codeOf, type Fixture, fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("results of agent.request()");

/** A response whose body is in the test's hands: its first bytes are there. */
async function begun(
  at: Fixture,
  init?: AgentRequestInit,
): Promise<[AgentResponse, (text: string) => Promise<void>]> {
  const listener = at.serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
  const response = await at.agent.request("http://a/", init);
  return [response, async (text) => {
    for (const peer of listener.peers) peer.send(text);
    await at.clock.settle();
  }];
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Each reads the whole body in its own way. */
const READERS: Readonly<Record<string, (body: ResponseBody) => Promise<string>>> = {
  "text()": (body) => body.text(),
  "bytes()": async (body) => text(await body.bytes()),
  "json()": async (body) => String(await body.json()),
  "for await": async (body) => {
    let all = "";
    for await (const piece of body) all += text(piece);
    return all;
  },
  "forEach()": async (body) => {
    let all = "";
    await body.forEach((lent) => void (all += text(lent)));
    return all;
  },
  "forEach() with a promise": async (body) => {
    let all = "";
    await body.forEach(async (lent) => {
      all += text(lent);
      await undefined;
    });
    return all;
  },
};

for (const [name, read] of Object.entries(READERS)) {
  test(`${name} gives the whole body, whenever it is called and however it comes`, async () => {
    const message =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n4\r\n6789\r\n0\r\n\r\n";
    for (const [isWhole, isLate] of [[true, true], [true, false], [false, true], [false, false]]) {
      const at = fixture();
      at.serve("a", (peer) => {
        for (const part of isWhole ? [message] : message) peer.send(part);
      });
      const { body } = await at.agent.request("http://a/");
      if (isLate) await at.clock.settle();
      assert.is(await read(body), "123456789");
      assert.is((await at.agent.request("http://a/")).reusedSocket, true);
      at.agent.destroy();
    }
  });

  test(`${name} fails with what cut the body short, and a second reading is refused`, async () => {
    const at = fixture();
    const { peers } = at.serve(
      "a",
      (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123"),
    );
    const { body } = await at.agent.request("http://a/");
    const reading = read(body);
    reading.catch(() => {});
    await at.clock.settle();
    for (const peer of peers) peer.end();
    assert.is(await codeOf(at.clock, reading), "ECONNRESET");
    for (const again of Object.values(READERS)) {
      assert.is(await codeOf(at.clock, (async () => await again(body))()), "ERR_BODY_USED");
    }
  });
}

test("forEach() lends: the bytes are the socket's, uncopied where they come as they are read", async () => {
  const at = fixture();
  const [{ body }, send] = await begun(at);
  const lent: Uint8Array[] = [];
  const done = body.forEach((piece) => void lent.push(piece));
  await at.clock.settle();
  await send("defghi");
  await done;
  // The memory network overwrites what it has lent.
  assert.equal(lent.map((piece) => text(piece) === "def"), [false, false]);
  assert.is(lent.length, 2);
  at.agent.destroy();
});

test("forEach() waits for a promise, the last one too, and the connection with it", async () => {
  const at = fixture();
  const [{ body }, send] = await begun(at);
  const steps: string[] = [];
  const releases: (() => void)[] = [];
  const done = body.forEach((piece) => {
    steps.push(text(piece));
    return new Promise<void>((resolve) => releases.push(resolve));
  });
  await at.clock.settle();
  await send("def");
  assert.equal(steps, ["abc"]);
  releases[0]!();
  await at.clock.settle();
  assert.equal(steps, ["abc", "def"]);
  await send("ghi");
  releases[1]!();
  await at.clock.settle();
  assert.equal(steps, ["abc", "def", "ghi"]);
  assert.is(await outcome(at.clock, done), "pending");
  releases[2]!();
  assert.is(await outcome(at.clock, done), undefined);
  at.agent.destroy();
});

test("forEach() reads what was kept in its own call, and in order whatever comes meanwhile", async () => {
  for (const end of ["complete", "cut"]) {
    const at = fixture();
    const [{ body }, send] = await begun(at);
    const seen: string[] = [];
    let go = (): void => {};
    const read = body.forEach((lent) => {
      seen.push(text(lent));
      // The first is kept, the second comes while the reader is busy with it.
      if (seen.length === 1) return new Promise<void>((resolve) => go = resolve);
    });
    assert.equal(seen, ["abc"]);
    await send("def");
    if (end === "complete") await send("ghi");
    else {for (const socket of at.network.sockets) {
        socket.fail(new SocketError("cut", { code: "ECONNRESET", phase: "open" }));
      }}
    await at.clock.settle();
    assert.equal(seen, ["abc"]);
    go();
    const result = await outcome(at.clock, read);
    assert.is((result as { code?: string } | undefined)?.code, end === "complete" ? undefined : "ECONNRESET");
    assert.is(seen.join(""), end === "complete" ? "abcdefghi" : "abcdef");
    at.agent.destroy();
  }
});

test("pieces of a large body are each the reader's own, and all of them are the body", async () => {
  const size = 300_000;
  const byteAt = (index: number): number => (index * 31 + (index >> 8)) & 0xff;
  const whole = Uint8Array.from({ length: size }, (_, index) => byteAt(index));
  const isBody = (bytes: Uint8Array): boolean =>
    bytes.length === size && bytes.every((byte, i) => byte === byteAt(i));
  // Where the network cuts it: before, at and behind the half from which on all of it has a place.
  for (const cuts of [[1], [100_000, 100_001], [149_999], [150_000], [200_000, 299_999], [299_999]]) {
    const at = fixture();
    at.serve("a", async (peer) => {
      peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      let from = 0;
      for (const to of [...cuts, size]) {
        peer.send(whole.slice(from, to));
        from = to;
        await new Promise<void>((resolve) => at.clock.after(5, resolve));
      }
    });
    const get = async (): Promise<ResponseBody> => (await at.agent.request("http://a/")).body;
    const iterate = async (restMs: number): Promise<Uint8Array[]> => {
      const pieces: Uint8Array[] = [];
      for await (const piece of await get()) {
        pieces.push(piece);
        await new Promise<void>((resolve) => at.clock.after(restMs, resolve));
      }
      return pieces;
    };
    assert.ok(isBody(await at.clock.until(get().then((body) => body.bytes()))), `bytes() of ${cuts}`);
    for (const restMs of [0, 1, 7, 60]) {
      const pieces = await at.clock.until(iterate(restMs));
      assert.is(new Set(pieces.map(({ buffer }) => buffer)).size, pieces.length, "memory of their own");
      const joined = new Uint8Array(size);
      let length = 0;
      for (const piece of pieces) {
        joined.set(piece, length);
        length += piece.length;
      }
      assert.ok(length === size && isBody(joined), `pieces of ${cuts} after ${restMs} ms each`);
    }
    const late = await at.clock.until(get());
    await at.clock.advance(1_000);
    assert.ok(isBody(await at.clock.until(late.bytes())), `late bytes() of ${cuts}`);
    at.agent.destroy();
  }
});

test("a short body is the reader's own as well: its memory holds nothing else", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort"));
  const get = async (): Promise<ResponseBody> => {
    const { body } = await at.agent.request("http://a/");
    await at.clock.settle();
    return body;
  };
  const read = [await (await get()).bytes()];
  for await (const piece of await get()) read.push(piece);
  for (const piece of read) {
    assert.is(text(piece), "short");
    assert.is(piece.constructor, Uint8Array);
    assert.is(piece.buffer.byteLength, 5);
  }
  at.agent.destroy();
});

test("what forEach()'s reader throws closes the connection and is what it rejects with", async () => {
  const fault = new Error("enough");
  const readers: ((piece: Uint8Array) => unknown)[] = [
    () => {
      throw fault;
    },
    () => Promise.reject(fault),
  ];
  for (const read of readers) {
    for (const isBuffered of [true, false]) {
      const at = fixture();
      const [{ body }, send] = await begun(at);
      let calls = 0;
      const done = body.forEach((piece) => !isBuffered && calls++ === 0 ? undefined : read(piece));
      const result = outcome(at.clock, done);
      if (!isBuffered) await send("def");
      assert.is(await result, fault);
      await at.clock.settle();
      assert.is(at.network.sockets.size, 0);
    }
  }
});

test("an iterator's steps may be asked for ahead", async () => {
  const at = fixture();
  const [{ body }, send] = await begun(at);
  const iterator = body[Symbol.asyncIterator]();
  const steps = [iterator.next(), iterator.next(), iterator.next(), iterator.next()];
  await send("def");
  await send("ghi");
  const results = await Promise.all(steps);
  assert.equal(results.map(({ done, value }) => done ? "end" : text(value!)), ["abc", "def", "ghi", "end"]);
  at.agent.destroy();
});

test("an abort is told at once, before what was not read yet", async () => {
  const at = fixture();
  const controller = new AbortController();
  const [{ body }] = await begun(at, { signal: controller.signal });
  controller.abort();
  assert.is(await codeOf(at.clock, body.text()), "ABORT_ERR");
});

test("json() of something else is a SyntaxError", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send(ok("{")));
  for (const isLate of [true, false]) {
    const { body } = await at.agent.request("http://a/");
    if (isLate) await at.clock.settle();
    assert.instance(await outcome(at.clock, body.json()), SyntaxError);
  }
  at.agent.destroy();
});

test("text() leaves a byte order mark out and mends what is no UTF-8", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send(ok("\xef\xbb\xbfa\xff")));
  assert.is(await (await at.agent.request("http://a/")).body.text(), "a\ufffd");
  at.agent.destroy();
});

test("framing says how the end is found", async () => {
  const messages: [string, string][] = [
    ["none", "HTTP/1.1 204 X\r\n\r\n"],
    ["length", ok()],
    ["chunked", "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["close", "HTTP/1.1 200 X\r\n\r\n"],
  ];
  for (const [framing, message] of messages) {
    const at = fixture();
    at.serve("a", (peer) => void peer.send(message));
    assert.is((await at.agent.request("http://a/")).body.framing, framing);
    at.agent.destroy();
  }
});

test("trailers are there when the body has come to its end", async () => {
  const at = fixture();
  at.serve(
    "a",
    (peer) =>
      void peer.send(
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n",
      ),
  );
  const response = await at.agent.request("http://a/");
  await response.body.dump();
  assert.equal({ ...response.trailers }, { "x-sum": "1, 2" });
  at.serve("b", (peer) => void peer.send(ok()));
  const plain = await at.agent.request("http://b/");
  await plain.body.dump();
  assert.equal({ ...plain.trailers }, {});
  at.agent.destroy();
});

test("timings tell when what happened, in ms since the call", async () => {
  const at = fixture({ maxSockets: 1 });
  at.serve("a", async (peer) => {
    await new Promise<void>((resolve) => at.clock.after(30, resolve));
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx");
    await new Promise<void>((resolve) => at.clock.after(10, resolve));
    peer.send("y");
  });
  const first = at.agent.request("http://a/");
  const second = at.agent.request("http://a/");
  const read = async (response: Promise<AgentResponse>): Promise<AgentResponse> => {
    await (await response).body.dump();
    return await response;
  };
  const [one, two] = await at.clock.until(Promise.all([read(first), read(second)]));
  assert.equal(one!.timings, {
    queued: 0,
    dns: undefined,
    connect: 0,
    tls: undefined,
    sent: 0,
    firstByte: 30,
    end: 40,
  });
  assert.equal(two!.timings, {
    queued: 40,
    dns: undefined,
    connect: undefined,
    tls: undefined,
    sent: 40,
    firstByte: 70,
    end: 80,
  });
  at.agent.destroy();
});

test("timings.dns is never before timings.queued, though the stages' times add up to more than the whole", () => {
  const moments = new RequestMoments();
  moments.foundMs = 101;
  moments.openMs = 119;
  // As a machine with too much to do makes them.
  moments.opening = { lookupMs: 1, connectMs: 17, tlsMs: 8 };
  const { queued, dns, connect, tls } = moments.since(100, true);
  assert.equal([queued, dns, connect, tls], [1, 1, 11, 19]);
});

test("timings tell the connection from TLS over it, and nothing of either for a reused one", async () => {
  const at = fixture();
  const listen = (port: number, tls?: object): void =>
    void at.network.listen({ host: "a", port }, async (peer) => {
      while (await peer.readUntil("\r\n\r\n") !== undefined) peer.send(ok());
      peer.end();
    }, { latencyMs: 10, ...(tls && { tls }) });
  listen(80);
  listen(443, {});
  const timings = async (url: string): Promise<unknown> => {
    const response = await at.agent.request(url);
    await response.body.dump();
    const { queued, dns, connect, tls, sent, firstByte, end } = response.timings;
    return [queued, dns, connect, tls, sent, firstByte, end];
  };
  const of = (url: string): Promise<unknown> => at.clock.until(timings(url));
  assert.equal(await of("http://a/"), [0, undefined, 20, undefined, 20, 40, 40]);
  assert.equal(await of("http://a/"), [0, undefined, undefined, undefined, 0, 20, 20]);
  assert.equal(await of("https://a/"), [0, undefined, 20, 40, 40, 60, 60]);
  assert.equal(await of("https://a/"), [0, undefined, undefined, undefined, 0, 20, 20]);
  at.agent.destroy();
});

test("onInformational is called with each interim response; what it throws fails the request", async () => {
  const at = fixture();
  const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n";
  at.serve("a", (peer) => void peer.send(`HTTP/1.1 102 Processing\r\n\r\n${early}${ok()}`));
  const seen: unknown[] = [];
  const response = await at.agent.request("http://a/", {
    onInformational: ({ status, statusText, headers, rawHeaders }) =>
      void seen.push([status, statusText, headers.link, rawHeaders.length]),
  });
  assert.equal(seen, [[102, "Processing", undefined, 0], [103, "Early Hints", "</a>, </b>", 4]]);
  assert.is(await response.body.text(), "ok");
  const fault = new Error("mine");
  const onInformational = (): void => {
    throw fault;
  };
  assert.is(await outcome(at.clock, at.agent.request("http://a/", { onInformational })), fault);
  await at.clock.settle();
  assert.is(at.network.sockets.size, 0);
});

test("connections to one origin learn from each other what a head looks like, and each response keeps its own", async () => {
  const at = fixture({ maxSockets: 4 });
  const line = (
    n: number,
  ): string[] => [`X-Id: ${n}${"0".repeat(n % 3)}`, `X-Kind: ${n % 2 === 0 ? "even" : "odd"}`];
  let sent = 0;
  at.serve("a", (peer) => void peer.send(ok("ok", ...line(sent++))));
  const responses: AgentResponse[] = [];
  for (let round = 0; round < 10; round++) {
    const four = await Promise.all([0, 1, 2, 3].map(() => at.agent.request("http://a/")));
    for (const { body } of four) await body.dump();
    responses.push(...four);
  }
  const seen = responses.map(({ rawHeaders }) => rawHeaders.slice(0, 4)).map(([, id, , kind]) =>
    `${id} ${kind}`
  );
  const wanted = Array.from(
    { length: 40 },
    (_, n) => line(n).map((one) => one.replace(/^.*: /, "")).join(" "),
  );
  assert.equal(seen.sort(), wanted.sort());
});

test.run();
