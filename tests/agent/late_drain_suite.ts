/** Sockets that tell a turn late that a write is done, as Node's TLS does, or never: what becomes of their connection. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { Agent, type Connect } from "@holdfast/agent";
import { MemoryNetwork } from "@holdfast/agent/testing";
import { ok } from "./memory_origin.ts";

const test = suite("writes that are told late");

/** `target` with some members in the place of its own. */
function withMembers<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(_, name): unknown {
      if (name in members) return Reflect.get(members, name);
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The network's sockets, whose writes are told behind the bytes that answer them, or never. */
function lateConnect(network: MemoryNetwork, isEverTold: boolean): Connect {
  return (options, handler) => {
    let pending = 0;
    const onData = (chunk: Uint8Array): void => {
      handler.onData(chunk);
      if (isEverTold) pending = 0;
    };
    const socket = network.connect(options, withMembers(handler, { onData }));
    return withMembers(socket, {
      get pendingBytes(): number {
        return pending;
      },
      write(chunk, more): boolean {
        pending += chunk.length;
        return socket.write(chunk, more);
      },
    });
  };
}

async function requests(
  count: number,
  isEverTold: boolean,
): Promise<{ accepted: number; closed: unknown; statuses: number[] }> {
  const network = new MemoryNetwork();
  const listener = network.listen({ host: "a" }, async (peer) => {
    while (await peer.readUntil("\r\n\r\n") !== undefined) peer.send(ok());
    peer.end();
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1, runtime: lateConnect(network, isEverTold) });
  const statuses: number[] = [];
  // All at once: each but the first waits for the connection of the one before.
  await Promise.all(Array.from({ length: count }, async () => {
    const response = await agent.request("http://a/");
    await response.body.text();
    statuses.push(response.status);
  }));
  const { closed } = agent.stats();
  agent.destroy();
  return { accepted: listener.accepted, closed, statuses };
}

test("behind the response: the connection serves on", async () => {
  const { accepted, closed, statuses } = await requests(5, true);
  assert.equal([accepted, closed, statuses], [1, {}, [200, 200, 200, 200, 200]]);
});

test("never: each request has a connection of its own, for the rest of the last is not wanted", async () => {
  const { accepted, closed, statuses } = await requests(3, false);
  assert.equal([accepted, statuses], [3, [200, 200, 200]]);
  assert.ok(JSON.stringify(closed).includes("request-unfinished"), JSON.stringify(closed));
});

test.run();
