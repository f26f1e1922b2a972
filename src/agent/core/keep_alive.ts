/**
 * May the connection carry another request?
 *
 * Owns RFC 9112 section 9.3 and the Keep-Alive field; pure. When in doubt: no.
 *
 * @module
 */

import { trimOws } from "./characters.ts";
import type { BodyFraming } from "./framing.ts";
import type { ResponseHead } from "./response_parser.ts";

/** The part of a response's head that decides. */
export type KeepAliveHead = Pick<
  ResponseHead,
  | "httpVersionMajor"
  | "httpVersionMinor"
  | "status"
  | "connection"
  | "keepAlive"
  | "hasTransferEncoding"
  | "hasContentLength"
>;

/** What is known of the exchange. */
export interface KeepAliveFacts {
  /** The response. */
  readonly head: KeepAliveHead;
  /** How its body ends. */
  readonly framing: BodyFraming;
  /** The request said `Connection: close`. */
  readonly connectionClose: boolean;
  /** Subtracted from the server's hint, ms. Default 1000: Node's agentKeepAliveTimeoutBuffer. */
  readonly bufferMs?: number | undefined;
}

/** Why a connection is not used again. */
export type CloseReason =
  | "request-close"
  | "response-close"
  | "close-delimited"
  | "upgrade"
  | "http-1.0"
  | "http-1.0-transfer-encoding"
  | "http-version"
  | "two-framings"
  | "hint-expired"
  | "hint-max";

/** The verdict. */
export interface KeepAliveVerdict {
  /** False: close it after the response. */
  readonly reusable: boolean;
  /** Why not. */
  readonly reason?: CloseReason | undefined;
  /** How long it may lie idle, ms: the server's hint less the buffer. Undefined: the server gave none. */
  readonly idleTimeoutMs?: number | undefined;
  /** How many more requests the server takes. Undefined: it did not say. */
  readonly max?: number | undefined;
}

const REUSABLE: KeepAliveVerdict = { reusable: true };

/** Judges a connection by the exchange on it, as far as the heads tell. */
export function keepAliveVerdict(facts: KeepAliveFacts): KeepAliveVerdict {
  const reason = closeReason(facts);
  if (reason !== undefined) return { reusable: false, reason };
  if (facts.head.keepAlive === "") return REUSABLE;
  const { timeout, max } = parseKeepAlive(facts.head.keepAlive);
  if (max === 0) return { reusable: false, reason: "hint-max" };
  if (timeout === undefined) return { reusable: true, max };
  const idleTimeoutMs = timeout * 1000 - bufferOf(facts.bufferMs);
  if (idleTimeoutMs <= 0) return { reusable: false, reason: "hint-expired" };
  return { reusable: true, idleTimeoutMs, max };
}

/** False where the heads say that the connection ends behind the response; hints of its idle time aside. */
export function persists(head: KeepAliveHead, framing: BodyFraming): boolean {
  return closeReason({ head, framing, connectionClose: false }) === undefined;
}

function closeReason({ head, framing, connectionClose }: KeepAliveFacts): CloseReason | undefined {
  if (connectionClose) return "request-close";
  if (head.status === 101) return "upgrade";
  if (framing.kind === "close") return "close-delimited";
  const { connection } = head;
  const says = connection === "" ? NOTHING_SAID : connectionTokens(connection);
  if (says.close) return "response-close";
  // Let through by leniency alone: whoever stands between may have read the other one (RFC 9112 section 6.1).
  if (head.hasTransferEncoding && head.hasContentLength) return "two-framings";
  if (head.httpVersionMajor !== 1) return "http-version";
  if (head.httpVersionMinor >= 1) return undefined;
  // RFC 9112 section 6.1: a 1.0 message with Transfer-Encoding is faulty framing, close behind it.
  if (head.hasTransferEncoding) return "http-1.0-transfer-encoding";
  return says.keepAlive ? undefined : "http-1.0";
}

interface ConnectionTokens {
  close: boolean;
  keepAlive: boolean;
}

const NOTHING_SAID: ConnectionTokens = { close: false, keepAlive: false };

function connectionTokens(list: string): ConnectionTokens {
  const tokens = { close: false, keepAlive: false };
  for (const element of list.toLowerCase().split(",")) {
    const token = trimOws(element);
    if (token === "close") tokens.close = true;
    else if (token === "keep-alive") tokens.keepAlive = true;
  }
  return tokens;
}

/** The hints of a Keep-Alive field. */
export interface KeepAliveHints {
  /** Seconds. */
  readonly timeout: number | undefined;
  /** Requests. */
  readonly max: number | undefined;
}

/**
 * Reads `timeout=5, max=100`: in any order, any case, with quotes or semicolons; of repeated ones the least counts,
 * and what is no whole number is not there.
 */
export function parseKeepAlive(value: string): KeepAliveHints {
  let timeout: number | undefined;
  let max: number | undefined;
  for (const element of value.split(/[,;]/)) {
    const hint = /^[ \t]*(timeout|max)[ \t]*=[ \t]*("?)(\d+)\2[ \t]*$/i.exec(element);
    if (hint === null) continue;
    const number = Number(hint[3]);
    if (hint[1]!.length === 3) max = Math.min(number, max ?? Infinity);
    else timeout = Math.min(number, timeout ?? Infinity);
  }
  return { timeout, max };
}

// Node's http document, "agentKeepAliveTimeoutBuffer": what is not a finite number from 0 on is 1000.
function bufferOf(bufferMs: number | undefined): number {
  return bufferMs !== undefined && Number.isFinite(bufferMs) && bufferMs >= 0 ? bufferMs : 1000;
}
