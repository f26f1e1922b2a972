/** Facts of options: what each of them makes of the request that leaves, or of the response that is shown. */
import { ADDRCONFIG, V4MAPPED } from "node:dns";
import type { ClientRequest } from "node:http";
import {
  type AnyOptions,
  type Fact,
  type Facts,
  outcome,
  read,
  type Request,
  responseOf,
  show,
  told,
} from "./http_fact.ts";
import { ok } from "./http_origin.ts";

/** The bytes of the request that these options make, its body being `body`. */
function sends(options: AnyOptions, ...body: string[]): Fact {
  return {
    play: async ({ ask, origin, log }) => {
      const request = ask(options);
      for (const piece of body.slice(0, -1)) request.write(piece);
      request.end(body.at(-1));
      await read(request);
      log(show(origin.received[0]));
    },
  };
}

/** The bytes of the request that `make` makes of the origin's port. */
function sendsAs(make: (port: number, kit: Parameters<Fact["play"]>[0]["kit"]) => ClientRequest): Fact {
  return {
    play: async ({ kit, origin, log }) => {
      await read(make(origin.port, kit).end());
      log(show(origin.received[0]));
    },
  };
}

const methods: Record<string, Fact> = {};
for (const method of ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "POST", "PUT", "PATCH", "post"]) {
  methods[`method: ${method}, no body`] = sends({ method });
}
for (const method of ["POST", "PUT", "PATCH", "DELETE", "GET"]) {
  methods[`method: ${method}, a body by end()`] = sends({ method }, "abc");
  methods[`method: ${method}, a body by write() and end()`] = sends({ method }, "abc", "de");
}

const headers: Facts = {
  "headers: an object": sends({ headers: { "X-One": "1", "x-two": ["a", "b"], "set-cookie": ["c", "d"] } }),
  "headers: a flat array": sends({ headers: ["X-One", "1", "host", "a.test", "x-one", "2"] }),
  "headers: pairs": sends({ headers: [["X-One", "1"], ["Host", "a.test"]] }),
  "headers: numbers": sends({ headers: { "x-n": 5 } }),
  "headers: null and undefined": sends({ headers: null }),
  "headers: Cookie, several": sends({ headers: { Cookie: ["a=1", "b=2"] } }),
  "headers: Connection of the caller's": sends({ headers: { Connection: "x-other" } }),
  "headers: Connection: close": sends({ headers: { connection: "close" } }),
  "headers: Host of the caller's": sends({ headers: { host: "a.test:1" } }),
  "headers: Content-Length and a body": sends({ method: "POST", headers: { "content-length": 3 } }, "abc"),
  "headers: Transfer-Encoding and a body": sends({
    method: "POST",
    headers: { "transfer-encoding": "chunked" },
  }, "abc"),
  "headers: Trailer and a body": sends({ method: "POST", headers: { trailer: "x-t" } }, "abc"),
  "headers: Expect sends the head at once": {
    play: async ({ ask, origin, log }) => {
      const request = ask({ method: "POST", headers: { expect: "100-continue" } });
      const isRead = read(request);
      request.on("response", () => request.end());
      await isRead;
      log(show(origin.received[0]));
    },
  },
  "uniqueHeaders": sends({
    headers: { "X-A": ["1", "2"], "x-b": ["3", "4"] },
    uniqueHeaders: ["x-a", "X-B"],
  }),
  "joinDuplicateHeaders": shows({ joinDuplicateHeaders: true }),
  "joinDuplicateHeaders: false": shows({}),
  "setDefaultHeaders: false": sends({ setDefaultHeaders: false }),
  "setDefaultHeaders: false, setHost: true": sends({ setDefaultHeaders: false, setHost: true }),
  "setHost: false": sends({ setHost: false }),
  "auth": sends({ auth: "user:pass" }),
  "auth beyond ASCII": sends({ auth: "us\u00e9r:pass" }),
  "auth beside Authorization": sends({ auth: "user:pass", headers: { Authorization: "mine" } }),
};

/** Fields that come twice, as the request's options have them shown. */
function shows(options: AnyOptions): Fact {
  return {
    answer: (socket) =>
      void socket.write(
        ok(
          "ok",
          "Age: 1",
          "Age: 2",
          "X: a",
          "X: b",
          "Set-Cookie: c",
          "Set-Cookie: d",
          "Cookie: e",
          "Cookie: f",
        ),
      ),
    play: async ({ ask, log }) => {
      const request = ask(options).end();
      const response = await responseOf(request);
      log(show(response.headers));
      log(show(response.headersDistinct));
      log(show(response.rawHeaders));
      response.resume();
    },
  };
}

