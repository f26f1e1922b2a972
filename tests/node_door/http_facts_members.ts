/** Facts of members: what each says at each stage of a request and of its response, and what each method gives back. */
import {
  type AnyOptions,
  type Fact,
  type Facts,
  outcome,
  type Request,
  type Response,
  responseOf,
  show,
  told,
} from "./http_fact.ts";
import { ok } from "./http_origin.ts";

const REQUEST_MEMBERS = [
  "aborted",
  "destroyed",
  "finished",
  "writable",
  "writableEnded",
  "writableFinished",
  "writableLength",
  "writableCorked",
  "writableNeedDrain",
  "writableHighWaterMark",
  "writableObjectMode",
  "headersSent",
  "errored",
  "closed",
  "reusedSocket",
  "path",
  "method",
  "host",
  "protocol",
  "socketPath",
  "timeout",
  "maxHeadersCount",
  "shouldKeepAlive",
  "useChunkedEncodingByDefault",
  "chunkedEncoding",
  "strictContentLength",
  "sendDate",
  "upgradeOrConnect",
] as const;

const RESPONSE_MEMBERS = [
  "statusCode",
  "statusMessage",
  "httpVersion",
  "httpVersionMajor",
  "httpVersionMinor",
  "rawHeaders",
  "headers",
  "headersDistinct",
  "rawTrailers",
  "trailers",
  "trailersDistinct",
  "complete",
  "aborted",
  "upgrade",
  "url",
  "method",
  "destroyed",
  "closed",
  "errored",
  "readable",
  "readableAborted",
  "readableDidRead",
  "readableEnded",
  "readableFlowing",
  "readableLength",
  "readableEncoding",
  "readableObjectMode",
] as const;

function membersOf(object: object, names: readonly string[]): string {
  return names.map((name) => `${name}=${show((object as AnyOptions)[name])}`).join(" ");
}

/** What has changed since the last look: every member would be said at every stage. */
function watcher(
  object: object,
  names: readonly string[],
  log: (line: string) => void,
): (stage: string) => void {
  let last: AnyOptions = {};
  return (stage) => {
    const now: AnyOptions = {};
    for (const name of names) now[name] = show((object as AnyOptions)[name]);
    const changed = names.filter((name) => now[name] !== last[name]);
    log(`${stage}: ${changed.map((name) => `${name}=${now[name]}`).join(" ")}`);
    last = now;
  };
}

/** A request's members from its making to its 'close'. */
function stages(options: AnyOptions, body: boolean): Fact["play"] {
  return async ({ ask, log }) => {
    const request = ask(options);
    const look = watcher(request, REQUEST_MEMBERS, log);
    look("made");
    for (const event of ["socket", "prefinish", "finish", "close"]) request.on(event, () => look(event));
    const closed = told(request, "close");
    if (body) {
      request.write("abc");
      look("written");
    }
    request.end();
    look("ended");
    const response = await responseOf(request);
    look("response");
    response.on("end", () => look("end")).resume();
    await closed;
    log(show([request.socket === request.connection, request.res === response]));
  };
}

/** A response's members from 'response' to its 'close'. */
function shown(head: string, then: (response: Response) => void, end?: string): Fact {
  return {
    answer: (socket) => {
      socket.write(head);
      if (end !== undefined) socket.end(end);
    },
    play: async ({ ask, log }) => {
      const request = ask().on("error", () => {});
      request.end();
      const response = await responseOf(request);
      const look = watcher(response, RESPONSE_MEMBERS, log);
      look("response");
      log(show([response.req === request, response.socket === request.socket]));
      response.on("error", () => look("error"));
      for (const event of ["aborted", "end", "close"]) response.on(event, () => look(event));
      const closed = told(response, "close");
      then(response);
      await closed;
    },
  };
}

const readsOn = (response: Response): void => void response.resume();
const CHUNKED =
  "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\nX: 2\r\n\r\n";

