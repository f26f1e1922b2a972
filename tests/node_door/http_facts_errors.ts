/** Facts of errors: which a caller's mistake throws or tells, and what a server's fault is called. */
import {
  type AnyOptions,
  type Fact,
  type Facts,
  outcome,
  type Request,
  show,
  told,
  wordsOf,
} from "./http_fact.ts";
import { ok } from "./http_origin.ts";

/** A request made badly: what is thrown. */
function thrown(...bags: AnyOptions[]): Fact {
  return {
    play: ({ ask, log }) => {
      for (const options of bags) log(outcome(() => void ask(options).on("error", () => {}).destroy()));
    },
  };
}

/** What each step of a caller's throws or gives; the request is never sent. */
function steps(...all: ((request: Request) => unknown)[]): Fact {
  return {
    play: ({ ask, log }) => {
      for (const step of all) {
        const request = ask({ method: "POST" });
        log(outcome(() => {
          const value = step(request);
          return value === request ? "itself" : value;
        }));
        request.on("error", () => {}).destroy();
      }
    },
  };
}

/** What is told by 'error', by callbacks and by 'close', of a request that `act` spoils. */
function telling(
  act: (request: Request, log: (line: string) => void) => void,
  options: AnyOptions = {},
): Fact {
  return {
    play: async ({ ask, log }) => {
      const request = ask({ method: "POST", ...options });
      request.on("error", (error) => log(`error ${wordsOf(error)}`));
      request.on("response", (response) => response.resume());
      const closed = told(request, "close");
      act(request, log);
      await closed;
      log("close");
    },
  };
}

const symbol = Symbol("s") as never;
const odd = (value: unknown): never => value as never;

