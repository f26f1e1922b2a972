/** The pieces of a request's body as they are written, and their count against Content-Length. */
import * as assert from "uvu/assert";
import { encodeLatin1 } from "../../src/agent/core/latin1.ts";
import {
  BodyCounter,
  chunkHead,
  encodeChunk,
  encodeHeadAndBody,
  encodeLastChunk,
  serializeRequest,
} from "../../src/agent/core/request_serializer.ts";
import { suite } from "../harness/suite.ts";
import { codeOf, formsOf, text } from "./header_forms.ts";

const test = suite("writing a request's body");

test("encodes head and body as one array, with a copy of the body", () => {
  const head = serializeRequest({ method: "POST", target: "/", host: "h", connection: "omit", body: 2 });
  const body = Uint8Array.of(0xff, 0);
  const bytes = encodeHeadAndBody(head, body);
  body.fill(1);
  assert.is(text(bytes), `${head.text}\xff\0`);
});

test("a chunk is its size in hex, its bytes, and a line end (RFC 9112 section 7.1)", () => {
  assert.is(text(encodeChunk(encodeLatin1("hello"))), "5\r\nhello\r\n");
  assert.is(text(encodeChunk(new Uint8Array(255))), `ff\r\n${"\0".repeat(255)}\r\n`);
  assert.is(text(chunkHead(65_536)), "10000\r\n");
});

test("frames the last chunk, with trailers", () => {
  assert.is(text(encodeLastChunk()), "0\r\n\r\n");
  for (const trailers of formsOf([["A", "b"], ["C", ["d", "e"]]])) {
    assert.is(text(encodeLastChunk(trailers)), "0\r\nA: b\r\nC: d\r\nC: e\r\n\r\n");
  }
});

test("refuses trailers that break the message or do not belong there", () => {
  assert.is(codeOf(() => encodeLastChunk({ "a b": "c" })), "ERR_INVALID_HTTP_TOKEN");
  assert.is(codeOf(() => encodeLastChunk({ a: "b\r\nc" })), "ERR_INVALID_CHAR");
  for (
    const name of ["Content-Length", "transfer-encoding", "Host", "Trailer", "Connection", "Authorization"]
  ) {
    assert.is(codeOf(() => encodeLastChunk({ [name]: "x" })), "ERR_HTTP_TRAILER_INVALID", name);
  }
});

test("BodyCounter refuses the surplus byte before it is sent, and a missing one at the end", () => {
  const counter = new BodyCounter(5, true);
  counter.add(3);
  assert.is(codeOf(() => counter.add(3)), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
  const short = new BodyCounter(5, true);
  short.add(4);
  assert.is(codeOf(() => short.end()), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
  short.add(1);
  short.end();
  assert.ok(short.isExact);
});

test("BodyCounter that is not strict only says whether the connection can be used again", () => {
  const counter = new BodyCounter(5, false);
  counter.add(9);
  counter.end();
  assert.not(counter.isExact);
  const chunked = new BodyCounter(undefined, true);
  chunked.add(9);
  chunked.end();
  assert.ok(chunked.isExact);
});

test.run();
