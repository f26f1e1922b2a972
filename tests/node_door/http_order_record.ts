/**
 * Prints what node:http tells in each situation, by log, for `tests/node_door/http_order.txt`, or with the argument `scenes` in each
 * scene, for `http_scenes.txt`, or with `facts` each of http_facts.ts, for `http_facts.txt`: to be run on Node, as `node npm/esm/tests/node_door/http_order_record.js`. Where ours tells
 * something else, that is printed behind a "!".
 */
import http from "@holdfast/agent/http";
import builtin from "node:http";
import process from "node:process";
import { factsOf } from "./http_facts.ts";
import { type OrderKit, ordersOf } from "./http_order.ts";
import { scenesOf } from "./http_scenes.ts";

// Node's own client throws where ours tells the request (http_order_suite.ts).
process.on("uncaughtException", () => {});

const logsOf = { scenes: scenesOf, facts: factsOf }[process.argv[2] ?? ""] ?? ordersOf;
const theirs = await logsOf(builtin as unknown as OrderKit);
const ours = await logsOf(http as unknown as OrderKit);
const byLog = new Map<string, string[]>();
for (const [name, log] of theirs) {
  const own = ours.get(name);
  const key = own === log ? log : `${log}\n! ${own}`;
  byLog.set(key, [...byLog.get(key) ?? [], name]);
}
for (const [log, names] of byLog) {
  process.stdout.write(`${log}\n${names.map((name) => `    ${name}\n`).join("")}`);
}
process.exit(0);
