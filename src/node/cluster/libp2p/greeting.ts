/**
 * The first frame in each direction of a frame stream. The opener greets, the other answers, and from then on
 * the frames are the replicas'. One byte, then the name of the cluster in UTF-8.
 */
export interface Greeting {
  /**
   * Of the opener: it holds another connection to this peer, and asks whether the peer does too. Both dialled at
   * once, or one of them came back before the other noticed that it was gone: only the two together can tell.
   */
  readonly spare: boolean;
  readonly cluster: string;
}

const FRESH = 0;
const SPARE = 1;
/** A cluster name has 63 characters at most; this leaves room for what later versions add. */
const GREETING_BYTES_MAX = 256;

export function encodeGreeting({ spare, cluster }: Greeting): Uint8Array {
  return Buffer.concat([Buffer.of(spare ? SPARE : FRESH), Buffer.from(cluster)]);
}

/** @returns undefined when the frame is no greeting */
export function decodeGreeting(frame: Uint8Array): Greeting | undefined {
  const kind = frame[0];
  if ((kind !== FRESH && kind !== SPARE) || frame.length > GREETING_BYTES_MAX) return undefined;
  const cluster = Buffer.from(frame.buffer, frame.byteOffset + 1, frame.length - 1).toString();
  return /^[a-z0-9-]{1,63}$/.test(cluster) ? { spare: kind === SPARE, cluster } : undefined;
}
