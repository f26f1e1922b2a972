/**
 * A process that holds one connection and nothing else; idle_process_suite.ts runs it.
 *
 * Arguments: the adapter's name, the connect options and the plan as JSON. It prints its events, and ends with 1 where something
 * still holds it after three seconds.
 *
 * @module
 */

import process from "node:process";
import { adapters } from "../../src/runtime/mod.ts";
import type { ConnectOptions, Socket } from "../../src/runtime/socket.ts";

/** What the process does with its connection. */
export interface Plan {
  /** Calls, in order, right after `connect()`. */
  readonly early?: readonly ("ref" | "unref")[];
  /** Calls, in order, in `onOpen`. */
  readonly open?: readonly ("ref" | "unref")[];
  /** A call at the first `onData`. */
  readonly data?: "pause";
  /** Another reason for the process to live, ms. */
  readonly livesMs?: number;
}

const [name = "", target = "{}", planText = "{}"] = process.argv.slice(2);
const plan: Plan = JSON.parse(planText);
const options: ConnectOptions = JSON.parse(target);
const { connect } = adapters().find(({ capabilities }) => capabilities.adapter === name)!;

let heard = 0;
const socket: Socket = connect(options, {
  onOpen: () => {
    process.stdout.write("open\n");
    for (const call of plan.open ?? []) socket[call]!();
  },
  onData: () => {
    if (plan.data === undefined || heard++ === 0) process.stdout.write("data\n");
    if (plan.data !== undefined) socket[plan.data]();
  },
  onEnd: () => {
    process.stdout.write("end\n");
    socket.end();
  },
  onDrain: () => {},
  onClose: (error) => void process.stdout.write(`close ${error?.code ?? ""}\n`),
});
for (const call of plan.early ?? []) socket[call]!();
if (plan.livesMs !== undefined) setTimeout(() => {}, plan.livesMs);

const watchdog = setTimeout(() => {
  process.stdout.write("held\n");
  process.exit(1);
}, 3_000) as unknown as { unref(): void };
watchdog.unref();