const ended: Facts = {
  "members of a GET": { play: stages({}, false) },
  "members of a POST": { play: stages({ method: "POST" }, true) },
  "members of a POST that closes": { agent: { keepAlive: false }, play: stages({ method: "POST" }, true) },
  "members of a request with agent: false": {
    play: stages({ agent: false, path: "/p", timeout: 9_000 }, false),
  },
  "members of a response with trailers": shown(CHUNKED, readsOn),
  "members of a response with a length": shown(ok("ok", "X-A: 1", "x-a: 2"), readsOn),
  "members of a response without a body": shown("HTTP/1.1 204 No Content\r\n\r\n", readsOn),
  "members of a response of HTTP/1.0": shown("HTTP/1.0 200 \r\n\r\n", readsOn, "ok"),
  "members of a response that its reader destroys": shown(
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    (response) => void response.destroy(),
  ),
  "members of a response that is cut short": shown(
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    readsOn,
    "part",
  ),
  "members of the second request of a connection": {
    play: async ({ ask, log }) => {
      for (let i = 0; i < 2; i++) {
        const request = ask();
        const closed = told(request, "close");
        request.end();
        (await responseOf(request)).resume();
        log(show(request.reusedSocket));
        await closed;
      }
    },
  },
  "members of a new message": {
    play: ({ kit, log }) => {
      log(membersOf(new kit.IncomingMessage({} as never), RESPONSE_MEMBERS.slice(0, 15)));
      const message = new kit.OutgoingMessage();
      log(membersOf(message, REQUEST_MEMBERS));
      log(show([message.socket, message.connection]));
    },
  },
};

const ENDS: Readonly<Record<string, (request: Request) => void>> = {
  "destroy()": (request) => void request.destroy(),
  "destroy(error)": (request) => void request.destroy(new Error("mine")),
  "abort()": (request) => request.abort(),
};
for (const [how, end] of Object.entries(ENDS)) {
  const play = (isOpen: boolean): Fact["play"] => async ({ ask, log }) => {
    const request = ask();
    const look = watcher(request, REQUEST_MEMBERS, log);
    for (const event of ["socket", "abort", "error", "close"]) request.on(event, () => look(event));
    request.end();
    if (isOpen) {
      await told(request, "finish");
      look("finish");
    }
    const closed = told(request, "close");
    end(request);
    look("then");
    await closed;
  };
  const answer = (): void => {};
  (ended as Record<string, Fact>)[`members behind ${how} at once`] = { answer, play: play(false) };
  (ended as Record<string, Fact>)[`members behind ${how} of what was sent`] = { answer, play: play(true) };
}

/** What a method gives back: the object itself, or what is said. */
function given(object: object, value: unknown): string {
  return value === object ? "itself" : show(value);
}

