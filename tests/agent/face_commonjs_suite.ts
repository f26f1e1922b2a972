/** `require("@holdfast/agent/http")` over the emitted package: an object like node:http's, its `globalAgent` assignable. */
import * as assert from "uvu/assert";
import { runScript } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";

const test = suite("http and https as CommonJS");

test("require() gives one assignable globalAgent, every documented name, and the manifest", async () => {
  const expected = `globalAgent is one variable
new ClientRequest() asks it
missing:${" "}
it is the default export itself
package.json of @holdfast/agent
`;
  assert.equal(await runScript("tests/agent/face_commonjs.cjs"), { exitCode: 0, output: expected });
});

test.run();
