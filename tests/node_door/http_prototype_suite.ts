/** Frameworks put the prototype of `http.IncomingMessage` before the requests of a server, which is the runtime's own. */
import http, { type IncomingMessage } from "@holdfast/agent/http";
import { equal, is } from "uvu/assert";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { responseTo, textOf } from "./http_log.ts";

const test = suite("http: our prototype before the runtime's own messages");

test("a server's request is read, and shows its head, as before", async () => {
  const prototype = Object.create(http.IncomingMessage.prototype) as IncomingMessage & { path(): string };
  prototype.path = function (): string {
    return `${this.method} ${this.url}`;
  };
  const server = http.createServer(async (request, response) => {
    Object.setPrototypeOf(request, prototype);
    const body = await textOf(request as IncomingMessage);
    response.end(JSON.stringify([
      (request as typeof prototype).path(),
      body,
      request.headers["x-a"],
      request.headersDistinct["x-a"],
      request.rawHeaders.includes("x-a"),
      request.trailers,
      request.socket === response.socket,
      request.complete,
      request instanceof http.IncomingMessage,
    ]));
  });
  const { port, close } = await listening(server);
  const request = http.request({
    host: "127.0.0.1",
    port,
    method: "POST",
    headers: { "x-a": "1" },
    agent: false,
  });
  request.end("body");
  const told = JSON.parse(await textOf(await responseTo(request))) as unknown[];
  equal(told, ["POST /", "body", "1", ["1"], true, {}, true, true, true]);
  await close();
});

test("names and lengths of the methods are Node's", () => {
  const { setTimeout, _destroy, _read } = http.IncomingMessage.prototype;
  equal([setTimeout, _destroy, _read].map(({ name, length }) => `${name} ${length}`), [
    "setTimeout 2",
    "_destroy 2",
    "_read 0",
  ]);
  is(Object.keys(http.IncomingMessage.prototype).length, 0);
});

test.run();
