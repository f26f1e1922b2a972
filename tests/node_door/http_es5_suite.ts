/** Subclasses by `util.inherits()` and `Class.call(this)`, as packages make them that are older than classes. */
import builtin from "node:http";
import builtinHttps from "node:https";
import { PassThrough } from "node:stream";
import { inherits } from "node:util";
import { Agent, HttpsAgent } from "@holdfast/agent";
import http from "@holdfast/agent/http";
import https from "@holdfast/agent/https";
import { equal, is, not, ok as truthy, throws } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { closed, responseTo, textOf } from "./http_log.ts";
import { ok, type WireOrigin, withWireOrigin } from "./http_origin.ts";

const test = suite("http: subclasses without class");

// deno-lint-ignore no-explicit-any -- functions as constructors, with whatever `this` they are given
type Any = any;

/** `function Name(...args) { Base.call(this, ...args); }` */
function heirOf(Base: Any, more: (self: Any) => void = () => {}): Any {
  const Heir = function (this: Any, ...args: unknown[]): void {
    Base.call(this, ...args);
    more(this);
  };
  inherits(Heir as Any, Base);
  return Heir;
}

function withOrigin(body: (origin: WireOrigin) => Promise<void>): Promise<void> {
  return withWireOrigin((socket) => socket.write(ok("body")), body);
}

/** Ours, and the runtime's own by the side of it. */
const KITS: readonly [string, Any, Any][] = [
  ["ours", http, https],
  ["the runtime's own", builtin, builtinHttps],
];

/** What Node's own does is what is wanted; another runtime's own may differ. */
const nodesOwnClient = !("Deno" in globalThis || "Bun" in globalThis);

