/** What write() and end() take, and when their callbacks are told: what each test says, node:http does (Node 26). */
import http, { type ClientRequest } from "@holdfast/agent/http";
import { createServer } from "node:net";
import { equal, is, throws } from "uvu/assert";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { takeUncaught } from "../runtime/uncaught.ts";
import { closed, logOf, responseTo, textOf } from "./http_log.ts";
import { ok, wireOrigin } from "./http_origin.ts";

const test = suite("http: writing");

/** A request as JavaScript sees it; a callback of end() has an error since Node 24. */
interface Loose {
  write(...args: unknown[]): boolean;
  end(...args: unknown[]): void;
}

function loose(req: ClientRequest): Loose {
  return req as unknown as Loose;
}

function codeOf(error: unknown): unknown {
  return (error as { code?: string } | null)?.code ?? error;
}

/** Makes a POST, has it written, and gives its log once it is over, with what came over the wire. */
async function written(
  write: (req: ClientRequest, log: string[]) => void,
): Promise<{ log: string[]; body: string }> {
  const origin = await wireOrigin((socket) => setTimeout(() => socket.end(ok()), 5));
  try {
    const req = http.request({ host: "127.0.0.1", port: origin.port, method: "POST", agent: false });
    const log = logOf(req);
    write(req, log);
    await closed(req);
    return { log, body: origin.received.join("").split("\r\n\r\n").slice(1).join("\r\n\r\n") };
  } finally {
    await origin.close();
  }
}

const TOLD = ["socket", "prefinish", "finish", "response", "res end", "res close", "close"];

test("what cannot be called is no callback", async () => {
  for (const none of [null, undefined, 5, {}]) {
    const { log, body } = await written((req) => {
      loose(req).write("a", null, none);
      loose(req).write("b", "utf8", none);
      loose(req).end("c", "utf8", none);
    });
    equal(log, TOLD);
    is(body, "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
  }
});

test("end() takes what is false for no data", async () => {
  for (const nothing of [null, undefined, false, 0, NaN, ""]) {
    const { log, body } = await written((req) => void req.end(nothing as never));
    equal([log, body], [TOLD, ""]);
  }
});

test("a length that strictContentLength refuses is said in Node's words", () => {
  const req = http.request({
    createConnection: () => undefined,
    method: "POST",
    headers: { "content-length": 5 },
  });
  req.strictContentLength = true;
  throws(
    () => req.end("abc"),
    (error: Error) =>
      error.message ===
        "Response body's content-length of 3 byte(s) does not match the content-length of 5 byte(s) set in header",
  );
});

// Callbacks.

test("end()'s callback is told ahead of 'finish', with null, and afterwards with ERR_STREAM_ALREADY_FINISHED", async () => {
  const { log } = await written((req, log) => {
    req.write("a", (error) => log.push(`write ${error}`));
    loose(req).end("b", (error: unknown) => log.push(`end ${error} ${req.writableFinished}`));
    req.end(() => log.push("end again"));
    req.on("finish", () => {
      loose(req).end((error: unknown) => log.push(`late ${codeOf(error)}`));
    });
  });
  equal(log.slice(0, 7), [
    "socket",
    "prefinish",
    "write null",
    "end null true",
    "end again",
    "finish",
    "late ERR_STREAM_ALREADY_FINISHED",
  ]);
});

test("callbacks hear of a request that is destroyed before all has gone", async () => {
  const mine = new Error("mine");
  for (const error of [undefined, mine]) {
    const { log } = await written((req, log) => {
      req.write("a", (told) => log.push(`write ${codeOf(told)}`));
      loose(req).end("b", (told: unknown) => log.push(`end ${codeOf(told)}`));
      req.destroy(error);
      req.on("close", () => loose(req).end((told: unknown) => log.push(`late ${codeOf(told)}`)));
    });
    const why = error ?? "ERR_STREAM_DESTROYED";
    equal(log.slice(2), ["write ERR_STREAM_DESTROYED", `end ${why}`, `late ${why}`]);
  }
});

test("a reset in the middle of an upload is no success of it", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.resetAndDestroy());
  });
  const { port, close } = await listening(server);
  const req = http.request({ host: "127.0.0.1", port, method: "POST", agent: false });
  const log = logOf(req);
  const told: unknown[] = [];
  req.write(new Uint8Array(30_000_000), (error) => told.push(error === null));
  loose(req).end((error: unknown) => told.push(error === null));
  await closed(req);
  equal([told, req.writableFinished], [[false, false], false]);
  is(log.includes("finish"), false);
  await close();
});

test("a callback that throws keeps the others from nothing", async () => {
  const thrown: string[] = [];
  const restore = takeUncaught((error) => thrown.push((error as Error).message));
  try {
    const { log } = await written((req, log) => {
      req.write("a", () => {
        throw new Error("first");
      });
      req.write("b", () => void log.push("second"));
      req.end(() => {
        throw new Error("third");
      });
    });
    equal(log, [...TOLD.slice(0, 2), "second", ...TOLD.slice(2)]);
  } finally {
    restore();
  }
  equal(thrown, ["first", "third"]);
});

test("a request whose 'error' listener throws is closed all the same, and told once", async () => {
  const origin = await wireOrigin((socket) => socket.write("garbage\r\n\r\n"));
  const thrown: string[] = [];
  const restore = takeUncaught((error) => thrown.push((error as Error).message));
  try {
    const req = http.get({ host: "127.0.0.1", port: origin.port, agent: false });
    let told = 0;
    req.on("error", () => {
      told++;
      throw new Error("boom");
    });
    await closed(req);
    equal([told, thrown], [1, ["boom"]]);
  } finally {
    restore();
    await origin.close();
  }
});

// What waits.

test("writableLength counts the head and the chunks' lines, so that a low high water mark is reached by them", async () => {
  const origin = await wireOrigin((socket) => socket.end(ok()));
  const req = http.request({
    host: "127.0.0.1",
    port: origin.port,
    method: "POST",
    agent: false,
    highWaterMark: 10,
  });
  is(req.writableLength, 0);
  is(req.write("abc"), false);
  const head = (req as unknown as { _header: string })._header.length;
  is(req.writableLength, head + "3\r\nabc\r\n".length);
  req.write("defg");
  req.end("z");
  is(req.writableLength, head + "3\r\nabc\r\n4\r\ndefg\r\n1\r\nz\r\n0\r\n\r\n".length);
  is(await textOf(await responseTo(req)), "ok");
  is(req.writableLength, 0);
  await closed(req);
  await origin.close();
});

// As stripe writes each of its requests: write("") and end().
test("an empty piece makes no body of a GET; what comes behind it is framed", async () => {
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
    for (const pieces of [[""], [new Uint8Array(0)], ["", "a"]]) {
      const origin = await wireOrigin((socket) => setTimeout(() => socket.end(ok()), 5));
      const agent = new http.Agent({ keepAlive: true });
      const req = http.request({ host: "127.0.0.1", port: origin.port, method, agent });
      logOf(req);
      for (const piece of pieces) is(req.write(piece), true);
      is(req.headersSent, true);
      req.end();
      await closed(req);
      const [head, body] = origin.received.join("").split(/(?<=\r\n)\r\n([^]*)/);
      is(head?.startsWith(`${method} / HTTP/1.1\r\n`), true, head);
      is(head?.includes("Transfer-Encoding"), pieces.length > 1, head);
      is(body, pieces.length > 1 ? "1\r\na\r\n0\r\n\r\n" : "");
      agent.destroy();
      await origin.close();
    }
  }
});

test.run();