const places: Facts = {
  "hostname wins over host": sends({ hostname: "127.0.0.1", host: "a.invalid" }),
  "host: null": {
    play: ({ ask, log }) => {
      const request = ask({ host: null, hostname: undefined });
      log(show([request.host, request.getHeader("host")]));
      request.on("error", () => {}).destroy();
    },
  },
  "defaultPort leaves the port out of Host": {
    play: async ({ ask, origin, log }) => {
      await read(ask({ defaultPort: origin.port }).end());
      log(show(origin.received[0]));
    },
  },
  "port: text": sendsAs((port, kit) => kit.request({ host: "127.0.0.1", port: String(port) })),
  "agent: false": sends({ agent: false }),
  "an agent that keeps nothing and has no cap": { ...sends({}), agent: { keepAlive: false } },
  "an agent that keeps nothing and has a cap": { ...sends({}), agent: { keepAlive: false, maxSockets: 2 } },
  "path": sends({ path: "/a/b?c=d&e=%20" }),
  "path: what is no ASCII": sends({ path: "/\u00e9~!*" }),
  "path: an absolute one": sends({ path: "http://a.test/b" }),
  "path: ''": sends({ path: "" }),
  "path: null": sends({ path: null }),
  "localAddress": {
    play: async ({ ask, log }) => {
      const request = ask({ localAddress: "127.0.0.2" });
      const response = told127(request);
      await read(request.end());
      log(show(await response));
    },
  },
  "family: 4 of a name with both": sendsAs((port, kit) =>
    kit.request({ host: "localhost", port, family: 4 })
  ),
  "lookup is asked for the name": {
    play: async ({ ask, log }) => {
      const request = ask({
        host: "a.test",
        lookup: (name: string, options: AnyOptions, done: (...args: unknown[]) => void) => {
          log(`${name} ${asked(options)}`);
          done(null, options["all"] === true ? [{ address: "127.0.0.1", family: 4 }] : "127.0.0.1", 4);
        },
      });
      log(await read(request.end()));
    },
  },
};

const LOOKUPS: Readonly<Record<string, AnyOptions>> = {
  "a family": { family: 4 },
  "hints": { hints: ADDRCONFIG },
  "hints and a family": { family: 4, hints: V4MAPPED },
  "autoSelectFamily: false": { autoSelectFamily: false },
  "a localAddress": { localAddress: "127.0.0.1" },
};
for (const [what, options] of Object.entries(LOOKUPS)) {
  (places as Record<string, Fact>)[`lookup is asked for the name, with ${what}`] = {
    play: async ({ ask, log }) => {
      const request = ask({
        host: "a.test",
        ...options,
        lookup: (_name: string, given: AnyOptions, done: (...args: unknown[]) => void) => {
          log(asked(given));
          done(null, given["all"] === true ? [{ address: "127.0.0.1", family: 4 }] : "127.0.0.1", 4);
        },
      });
      log(await read(request.end()));
    },
  };
}

/** What a look-up is asked: the flags' numbers are the runtime's. */
function asked({ family, hints, all }: AnyOptions): string {
  const flags = hints === ADDRCONFIG ? "ADDRCONFIG" : hints === V4MAPPED ? "V4MAPPED" : hints;
  return show({ family: family ?? 0, hints: flags, all: all === true });
}

async function told127(request: ClientRequest): Promise<string | undefined> {
  const response = await responseOf(request);
  return response.socket.localAddress;
}

/** The head of a CONNECT. */
function tunnels(options: AnyOptions): Fact {
  return {
    play: async ({ ask, origin, log }) => {
      const request = ask({ method: "CONNECT", ...options });
      request.on("connect", (_response, socket) => void socket.destroy());
      const closed = told(request, "close");
      request.end();
      await closed;
      log(show(origin.received[0]));
    },
  };
}

const connects: Facts = {
  "CONNECT: Host is the tunnel's end": tunnels({ path: "a.test:443" }),
  "CONNECT: Host is the tunnel's end, an IPv6 address": tunnels({ path: "[::1]:443" }),
  "CONNECT: a Host of the caller's": tunnels({ path: "a.test:443", headers: { Host: "mine" } }),
  "CONNECT without a path": tunnels({}),
  "CONNECT: setHost: false": tunnels({ path: "a.test:443", setHost: false }),
};

