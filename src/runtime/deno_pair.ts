/**
 * Two ends of one connection over the loopback within this process, on Deno.
 *
 * Owns the permission that it needs, and the proof that both ends are ours. Knows no poll.
 *
 * Strategy: TCP, because a byte over the loopback comes behind the bytes of others that the system has not handed on yet. An abstract
 * unix socket costs a third less and overtakes them: on a machine with five times the work that it can do 3 of 1,800
 * requests were answered by bytes that nobody had asked for, and none of 1,800 with TCP (docs/defects.md, D10).
 * Anybody on this machine may see the port and be faster: so the pair has to carry a number that nobody knows.
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
  readonly permissions: { querySync(descriptor: { name: "net"; host: string }): { readonly state: string } };
}

/** Where the two meet. */
export interface Place {
  readonly hostname: string;
  readonly port: number;
}

/** Deno.Listener. */
export interface PairListener {
  readonly addr: unknown;
  accept(): Promise<PairConn>;
  close(): void;
}

/** Deno.TcpConn. */
export interface PairConn {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  setNoDelay(on?: boolean): void;
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
  // Without asking the user, which a call would do.
  if (Deno.permissions.querySync({ name: "net", host: LOOPBACK }).state !== "granted") return undefined;
  let listener: PairListener | undefined;
  const ends: PairConn[] = [];
  try {
    listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
    const { port } = listener.addr as { port: number };
    const accepted = listener.accept();
    // It is waited for below; should the connect fail, closing the listener ends it.
    accepted.catch(() => {});
    ends.push(await Deno.connect({ hostname: LOOPBACK, port }));
    ends.push(await accepted);
    const [near, far] = ends as [PairConn, PairConn];
    for (const end of ends) end.setNoDelay(true);
    if (await carriesProof(near, far, clock)) return [near, far];
  } catch {
    // No loopback, or no descriptor left.
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
