import http from "@holdfast/agent/http";
import builtin from "node:http";
import process from "node:process";
import { equal, is, ok } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type OrderKit, ordersOf } from "./http_order.ts";
import { type Order, readRecord } from "./http_record.ts";

const test = suite("http: what is told in each situation");

/** What http_order_record.ts printed on Node 20.20 (Node 25.9 prints the same): name to node:http's log, and ours where it differs. */
const recorded = readRecord("tests/node_door/http_order.txt");

/** Why ours tells something else, by what it is that differs. */
const REASONS: readonly [string, (name: string, order: Order) => boolean][] = [
  [
    "a stream that its reader has destroyed tells no 'end'",
    (name, { theirs }) => name.includes(" resDestroy@") && theirs.includes("res end"),
  ],
  [
    "an error given behind the response's last byte is told: of a kept socket Node throws it as uncaught, for nobody listens there",
    (name, { ours }) => /(destroyError|signal)@(data|end)/.test(name) && /res end, error/.test(ours),
  ],
  [
    "who has given up hears of no fault in what came behind",
    (name, { theirs }) => name.includes(" badChunk ") && theirs.includes("HPE_INVALID_CHUNK_SIZE"),
  ],
  [
    "an upload that goes on holds its request until the response is read",
    (name) => name.includes(" UPLOAD ") && name.includes(" paused "),
  ],
];

test("ours tells what node:http told, but for what is said here", async () => {
  const found = await ordersOf(http as unknown as OrderKit);
  is(found.size, recorded.size);
  equal(
    [...found].filter(([name, log]) => recorded.get(name)?.ours !== log),
    [],
  );
});

test("each difference to node:http has a reason in REASONS, and each reason a difference", () => {
  const unexplained = [...recorded].filter(([name, order]) =>
    order.ours !== order.theirs && !REASONS.some(([, explains]) => explains(name, order))
  );
  equal(unexplained, []);
  for (const [why, explains] of REASONS) {
    ok([...recorded].some(([name, order]) => order.ours !== order.theirs && explains(name, order)), why);
  }
});

/**
 * This process's `node:http` is Node's own, of a version that the recording is of. Node 26 tells no 'end' any more of a
 * response that is destroyed as soon as it is shown, as ours.
 */
const recordedClient = !("Deno" in globalThis || "Bun" in globalThis) &&
  Number(process.versions.node.split(".")[0]) < 26;

test.needs({ recordedClient }, "node:http tells what was recorded", async () => {
  const throws = REASONS[1]![1];
  const isSafe = (name: string): boolean => !throws(name, recorded.get(name)!);
  const found = await ordersOf(builtin as unknown as OrderKit, isSafe);
  equal([...found].filter(([name, log]) => recorded.get(name)?.theirs !== log), []);
});

test.run();
