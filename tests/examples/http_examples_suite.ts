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
  http_json: `{"method":"GET","url":"/text"}
refused: 404 Not Found
{"method":"GET","url":"/who?as=ann","as":"ann:secret"}
{"method":"POST","url":"/items","body":{"name":"kelp","depth":12}}
{"method":"DELETE","url":"/items/7"}
`,
  http_headers: `"second" ["c=3","d=4"] false
["host","x-sent","cookie"] ["Host","x-sent","Cookie"]
TypeError ERR_INVALID_HTTP_TOKEN Header name must be a valid HTTP token ["no spaces"]
TypeError ERR_INVALID_CHAR Invalid character in header content ["x-line"]
"second" ["a=1","b=2"] "accept, cookie" "1"
["1","2"] ["X-Sent","second","Set-Cookie","a=1"] false
{"x-sum":"4"} ["X-Sum","4"] true
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

const EMITTED: Readonly<Record<string, string>> = {
  http_upload: `200 {"bytes":1000000}\nAbortError ABORT_ERR\n`,
  http_giving_up: `timeout: Error undefined no answer in time
signal:  AbortError ABORT_ERR The operation was aborted
half:    Error ECONNRESET aborted
first:   200, new connection
lost:    Error ECONNRESET socket hang up; again: 200, new connection
`,
  https_identity: `known authority:   hello a stranger
unknown authority: refused
pinned:            hello a stranger
pinned otherwise:  localhost is not the one
with certificate:  hello holdfast test client
another name:      ERR_TLS_CERT_ALTNAME_INVALID
`,
};

for (const [name, output] of Object.entries(EMITTED)) {
  test(`${name} says what it promises`, async () => {
    assert.equal(await runChild(`examples/${name}`), { exitCode: 0, output });
  });
}

test.run();
