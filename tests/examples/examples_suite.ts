/** Each example says on every runtime what it says here. */
import * as assert from "uvu/assert";
import { runChild } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";

const test = suite("examples");

const EXPECTED: Readonly<Record<string, string>> = {
  first_request: `200 you asked for /a over a new socket
200 you asked for /b over the same socket
200 you asked for /c over the same socket
refused: ECONNREFUSED
`,
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`${name} says what it promises`, async () => {
    assert.equal(await runChild(`examples/${name}`), { exitCode: 0, output: expected });
  });
}

test.run();