const forms: Facts = {
  "a URL as text": sendsAs((port, kit) => kit.request(`http://u%40:p%3a@127.0.0.1:${port}/a%20b?c#d`)),
  "a URL": sendsAs((port, kit) => kit.request(new URL(`http://127.0.0.1:${port}/a?b`))),
  "a URL without a path": sendsAs((port, kit) => kit.request(`http://127.0.0.1:${port}?b`)),
  "a URL and options, which win": sendsAs((port, kit) =>
    kit.request(`http://127.0.0.1:${port}/a`, { path: "/b", headers: { x: "1" } })
  ),
  "a URL, options that inherit, and null": sendsAs((port, kit) =>
    kit.request(`http://127.0.0.1:${port}/a`, Object.create({ path: "/b" }) as object)
  ),
  "options alone": sendsAs((port, kit) => kit.request({ host: "127.0.0.1", port, path: "/x" })),
  "new ClientRequest": sendsAs((port, kit) => new kit.ClientRequest({ host: "127.0.0.1", port } as never)),
  "get() ends the request": {
    play: async ({ kit, origin, log }) => {
      const request = kit.get({ host: "127.0.0.1", port: origin.port });
      log(show(request.writableEnded));
      await read(request);
      log(show(origin.received[0]));
    },
  },
  "a callback is a listener for 'response', once": {
    play: async ({ kit, origin, log }) => {
      const options = { host: "127.0.0.1", port: origin.port };
      for (
        const args of [[options], [`http://127.0.0.1:${origin.port}`], [
          new URL(`http://127.0.0.1:${origin.port}`),
          {},
        ]]
      ) {
        const request = kit.request(...args as [object], () => log("called"));
        log(show([request.listenerCount("response"), request.listeners("response").length]));
        await read(request.end());
        log(show(request.listenerCount("response")));
      }
    },
  },
  "highWaterMark is the request's and the response's": {
    play: async ({ ask, log }) => {
      const request = ask({ method: "POST", highWaterMark: 3 });
      log(show([request.writableHighWaterMark, request.write("ab"), request.write("c")]));
      const response = responseOf(request);
      request.end();
      log(show((await response).readableHighWaterMark));
      (await response).resume();
    },
  },
  "maxHeaderSize bounds the response's head": {
    answer: (socket) => void socket.write(ok("ok", `X: ${"x".repeat(500)}`)),
    play: async ({ ask, log }) => {
      await refused(ask({ maxHeaderSize: 300 }), log);
    },
  },
  "insecureHTTPParser takes what HTTP forbids": {
    answer: (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\x01b\r\n\r\nok"),
    play: async ({ ask, log }) => {
      const request = ask({ insecureHTTPParser: true }).end();
      const response = await responseOf(request);
      log(show(response.headers));
      response.resume();
      await refused(ask({}), log);
    },
  },
  "signal: one that has been aborted": {
    play: async ({ ask, log }) => {
      await refused(ask({ signal: AbortSignal.abort() }), log);
    },
  },
  "timeout is a member": {
    play: ({ ask, log }) => {
      const request = ask({ timeout: 5_000.5 });
      log(show(request["timeout" as never]));
      request.on("error", () => {}).destroy();
    },
  },
  "createConnection without an agent gives the connection, and is told where": {
    play: async ({ kit, origin, log, ask }) => {
      const { createConnection } = await import("node:net");
      const request = kit.request({
        host: "127.0.0.1",
        port: origin.port,
        createConnection: (options) => {
          log(show([options.host, options.port, options.path]));
          return createConnection({ host: "127.0.0.1", port: origin.port });
        },
      });
      log(show([(request as Request).agent, request.shouldKeepAlive]));
      await read(request.end());
      log(show(origin.received[0]));
      log(outcome(() => ask({ createConnection: "text" }).on("error", () => {}).destroy().destroyed));
    },
  },
};

async function refused(request: ClientRequest, log: (line: string) => void): Promise<void> {
  const closed = new Promise<void>((resolve) => request.on("close", () => resolve()));
  request.on(
    "error",
    (error: Error & { code?: string }) => log(`${error.name} ${error.code} ${error.message}`),
  );
  request.on("response", (response) => response.resume());
  request.end();
  await closed;
}

/** See the file's comment. */
export const optionFacts: Facts = { ...methods, ...headers, ...places, ...connects, ...forms };