for (const [name, kit, secureKit] of KITS) {
  const needs = kit === http ? {} : { nodesOwnClient };

  test.needs(needs, `${name}: an Agent`, () =>
    withOrigin(async ({ port }) => {
      const calls: string[] = [];
      const MyAgent = heirOf(kit.Agent, (self) => self.mine = "mine");
      MyAgent.prototype.createConnection = function (this: Any, ...args: unknown[]): unknown {
        calls.push(this.mine);
        return kit.Agent.prototype.createConnection.apply(this, args);
      };
      const agent = new MyAgent({ keepAlive: true, maxSockets: 3 });
      truthy(agent instanceof MyAgent && agent instanceof kit.Agent);
      equal([agent.maxSockets, agent.mine, agent.defaultPort, agent.protocol], [3, "mine", 80, "http:"]);
      is(Object.getPrototypeOf(agent), MyAgent.prototype);
      for (let i = 0; i < 2; i++) {
        const request = kit.get({ host: "127.0.0.1", port, agent });
        is(await textOf(await responseTo(request)), "body");
        await closed(request);
      }
      equal(calls, ["mine"]);
      is(agent.getName({ host: "a", port: 1 }), "a:1:");
      const MyOther = heirOf(kit.Agent);
      not.equal(new MyOther(), new MyOther());
      agent.destroy();
    }));

  test.needs(needs, `${name}: an https.Agent, and a subclass of a subclass`, () => {
    const MyAgent = heirOf(secureKit.Agent);
    const Later = heirOf(MyAgent);
    const agent = new Later({ maxCachedSessions: 7 });
    equal([agent.defaultPort, agent.protocol, agent.maxCachedSessions], [443, "https:", 7]);
    truthy(agent instanceof secureKit.Agent && agent instanceof kit.Agent);
    agent.destroy();
  });

  test.needs(needs, `${name}: an IncomingMessage`, async () => {
    const MyMessage = heirOf(kit.IncomingMessage, (self) => self.push("text"));
    const message = new MyMessage(Object.assign(new PassThrough(), { marker: true }));
    truthy(message instanceof kit.IncomingMessage);
    equal([message.socket.marker, message.httpVersion, message.headers], [true, null, {}]);
    message.push(null);
    is(await textOf(message), "text");
  });

  test.needs(needs, `${name}: an OutgoingMessage`, () => {
    const MyMessage = heirOf(kit.OutgoingMessage);
    const message = new MyMessage();
    truthy(message instanceof kit.OutgoingMessage);
    message.setHeader("A", "b");
    equal([message.getHeader("a"), message.headersSent, message.finished], ["b", false, false]);
  });

  test.needs(needs, `${name}: a ClientRequest`, () =>
    withOrigin(async ({ port, heads }) => {
      const MyRequest = heirOf(kit.ClientRequest, (self) => self.setHeader("x-mine", "1"));
      const agent = new kit.Agent();
      const request = new MyRequest({ host: "127.0.0.1", port, agent, path: "/es5" });
      truthy(request instanceof kit.ClientRequest && request instanceof kit.OutgoingMessage);
      request.end();
      is(await textOf(await responseTo(request)), "body");
      truthy(heads[0]!.startsWith("GET /es5 HTTP/1.1") && /x-mine: 1/i.test(heads[0]!));
      await closed(request);
      agent.destroy();
    }));

  // As nock does: the members of a request that is never sent are plain ones.
  test.needs(needs, `${name}: a ClientRequest that OutgoingMessage alone has made`, () => {
    function Mocked(this: Any): void {
      kit.OutgoingMessage.call(this);
    }
    inherits(Mocked, kit.ClientRequest);
    const calls: unknown[] = [];
    const socket = Object.assign(new PassThrough(), {
      setTimeout: (ms: number) => calls.push(ms),
      setNoDelay: (on: boolean) => calls.push(on),
      destroy: (error: Error) => calls.push(error.message),
    });
    const request = new (Mocked as Any)();
    truthy(request instanceof kit.ClientRequest);
    equal([request.path, request.socket], [undefined, null]);
    request.path = "/a";
    request.method = "GET";
    request.setHeader("a", "b");
    request.socket = request.connection = socket;
    equal([request.path, request.socket, request.getHeader("a")], ["/a", socket, "b"]);
    request.setTimeout(5);
    request.setNoDelay(true);
    request.destroy(new Error("enough"));
    equal([calls, request.destroyed], [[5, true, "enough"], true]);
    const ended = new (Mocked as Any)();
    ended.end();
    is(ended.finished, true);
  });

  test.needs(needs, `${name}: without new`, () => {
    const agent = kit.Agent({ maxSockets: 2 });
    truthy(agent instanceof kit.Agent);
    is(agent.maxSockets, 2);
    agent.destroy();
  });
}

test("the Agent and HttpsAgent of mod.ts may be extended so, too", () => {
  for (const Base of [Agent, HttpsAgent]) {
    const MyAgent = heirOf(Base);
    const agent = new MyAgent({ maxTotalSockets: 5 });
    is(agent.maxTotalSockets, 5);
    is(agent.stats().opened, 0);
    agent.destroy();
  }
});

test("a constructor that throws leaves the class as it was", () => {
  const MyAgent = heirOf(http.Agent);
  const Parent: unknown = Object.getPrototypeOf(Object.getPrototypeOf(http.Agent.prototype)).constructor;
  throws(() => new MyAgent({ maxSockets: "x" }), (error: Any) => error.code === "ERR_INVALID_ARG_TYPE");
  is(Object.getPrototypeOf(Object.getPrototypeOf(http.Agent.prototype)).constructor, Parent);
  new http.Agent().destroy();
  is(new MyAgent().maxSockets, Infinity);
});

test("another made while one is being made is its own", () => {
  const seen: unknown[] = [];
  const MyMessage = heirOf(http.OutgoingMessage);
  const MyRequest = heirOf(http.ClientRequest);
  const agent = {
    addRequest(request: unknown): void {
      seen.push(request, new MyMessage(), new http.OutgoingMessage());
    },
    protocol: "http:",
  };
  const request = new MyRequest({
    get host(): string {
      seen.push(new http.OutgoingMessage());
      return "a.test";
    },
    agent,
  });
  is(new Set([...seen, request]).size, 4);
  for (const each of seen) truthy(each instanceof http.OutgoingMessage);
  request.on("error", () => {});
  request.destroy();
});

test.run();
