/** An agent over a network in memory, and an origin there that answers as it is told. Time is moved by hand. */
import { Agent, type AgentOptions } from "@holdfast/agent";
import { ManualClock, type MemoryListener, MemoryNetwork, type MemoryPeer } from "@holdfast/agent/testing";

/** What an origin answers to one request; `head` is the request's, up to the empty line. */
export type Answer = (peer: MemoryPeer, head: string) => void | Promise<void>;

/** A network with an agent on it. */
export interface Fixture {
  readonly clock: ManualClock;
  readonly network: MemoryNetwork;
  readonly agent: Agent;
  /** Answers each request to `host` in turn; a connection the origin has closed is read no further. */
  serve(host: string, answer: Answer): MemoryListener;
}

/** Makes the agent; keepAlive unless the options say otherwise. */
export function fixture(options: AgentOptions = {}): Fixture {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  const agent = new Agent({ keepAlive: true, runtime: network.connect, clock, ...options });
  const serve = (host: string, answer: Answer): MemoryListener =>
    network.listen({ host }, async (peer) => {
      for (;;) {
        const head = await peer.readUntil("\r\n\r\n");
        if (head === undefined) return void peer.end();
        await answer(peer, head);
      }
    });
  return { clock, network, agent, serve };
}

/** A complete response with this body. */
export function ok(body = "ok", ...fields: string[]): string {
  return ["HTTP/1.1 200 OK", ...fields, `Content-Length: ${body.length}`, "", body].join("\r\n");
}

/** The promise's outcome once time stands still: its value, or the error; `pending` if it has none. */
export async function outcome(clock: ManualClock, promise: Promise<unknown>): Promise<unknown> {
  let result: unknown = "pending";
  promise.then((value) => result = value, (error) => result = error);
  await clock.settle();
  return result;
}

/** The `code` of the error that a promise fails with. */
export async function codeOf(clock: ManualClock, promise: Promise<unknown>): Promise<unknown> {
  const error = await outcome(clock, promise);
  return error instanceof Error
    ? (error as { code?: string }).code ?? error.message
    : `no error but ${String(error)}`;
}
