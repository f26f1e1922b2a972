/**
 * A process that uses an agent, and then has nothing else to do; exit_process_suite.ts runs it.
 *
 * Arguments: the name of what it does, an origin's URL and the adapter's name. It prints what it saw, and ends with 1 where
 * something still holds it after ten seconds.
 *
 * @module
 */

import process from "node:process";
import { type AdapterName, Agent, type AgentResponse } from "@holdfast/agent";

const [plan = "", url = "", runtime = ""] = process.argv.slice(2);
const agent = new Agent({
  keepAlive: true,
  maxSockets: 2,
  idleTimeout: 3_600_000,
  runtime: runtime as AdapterName,
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const read = async (response: AgentResponse | Response): Promise<void> => {
  say(await ("body" in response && "rawHeaders" in response ? response.body.text() : response.text()));
};
const told = (promise: Promise<unknown>): void => {
  promise.then(() => say("settled"), (error) => say((error as { code: string }).code));
};
/** Requests that are never answered: two under way, one in the queue. */
const hang = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) told(agent.request(`${url}hang`, { timeouts: { pool: 3_600_000 } }));
  await new Promise((resolve) => setTimeout(resolve, 100));
};

const PLANS: Readonly<Record<string, () => Promise<void>>> = {
  idle: async () => {
    await Promise.all([agent.request(url).then(read), agent.request(url).then(read)]);
  },
  "idle fetch": async () => await read(await agent.fetch(url)),
  "idle, after destroy()": async () => {
    await read(await agent.request(url));
    agent.destroy();
  },
  "idle, after close()": async () => {
    await read(await agent.request(url));
    await agent.close();
    say("closed");
  },
  "under way and queued, after destroy()": async () => {
    await hang();
    agent.destroy();
  },
  "under way, after an abort": async () => {
    const controller = new AbortController();
    told(agent.request(`${url}hang`, { signal: controller.signal }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    controller.abort();
  },
  "waiting for Retry-After, after destroy()": async () => {
    told(agent.request(`${url}busy`, { retryAfter: true }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    agent.destroy();
  },
  "with a body half read, after destroy()": async () => {
    const { body } = await agent.request(`${url}half`);
    told(body.text());
    agent.destroy();
  },
  "with a body that nobody reads, after destroy()": async () => {
    say(String((await agent.request(`${url}half`)).status));
    agent.destroy();
  },
};

await PLANS[plan]!();

const watchdog = setTimeout(() => {
  say("held");
  process.exit(1);
}, 10_000) as unknown as { unref(): void };
watchdog.unref();
