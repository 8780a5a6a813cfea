import { FRAME_BYTES_MIN } from "./message-writer.js";

export interface ReconcileOptions {
  /** Longest message that we write, bytes, 4096 or more; default: as long as it takes. */
  readonly frameBytesMax?: number;
  /** Longest message that we read, bytes; default 64 MiB. Reading costs time in proportion. */
  readonly messageBytesMax?: number;
}

/** @throws RangeError when frameBytesMax is too small */
export function completeOptions(options: ReconcileOptions): Required<ReconcileOptions> {
  const { frameBytesMax = Number.POSITIVE_INFINITY, messageBytesMax = 64 * 1024 ** 2 } = options;
  if (!(frameBytesMax >= FRAME_BYTES_MIN)) {
    throw new RangeError(`frameBytesMax ${frameBytesMax} is below ${FRAME_BYTES_MIN}`);
  }
  return { frameBytesMax, messageBytesMax };
}
