import type { Stream } from "@libp2p/interface";
import { LIMITS } from "../../../core/limits.js";

/** So much is handed down at once, without waiting for more. */
const JOIN_BYTES_MAX = 65_536;

/**
 * What the router sends to one peer. It hands down each message, forwarded message and control message by itself; those
 * of one turn of the event loop leave together, as one record. It ignores back-pressure, too: past `gossipQueueBytesMax`
 * it is told that sending failed, and skips that peer.
 */
export class GossipQueue {
  readonly #stream: Stream;
  readonly #send: Stream["send"];
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #turnEnd: NodeJS.Immediate | undefined;

  /** @param stream whose `send` becomes that of the queue @param skipped called for each message that is not sent */
  constructor(stream: Stream, skipped: () => void) {
    this.#stream = stream;
    this.#send = stream.send.bind(stream);
    stream.send = (message) => {
      if (this.queuedBytes > LIMITS.gossipQueueBytesMax) {
        skipped();
        throw new Error("the gossip queue of this peer is full");
      }
      this.#pieces.push(message.subarray());
      this.#bytes += message.byteLength;
      if (this.#bytes >= JOIN_BYTES_MAX) this.flush();
      else this.#turnEnd ??= setImmediate(() => this.flush());
      return true;
    };
  }

  /** Bytes that wait on this side. */
  get queuedBytes(): number {
    return this.#bytes + this.#stream.writeBufferLength;
  }

  /** Hands down what waits for the end of the turn. */
  flush(): void {
    clearImmediate(this.#turnEnd);
    this.#turnEnd = undefined;
    if (this.#pieces.length === 0) return;
    const joined = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    try {
      this.#send(joined);
    } catch {
      // The stream has ended, and says so by an event of its own.
    }
  }
}