const returned: Facts = {
  "what the methods of a request give back": {
    play: async ({ ask, log }) => {
      const request = ask({ method: "POST" });
      const say = (name: string, value: unknown): void => log(`${name}: ${given(request, value)}`);
      say("setHeader", request.setHeader("X-One", 1));
      say("setHeaders", request.setHeaders(new Map([["x-two", "2"]])));
      say("appendHeader", request.appendHeader("X-One", "b"));
      say("getHeader", request.getHeader("x-one"));
      say("getHeaders", request.getHeaders());
      say("getHeaderNames", request.getHeaderNames());
      say("getRawHeaderNames", request.getRawHeaderNames());
      say("hasHeader", request.hasHeader("X-ONE"));
      say("removeHeader", request.removeHeader("x-two"));
      say("hasHeader", request.hasHeader("x-two"));
      say("getHeader", request.getHeader("x-two"));
      say("setTimeout", request.setTimeout(0));
      say("clearTimeout", request.clearTimeout());
      say("setNoDelay", request.setNoDelay(true));
      say("setSocketKeepAlive", request.setSocketKeepAlive(true, 10));
      say("flushHeaders", request.flushHeaders());
      say("cork", request.cork());
      say("writableCorked", request.writableCorked);
      say("write", request.write("a"));
      say("uncork", request.uncork());
      say("addTrailers", request.addTrailers({ "X-T": "1" }));
      const closed = told(request, "close");
      say("end", request.end());
      say("end", request.end());
      const response = await responseOf(request);
      log(`setTimeout: ${given(response, response.setTimeout(0))}`);
      log(`resume: ${given(response, response.resume())}`);
      await closed;
      say("setTimeout", request.setTimeout(5));
      say("destroy", request.destroy());
      say("abort", request.abort());
      log(`destroy: ${given(response, response.destroy())}`);
    },
  },
  "what setNoDelay() and setSocketKeepAlive() ask of the socket": {
    play: async ({ ask, log }) => {
      const request = ask();
      const asked = new Set<string>();
      request.on("socket", (socket) => {
        for (const name of ["setNoDelay", "setKeepAlive"] as const) {
          const own = socket[name] as (...args: unknown[]) => unknown;
          (socket as unknown as AnyOptions)[name] = (...args: unknown[]): unknown => {
            asked.add(`${name} ${show(args)}`);
            return own.apply(socket, args);
          };
        }
      });
      request.setNoDelay(true);
      request.setSocketKeepAlive(true, 7);
      const closed = told(request, "close");
      request.end();
      (await responseOf(request)).resume();
      await closed;
      // What the agent asks when it keeps the connection is its own.
      log(show(["setNoDelay [true]", "setKeepAlive [true,7]"].map((line) => asked.has(line))));
    },
  },
  "timeoutCb, and clearTimeout() with a callback": {
    play: async ({ ask, log }) => {
      const request = ask();
      request.setTimeout(60_000, () => log("late"));
      log(show([request.timeout, request.listenerCount("timeout")]));
      request.clearTimeout(() => {});
      log(show([request.timeout, request.listenerCount("timeout")]));
      const closed = told(request, "close");
      request.end();
      (await responseOf(request)).resume();
      await closed;
    },
  },
  "the names that Node's document gives are there": {
    play: ({ kit, ask, log }) => {
      const request = ask();
      const names = [
        ...REQUEST_MEMBERS.filter((name) => name !== "timeout"),
        ..."abort connection cork uncork destroy end flushHeaders getHeader getHeaderNames getHeaders".split(
          " ",
        ),
        ..."getRawHeaderNames hasHeader appendHeader setHeaders removeHeader setHeader setNoDelay".split(" "),
        ..."setSocketKeepAlive setTimeout clearTimeout socket agent res addTrailers write pipe onSocket"
          .split(" "),
      ];
      log(show(names.filter((name) => !(name in request))));
      const message = new kit.IncomingMessage({} as never);
      const others = ["destroy", "setTimeout", "socket", "connection", "signal", "req"];
      log(show([...RESPONSE_MEMBERS, ...others].filter((name) => !(name in message) && name !== "req")));
      log(
        show([
          request instanceof kit.OutgoingMessage,
          kit.METHODS.length > 30,
          kit.STATUS_CODES[404],
          kit.maxHeaderSize,
        ]),
      );
      request.on("error", () => {}).destroy();
    },
  },
  "maxHeadersCount cuts what is shown": {
    answer: (socket) => void socket.write(ok("ok", "A: 1", "B: 2", "C: 3")),
    play: async ({ ask, log }) => {
      const request = ask();
      request.maxHeadersCount = 2;
      const closed = told(request, "close");
      request.end();
      const response = await responseOf(request);
      log(show(response.headers));
      response.resume();
      await closed;
    },
  },
  "path may be written, and what it may not be is refused": {
    play: async ({ ask, origin, log }) => {
      const request = ask();
      log(outcome(() => request.path = "/b c"));
      request.path = "/b";
      request.method = "GET";
      const closed = told(request, "close");
      request.end();
      (await responseOf(request)).resume();
      await closed;
      log(origin.heads[0]!.split("\r\n")[0]!);
    },
  },
  "addTrailers() behind a chunked body": {
    play: async ({ ask, origin, log }) => {
      const request = ask({ method: "POST", headers: { trailer: "X-T" } });
      request.write("abc");
      request.addTrailers([["X-T", "1"], ["X-U", "2"]]);
      const closed = told(request, "close");
      request.end();
      (await responseOf(request)).resume();
      await closed;
      log(show(origin.received[0]));
    },
  },
  "a message's signal, of one that ends and of one that does not": {
    answer: (socket, { head }) =>
      void (head.includes("/cut")
        ? socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        : socket.write(ok())),
    play: async ({ ask, log }) => {
      for (const path of ["/", "/cut"]) {
        const request = ask({ path }).on("error", () => {});
        request.end();
        const response = await responseOf(request);
        const signal = response.signal;
        signal.addEventListener("abort", () => log(`abort ${signal.reason?.name}`));
        const closed = told(response.on("error", () => {}), "close");
        response.resume();
        await closed;
        log(show([path, signal.aborted]));
      }
    },
  },
};

/** See the file's comment. */
export const memberFacts: Facts = { ...ended, ...returned };