const mistakes: Facts = {
  "error: method": thrown({ method: 1 }, { method: "A B" }, { method: "" }, { method: null }, {
    method: "\u00e9",
  }),
  "error: path": thrown({ path: "/a b" }, { path: "/\u0100" }, { path: "/\r\n" }, { path: "/\x7f" }),
  "error: protocol": thrown({ protocol: "https:" }, { protocol: "x:" }, { protocol: "" }),
  "error: host": thrown({ host: 1 }, { hostname: {} }, { hostname: [] }),
  "error: port": thrown({ port: -1 }, { port: 65_536 }, { port: "a" }, { port: 1.5 }),
  "error: agent": thrown({ agent: true }, { agent: {} }, { agent: "a" }),
  "error: insecureHTTPParser": thrown({ insecureHTTPParser: 1 }, { insecureHTTPParser: "a" }),
  "error: joinDuplicateHeaders": thrown({ joinDuplicateHeaders: 1 }),
  "error: maxHeaderSize": thrown({ maxHeaderSize: "1" }, { maxHeaderSize: -1 }, { maxHeaderSize: 1.5 }),
  "error: timeout": thrown({ timeout: "1" }, { timeout: -1 }, { timeout: NaN }),
  "error: signal": thrown({ signal: {} }, { signal: 1 }),
  "error: headers": thrown(
    { headers: { "a b": "1" } },
    { headers: { a: undefined } },
    { headers: { a: "\u0100" } },
    { headers: { a: "\r\n" } },
    { headers: { host: ["a"] } },
    { headers: { host: 1 } },
  ),
  "error: family": thrown({ family: 5, host: "localhost" }),
  "error: a URL that is none": {
    play: ({ kit, log }) => {
      for (const url of ["", "a", "http://", "http://a:99999/"]) log(outcome(() => kit.request(url)));
      log(outcome(() => kit.request("https://127.0.0.1/")));
      log(outcome(() => kit.request({ host: "127.0.0.1", port: 1 }, odd("text"))));
    },
  },
  "error: setHeader()": steps(
    (request) => request.setHeader("", "1"),
    (request) => request.setHeader("a b", "1"),
    (request) => request.setHeader(odd(1), "1"),
    (request) => request.setHeader("a", odd(undefined)),
    (request) => request.setHeader("a", "b\nc"),
    (request) => request.setHeader("a", "\u0100"),
    (request) => request.setHeader("a", odd(null)),
    (request) => request.setHeader("a", odd(true)),
    (request) => request.setHeader("a", []),
  ),
  "error: appendHeader() and setHeaders()": steps(
    (request) => request.appendHeader("a b", "1"),
    (request) => request.appendHeader("a", "b\nc"),
    (request) => request.appendHeader("a", odd(undefined)),
    (request) => request.setHeaders(odd({ a: 1 })),
    (request) => request.setHeaders(odd([])),
    (request) => request.setHeaders(odd(undefined)),
    (request) => request.setHeaders(new Headers({ a: "1" })),
    (request) => request.setHeaders(new Map([["a b", "1"]])),
  ),
  "error: getHeader(), hasHeader(), removeHeader()": steps(
    (request) => request.getHeader(odd(1)),
    (request) => request.hasHeader(odd(undefined)),
    (request) => request.removeHeader(odd(null)),
    (request) => request.getHeader("none"),
    (request) => request.removeHeader("none"),
  ),
  "error: headers that have gone": steps(
    (request) => {
      request.flushHeaders();
      return request.setHeader("a", "1");
    },
    (request) => {
      request.flushHeaders();
      return request.removeHeader("a");
    },
    (request) => {
      request.flushHeaders();
      return request.appendHeader("a", "1");
    },
    (request) => {
      request.flushHeaders();
      return request.setHeaders(new Map([["a", "1"]]));
    },
    (request) => {
      request.flushHeaders();
      return request.flushHeaders();
    },
  ),
  "error: addTrailers()": steps(
    (request) => request.addTrailers({ "a b": "1" }),
    (request) => request.addTrailers({ a: "b\nc" }),
    (request) => request.addTrailers({ a: "\u0100" }),
    (request) => {
      request.setHeader("trailer", "x");
      request.setHeader("content-length", 3);
      return request.flushHeaders();
    },
  ),
  "error: write()": steps(
    (request) => request.write(odd(null)),
    (request) => request.write(odd(undefined)),
    (request) => request.write(odd(1)),
    (request) => request.write(odd({})),
    (request) => request.write("a", odd("nonsense")),
    (request) => request.write(symbol),
  ),
  "error: end()": steps(
    (request) => request.end(odd(1)),
    (request) => request.end(odd({})),
    (request) => request.end(odd(null)),
  ),
  "error: setTimeout()": steps(
    (request) => request.setTimeout(odd("1")),
    (request) => request.setTimeout(-1),
    (request) => request.setTimeout(odd(undefined)),
    (request) => request.setTimeout(Infinity),
  ),
  "error: validateHeaderName() and validateHeaderValue()": {
    play: ({ kit, log }) => {
      for (const name of ["", "a b", "a", odd(1), odd(undefined)]) {
        log(outcome(() => kit.validateHeaderName(name)));
      }
      log(outcome(() => (kit.validateHeaderName as (name: string, label: string) => void)("a b", "Label")));
      for (const value of ["", "a\nb", odd(undefined), "\u0100", odd(1)]) {
        log(outcome(() => kit.validateHeaderValue("x", value)));
      }
    },
  },
  "error: a new agent's options": {
    play: ({ kit, log }) => {
      const bags: AnyOptions[] = [
        { scheduling: "x" },
        { maxTotalSockets: "1" },
        { maxTotalSockets: 0 },
        { maxTotalSockets: -1 },
        { maxTotalSockets: null },
      ];
      for (const options of bags) log(outcome(() => void new kit.Agent(options)));
    },
  },
  "error: write() to a GET whose head has gone": {
    answer: () => {},
    play: async ({ ask, origin, log }) => {
      const request = ask().on("error", () => {});
      request.flushHeaders();
      while (origin.heads.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      log(outcome(() => request.write("abc")));
      request.destroy();
    },
  },
  "error: _implicitHeader() of a plain message": {
    play: ({ kit, log }) => {
      log(outcome(() => new kit.OutgoingMessage().write("a")));
      log(outcome(() => new kit.OutgoingMessage().flushHeaders()));
    },
  },
};

const said: Facts = {
  "error: write() behind end()": telling((request, log) => {
    request.end("a");
    log(show(request.write("b", (error) => log(`callback ${show(error)}`))));
  }),
  "error: end() with data behind end()": telling((request, log) => {
    request.end("a");
    log(show(request.end("b", () => log("callback")) === request));
  }),
  "error: write() behind destroy()": telling((request, log) => {
    request.destroy();
    log(show(request.write("b", (error) => log(`callback ${show(error)}`))));
  }),
  "error: end() behind destroy()": telling((request, log) => {
    request.destroy(new Error("mine"));
    request.end(odd((error: unknown) => log(`callback ${show(error)}`)));
  }),
  "error: end() behind 'finish'": telling((request, log) => {
    request.end();
    request.on("finish", () => request.end(odd((error: unknown) => log(`callback ${show(error)}`))));
  }),
  "error: pipe()": telling((request, log) => {
    log(outcome(() => void request.pipe(somewhere())));
    request.end();
  }),
  "error: strictContentLength, too much": telling((request, log) => {
    request.strictContentLength = true;
    request.setHeader("content-length", 3);
    log(outcome(() => request.write("abcd")));
    request.destroy();
  }),
  "error: strictContentLength, too little": telling((request, log) => {
    request.strictContentLength = true;
    request.setHeader("content-length", 3);
    request.write("ab");
    log(outcome(() => request.end("")));
    request.destroy();
  }),
  "error: a signal, before and after the connection": {
    answer: () => {},
    play: async ({ ask, log }) => {
      for (const stage of ["made", "socket", "finish"]) {
        const controller = new AbortController();
        const request = ask({ signal: controller.signal });
        request.on(
          "error",
          (error) => log(`${stage} ${wordsOf(error)} ${((error as Error).cause as Error).name}`),
        );
        if (stage === "made") controller.abort();
        else request.on(stage, () => controller.abort(new Error("why")));
        const closed = told(request, "close");
        request.end();
        await closed;
      }
    },
  },
};

function somewhere(): NodeJS.WritableStream {
  return { write: () => true, end: () => {}, on: () => {}, once: () => {}, emit: () => {} } as never;
}

/** What a request is told of a response that is none. */
function faulty(bytes: string, then: "stays" | "ends" = "stays"): Fact {
  return {
    answer: (socket) => void (then === "ends" ? socket.end(bytes, "latin1") : socket.write(bytes, "latin1")),
    play: async ({ ask, log }) => {
      const request = ask();
      request.on("error", (error: Error & AnyOptions) => {
        log(`error ${error["code"]} ${error.message} [${error["reason"]}]`);
        const packet = error["rawPacket"];
        if (packet !== undefined) {
          log(
            show([
              // Of what comes in pieces it is the runtime's affair.
              bytes.length < 1_000 && error["bytesParsed"],
              packet instanceof Uint8Array,
              bytes.includes(String(packet).slice(0, 20)),
            ]),
          );
        }
      });
      request.on("response", (response) => {
        log(`response ${response.statusCode}`);
        for (const event of ["aborted", "end"]) response.on(event, () => log(`res ${event}`));
        response.on("error", (error) => log(`res error ${wordsOf(error)}`));
        response.resume();
      });
      const closed = told(request, "close");
      request.end();
      await closed;
    },
  };
}

const faults: Facts = {
  "fault: a status that is none": faulty("HTTP/1.1 2x0 OK\r\n\r\n"),
  "fault: a status of two digits": faulty("HTTP/1.1 20 OK\r\n\r\n"),
  "fault: a version that is none": faulty("HTTP/9.9 200 OK\r\n\r\n"),
  "fault: two lengths": faulty("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
  "fault: two equal lengths": faulty("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
  "fault: a length and chunks": faulty(
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  ),
  "fault: chunks and a length": faulty(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  ),
  "fault: a length that is none": faulty("HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok"),
  "fault: a line that ends with LF": faulty("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
  "fault: a space before the colon": faulty("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n"),
  "fault: a folded line": faulty("HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\nContent-Length: 0\r\n\r\n"),
  "fault: NUL in a value": faulty("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"),
  "fault: no colon": faulty("HTTP/1.1 200 OK\r\nXY\r\n\r\n"),
  "fault: a chunk without a size": faulty("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
  "fault: a chunk longer than it says": faulty(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
  ),
  "fault: a head that is too long": faulty(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(20_000)}\r\n\r\n`),
  "fault: no HTTP": faulty("SSH-2.0-OpenSSH\r\n"),
  "fault: a body behind 204": faulty("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"),
  "fault: nothing, and the end": faulty("", "ends"),
  "fault: half a head, and the end": faulty("HTTP/1.1 200 OK\r\nX:", "ends"),
  "fault: half a chunk, and the end": faulty(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart",
    "ends",
  ),
  "accepted: HTTP/1.0 to its end": faulty("HTTP/1.0 200 OK\r\n\r\nbody", "ends"),
  "accepted: no reason": faulty("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
  "accepted: an empty reason": faulty("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
  "accepted: extensions of chunks": faulty(
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b;c="d"\r\nok\r\n0;e\r\n\r\n',
  ),
  "accepted: gzip, chunked": faulty(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
  ),
  "accepted: a length of HEAD": {
    answer: (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n"),
    play: async ({ ask, log }) => {
      const request = ask({ method: "HEAD" });
      const closed = told(request, "close");
      request.on("response", (response) => {
        log(show(response.headers));
        response.on("end", () => log("res end")).resume();
      });
      request.end();
      await closed;
    },
  },
  "accepted: an interim response that is not asked for": {
    answer: (socket) => void socket.write(`HTTP/1.1 102 Processing\r\nX: 1\r\n\r\n${ok()}`),
    play: async ({ ask, log }) => {
      const request = ask();
      const closed = told(request, "close");
      request.on("continue", () => log("continue")).on("information", (info) => log(show(info)));
      request.on("response", (response) => response.resume());
      request.end();
      await closed;
    },
  },
};

/** See the file's comment. */
export const errorFacts: Facts = { ...mistakes, ...said, ...faults };
