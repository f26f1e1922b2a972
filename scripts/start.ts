/**
 * The main job, on each runtime at hand: some thousand requests through an Agent with a handful of sockets, and the
 * same without keep-alive, against an origin of its own on loopback or a server that the user names.
 *
 * ```sh
 * npm start
 * npm start -- https://example.com/ --requests 50
 * npm start --silent -- --json
 * ```
 */
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { SingleBar } from "cli-progress";
import type { Job, JobLine, JobResult } from "../bench/main_job.ts";
import { emitNpm, isEmitted } from "./emit_npm.ts";
import { findRuntimes, root, type Runtime, UnknownRuntimeError } from "./runtimes.ts";

const USAGE = `Usage: npm start -- [URL] [options]

  URL                 an http: or https: server; default: an origin of its own on loopback
  --requests N        requests with keep-alive (default 5000; 100 against a URL); a fifth of it without
  --sockets N         the agent's maxSockets (default 8; 4 against a URL)
  --concurrency N     requests under way at once (default 4 times the sockets)
  --runtime NAME      node, deno or bun; may be given more than once (default: all)
  --json              the result as JSON on standard output
  --help              this text`;

/** Longest time that one run may take, ms. */
const RUN_TIMEOUT_MS = 300_000;

interface Settings {
  url: string | undefined;
  requests: number;
  sockets: number;
  concurrency: number;
  runtimes: string[] | undefined;
  json: boolean;
}

interface Run extends JobResult {
  runtime: string;
  version: string;
  keepAlive: boolean;
  requests: number;
  sockets: number;
  /** Sockets that the origin accepted; null against a user's server. */
  accepted: number | null;
}

/** Where the requests go, and who counts the sockets there. */
interface Target {
  url: string;
  /** Connections accepted since the last call. */
  accepted(): Promise<number | null>;
  close(): Promise<void>;
}

class UsageError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

try {
  const settings = readSettings(Deno.args);
  if (settings !== undefined) await main(settings);
  else console.log(USAGE);
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  console.error(`${code ?? "ERR_UNKNOWN"}: ${message}`);
  if (error instanceof UsageError) console.error(`\n${USAGE}`);
  Deno.exit(error instanceof UsageError ? 2 : 1);
}

function readSettings(args: string[]): Settings | undefined {
  const { values, positionals } = parse(args);
  if (values.help === true) return undefined;
  if (positionals.length > 1) throw new UsageError("ERR_INVALID_ARG_VALUE", "Give one URL at the most");
  const url = positionals[0];
  if (url !== undefined) checkUrl(url);
  const sockets = count("sockets", values.sockets, url === undefined ? 8 : 4);
  return {
    url,
    sockets,
    requests: count("requests", values.requests, url === undefined ? 5000 : 100),
    concurrency: count("concurrency", values.concurrency, 4 * sockets),
    runtimes: values.runtime,
    json: values.json === true,
  };
}

// deno-lint-ignore explicit-function-return-type -- the type is parseArgs's own, made from the options
function parse(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const options = {
    ...{ requests: text, sockets: text, concurrency: text, json: flag, help: flag },
    runtime: { type: "string", multiple: true },
  } as const;
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    throw new UsageError(code, message);
  }
}

function checkUrl(text: string): void {
  if (!URL.canParse(text)) throw new UsageError("ERR_INVALID_URL", "Invalid URL");
  const { protocol } = new URL(text);
  if (protocol === "http:" || protocol === "https:") return;
  throw new UsageError("ERR_INVALID_PROTOCOL", `Protocol "${protocol}" is not "http:" or "https:"`);
}

function count(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= 1_000_000) return value;
  throw new UsageError("ERR_OUT_OF_RANGE", `--${name} "${text}" is not a whole number from 1 to 1000000`);
}

async function main(settings: Settings): Promise<void> {
  const runtimes = await findRuntimes(settings.runtimes).catch((error) => {
    throw error instanceof UnknownRuntimeError ? new UsageError(error.code, error.message) : error;
  });
  // Deno and Bun run the sources.
  if (runtimes.some(({ name }) => name.startsWith("node"))) await emitForNode();
  const target = settings.url === undefined ? await startOrigin() : userServer(settings.url);
  const runs: Run[] = [];
  try {
    for (const runtime of runtimes) {
      for (const keepAlive of [true, false]) runs.push(await runJob(runtime, target, settings, keepAlive));
    }
  } finally {
    await target.close();
  }
  if (settings.json) console.log(JSON.stringify({ url: target.url, runs }, null, 2));
  else printTable(target, runs);
  if (runs.some((one) => one.notOk > 0)) {
    console.error("Some responses had a status other than 2xx");
    Deno.exit(1);
  }
}

