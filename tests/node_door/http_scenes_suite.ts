import http from "@holdfast/agent/http";
import builtin from "node:http";
import process from "node:process";
import { equal, is, ok } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import type { OrderKit } from "./http_order.ts";
import { readRecord } from "./http_record.ts";
import { scenesOf } from "./http_scenes.ts";

const test = suite("http: time, backpressure and early answers");

/** What `http_order_record.ts scenes` printed on Node 20.20 (Node 25.9 prints the same). */
const recorded = readRecord("tests/node_door/http_scenes.txt");

/** An upload that is answered goes no further: Node sends all that it is still given, and keeps the connection. */
const isCutShort = (name: string): boolean =>
  /^413 in an upload, the connection kept, then (end|goOn)$/.test(name);

test("ours tells what node:http told, but for an upload that is answered", async () => {
  const found = await scenesOf(http as unknown as OrderKit);
  is(found.size, recorded.size);
  equal([...found].filter(([name, log]) => recorded.get(name)?.ours !== log), []);
  for (const [name, { theirs, ours }] of recorded) is(theirs !== ours, isCutShort(name), name);
  ok(!/nothing more came/.test([...found.values()].join()));
});

/** This process's `node:http` is Node's own, of a version that the recording is of. */
const recordedClient = !("Deno" in globalThis || "Bun" in globalThis) &&
  Number(process.versions.node.split(".")[0]) < 26;

test.needs({ recordedClient }, "node:http tells what was recorded", async () => {
  const found = await scenesOf(builtin as unknown as OrderKit);
  equal([...found].filter(([name, log]) => recorded.get(name)?.theirs !== log), []);
});

test.run();
