import type {
  Cluster,
  ClusterListener,
  GossipMessage,
  GossipVerdict,
} from "../../../src/node/cluster/port.js";

/** Waits for a state, and says what it waited for when that does not come. */
export async function until(what: string, holds: () => boolean, deadlineMs = 10_000): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A listener that writes down what its engine tells, and checks the rules of the port on the way. */
export class Recorder implements ClusterListener {
  /** `up ID`, `down ID`, in order. */
  readonly events: string[] = [];
  readonly reasons: string[] = [];
  readonly frames: { readonly from: string; readonly frame: Uint8Array }[] = [];
  readonly gossips: { readonly from: string; readonly text: string }[] = [];
  readonly up = new Set<string>();
  readonly faults: string[] = [];
  cluster!: Cluster;
  verdict: (message: GossipMessage) => GossipVerdict = () => "accept";
  onFrame: ((peerId: string, frame: Uint8Array) => void) | undefined;
  #inside = false;

  peerUp({ id }: { readonly id: string }): void {
    this.#told(() => {
      if (this.up.has(id)) this.faults.push(`${id} is up twice`);
      this.up.add(id);
      this.events.push(`up ${id}`);
    });
  }

  peerDown(id: string, reason: string): void {
    this.#told(() => {
      if (!this.up.delete(id)) this.faults.push(`${id} is down without being up`);
      this.events.push(`down ${id}`);
      this.reasons.push(reason);
    });
  }

  frame(from: string, frame: Uint8Array): void {
    this.#told(() => {
      if (!this.up.has(from)) this.faults.push(`a frame of ${from}, which is not up`);
      if (this.onFrame) this.onFrame(from, frame);
      else this.frames.push({ from, frame });
    });
  }

  gossip(message: GossipMessage): void {
    this.#told(() => {
      this.gossips.push({ from: message.from, text: Buffer.from(message.bytes).toString() });
      message.settle(this.verdict(message));
    });
  }

  heard(text: string): boolean {
    return this.gossips.some((gossip) => gossip.text === text);
  }

  count(event: "up" | "down"): number {
    return this.events.filter((one) => one.startsWith(event)).length;
  }

  #told(note: () => void): void {
    if (this.#inside) this.faults.push("told from inside a call");
    this.#inside = true;
    try {
      note();
    } finally {
      this.#inside = false;
    }
  }
}