async function emitForNode(): Promise<void> {
  if (await isEmitted()) return;
  console.error("Compiling for Node...");
  const complaints = await emitNpm();
  if (complaints !== undefined) throw new Error(complaints);
}

async function startOrigin(): Promise<Target> {
  const command = new Deno.Command("node", {
    args: ["bench/origin.mjs"],
    cwd: root,
    stdin: "piped",
    stdout: "piped",
  });
  const child = command.spawn();
  const lines = readLines(child.stdout);
  const input = child.stdin.getWriter();
  const nextNumber = async (): Promise<number> => Number((await lines.next()).value);
  return {
    url: `http://127.0.0.1:${await nextNumber()}/`,
    async accepted(): Promise<number> {
      await input.write(new TextEncoder().encode("count\n"));
      return await nextNumber();
    },
    async close(): Promise<void> {
      await input.close();
      await lines.return(undefined);
      await child.status;
    },
  };
}

function userServer(url: string): Target {
  return { url, accepted: () => Promise.resolve(null), close: () => Promise.resolve() };
}

async function runJob(
  runtime: Runtime,
  target: Target,
  settings: Settings,
  keepAlive: boolean,
): Promise<Run> {
  const requests = keepAlive ? settings.requests : Math.ceil(settings.requests / 5);
  const { concurrency, sockets } = settings;
  const job: Job = { url: target.url, requests, concurrency, sockets, keepAlive };
  const label = `${runtime.name} ${keepAlive ? "keep-alive" : "no keep-alive"}`;
  const bar = new SingleBar({
    format: `${label.padEnd(20)} {bar} {value}/{total} requests`,
    stream: Deno.stderr.isTerminal() ? undefined : (await import("node:process")).stderr,
    noTTYOutput: true,
    notTTYSchedule: 1000,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(requests, 0);
  try {
    const result = await readJob(runtime, job, (done) => bar.update(done));
    const accepted = await target.accepted();
    const { name, version } = runtime;
    return { runtime: name, version, keepAlive, requests, sockets, accepted, ...result };
  } finally {
    bar.stop();
  }
}

/** Runs the job in a process of its own. */
async function readJob(runtime: Runtime, job: Job, onProgress: (done: number) => void): Promise<JobResult> {
  const [program, ...args] = [...runtime.run("bench/main_job.ts"), JSON.stringify(job)];
  const signal = AbortSignal.timeout(RUN_TIMEOUT_MS);
  const command = new Deno.Command(program!, { args, cwd: root, stdin: "null", stdout: "piped", signal });
  const child = command.spawn();
  let result: JobResult | undefined;
  for await (const text of readLines(child.stdout)) {
    const line: JobLine = JSON.parse(text);
    switch (line.type) {
      case "progress":
        onProgress(line.done);
        break;
      case "result": {
        const { type: _, ...rest } = line;
        result = rest;
        break;
      }
      case "error":
        throw Object.assign(new Error(`${runtime.name}: ${line.message}`), { code: line.code });
    }
  }
  await child.status;
  if (result !== undefined) return result;
  throw new Error(
    `${runtime.name} ended without a result${signal.aborted ? `: over ${RUN_TIMEOUT_MS} ms` : ""}`,
  );
}

async function* readLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string, void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

function printTable(target: Target, runs: Run[]): void {
  const table = new Table({
    head: [
      "runtime",
      "adapter",
      "keep-alive",
      "requests",
      "sockets opened",
      "reuse",
      "requests/s",
      "p50 ms",
      "p99 ms",
    ],
    colAligns: ["left", "left", "left", "right", "right", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const run of runs) {
    table.push([
      `${run.runtime} ${run.version}`,
      run.adapter,
      run.keepAlive ? "yes" : "no",
      String(run.requests),
      String(run.accepted ?? run.opened),
      `${(100 * run.reused / run.requests).toFixed(1)} %`,
      Math.round(run.requests / run.seconds).toLocaleString("en"),
      run.p50Ms.toFixed(2),
      run.p99Ms.toFixed(2),
    ]);
  }
  const counter = runs[0]?.accepted === null ? "this side" : "the origin";
  console.log(
    `\n${target.url}, at most ${runs[0]?.sockets} sockets at once; sockets opened as ${counter} counted them`,
  );
  console.log(table.toString());
}
