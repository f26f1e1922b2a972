/** A server of a test on a port of its own, closed with all that it has accepted. */
import type { AddressInfo, Server, Socket } from "node:net";

/** A server and what it has accepted; closed with all its sockets. */
export interface Listening {
  /** Its port. */
  readonly port: number;
  /** Connections that it has accepted. */
  readonly accepted: number;
  /** Closes it and every connection. */
  close(): Promise<void>;
}

/** Starts it on the loopback. */
export async function listening(server: Server): Promise<Listening> {
  const open = new Set<Socket>();
  let accepted = 0;
  server.on("connection", (socket: Socket) => {
    accepted++;
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
