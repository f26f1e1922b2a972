import { suite } from "../harness/suite.ts";
import * as assert from "uvu/assert";
import { encodeLatin1 } from "../../src/agent/core/latin1.ts";
import { parserLog, type RunOptions } from "./parser_log.ts";

const test = suite("ResponseParser");

function logOf(message: string, options?: RunOptions): string {
  const bytes = encodeLatin1(message);
  const whole = parserLog([bytes], options);
  const single = parserLog(Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)), options);
  assert.is(single, whole, "byte by byte");
  return whole;
}

test("reads a body of Content-Length and leaves the surplus", () => {
  assert.is(
    logOf("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhelloHTTP"),
    'head 1.1 200 "OK"\nfield Content-Length: "5"\nfield X-A: "b"\nframing length 5\nbody "hello"\ncomplete\nsurplus "HTTP"',
  );
});

test("reads a chunked body with extensions and trailers", () => {
  assert.is(
    logOf(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n',
    ),
    'head 1.1 200 "OK"\nfield Transfer-Encoding: "chunked"\nframing chunked\nbody "hello!"\ntrailer X: "y"\ncomplete',
  );
});

test("reads to the end of the connection without a length", () => {
  assert.is(
    logOf("HTTP/1.0 200\r\n\r\nabc", { eof: true }),
    'head 1.0 200 ""\nframing close\nbody "abc"\ncomplete',
  );
});

test("tells interim responses, then the final one", () => {
  assert.is(
    logOf("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"),
    'informational 1.1 100 "Continue"\nhead 1.1 204 "No Content"\nframing none\ncomplete',
  );
});

test("hands over after 101", () => {
  assert.is(
    logOf("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n\x01\x02"),
    'upgrade 1.1 101 "Switching"\nfield Upgrade: "x"\nsurplus "\\x01\\x02"',
  );
});

test("refuses a head above the limit", () => {
  const head = "HTTP/1.1 200 OK\r\nA: bb\r\n\r\n";
  assert.match(logOf(head, { limits: { maxHeaderBytes: head.length } }), /framing close/);
  assert.match(logOf(head, { limits: { maxHeaderBytes: head.length - 1 } }), /^error HPE_HEADER_OVERFLOW/);
});

test.run();
