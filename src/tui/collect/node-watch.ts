import { asHubcastError } from "../../core/errors.js";
import type { NodeStatus, Peer } from "../../node/broadcast.js";
import { connectToNode, type RemoteNode } from "../../node/client.js";
import { RateMeter } from "../rate.js";
import type { Fault } from "../snapshot.js";

/** A node that does not answer for so long is shown as unreachable. */
const ANSWER_TIMEOUT_MS = 2_000;
/** One that is unreachable is tried again this often. */
const RETRY_MS = 1_000;
/** Nodes other than the first are asked so often when nobody looks at their figures: each question costs (bench/top.ts). */
const ASIDE_EVERY_MS = 950;
/** Who is there is asked of the first node so often, of the others more rarely: all tell of the same peers. */
const PEERS_EVERY_MS = { first: 450, others: 1_950 };

/** A node to ask. */
export interface NodePlace {
  readonly url: string;
  /** Only for nodes that the user has named. */
  readonly token?: string;
  /** Named by the user: shown also while nothing answers there. */
  readonly isNamed: boolean;
  /** What discovery says of it, until it answers. */
  readonly name?: string;
}

/** Asks one node again and again, connects again when it is back, and keeps what it said last. */
export class NodeWatch {
  /** What it said last, also of a node that is gone by now. */
  status: NodeStatus | undefined;
  peers: readonly Peer[] = [];
  fault: { readonly kind: Fault; readonly message: string } | undefined;
  /** Whether it has answered, or failed to, at least once. */
  asked = false;
  readonly posts = new RateMeter();
  readonly gossipIn = new RateMeter();
  readonly gossipOut = new RateMeter();
  node: RemoteNode | undefined;
  #asking: Promise<void> | undefined;
  #retryAtMs = 0;
  #askAtMs = 0;
  #peersAskedMs = Number.NEGATIVE_INFINITY;
  readonly #closed = new AbortController();

  constructor(readonly place: NodePlace) {}

  get isReachable(): boolean {
    return this.asked && this.fault === undefined;
  }

  /** Asks, unless the last question is still open. @param isFirst whether others rely on its peers */
  ask(isFirst: boolean, isAside = false): Promise<void> {
    const nowMs = performance.now();
    if (!this.#asking && nowMs >= this.#retryAtMs && (isFirst || nowMs >= this.#askAtMs)) {
      if (isAside) this.#askAtMs = nowMs + ASIDE_EVERY_MS;
      this.#asking = this.#ask(isFirst).finally(() => {
        this.#asking = undefined;
        this.asked = true;
      });
    }
    return this.#asking ?? Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.node?.close();
    await this.#asking;
  }

  async #ask(isFirst: boolean): Promise<void> {
    const { signal } = this.#closed;
    const { url, token } = this.place;
    try {
      this.node ??= await connectToNode(url, {
        timeoutMs: ANSWER_TIMEOUT_MS,
        signal,
        ...(token !== undefined && { token }),
      });
      const nowMs = performance.now();
      const everyMs = isFirst ? PEERS_EVERY_MS.first : PEERS_EVERY_MS.others;
      const wantsPeers = nowMs - this.#peersAskedMs >= everyMs;
      if (wantsPeers) this.#peersAskedMs = nowMs;
      const peers = wantsPeers ? this.node.peers() : this.peers;
      this.#keep(...(await Promise.all([this.node.status(), peers])));
    } catch (error) {
      await this.node?.close();
      this.node = undefined;
      if (signal.aborted) return;
      const { code, message } = asHubcastError(error);
      const kind = code === "notHubcast" || code === "unauthorized" ? code : "unreachable";
      this.fault = { kind, message };
      this.#retryAtMs = performance.now() + RETRY_MS;
    }
  }

  #keep(status: NodeStatus, peers: readonly Peer[]): void {
    const nowMs = performance.now();
    this.status = status;
    this.peers = peers;
    this.fault = undefined;
    // A node of an older version says only what it published.
    this.posts.record((status.posted as number | undefined) ?? status.gossip.itemsSent, nowMs);
    this.gossipIn.record(status.gossip.itemsReceived, nowMs);
    this.gossipOut.record(status.gossip.messagesSent, nowMs);
  }
}
