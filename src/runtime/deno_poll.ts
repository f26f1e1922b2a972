/**
 * One poll of the event loop, waited for, on Deno.
 *
 * Owns the pair of sockets by which a poll is forced. Knows nobody else's sockets.
 *
 * Why: Deno's loop runs immediates, messages and whatever is done at once without asking the system for news of sockets:
 * 20 immediates in a row, and bytes that had lain in the kernel for 7 ms were not seen. A timer polls, but takes 2 ms.
 *
 * Strategy: a read that cannot be done at once, and then the byte that it waits for: it is told by the poll that tells of
 * everything else that has come before it (measured: always the first). All who ask in one turn share it: at 10 requests at
 * a time there is one for every six of them. One pair on the loopback for the whole process,
 * for all who wait at the same time; closed when nobody has waited for a moment. Where the program may not open one,
 * a timer has to do.
 *
 * @module
 */

import type { AfterPoll } from "./turn_poll.ts";
import { runAll } from "./turn_poll.ts";
import type { Clock, Timer } from "../clock.ts";
import { closeQuietly } from "./deno_socket.ts";

/** What is used of `Deno`. */
export interface PollingDeno {
  /** Deno.listen. */
  listen(options: { hostname: string; port: number }): PollListener;
  /** Deno.connect. */
  connect(options: { hostname: string; port: number }): Promise<PollConn>;
  /** Deno.permissions. */
  readonly permissions: { querySync(descriptor: { name: "net"; host: string }): { readonly state: string } };
}

/** Deno.Listener. */
export interface PollListener {
  readonly addr: unknown;
  accept(): Promise<PollConn>;
  close(): void;
}

/** Deno.TcpConn. */
export interface PollConn {
  readonly localAddr: unknown;
  readonly remoteAddr: unknown;
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  setNoDelay(on?: boolean): void;
  close(): void;
}

const LOOPBACK = "127.0.0.1";
/** For how long the pair is kept without use, ms, and for twice that at most: it is made in 1 ms. */
const KEEP_MS = 100;

/** The two ends, the one that reads next first. */
type Pair = readonly [reader: PollConn, writer: PollConn];

/** Makes an {@linkcode AfterPoll} for Deno. */
export function createDenoPoll(Deno: PollingDeno, clock: Clock): AfterPoll {
  let waiting: (() => void)[] = [];
  let isPolling = false;
  let pair: Pair | undefined;
  let keepTimer: Timer | undefined;
  let isUsed = false;

  function poll(): void {
    isUsed = true;
    if (pair !== undefined) return ping();
    openPair(Deno).then((opened) => {
      pair = opened;
      ping();
    });
  }

  function ping(): void {
    const due = waiting;
    waiting = [];
    if (pair === undefined) return standIn(due);
    const [reader, writer] = pair;
    // They take turns: so a byte carries the acknowledgement of the one before, which else is a segment of its own.
    pair = [writer, reader];
    // The read first: what is there already would be read without a poll.
    reader.read(into).then((count) => count === 1 ? tell(due) : standIn(due), () => standIn(due));
    // Not waited for: the byte is. Where it cannot be written, the read would last for ever.
    writer.write(one).catch(() => closeQuietly(reader));
  }

  // There is no pair, or somebody has closed it: a timer has to do, and the next poll opens another.
  function standIn(due: readonly (() => void)[]): void {
    close();
    clock.after(0, () => tell(due), { ref: true });
  }

  function tell(due: readonly (() => void)[]): void {
    // What one of them throws is the process's affair, and must not end the polling.
    queueMicrotask(() => runAll(due));
    // They may ask for a poll at once, and who asked meanwhile waits already.
    queueMicrotask(goOn);
  }

  function goOn(): void {
    if (waiting.length > 0) return poll();
    isPolling = false;
    if (pair !== undefined) keepTimer ??= clock.after(KEEP_MS, closeUnused);
  }

  // One timer for many polls: setting one costs as much as half a poll.
  function closeUnused(): void {
    keepTimer = undefined;
    if (isPolling) return;
    if (!isUsed) return close();
    isUsed = false;
    keepTimer = clock.after(KEEP_MS, closeUnused);
  }

  function close(): void {
    pair?.forEach(closeQuietly);
    pair = undefined;
  }

  return (fn) => {
    waiting.push(fn);
    if (isPolling) return;
    isPolling = true;
    // What one poll has shown is told in one go, one microtask after the other: all who ask then share the next poll.
    queueMicrotask(poll);
  };
}

const one = new Uint8Array(1);
// Room for more than comes: Deno asks the system again, and in vain, after a read that has filled its buffer.
const into = new Uint8Array(2);

/** Undefined: the program may not have one. */
async function openPair(Deno: PollingDeno): Promise<Pair | undefined> {
  // Without asking the user, which a call would do.
  if (Deno.permissions.querySync({ name: "net", host: LOOPBACK }).state !== "granted") return undefined;
  let listener: PollListener | undefined;
  try {
    listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
    const { port } = listener.addr as { port: number };
    const ends = await Promise.all([
      listener.accept(),
      Deno.connect({ hostname: LOOPBACK, port }),
    ]);
    const [far, near] = ends;
    // Anybody on this machine may have been faster: then the byte would never come.
    if ((far.remoteAddr as { port: number }).port !== (near.localAddr as { port: number }).port) {
      ends.forEach(closeQuietly);
      return undefined;
    }
    for (const end of ends) end.setNoDelay(true);
    return ends;
  } catch {
    // No loopback, or no descriptor left: the timer stands in.
    return undefined;
  } finally {
    listener?.close();
  }
}
