/** What is read off a URL without parsing it is what its parser would say. */
import fc from "fast-check";
import * as assert from "uvu/assert";
import "../harness/seed.ts";
import { suite } from "../harness/suite.ts";
import { WatchedOptions } from "../../src/agent/agent_dial.ts";
import { AgentEndpoints, type EndpointAgent } from "../../src/agent/agent_endpoints.ts";
import type { KnownEndpoint } from "../../src/agent/endpoint_table.ts";
import { plainTarget, readInput } from "../../src/agent/request_input.ts";
import { Agent } from "../../mod.ts";

const test = suite("plainTarget()");

const ORIGINS = ["http://a", "http://127.0.0.1:8080", "https://[::1]", "http://a.test:81"];
const PIECES = [
  ..."/?.%&=+~-_!$()*,;:@'\"<>#[]\\^`{|} \t\n\u007f",
  ..."aZ09",
  "%2e",
  "%2E",
  "%41",
  "/..",
  "/.",
  "//",
  "é",
];

test("a target that is taken as it stands is the one of the parsed URL", () => {
  let taken = 0;
  const target = fc.array(fc.constantFrom(...PIECES), { maxLength: 8 }).map((pieces) => pieces.join(""));
  const isSame = (origin: string, text: string): void => {
    const url = origin + text;
    const plain = plainTarget(url, origin);
    if (plain === undefined) return;
    taken++;
    const { url: parsed, path } = readInput(url);
    assert.equal([plain, parsed.origin, parsed.username, parsed.password], [path, origin, "", ""], url);
  };
  fc.assert(fc.property(fc.constantFrom(...ORIGINS), target, isSame), { numRuns: 3_000 });
  const afterSlash = target.map((text) => `/${text}`);
  fc.assert(fc.property(fc.constantFrom(...ORIGINS), afterSlash, isSame), { numRuns: 3_000 });
  assert.ok(taken > 200, `${taken} were`);
});

test("what only looks like the origin is parsed", () => {
  for (const text of ["http://ab/", "http://a:80/", "http://a@b/", "http://a", "http://a?", "HTTP://a/"]) {
    assert.is(plainTarget(text, "http://a"), undefined, text);
  }
  assert.is(plainTarget("http://a/b/c?d=e%20f", "http://a"), undefined);
  assert.is(plainTarget("http://a/b/c.d?e=f", "http://a"), "/b/c.d?e=f");
});

test("an origin that is remembered is told from its likes, in any order", () => {
  const agent = new Agent();
  const known = [...ORIGINS, "http://ab", "http://a:8", "http://aX", "http://a@b", "HTTP://A", "http://a:80"];
  const target = fc.tuple(
    fc.constantFrom(...known),
    fc.constantFrom("", "/", "/x?y", "/../z", "//a", "?q"),
  );
  fc.assert(
    fc.property(fc.array(target, { minLength: 2, maxLength: 12 }), (targets) => {
      const endpoints = new AgentEndpoints(agent as EndpointAgent, new WatchedOptions({}));
      for (const [origin, path] of targets) {
        const url = origin + path;
        const found = endpoints.target(url, undefined);
        const { url: parsed, path: parsedPath } = readInput(url);
        const { hostname, port } = parsed;
        const { options, isSecure } = found.endpoint as KnownEndpoint;
        assert.equal(
          [found.path, found.host, options["host"], options["port"], isSecure],
          [
            parsedPath,
            parsed.host,
            hostname.replace(/[[\]]/g, ""),
            port === "" ? (parsed.protocol === "https:" ? 443 : 80) : Number(port),
            parsed.protocol === "https:",
          ],
          url,
        );
      }
    }),
    { numRuns: 500 },
  );
  agent.destroy();
});

test.run();
