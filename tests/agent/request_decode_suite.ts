/** `decode: true` of agent.request(): all codings or an error, bounded. */
import * as assert from "uvu/assert";
import zlib from "node:zlib";
import { suite } from "../harness/suite.ts";
import { readCodings } from "../../src/agent/content_coding.ts";
import { type Fixture, fixture, outcome } from "./memory_origin.ts";

const test = suite("content codings of agent.request()");
const zstd = zlib as unknown as { zstdCompressSync?: (bytes: Uint8Array) => Uint8Array };
const hasZstd = zstd.zstdCompressSync !== undefined;

type Compress = (bytes: Uint8Array) => Uint8Array;
const CODINGS: Record<string, Compress> = {
  gzip: zlib.gzipSync,
  "x-gzip": zlib.gzipSync,
  deflate: zlib.deflateSync,
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } }),
  zstd: (bytes) => zstd.zstdCompressSync!(bytes),
};

/** Serves `bytes` as they are under a Content-Encoding; with a Content-Length or in chunks of `size`. */
function serveCoded(at: Fixture, coding: string, bytes: Uint8Array, size?: number): void {
  at.serve("a", (peer) => {
    const field = size === undefined ? `Content-Length: ${bytes.length}` : "Transfer-Encoding: chunked";
    peer.send(`HTTP/1.1 200 OK\r\nContent-Encoding: ${coding}\r\n${field}\r\n\r\n`);
    if (size === undefined) return void peer.send(bytes);
    for (let from = 0; from < bytes.length; from += size) {
      const part = bytes.subarray(from, from + size);
      peer.send(`${part.length.toString(16)}\r\n`);
      peer.send(part);
      peer.send("\r\n");
    }
    peer.send("0\r\n\r\n");
  });
}

test("whitespace around a coding is SP and HTAB alone (RFC 9110 section 5.6.3)", () => {
  assert.equal(readCodings(" gzip\t,\tBR , "), ["br", "gzip"]);
  for (const odd of ["\xa0", "\x0b", "\x0c"]) {
    assert.throws(
      () => readCodings(`gzip${odd}`),
      (error: Error & { code?: string }) => error.code === "ERR_CONTENT_DECODING",
    );
  }
});

const small = new TextEncoder().encode("hello ".repeat(20));
const large = new TextEncoder().encode(Array.from({ length: 40_000 }, (_, i) => `${i * i} `).join(""));

/** The text of a decoded body: the streams of zlib work in threads, so the clock alone does not tell when it is there. */
async function decoded(at: Fixture): Promise<string> {
  const { body } = await at.agent.request("http://a/", { decode: true });
  return await body.text();
}

