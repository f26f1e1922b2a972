/** What `@holdfast/agent/http` and `/https` export beside the runtime's own modules. */
import * as http from "@holdfast/agent/http";
import * as https from "@holdfast/agent/https";
import * as builtin from "node:http";
import * as builtinHttps from "node:https";
import { equal, is, not, ok } from "uvu/assert";
import { suite } from "../harness/suite.ts";

const test = suite("http: exports");

type Module = Readonly<Record<string, unknown>>;

const CLIENT = new Set([
  "Agent",
  "ClientRequest",
  "IncomingMessage",
  "OutgoingMessage",
  "request",
  "get",
  "globalAgent",
  "setGlobalProxyFromEnv",
  "validateHeaderName",
  "validateHeaderValue",
]);
/** Deno's own way to its server, which is on the default export alone. */
const INTERNAL = new Set(["default", "module.exports", "ServerImpl"]);
/** Of Nodes later than 20: a name of an ES module is there or not, and where the runtime has none it is undefined. */
const LATER = new Set([
  "WebSocket",
  "CloseEvent",
  "MessageEvent",
  "setGlobalProxyFromEnv",
  "_connectionListener",
]);

const MODULES: readonly [string, Module, Module][] = [
  ["http", http as unknown as Module, builtin as unknown as Module],
  ["https", https as unknown as Module, builtinHttps as unknown as Module],
];

for (const [name, ours, theirs] of MODULES) {
  test(`${name}: every name of the runtime's own is there, the client's half ours and the rest its own`, () => {
    for (const key of Object.keys(theirs)) {
      if (INTERNAL.has(key)) continue;
      ok(key in ours, key);
      if (CLIENT.has(key)) not.equal(ours[key], theirs[key]);
      else is(ours[key], theirs[key], key);
    }
    const extra = Object.keys(ours).filter((key) => !(key in theirs) && !LATER.has(key));
    equal(extra, []);
    for (const key of LATER) {
      if (key !== "setGlobalProxyFromEnv" && !(key in theirs)) is(ours[key], undefined, key);
    }
  });

  test(`${name}: the default export has the names of the runtime's own and no others`, () => {
    const one = ours["default"] as Module;
    const other = theirs["default"] as Module;
    equal(Object.keys(one).sort(), Object.keys(other).sort());
    for (const key of Object.keys(other)) {
      if (CLIENT.has(key)) is(one[key], ours[key], key);
      else is(one[key], other[key], key);
    }
  });
}

test.run();
