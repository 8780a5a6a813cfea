import type { Stream } from "@libp2p/interface";

/** A stream that both sides know of; before, an update carries the flag that says so. */
const ESTABLISHED = 3;

/** What a stream of yamux has beyond its public type: flow control by credit, in bytes. */
interface YamuxStream extends Stream {
  readonly state: number;
  /** What the other side may send until it hears from us... */
  readonly recvWindowCapacity: number;
  /** ... and may send after we told it so. */
  readonly recvWindow: number;
  /** How far that credit may grow. */
  maxStreamWindowSize: number;
  sendWindowUpdate(): void;
}

/** Before anything is read from a stream: at most so much is on its way to us on it. Yamux begins with 256 KiB. */
export function boundWindow(stream: Stream, bytes: number): void {
  (stream as YamuxStream).maxStreamWindowSize = bytes;
}

/**
 * Gives credit back once half of it is used. Left alone yamux answers every frame with one that gives back its few bytes,
 * which is encrypted, written, and read by the other side: with small messages, one more for each.
 */
export function updateWindowLazily(stream: Stream): void {
  const yamux = stream as YamuxStream;
  // Another version may do without: then nothing is to be done.
  if (typeof yamux.sendWindowUpdate !== "function") return;
  const update = yamux.sendWindowUpdate.bind(yamux);
  yamux.sendWindowUpdate = () => {
    if (yamux.state === ESTABLISHED && yamux.recvWindowCapacity > yamux.recvWindow / 2) return;
    update();
  };
}
