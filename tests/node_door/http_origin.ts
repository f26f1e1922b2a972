/** A TCP server for the http face's tests: it reads each request whole and answers as it is told, byte for byte. */
import { createServer, type Socket } from "node:net";
import { listening } from "../harness/listening.ts";

/** A request as it came over the wire. */
export interface WireRequest {
  /** Start line and header lines. */
  readonly head: string;
  /** What came behind the empty line so far. */
  readonly body: string;
}

/** What the origin does with a request whose head has come: write to the socket, end it, nothing. */
export type WireAnswer = (socket: Socket, request: WireRequest, index: number) => void;

/** A running origin. */
export interface WireOrigin {
  readonly port: number;
  /** Heads in the order received. */
  readonly heads: string[];
  /** All bytes received, per connection. */
  readonly received: string[];
  /** Connections made so far. */
  connections: number;
  close(): Promise<void>;
}

/** Starts an origin on loopback; `answer` is called once for each head. */
export async function wireOrigin(answer: WireAnswer): Promise<WireOrigin> {
  const server = createServer((socket) => {
    const connection = origin.connections++;
    origin.received[connection] = "";
    let pending = "";
    socket.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      origin.received[connection] += text;
      pending += text;
      for (;;) {
        const end = pending.indexOf("\r\n\r\n");
        if (end < 0) return;
        const head = pending.slice(0, end);
        const body = pending.slice(end + 4);
        // A body is the rest of what came with the head: the tests' bodies are small.
        pending = "";
        answer(socket, { head, body }, origin.heads.push(head) - 1);
      }
    });
  });
  const origin: WireOrigin = {
    port: 0,
    heads: [],
    received: [],
    connections: 0,
    close: () => Promise.resolve(),
  };
  const { port, close } = await listening(server);
  return Object.assign(origin, { port, close });
}

/** Runs `body` with an origin that is closed behind it. */
export async function withWireOrigin(
  answer: WireAnswer,
  body: (origin: WireOrigin) => Promise<void>,
): Promise<void> {
  const origin = await wireOrigin(answer);
  try {
    await body(origin);
  } finally {
    await origin.close();
  }
}

/** A complete response with this body. */
export function ok(body = "ok", ...fields: string[]): string {
  return ["HTTP/1.1 200 OK", ...fields, `Content-Length: ${body.length}`, "", body].join("\r\n");
}
