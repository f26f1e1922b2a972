/** The other side of `stale_origin.ts`: starts it, and waits without a turn of the event loop. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { fileOf } from "../harness/child.ts";

/** A running `stale_origin.ts`. */
export interface StaleOrigin {
  readonly port: number;
  /** Blocks this process until the origin's `count`-th unasked response is in the kernel. */
  block(count: number): void;
  close(): Promise<void>;
}

/** Starts it. */
export async function staleOrigin(): Promise<StaleOrigin> {
  const folder = mkdtempSync(`${tmpdir()}/holdfast-`);
  const given: string[] = JSON.parse(process.env["HOLDFAST_TEST_COMMAND"] ?? "[]");
  const isDeno = process.versions["deno"] !== undefined;
  const [program, ...before] = given.length > 0
    ? given
    : [process.execPath, ...isDeno ? ["run", "-A", "--quiet"] : []];
  const child = spawn(program!, [...before, fileOf("tests/node_door/stale_origin"), folder], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const port = await new Promise<number>((resolve) =>
    child.stdout.once("data", (line) => resolve(Number(line)))
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    port,
    block(count: number): void {
      while (!existsSync(`${folder}/${count}`));
    },
    async close(): Promise<void> {
      child.stdin.end();
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}
