/**
 * What is asked of a socket before there is one.
 *
 * Owns the early writes and the settings, and how they are asked of the socket once it is there. Must not know where that
 * comes from.
 *
 * @module
 */

import type { Socket } from "./socket.ts";
import { HIGH_WATER_BYTES } from "./write_queue.ts";

/** See the file's comment. The last word on a setting counts. */
export class EarlyCalls {
  /** Bytes written. */
  bytes = 0;
  /** `end()` was called: nothing can be written behind it. */
  isEnding = false;
  /** `pause()` was called, and `resume()` not since. */
  isPaused = false;
  /** `unref()` was not called, or `ref()` since. */
  isReferenced = true;
  /** The last `setNoDelay()`. */
  noDelay: boolean | undefined;
  /** The last `setKeepAlive()`. */
  keepAlive: { readonly on: boolean; readonly delayMs: number } | undefined;
  #chunks: Uint8Array[] = [];

  /** As `Socket.write`. */
  write(chunk: Uint8Array): boolean {
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.bytes += chunk.length;
    return this.bytes < HIGH_WATER_BYTES;
  }

  /** Forgets what was written: there will be no socket. */
  drop(): void {
    this.#chunks = [];
    this.bytes = 0;
  }

  /** Asks it all of `socket`, and forgets what was written. */
  handTo(socket: Socket): void {
    if (!this.isReferenced) socket.unref?.();
    if (this.isPaused) socket.pause();
    if (this.noDelay !== undefined) socket.setNoDelay?.(this.noDelay);
    if (this.keepAlive !== undefined) socket.setKeepAlive?.(this.keepAlive.on, this.keepAlive.delayMs);
    const chunks = this.#chunks;
    this.drop();
    chunks.forEach((chunk, index) => socket.write(chunk, index < chunks.length - 1));
    if (this.isEnding) socket.end();
  }
}
