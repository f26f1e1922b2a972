/** A server of a test on a port of its own, which counts its connections and is closed with them. */
import type { AddressInfo, Server, Socket } from "node:net";

/** A server and what it has accepted. */
export interface Listening {
  /** Its port. */
  readonly port: number;
  /** Connections that it has accepted. */
  readonly accepted: number;
  /** The most that were open at once; one is until its 'close'. */
  readonly peak: number;
  /** Those that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** Closes it and every connection. */
  close(): Promise<void>;
}

/** Starts it on an address of the loopback. */
export async function listening(server: Server, host: string = "127.0.0.1"): Promise<Listening> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  let peak = 0;
  server.on("connection", (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    peak = Math.max(peak, sockets.size);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    get accepted() {
      return accepted;
    },
    get peak() {
      return peak;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
