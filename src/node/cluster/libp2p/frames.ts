/** Bytes in front of a frame: its length, u32 big-endian. */
export const FRAME_HEADER_BYTES = 4;

/** The header of a frame of that many bytes. */
export function frameHeader(frameBytes: number): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, frameBytes);
  return header;
}

/** A length that no honest peer sends. */
export class FrameTooLarge extends Error {
  constructor(
    readonly frameBytes: number,
    readonly frameBytesMax: number,
  ) {
    super(`a frame of ${frameBytes} bytes exceeds peerFrameBytesMax (${frameBytesMax})`);
  }
}

/** Splits a byte stream into frames: u32 length (big-endian), then that many bytes. */
export class FrameReader {
  readonly #frameBytesMax: number;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #frame: Uint8Array | undefined;
  #frameFilled = 0;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** A frame was begun, and the rest of it has not come. */
  get isMidFrame(): boolean {
    return this.#frame !== undefined || this.#headerFilled > 0;
  }

  /**
   * Takes the next bytes of the stream, any number of them. A frame that lies whole in the chunk is a view of
   * it; one that was cut is copied once, into a buffer of its size.
   * @param deliver called with each frame that became complete, oldest first
   * @throws FrameTooLarge when a length exceeds frameBytesMax (nothing is buffered for it)
   */
  push(chunk: Uint8Array, deliver: (frame: Uint8Array) => void): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame) {
        at += this.#fill(this.#frame, chunk, at);
        if (this.#frameFilled < this.#frame.length) return;
        const frame = this.#frame;
        this.#frame = undefined;
        deliver(frame);
        continue;
      }
      this.#header[this.#headerFilled++] = chunk[at++]!;
      if (this.#headerFilled < FRAME_HEADER_BYTES) continue;
      this.#headerFilled = 0;
      const frameBytes = new DataView(this.#header.buffer).getUint32(0);
      if (frameBytes > this.#frameBytesMax) throw new FrameTooLarge(frameBytes, this.#frameBytesMax);
      if (frameBytes <= chunk.length - at) {
        deliver(chunk.subarray(at, at + frameBytes));
        at += frameBytes;
      } else {
        this.#frame = new Uint8Array(frameBytes);
        this.#frameFilled = 0;
      }
    }
  }

  #fill(frame: Uint8Array, chunk: Uint8Array, at: number): number {
    const bytes = Math.min(frame.length - this.#frameFilled, chunk.length - at);
    frame.set(chunk.subarray(at, at + bytes), this.#frameFilled);
    this.#frameFilled += bytes;
    return bytes;
  }
}
