/**
 * Looks for messages that our parser and llhttp read differently, and for cuts that change what ours says.
 *
 * Starts from the fixtures and from assembled responses, and mutates: bytes, tokens, slices. Bounded in time; prints
 * the seed, which makes a run repeatable.
 *
 * deno run -A tests/fuzz/codec.ts [seconds] [seed]
 */

import process from "node:process";
import { FuzzSession } from "./codec_session.ts";

const seconds = Number(process.argv[2] ?? 20);
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31);
console.log(`seed ${seed}, ${seconds} s`);

const session = new FuzzSession(seed);
const end = performance.now() + seconds * 1000;
let findings = 0;
while (performance.now() < end && findings < 10) {
  const finding = session.steps % 4 === 3 ? session.templateStep() ?? session.step() : session.step();
  if (finding === undefined) continue;
  findings++;
  console.log(`--- ${findings}\n${finding}`);
}
const { steps, accepted, complete } = session;
console.log(
  `${steps} messages, ${accepted} with a head accepted, ${complete} complete, ${findings} findings`,
);
process.exitCode = findings === 0 ? 0 : 1;
