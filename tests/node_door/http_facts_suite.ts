import http from "@holdfast/agent/http";
import { readFileSync } from "node:fs";
import builtin from "node:http";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { equal, is, ok } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { factsOf } from "./http_facts.ts";
import { type Order, readRecord } from "./http_record.ts";

const root = pathToFileURL(`${process.cwd()}/`);
const test = suite("http: what Node's document says of members, options and errors");

/** What `http_order_record.ts facts` printed on Node 26: name to node:http's lines, and ours where they differ. */
const recorded = readRecord("tests/node_door/http_facts.txt");

/** Why ours says something else, by what it is that differs. */
const REASONS: readonly [string, (name: string, order: Order) => boolean][] = [
  [
    "a body of a GET or DELETE is framed: Node sends it bare, and the server takes it for the next request",
    (name) => /^method: (GET|DELETE), a body|^error: write\(\) to a GET/.test(name),
  ],
  [
    "what a parser refuses is an error of a class of ours, by whose name it is shown",
    (_name, { theirs, ours }) => ours.replaceAll("ProtocolError HPE", "Error HPE") === theirs,
  ],
  [
    "`errored` is what destroy() was given, as of any stream of Node's",
    (name) => /destroy\(error\)|destroy\(\) twice/.test(name),
  ],
  [
    "the callback of an end() that comes too late is told so",
    (name) => name === "error: end() behind destroy()",
  ],
  [
    "strictContentLength holds for the first piece, before the head is made, too",
    (name) => name === "error: strictContentLength, too much",
  ],
  ["bounds are said in words of our own", (name) => name === "error: a new agent's options"],
];

test("ours says what node:http said, but for what is said here", async () => {
  const found = await factsOf(http);
  is(found.size, recorded.size);
  equal([...found].filter(([name, lines]) => recorded.get(name)?.ours !== lines), []);
});

test("each difference has a reason", () => {
  const differ = [...recorded].filter(([, { theirs, ours }]) => theirs !== ours);
  equal(differ.filter(([name, order]) => !REASONS.some(([, explains]) => explains(name, order))), []);
  for (const [why, explains] of REASONS) ok(differ.some(([name, order]) => explains(name, order)), why);
});

/** This process's `node:http` is Node's own. */
const ownClient = !("Deno" in globalThis || "Bun" in globalThis);

/** What Node 20 says otherwise: other high water marks, options and members that came later, corked pieces one by one. */
const NEWER =
  /^(CONNECT: Host|setDefaultHeaders|highWaterMark|members |path may|a message's signal|the names|error: write\(\)$|order: (two|callbacks|cork))/;

test.needs({ ownClient }, "node:http says what was recorded", async () => {
  const isLast = Number(process.versions.node.split(".")[0]) >= 26;
  const found = await factsOf(builtin, (name) => isLast || !NEWER.test(name));
  equal([...found].filter(([name, lines]) => recorded.get(name)?.theirs !== lines), []);
});

test("COVERED.md names tests that are there", () => {
  const rows = readFileSync("tests/node_door/COVERED.md", "utf8").split("\n")
    .filter((line) => line.startsWith("| ") && line.includes(".ts "));
  ok(rows.length > 70);
  const absent = rows.flatMap((row) =>
    row.split(" | ")[1]!.split(/; (?=\S+\.ts )/).flatMap((place) => {
      const file = place.trim().split(" ")[0]!;
      const text = readFileSync(new URL(file, new URL("tests/node_door/", root)), "utf8");
      const names = [...place.matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
      return names.length === 0 ? [row] : names.filter((name) => !text.includes(name));
    })
  );
  equal(absent, []);
});

test.run();
