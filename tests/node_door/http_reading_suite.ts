/**
 * A response is read as any stream of node:stream: what our read() leaves out nobody can tell. Random ways to feed and to read
 * both, a step a tick or a turn, and their logs compared.
 */
import { nextTick } from "node:process";
import { Readable } from "node:stream";
import { setImmediate } from "node:timers";
import fc from "fast-check";
import * as assert from "uvu/assert";
import "../harness/seed.ts";
import { suite } from "../harness/suite.ts";
import { IncomingMessage } from "../../src/agent/incoming_message.ts";

const test = suite("reading a response");

/** What is fed and read: ours or the runtime's own. */
interface Fed extends Readable {
  finish(): void;
}

class Ours extends IncomingMessage implements Fed {
  finish(): void {
    this._complete(undefined);
  }
}

class Plain extends Readable implements Fed {
  override _read(): void {}

  finish(): void {
    this.push(null);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    nextTick(() => callback(error));
  }
}

type Log = (what: string) => void;

/** What is done to both: told what it does, with a number that it may use. */
const STEPS: readonly ((stream: Fed, size: number, log: Log) => unknown)[] = [
  (stream, size) => stream.readableEnded || stream.push("x".repeat(size) + "y"),
  (stream, size) => stream.readableEnded || stream.push("x".repeat(size + 5)),
  (stream) => stream.finish(),
  (stream, _size, log) => stream.on("data", (chunk) => log(`data ${chunk}`)),
  (stream, _size, log) => stream.on("readable", () => log(`readable ${stream.readableLength}`)),
  (stream, _size, log) =>
    stream.on("readable", () => {
      for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) log(`each ${chunk}`);
    }),
  (stream) => stream.pause(),
  (stream) => stream.resume(),
  (stream, _size, log) => log(`read ${stream.read()}`),
  (stream, size, log) => log(`read(${size}) ${stream.read(size)}`),
  (stream, _size, log) => log(`all ${stream.read(stream.readableLength)}`),
  (stream) => stream.readableEnded || stream.unshift("z"),
  (stream) => stream.setEncoding("utf8"),
  (stream, _size, log) => stream.removeAllListeners("readable").on("end", () => log("another end")),
];
const FINISH = 2;

interface Step {
  readonly does: number;
  readonly size: number;
  /** What lies behind it: nothing, a tick, a turn. */
  readonly gap: number;
}

const anyStep: fc.Arbitrary<Step> = fc.record({
  does: fc.nat({ max: STEPS.length - 1 }),
  size: fc.nat({ max: 4 }),
  gap: fc.nat({ max: 2 }),
});

/** Takes the steps, and reads what is left. */
async function logOf(stream: Fed, steps: readonly Step[]): Promise<string[]> {
  const lines: string[] = [];
  const log: Log = (what) => void lines.push(what);
  for (const event of ["end", "close", "pause", "resume"]) stream.on(event, () => log(event));
  stream.on("error", (error: Error & { code?: string }) => log(`error ${error.code}`));
  for (const { does, size, gap } of steps) {
    STEPS[does]!(stream, size, log);
    log(`${does}: ${stream.readableLength} ${stream.readableEnded} ${stream.readableFlowing}`);
    if (gap === 1) await new Promise<void>((resolve) => nextTick(resolve));
    if (gap === 2) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  stream.removeAllListeners("readable");
  stream.resume();
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  return lines;
}

test("reads, ends and closes as a plain stream does, whatever the order of steps", async () => {
  const run = async (before: Step[], gap: number, after: Step[]): Promise<void> => {
    const once = (steps: Step[]): Step[] => steps.filter(({ does }) => does !== FINISH);
    const steps = [...once(before), { does: FINISH, size: 0, gap }, ...once(after)];
    const [ours, plain] = await Promise.all([logOf(new Ours(), steps), logOf(new Plain(), steps)]);
    assert.equal(ours, plain);
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyStep, { maxLength: 8 }),
      fc.nat({ max: 2 }),
      fc.array(anyStep, { maxLength: 8 }),
      run,
    ),
    { numRuns: 400 },
  );
});

test.run();
