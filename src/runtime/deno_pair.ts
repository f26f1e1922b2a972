/**
 * Two ends of one connection within this process, on Deno.
 *
 * Owns which kind it is, the permissions that it needs, and the proof that both ends are ours. Knows no poll.
 *
 * Strategy: a unix socket with an abstract name costs a third less to send a byte through than the loopback (measured: 6.4
 * and 9.2 us of processor time, the poll included), and leaves no file. Only Linux has them, and Deno asks for the whole net permission; everywhere else it is TCP.
 * Anybody on this machine may see the name or the port and be faster: so the pair has to carry a number that nobody knows.
 *
 * @module
 */

import { closeQuietly } from "./deno_opening.ts";
import type { Clock } from "../clock.ts";

/** What is used of `Deno`. */
export interface PairingDeno {
  /** Deno.listen. */
  listen(options: Place): PairListener;
  /** Deno.connect. */
  connect(options: Place): Promise<PairConn>;
  /** Deno.permissions. */
  readonly permissions: { querySync(descriptor: { name: "net"; host?: string }): { readonly state: string } };
}

/** Where the two meet. */
export type Place =
  | { readonly transport?: "tcp"; readonly hostname: string; readonly port: number }
  | { readonly transport: "unix"; readonly path: string };

/** Deno.Listener. */
export interface PairListener {
  readonly addr: unknown;
  accept(): Promise<PairConn>;
  close(): void;
}

/** Deno.Conn. */
export interface PairConn {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  /** Of TCP. */
  setNoDelay?(on?: boolean): void;
  close(): void;
}

/** The two ends, the one that reads next first. */
export type Pair = readonly [reader: PairConn, writer: PairConn];

const LOOPBACK = "127.0.0.1";
/** For how long a number that has been sent is waited for, ms: it comes at once, or never. */
const PROOF_MS = 100;
const PROOF_BYTES = 16;

/** A pair; undefined: the program may not have one, or none can be made. */
export async function openPair(Deno: PairingDeno, clock: Clock): Promise<Pair | undefined> {
  const path = `\0holdfast-${crypto.randomUUID()}`;
  return (isGranted(Deno) ? await meet(Deno, clock, { transport: "unix", path }) : undefined) ??
    (isGranted(Deno, LOOPBACK) ? await meet(Deno, clock, { hostname: LOOPBACK, port: 0 }) : undefined);
}

// Without asking the user, which a call would do.
function isGranted(Deno: PairingDeno, host?: string): boolean {
  const descriptor = host === undefined ? { name: "net" as const } : { name: "net" as const, host };
  return Deno.permissions.querySync(descriptor).state === "granted";
}

async function meet(Deno: PairingDeno, clock: Clock, place: Place): Promise<Pair | undefined> {
  let listener: PairListener | undefined;
  const ends: PairConn[] = [];
  try {
    listener = Deno.listen(place);
    const { port } = listener.addr as { port?: number };
    const target = port === undefined ? place : { ...place, port } as Place;
    const accepted = listener.accept();
    // It is waited for below; should the connect fail, closing the listener ends it.
    accepted.catch(() => {});
    ends.push(await Deno.connect(target));
    ends.push(await accepted);
    const [near, far] = ends as [PairConn, PairConn];
    for (const end of ends) end.setNoDelay?.(true);
    if (await carriesProof(near, far, clock)) return [near, far];
  } catch {
    // No abstract names, no loopback, or no descriptor left.
  } finally {
    listener?.close();
  }
  ends.forEach(closeQuietly);
  return undefined;
}

async function carriesProof(near: PairConn, far: PairConn, clock: Clock): Promise<boolean> {
  const proof = crypto.getRandomValues(new Uint8Array(PROOF_BYTES));
  // One more than comes: Deno asks the system again, and in vain, after a read that has filled its buffer.
  const seen = new Uint8Array(PROOF_BYTES + 1);
  const timer = clock.after(PROOF_MS, () => closeQuietly(far), { ref: true });
  try {
    await near.write(proof);
    return await far.read(seen) === PROOF_BYTES && proof.every((byte, index) => byte === seen[index]);
  } finally {
    timer.cancel();
  }
}
