import type { Dice, Timeline } from "./determinism.js";
import type { Process } from "./host.js";

/** 0 dialled, 1 was dialled. */
export type Side = 0 | 1;

/** A lost frame is sent again after so long, then twice as long, as TCP does. */
const RESEND_MS = 200;
const RESENDS_MAX = 5;

/** A process at one end of a link. It knows the link by a number of its own. */
export interface LinkEnd extends Process {
  receive(number: number, frame: Uint8Array): void;
  linkDown(number: number, reason: string): void;
}

/** Probabilities of faults of the network. */
export interface NetworkFaults {
  /** Of each frame and each attempt to connect. */
  loss: number;
  /** Of each frame: up to 300 ms late, with all behind it. */
  delay: number;
}

interface LinkOptions {
  readonly timeline: Timeline;
  readonly dice: Dice;
  readonly faults: Readonly<NetworkFaults>;
  readonly ends: readonly [LinkEnd, LinkEnd];
  /** The number by which each end knows it. */
  readonly numbers: readonly [number, number];
  /** Called once, when both ends have closed. */
  readonly closed: (link: VirtualLink) => void;
}

/** One direction of a link. Frames in flight arrive in order, each at its own instant; a frozen direction delays all. */
interface Direction {
  readonly queue: (Uint8Array | null)[];
  lastArrivalMs: number;
  /** The number of causes that delay arrivals now: stalls, partitions, a receiver that does not read. */
  frozen: number;
  /** Arrivals that were due while it was frozen. */
  overdue: number;
}

/**
 * A connection between two nodes: a reliable ordered stream of frames in each direction. A direction can be frozen (by
 * a stall, or a cut that the ends have not noticed yet), and each end closes separately.
 */
export class VirtualLink {
  readonly open: [boolean, boolean] = [true, true];
  readonly latencyMs: number;
  readonly ends: readonly [LinkEnd, LinkEnd];
  readonly numbers: readonly [number, number];
  readonly #directions: readonly [Direction, Direction];
  /** The callback of the timeline for each message, made once. */
  readonly #arrivals = [() => this.#arrive(0), () => this.#arrive(1)] as const;

  constructor(private readonly options: LinkOptions) {
    const { dice, timeline, ends, numbers } = options;
    this.ends = ends;
    this.numbers = numbers;
    this.latencyMs = dice.whole(1, 20);
    const direction = () => ({
      queue: [],
      lastArrivalMs: timeline.nowMs + this.latencyMs + 1,
      frozen: 0,
      overdue: 0,
    });
    this.#directions = [direction(), direction()];
  }

  /** Whether both ends have it open and frames arrive in both directions. */
  get isSound(): boolean {
    return this.open[0] && this.open[1] && this.#directions.every(({ frozen }) => frozen === 0);
  }

  /** Sends a frame from one side to the other. */
  send(from: Side, frame: Uint8Array): void {
    if (this.open[from]) this.#enqueue(from, frame);
  }

  /** One side closes; the other learns of it after all frames sent before, unless the direction is frozen. */
  close(from: Side): void {
    if (!this.open[from]) return;
    this.#shut(from);
    this.#enqueue(from, null);
  }

  /** The connection breaks: both ends notice it, after all frames sent before. */
  break(): void {
    for (const from of [0, 1] as const) this.#enqueue(from, null);
  }

  /** One side disappears without closing. */
  vanish(from: Side): void {
    this.#shut(from);
  }

  /** Nothing that one side sends arrives until `thaw`. */
  freeze(from: Side): void {
    this.#directions[from].frozen++;
  }

  thaw(from: Side): void {
    const direction = this.#directions[from];
    if (--direction.frozen > 0) return;
    const { timeline } = this.options;
    const arrivalMs = Math.max(direction.lastArrivalMs, timeline.nowMs + this.latencyMs);
    direction.lastArrivalMs = arrivalMs;
    for (; direction.overdue > 0; direction.overdue--) timeline.at(arrivalMs, this.#arrivals[from]);
  }

  /** A random delay of one message. */
  #delayMs(): number {
    const { dice, faults } = this.options;
    const lateMs = dice.chance(faults.delay) ? dice.whole(0, 300) : 0;
    return this.latencyMs + Math.floor(dice.random() ** 3 * this.latencyMs) + lateMs;
  }

  #shut(side: Side): void {
    this.open[side] = false;
    if (!this.open[0] && !this.open[1]) this.options.closed(this);
  }

  #enqueue(from: Side, frame: Uint8Array | null): void {
    const { timeline, dice, faults } = this.options;
    const direction = this.#directions[from];
    let delayMs = this.#delayMs();
    for (let resend = 0; resend < RESENDS_MAX && dice.chance(faults.loss); resend++)
      delayMs += RESEND_MS * 2 ** resend;
    direction.lastArrivalMs = Math.max(direction.lastArrivalMs, timeline.nowMs + delayMs);
    direction.queue.push(frame);
    timeline.at(direction.lastArrivalMs, this.#arrivals[from]);
  }

  /** The oldest message of a direction arrives. */
  #arrive(from: Side): void {
    const direction = this.#directions[from];
    if (direction.frozen > 0) {
      direction.overdue++;
      return;
    }
    const frame = direction.queue.shift();
    const to: Side = from === 0 ? 1 : 0;
    if (frame === undefined || !this.open[to]) return;
    if (frame) this.ends[to].receive(this.numbers[to], frame);
    else {
      this.#shut(to);
      this.ends[to].linkDown(this.numbers[to], "closed by the peer");
    }
  }
}
