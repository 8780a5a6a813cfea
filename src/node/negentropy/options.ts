import { FRAME_BYTES_MIN } from "./message-writer.js";
import type { Sketch } from "./sketch.js";

export interface ReconcileOptions {
  /** Longest message that we write, bytes, 4096 or more; default: as long as it takes. */
  readonly frameBytesMax?: number;
  /** Longest message that we read, bytes; default 64 MiB. Reading costs time in proportion. */
  readonly messageBytesMax?: number;
  /** Of the whole set; default: it is compared by ranges alone. */
  readonly sketch?: Sketch | undefined;
}

/** @throws RangeError when frameBytesMax is too small */
export function completeOptions(options: ReconcileOptions): Required<Omit<ReconcileOptions, "sketch">> {
  const { frameBytesMax = Number.POSITIVE_INFINITY, messageBytesMax = 64 * 1024 ** 2 } = options;
  if (!(frameBytesMax >= FRAME_BYTES_MIN)) {
    throw new RangeError(`frameBytesMax ${frameBytesMax} is below ${FRAME_BYTES_MIN}`);
  }
  return { frameBytesMax, messageBytesMax };
}
