import type { NodeStatus, Peer } from "../node/broadcast.js";
import { nodeRowsOf } from "./assemble.js";
import { plainLines } from "./plain.js";
import { RateMeter } from "./rate.js";

/** What one node says of itself, again and again, as one line. */
export class LiveNode {
  readonly #posts = new RateMeter();
  readonly #gossipIn = new RateMeter();
  readonly #gossipOut = new RateMeter();

  line(status: NodeStatus, peers: readonly Peer[]): string {
    const nowMs = performance.now();
    this.#posts.record(status.posted, nowMs);
    this.#gossipIn.record(status.gossip.itemsReceived, nowMs);
    this.#gossipOut.record(status.gossip.messagesSent, nowMs);
    const rates = {
      posts: this.#posts.rate,
      gossipIn: this.#gossipIn.rate,
      gossipOut: this.#gossipOut.rate,
    };
    const asked = { url: "", isNamed: true, status, peers, fault: undefined, rates };
    const own = nodeRowsOf([asked]).filter(({ key }) => key === status.id);
    return plainLines({ atMs: Date.now(), nodes: own, hubs: [], items: [], events: [] })[0]!;
  }
}
