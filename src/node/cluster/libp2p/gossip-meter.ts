import type { Connection, Stream, StreamMessageEvent } from "@libp2p/interface";
import { GossipBudget, type GossipRate } from "./gossip-budget.js";
import { boundWindow } from "./window.js";

/** What a peer was told that it may send still comes while it is held up; it waits, and is then read in one go. */
const WINDOW_BYTES_MAX = 1_048_576;

/**
 * Reads no more of a peer's gossip than its share. Past it reading pauses and flow control holds the peer up, so an
 * honest one that was given much to post loses nothing: what it cannot send in time comes by reconciliation.
 */
export class GossipMeter {
  readonly #budget: GossipBudget;
  #breaks = 0;

  /** @param presses a peer has been at its limit for longer than is patient */
  constructor(
    rate: GossipRate | undefined,
    private readonly presses: (peerId: string) => void,
  ) {
    this.#budget = new GossipBudget(rate);
  }

  /** Times that a peer was held up. */
  get breaks(): number {
    return this.#breaks;
  }

  /** @param stream on which that peer's gossip comes in */
  watch({ remotePeer }: Connection, stream: Stream): void {
    const peerId = remotePeer.toString();
    let timer: NodeJS.Timeout | undefined;
    const resume = () => {
      timer = undefined;
      try {
        if (stream.readStatus === "paused") stream.resume();
      } catch (error) {
        // It tells the other side, and the connection may just have ended.
        stream.abort(error as Error);
      }
    };
    const pause = () => {
      if (stream.readStatus === "readable") stream.pause();
    };
    const count = (bytes: number) => {
      const { breakMs, presses } = this.#budget.take(peerId, bytes, Date.now());
      if (breakMs > 0 && !timer) {
        this.#breaks++;
        timer = setTimeout(resume, breakMs);
        // Not in the middle of a resume, which would then go on to give the peer credit; nor what ends the stream.
        queueMicrotask(pause);
      }
      if (presses) queueMicrotask(() => this.presses(peerId));
    };
    boundWindow(stream, WINDOW_BYTES_MAX);
    stream.addEventListener("close", () => clearTimeout(timer), { once: true });
    // A listener would come before the router's, and what is there already would go to it alone.
    const dispatch = stream.dispatchEvent.bind(stream);
    stream.dispatchEvent = (event) => {
      if (event.type === "message") count((event as StreamMessageEvent).data.byteLength);
      return dispatch(event);
    };
  }
}
