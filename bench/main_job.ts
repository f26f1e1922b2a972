/**
 * The main job, run in a process of its own on each runtime: many requests through one Agent with few sockets, or the
 * same with `Connection: close`. Says how it goes in JSON lines on standard output; `scripts/start.ts` reads them.
 */
import process from "node:process";
import { Agent, type Connect, createConnect, type Socket } from "../mod.ts";

/** What to do; the one command line argument, as JSON. */
export interface Job {
  url: string;
  requests: number;
  /** Requests under way at once; those over `sockets` wait in the agent's queue. */
  concurrency: number;
  /** The agent's maxSockets. */
  sockets: number;
  keepAlive: boolean;
}

/** One line of output. */
export type JobLine =
  | { type: "progress"; done: number }
  | { type: "error"; code: string; message: string }
  | ({ type: "result" } & JobResult);

/** What came of it. */
export interface JobResult {
  /** Which adapter carried the bytes. */
  adapter: string;
  /** Sockets that this side opened. */
  opened: number;
  /** Requests that went over a socket which had carried one before. */
  reused: number;
  /** Responses whose status was not 2xx. */
  notOk: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
}

/** Time between two progress lines, ms. */
const PROGRESS_INTERVAL_MS = 100;

function say(line: JobLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

async function run(job: Job): Promise<JobResult> {
  let opened = 0;
  let first: Socket | undefined;
  const native = createConnect();
  const counting: Connect = (options, handler) => {
    opened++;
    const socket = native(options, handler);
    first ??= socket;
    return socket;
  };
  const agent = new Agent({ keepAlive: job.keepAlive, maxSockets: job.sockets, runtime: counting });
  const headers = job.keepAlive ? {} : { connection: "close" };
  const latencies = new Float64Array(job.requests);
  let started = 0;
  let done = 0;
  let reused = 0;
  let notOk = 0;
  let reportedAt = 0;
  const work = async (): Promise<void> => {
    while (started < job.requests) {
      const index = started++;
      const begin = performance.now();
      const response = await agent.request(job.url, { headers });
      await response.body.forEach(() => {});
      const end = performance.now();
      latencies[index] = end - begin;
      if (response.reusedSocket) reused++;
      if (response.status < 200 || response.status > 299) notOk++;
      done++;
      if (end - reportedAt < PROGRESS_INTERVAL_MS) continue;
      reportedAt = end;
      say({ type: "progress", done });
    }
  };
  const start = performance.now();
  try {
    await Promise.all(Array.from({ length: Math.min(job.concurrency, job.requests) }, work));
  } finally {
    agent.destroy();
  }
  const seconds = (performance.now() - start) / 1000;
  latencies.sort();
  const p50Ms = percentile(latencies, 0.5);
  const adapter = first?.info?.adapter ?? "unknown";
  return { adapter, opened, reused, notOk, seconds, p50Ms, p99Ms: percentile(latencies, 0.99) };
}

try {
  say({ type: "result", ...await run(JSON.parse(process.argv[2] ?? "{}")) });
} catch (error) {
  const { code, message } = error as { code?: string; message?: string };
  say({ type: "error", code: code ?? "ERR_UNKNOWN", message: message ?? String(error) });
  process.exitCode = 1;
}
