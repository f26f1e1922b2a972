/** The examples of the http face say on every runtime what they say here; some are CommonJS. */
import * as assert from "uvu/assert";
import { runChild, runScript } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";

const test = suite("examples of http");

const EXPECTED: Readonly<Record<string, string>> = {
  http_agent_tour: `/first on connection 1, keep-alive
/kept on connection 1, keep-alive
/taken-out on connection 1, keep-alive
/after on connection 2, keep-alive
/alone on connection 3, close
[Function: connect]
HTTP/1.1 200 OK
`,
  http_tunnel: `proxy: CONNECT to the origin
client: tunnel is open, 200 example
client: true
`,
  http_interim_responses: `the server wants the body
ahead of the response: </style.css>; rel=preload
the response: 200
upgraded to shout
HELLO
`,
};

for (const [name, expected] of Object.entries(EXPECTED)) {
  test(`${name} says what it promises`, async () => {
    assert.equal(await runScript(`examples/${name}.cjs`), { exitCode: 0, output: expected });
  });
}

test("http_upload says what it promises", async () => {
  assert.equal(await runChild("examples/http_upload"), {
    exitCode: 0,
    output: `200 {"bytes":1000000}\nAbortError ABORT_ERR\n`,
  });
});

test.run();
