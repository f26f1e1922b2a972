/**
 * Whether zstd data ends where a frame does (RFC 8878 section 3.1): no runtime's decoder says so when it is cut short.
 *
 * Owns the walk over frames and blocks by their sizes. Decodes nothing, and leaves it to the decoder to find what is broken.
 *
 * @module
 */

const FRAME = 0xfd2fb528;
/** The low four bits are the user's. */
const SKIPPABLE = 0x184d2a50;
const DICTIONARY_BYTES = [0, 1, 2, 4] as const;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
/** Types of block: of the third and the fourth the decoder knows what to say. */
const RLE = 1;

type Part = "magic" | "skippable" | "descriptor" | "block" | "unknown";

/** See the file's comment. */
export class ZstdFrames {
  /** What is read next: a number of `#wanted` bytes, least significant first. */
  #part: Part = "magic";
  #wanted = 4;
  #value = 0;
  #count = 0;
  #skip = 0;
  #hasChecksum = false;
  #frames = 0;

  /** All that was taken in is whole frames; also where it is no zstd at all, which is for the decoder to say. */
  get isWhole(): boolean {
    if (this.#part === "unknown") return true;
    return this.#part === "magic" && this.#count === 0 && this.#skip === 0 && this.#frames > 0;
  }

  /** The next bytes; nothing of them is kept. */
  take(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && this.#part !== "unknown";) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      this.#value += bytes[at++]! * 2 ** (8 * this.#count++);
      if (this.#count < this.#wanted) continue;
      const value = this.#value;
      this.#value = this.#count = 0;
      this.#read(value);
    }
  }

  #read(value: number): void {
    switch (this.#part) {
      case "magic":
        this.#frames++;
        if (value === FRAME) return this.#want("descriptor", 1);
        // 2^4 magic numbers in a row.
        return value - SKIPPABLE >= 0 && value - SKIPPABLE < 16
          ? this.#want("skippable", 4)
          : this.#want("unknown", 0);
      case "skippable":
        this.#skip = value;
        return this.#want("magic", 4);
      case "descriptor":
        this.#skip = headerBytes(value);
        this.#hasChecksum = (value & 4) !== 0;
        return this.#want("block", 3);
      case "block":
        this.#skip = ((value >> 1) & 3) === RLE ? 1 : value >> 3;
        if ((value & 1) === 0) return this.#want("block", 3);
        this.#skip += this.#hasChecksum ? 4 : 0;
        return this.#want("magic", 4);
    }
  }

  #want(part: Part, bytes: number): void {
    this.#part = part;
    this.#wanted = bytes;
  }
}

/** Bytes of a frame's header behind its descriptor (section 3.1.1.1.1). */
function headerBytes(descriptor: number): number {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const size = CONTENT_SIZE_BYTES[descriptor >> 6]! || (isSingleSegment ? 1 : 0);
  return (isSingleSegment ? 0 : 1) + DICTIONARY_BYTES[descriptor & 3]! + size;
}
