/**
 * When a process that has used an agent may end: with idle connections at once, after destroy() whatever was under way. The
 * server is in this process and closes nothing by itself, and the agent's idle time is an hour.
 */
import { createServer, type Socket } from "node:net";
import * as assert from "uvu/assert";
import { adapters } from "../../src/runtime/mod.ts";
import { runChild } from "../harness/child.ts";
import { suite } from "../harness/suite.ts";
import { listening } from "../harness/listening.ts";

const test = suite("the end of a process that has used an agent");

const ANSWERS: Readonly<Record<string, string>> = {
  "/": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
  "/half": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
  "/busy": "HTTP/1.1 503 Busy\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n",
};

function answer(socket: Socket): void {
  socket.on("error", () => {});
  socket.on("data", (bytes: Uint8Array) => {
    const path = new TextDecoder().decode(bytes).split(" ")[1]!;
    const text = ANSWERS[path];
    if (text !== undefined) socket.write(text);
  });
}

/** What the process does, and what it prints. */
const STORIES: Readonly<Record<string, string>> = {
  idle: "ok ok",
  "idle fetch": "ok",
  "idle, after destroy()": "ok",
  "idle, after close()": "ok closed",
  "under way and queued, after destroy()": "ERR_AGENT_DESTROYED ERR_AGENT_DESTROYED ERR_AGENT_DESTROYED",
  "under way, after an abort": "ABORT_ERR",
  "waiting for Retry-After, after destroy()": "ERR_AGENT_DESTROYED",
  "with a body half read, after destroy()": "ERR_AGENT_DESTROYED",
  "with a body that nobody reads, after destroy()": "200",
};

for (const kind of ["node:net", "native sockets"]) {
  const adapter = kind === "node:net" ? "node" : adapters()[0]!.capabilities.adapter;
  for (const [plan, story] of Object.entries(STORIES)) {
    const needs = kind === "node:net" ? {} : { nativeSockets: adapters().length > 1 };
    test.needs(needs, `${kind}: ${plan}`, async () => {
      // close() must not wait for a server that keeps its side open.
      const allowHalfOpen = plan.includes("close()");
      const { port, close } = await listening(createServer({ allowHalfOpen }, answer));
      try {
        const words = [plan, `http://127.0.0.1:${port}/`, adapter];
        const { output, exitCode } = await runChild("tests/agent/exit_process", ...words);
        assert.equal([output.trim().split(/\s+/).join(" "), exitCode], [story, 0]);
      } finally {
        await close();
      }
    });
  }
}

test.run();
