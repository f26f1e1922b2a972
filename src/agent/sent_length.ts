/**
 * Whether a request has sent the body that its head announces. Node's client does not look (but with `strictContentLength`), and a
 * connection that lacks bytes, or has some too many, gives them to the next request: its server reads what nobody wrote.
 * Pure.
 *
 * @module
 */

import { Buffer } from "node:buffer";

/** True if `sent` bytes in all are a request with this head, as far as its framing says (RFC 9112 section 6.3). */
export function isSentAsFramed(head: string, sent: number): boolean {
  // Its end is in it, and Node writes that.
  if (/\r\ntransfer-encoding:/i.test(head)) return true;
  const length = Number(/\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1] ?? 0);
  const exact = head.length + length;
  // Node joins the head to a first piece that is text, and writes both as the piece is to be.
  return sent === exact || (sent > exact && sent <= Buffer.byteLength(head) + length);
}
