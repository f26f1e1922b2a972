import { suite } from "../harness/suite.ts";
import * as assert from "uvu/assert";
import { serializeRequest } from "../../src/agent/core/request_serializer.ts";

const test = suite("serializeRequest");

test("sends one Host and one framing line whatever form the headers have", () => {
  for (
    const headers of [
      { host: "a", "content-length": 3, x: "y" },
      ["host", "a", "content-length", "3", "x", "y"],
      [["host", "a"], ["content-length", "3"], ["x", "y"]],
      new Map([["host", "a"], ["content-length", "3"], ["x", "y"]]),
      new Headers({ host: "a", "content-length": "3", x: "y" }),
    ]
  ) {
    const head = serializeRequest({
      method: "POST",
      target: "/",
      host: "b",
      headers,
      body: 3,
      connection: "omit",
    });
    assert.is(head.text, "POST / HTTP/1.1\r\nhost: a\r\nx: y\r\ncontent-length: 3\r\n\r\n");
    assert.is(head.framing, "length");
  }
});

test.run();