for (
  const coding of [
    "gzip",
    "x-gzip",
    "deflate",
    "br",
    "zstd",
    "GZIP",
    " identity , gzip",
    "gzip, br",
    "br,deflate,gzip",
  ]
) {
  const names = coding.toLowerCase().split(",").map((name) => name.trim()).filter((name) =>
    name !== "identity"
  );
  test.needs({ hasZstd: hasZstd || !names.includes("zstd") }, `undoes "${coding}"`, async () => {
    for (const bytes of [small, large]) {
      const coded = names.reduce<Uint8Array>((result, name) => CODINGS[name]!(result), bytes);
      for (const size of [undefined, 7_000]) {
        const at = fixture();
        serveCoded(at, coding, coded, size);
        const text = await decoded(at);
        assert.is(text.length, bytes.length, `${size}`);
        assert.ok(text === new TextDecoder().decode(bytes));
        assert.is((await at.agent.request("http://a/")).reusedSocket, true);
        at.agent.destroy();
      }
    }
  });
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

test("members of gzip one behind the other are one body (RFC 1952 section 2.2), zeros behind them nothing", async () => {
  const members = [zlib.gzipSync(small), zlib.gzipSync(""), zlib.gzipSync(large), zlib.gzipSync(small)];
  const text = new TextDecoder().decode(joined(small, large, small));
  for (const end of [new Uint8Array(0), new Uint8Array(600)]) {
    for (const size of [undefined, 1_000, members[0]!.length]) {
      const at = fixture();
      serveCoded(at, "gzip", joined(...members, end), size);
      assert.ok(await decoded(at) === text, `in pieces of ${size}, ${end.length} zeros`);
      at.agent.destroy();
    }
  }
});

test("what is no member behind one is an error, however it is cut", async () => {
  for (const bytes of [small, large]) {
    const member = zlib.gzipSync(bytes);
    for (const size of [undefined, 1_000, member.length]) {
      const at = fixture();
      serveCoded(at, "gzip", joined(member, new TextEncoder().encode("garbage")), size);
      const error = await decoded(at).catch((error) => error);
      assert.is(error.code, "ERR_CONTENT_DECODING", `${bytes.length} bytes in pieces of ${size}`);
      at.agent.destroy();
    }
  }
});

test("a body of one byte at a time is decoded as one that is whole", async () => {
  for (const [coding, compress] of Object.entries({ ...CODINGS, "deflate": zlib.deflateRawSync })) {
    if (coding === "zstd" && !hasZstd) continue;
    const at = fixture();
    serveCoded(at, coding, compress(small), 1);
    assert.is(await decoded(at), new TextDecoder().decode(small), coding);
    at.agent.destroy();
  }
});

test("deflate may be bare", async () => {
  const at = fixture();
  serveCoded(at, "deflate", zlib.deflateRawSync(small));
  assert.is(await decoded(at), new TextDecoder().decode(small));
  at.agent.destroy();
});

test("without decode, with identity and with no body there is nothing to do", async () => {
  const at = fixture();
  serveCoded(at, "unknown", small);
  assert.is((await (await at.agent.request("http://a/")).body.bytes()).length, small.length);
  assert.is(await (await at.agent.request("http://a/", { decode: true, method: "HEAD" })).body.text(), "");
  at.agent.destroy();
  for (const coding of ["identity", "", "identity, identity, identity, identity, identity, identity"]) {
    const other = fixture();
    serveCoded(other, coding, small);
    assert.is((await decoded(other)).length, small.length);
    other.agent.destroy();
  }
  const empty = fixture();
  serveCoded(empty, "gzip", new Uint8Array(0));
  assert.is(await decoded(empty), "");
  empty.agent.destroy();
});

for (const coding of ["unknown", "gzip, unknown", "gzip, gzip, gzip, gzip, gzip, gzip"]) {
  test(`"${coding}" is an error, and the connection is closed`, async () => {
    const at = fixture();
    serveCoded(at, coding, small);
    const error = await outcome(at.clock, at.agent.request("http://a/", { decode: true }));
    assert.is((error as { code?: string }).code, "ERR_CONTENT_DECODING");
    assert.is((error as { attempts?: number }).attempts, 1);
    await at.clock.settle();
    assert.is(at.network.sockets.size, 0);
  });
}

for (const coding of ["gzip", "deflate", "br", "zstd"] as const) {
  const needs = { hasZstd: hasZstd || coding !== "zstd" };
  const compress = CODINGS[coding]!;

  test.needs(needs, `broken ${coding} fails the reader`, async () => {
    for (const bytes of [small, large]) {
      const at = fixture();
      const broken = compress(bytes).fill(0x7a);
      serveCoded(at, coding, broken);
      const error = await decoded(at).catch((error) => error);
      assert.is(error.code, "ERR_CONTENT_DECODING");
      assert.is(error.attempts, 1);
      assert.ok(error.cause instanceof Error);
      at.agent.destroy();
    }
  });

  test.needs(needs, `cut ${coding} fails the reader`, async () => {
    for (const bytes of [small, large]) {
      const at = fixture();
      serveCoded(at, coding, compress(bytes).subarray(0, -9));
      const result: unknown = await decoded(at).catch(({ code }) => code);
      assert.is(result, "ERR_CONTENT_DECODING");
      at.agent.destroy();
    }
  });
}

test("br: every cut fails the reader, wherever it is", async () => {
  const text = JSON.stringify(Array.from({ length: 20 }, (_, id) => ({ id, name: `n${id * 7}` })));
  for (const quality of [0, 1, 5, 11]) {
    const whole = zlib.brotliCompressSync(text, {
      params: { [zlib.constants.BROTLI_PARAM_QUALITY]: quality },
    });
    for (let length = 1; length <= whole.length; length++) {
      const at = fixture();
      serveCoded(at, "br", whole.subarray(0, length));
      const result: unknown = await decoded(at).catch(({ code }) => code);
      assert.is(result, length === whole.length ? text : "ERR_CONTENT_DECODING", `${length} at ${quality}`);
      at.agent.destroy();
    }
  }
});

test.needs({ hasZstd }, "zstd: every cut but between two frames fails the reader", async () => {
  const text = JSON.stringify(Array.from({ length: 20 }, (_, id) => ({ id, name: `n${id * 7}` })));
  const frame = zstd.zstdCompressSync!(new TextEncoder().encode(text));
  const skippable = new Uint8Array([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const whole = Buffer.concat([frame, skippable]);
  for (let length = 1; length <= whole.length; length++) {
    const at = fixture();
    serveCoded(at, "zstd", whole.subarray(0, length));
    const result: unknown = await decoded(at).catch(({ code }) => code);
    const isWhole = length === frame.length || length === whole.length;
    assert.is(result, isWhole ? text : "ERR_CONTENT_DECODING", `${length} of ${whole.length}`);
    at.agent.destroy();
  }
});

test("a bomb is decoded as far as its reader goes, and the connection waits", async () => {
  const at = fixture();
  const layer = zlib.gzipSync(new Uint8Array(10_000_000));
  serveCoded(at, "gzip", Buffer.concat(Array.from({ length: 20 }, () => layer)));
  const { body } = await at.agent.request("http://a/", { decode: true });
  let taken = 0;
  for await (const piece of body) {
    taken += piece.length;
    if (taken > 100_000) break;
  }
  await at.clock.settle();
  assert.ok(taken < 200_000);
  assert.is(at.network.sockets.size, 0);
});

test.run();
