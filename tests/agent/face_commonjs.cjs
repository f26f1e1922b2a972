// deno-lint-ignore-file explicit-function-return-type -- JavaScript writes none
/** The emitted package as CommonJS sees it: run in a process of its own by face_commonjs_suite.ts, which reads what it says. */
const assert = require("node:assert");
const builtin = require("node:http");
const builtinHttps = require("node:https");
const http = require("@holdfast/agent/http");
const https = require("@holdfast/agent/https");

/** An agent that takes note of its requests and gives them nothing. */
function noting(protocol) {
  const paths = [];
  return {
    protocol,
    defaultPort: 1,
    paths,
    addRequest(request) {
      paths.push(request.path);
      request.on("error", () => {}).destroy();
    },
  };
}

function checkAssignment(module, protocol) {
  const first = module.globalAgent;
  assert.ok(first instanceof module.Agent);
  assert.strictEqual(module.default.globalAgent, first);
  const agent = noting(protocol);
  module.globalAgent = agent;
  assert.strictEqual(module.globalAgent, agent);
  assert.strictEqual(module.default.globalAgent, agent);
  module.request({ path: "/request" });
  module.get(`${protocol}//nowhere.invalid/get`);
  module.default.get({ path: "/default" });
  assert.deepStrictEqual(agent.paths, ["/request", "/get", "/default"]);
  const other = noting(protocol);
  module.default.globalAgent = other;
  assert.strictEqual(module.globalAgent, other);
  module.get({ path: "/other" });
  assert.deepStrictEqual(other.paths, ["/other"]);
  module.globalAgent = first;
}

checkAssignment(http, "http:");
checkAssignment(https, "https:");
console.log("globalAgent is one variable");

const agent = noting("http:");
http.globalAgent = agent;
new http.ClientRequest({ path: "/by-hand" });
assert.deepStrictEqual(agent.paths, ["/by-hand"]);
console.log("new ClientRequest() asks it");

// What begins with "_" is undocumented; ServerImpl is a name of Deno's.
const isDocumented = (name) => !name.startsWith("_") && name !== "ServerImpl" && name !== "default";
const missing = (ours, theirs) =>
  Object.keys(theirs).filter(isDocumented).filter((name) => !(name in ours) || !(name in ours.default));
console.log("missing:", [...missing(http, builtin), ...missing(https, builtinHttps)].join(" "));

// As tools do that measure requests, or answer them: whoever imports the default export is to see it.
const { request } = http;
const replacement = (...args) => request(...args);
http.request = replacement;
assert.strictEqual(http.default.request, replacement);
http.request = request;
for (const module of [http, https]) {
  assert.strictEqual(module.default, module);
  assert.strictEqual(module.__esModule, true);
  assert.deepStrictEqual(
    Object.keys(module).filter((name) => name === "default" || name === "__esModule"),
    [],
  );
}
console.log("it is the default export itself");
console.log(`package.json of ${require("@holdfast/agent/package.json").name}`);
