import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import http, { type ClientRequest } from "@holdfast/agent/http";
import { equal, is } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { closed, responseTo, textOf } from "./http_log.ts";
import { ok, wireOrigin } from "./http_origin.ts";

const test = suite("http: diagnostics channels");

/** What the channels tell of a request. */
interface Message {
  readonly request: ClientRequest;
  readonly response?: unknown;
  readonly error?: Error;
}

const NAMES = [
  "http.client.request.created",
  "http.client.request.start",
  "http.client.request.error",
  "http.client.response.finish",
];

/** What is published while `body` runs, in order. */
async function published(body: () => Promise<void>): Promise<[name: string, message: Message][]> {
  const log: [string, Message][] = [];
  const listeners = NAMES.map((name) => {
    const listener = (message: unknown): void => void log.push([name, message as Message]);
    channel(name).subscribe(listener);
    return { name, listener };
  });
  try {
    await body();
  } finally {
    for (const { name, listener } of listeners) channel(name).unsubscribe(listener);
  }
  return log;
}

test("a request is published as it is created, as it has been sent, and as its response has come", async () => {
  const origin = await wireOrigin((socket) => void socket.write(ok()));
  try {
    let request: ClientRequest | undefined;
    let response: unknown;
    const log = await published(async () => {
      request = http.request({ host: "127.0.0.1", port: origin.port, agent: false });
      const answer = responseTo(request);
      request.end();
      response = await answer;
      await textOf(await answer);
      await closed(request);
    });
    equal(log.map(([name]) => name), [NAMES[0], NAMES[1], NAMES[3]]);
    for (const [, message] of log) is(message.request, request);
    is(log[2]![1].response, response);
  } finally {
    await origin.close();
  }
});

test("http.client.request.start is published once the body has ended, not before", async () => {
  const origin = await wireOrigin((socket) => void socket.write(ok()));
  try {
    let beforeEnd: string[] = [];
    const log: string[] = [];
    const listener = (): void => void log.push("start");
    channel("http.client.request.start").subscribe(listener);
    try {
      const request = http.request({ host: "127.0.0.1", port: origin.port, agent: false, method: "POST" });
      const answer = responseTo(request);
      await new Promise<void>((resolve) => void request.write("one", () => resolve()));
      beforeEnd = [...log];
      request.end("two");
      await textOf(await answer);
      await closed(request);
    } finally {
      channel("http.client.request.start").unsubscribe(listener);
    }
    equal(beforeEnd, []);
    equal(log, ["start"]);
  } finally {
    await origin.close();
  }
});

test("a connection that is lost is published with the error that 'error' brings", async () => {
  const origin = await wireOrigin((socket) => void socket.destroy());
  try {
    let request: ClientRequest | undefined;
    let error: Error | undefined;
    const log = await published(async () => {
      request = http.get({ host: "127.0.0.1", port: origin.port, agent: false });
      [error] = await once(request, "error") as [Error];
      await closed(request);
    });
    const failed = log.filter(([name]) => name === "http.client.request.error");
    is(failed.length, 1);
    is(failed[0]![1].request, request);
    is(failed[0]![1].error, error);
    is(log.some(([name]) => name === "http.client.response.finish"), false);
  } finally {
    await origin.close();
  }
});

test.run();
