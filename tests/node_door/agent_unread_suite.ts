import * as http from "node:http";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import * as face from "@holdfast/agent/http";
import { suite } from "../harness/suite.ts";
import { origin, pause, until } from "./door_origin.ts";

const test = suite("Agent: unreadBodyTimeout");

const answer: http.RequestListener = (request, response) =>
  void response.end("x".repeat(Number(request.url!.slice(1))));

const FACES: readonly [string, typeof http.get][] = [
  ["a request of node:http", http.get],
  ["a request of the http face", face.get as unknown as typeof http.get],
];

for (const [what, get] of FACES) {
  for (const bytes of [2, 1_000_000]) {
    test(`${what} that does not read ${bytes} bytes loses its connection, and the next one is served`, async () => {
      const one = await origin(answer);
      const agent = new Agent({ keepAlive: true, maxSockets: 1, unreadBodyTimeout: 40 });
      const events: string[] = [];
      const unread = get({ host: "127.0.0.1", port: one.port, path: `/${bytes}`, agent }, (response) => {
        response.on("error", () => events.push("error")).on("close", () => events.push("close"));
      });
      unread.on("error", () => {});
      const read = await new Promise<number>((resolve) => {
        get({ host: "127.0.0.1", port: one.port, path: "/5", agent }, async (response) => {
          let length = 0;
          for await (const chunk of response) length += chunk.length;
          resolve(length);
        });
      });
      assert.is(read, 5);
      await until(() => unread.destroyed);
      assert.is(agent.stats().unread, 1);
      agent.destroy();
      await one.close();
    });
  }

  test(`${what} that reads in time, however slowly, keeps its connection`, async () => {
    const one = await origin(answer);
    const agent = new Agent({ keepAlive: true, unreadBodyTimeout: 150 });
    const length = await new Promise<number>((resolve) => {
      get({ host: "127.0.0.1", port: one.port, path: "/1000000", agent }, async (response) => {
        let sum = 0;
        for await (const chunk of response) {
          sum += chunk.length;
          await pause(4);
        }
        resolve(sum);
      });
    });
    assert.equal([length, agent.stats().unread], [1_000_000, 0]);
    await until(() => Object.keys(agent.freeSockets).length === 1);
    // Parked for longer than a body may lie.
    await pause(200);
    assert.is(agent.stats().free, 1);
    agent.destroy();
    await one.close();
  });
}

test.run();
