/**
 * Our Agent for the tests of the defects: given to the runtime's http.request and, where a defect is not an agent's alone to
 * cure, by `agent.request()`.
 */
import type * as http from "node:http";
import { Agent, type AgentOptions } from "@holdfast/agent";
import type { Called, Kit } from "./defects.ts";

/** See the file's comment. */
export const ours: Kit = {
  agent: (options) => new Agent(options as AgentOptions),
  async call(agent: http.Agent, port, { method = "GET", unread = false, timeoutMs } = {}): Promise<Called> {
    if (!(agent instanceof Agent)) throw new TypeError("Not an agent of ours");
    try {
      const timeouts = timeoutMs === undefined ? undefined : { headers: timeoutMs, body: timeoutMs };
      const { status, body, reusedSocket } = await agent.request(`http://127.0.0.1:${port}/`, {
        method,
        timeouts,
      });
      return { status, body: unread ? "" : await body.text(), code: undefined, reused: reusedSocket };
    } catch (error) {
      const { code } = error as { code?: string };
      return { status: undefined, body: "", code, reused: false };
    }
  },
};
