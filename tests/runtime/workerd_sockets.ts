/**
 * workerd's `connect()` over node:net, as far as it was measured: web streams, a byte stream for reading, errors that
 * carry no code.
 *
 * @module
 */

import * as net from "node:net";
import type { WorkerdConnect } from "../../examples/workerd_sockets.ts";

/** Stands for `import { connect } from "cloudflare:sockets"`. */
export const connect: WorkerdConnect = ({ hostname, port }, { allowHalfOpen }) => {
  const host = hostname.replace(/^\[|\]$/g, "");
  const socket = net.connect({ host, port, allowHalfOpen, noDelay: true });
  socket.pause();
  const opened = new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once(
      "close",
      () => reject(new Error("proxy request failed, cannot connect to the specified address")),
    );
  });
  const closed = new Promise<void>((resolve, reject) => {
    socket.once("close", (hadError) => hadError ? reject(new Error("Network connection lost.")) : resolve());
  });
  return {
    readable: readableOf(socket),
    writable: writableOf(socket),
    opened,
    closed,
    close: () => {
      socket.destroy();
      return closed;
    },
  };
};

function readableOf(socket: net.Socket): ReadableStream<Uint8Array> {
  let isOver = false;
  return new ReadableStream({
    type: "bytes",
    start(controller: ReadableByteStreamController): void {
      const end = (finish: () => void): void => {
        if (isOver) return;
        isOver = true;
        finish();
      };
      socket.on("data", (chunk: Uint8Array) => {
        if (isOver) return;
        controller.enqueue(new Uint8Array(chunk));
        if ((controller.desiredSize ?? 0) <= 0) socket.pause();
      });
      socket.on("end", () =>
        end(() => {
          controller.close();
          controller.byobRequest?.respond(0);
        }));
      socket.on("error", () => end(() => controller.error(new Error("Network connection lost."))));
    },
    pull(): void {
      socket.resume();
    },
    cancel(): void {
      isOver = true;
    },
  });
}

function writableOf(socket: net.Socket): WritableStream<Uint8Array> {
  const lost = (): Error => new Error("Network connection lost.");
  return new WritableStream<Uint8Array>({
    write: (chunk) =>
      new Promise((resolve, reject) =>
        void socket.write(chunk, (error) => error ? reject(lost()) : resolve())
      ),
    close: () => new Promise((resolve) => void socket.end(resolve)),
  });
}
