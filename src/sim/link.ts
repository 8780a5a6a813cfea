import type { SimNode } from "./sim-node.js";
import type { World } from "./world.js";

/** 0 dialled, 1 was dialled. */
export type Side = 0 | 1;

/** A lost frame is sent again after so long, then twice as long, as TCP does. */
const RESEND_MS = 200;
const RESENDS_MAX = 5;

/** One way of a link: what is under way arrives in order, each at its instant, or all late. */
interface Way {
  readonly queue: (Uint8Array | null)[];
  lastArrivalMs: number;
  /** Arrivals that came due while the link was frozen. */
  owed: number;
}

/**
 * A connection between two nodes: a reliable ordered stream of frames each way. It can be frozen (a stall, or a
 * partition that both ends have yet to notice), and each end closes for itself.
 */
export class Link {
  readonly open: [boolean, boolean] = [true, true];
  readonly latencyMs: number;
  readonly #ways: readonly [Way, Way];
  #frozen = 0;

  constructor(
    private readonly world: World,
    readonly ends: readonly [SimNode, SimNode],
  ) {
    const { dice, timeline } = world;
    this.latencyMs = dice.whole(1, 20);
    const way = () => ({ queue: [], lastArrivalMs: timeline.nowMs + this.latencyMs + 1, owed: 0 });
    this.#ways = [way(), way()];
  }

  get isFrozen(): boolean {
    return this.#frozen > 0;
  }

  /** Sends a frame from one side to the other. */
  send(from: Side, frame: Uint8Array): void {
    if (this.open[from]) this.#enqueue(from, frame);
  }

  /** One side lets go; the other is told behind all frames sent before, if anything gets through. */
  close(from: Side): void {
    if (!this.open[from]) return;
    this.#shut(from);
    this.#enqueue(from, null);
  }

  /** The connection breaks: both ends notice, after what was sent before. */
  break(): void {
    for (const from of [0, 1] as const) this.#enqueue(from, null);
  }

  /** One side is gone without a word. */
  vanish(from: Side): void {
    this.#shut(from);
  }

  freeze(): void {
    this.#frozen++;
  }

  thaw(): void {
    if (--this.#frozen > 0) return;
    for (const from of [0, 1] as const) {
      const way = this.#ways[from];
      const arrivalMs = Math.max(way.lastArrivalMs, this.world.timeline.nowMs + this.latencyMs);
      way.lastArrivalMs = arrivalMs;
      for (; way.owed > 0; way.owed--) this.world.timeline.at(arrivalMs, () => this.#arrive(from));
    }
  }

  /** A random delay of one message. */
  delayMs(): number {
    const { dice } = this.world;
    return this.latencyMs + Math.floor(dice.random() ** 3 * this.latencyMs);
  }

  #shut(side: Side): void {
    this.open[side] = false;
    if (!this.open[0] && !this.open[1]) this.world.network.links.delete(this);
  }

  #enqueue(from: Side, frame: Uint8Array | null): void {
    const { timeline, dice, weather } = this.world;
    const way = this.#ways[from];
    let delayMs = this.delayMs();
    for (let resend = 0; resend < RESENDS_MAX && dice.chance(weather.loss); resend++)
      delayMs += RESEND_MS * 2 ** resend;
    way.lastArrivalMs = Math.max(way.lastArrivalMs, timeline.nowMs + delayMs);
    way.queue.push(frame);
    timeline.at(way.lastArrivalMs, () => this.#arrive(from));
  }

  /** The oldest message of a way comes out. */
  #arrive(from: Side): void {
    const way = this.#ways[from];
    if (this.#frozen > 0) {
      way.owed++;
      return;
    }
    const frame = way.queue.shift();
    const to: Side = from === 0 ? 1 : 0;
    if (frame === undefined || !this.open[to]) return;
    if (frame) this.ends[to].receive(this, frame);
    else {
      this.#shut(to);
      this.ends[to].linkDown(this, "closed by the peer");
    }
  }
}
