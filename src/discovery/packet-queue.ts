import { fill, type TokenBucket, TokenBuckets } from "../core/rates.js";
import { DNSSD } from "./limits.js";

const LINK_RATE = { perSecond: DNSSD.workPerSecondMax, burst: DNSSD.workBurst };
const SENDER_RATE = { perSecond: DNSSD.senderWorkPerSecondMax, burst: DNSSD.senderWorkBurst };
/** The share of each sender while as many speak as are remembered. */
const SHARE_RATE = { perSecond: DNSSD.workPerSecondMax / DNSSD.sendersMax, burst: DNSSD.senderWorkBurst };

/** Work by which senders are told apart, and how many steps of it are. */
const LEVEL_WORK = 16;
const LEVELS = 64;

interface Waiting<Packet> {
  /** The rest of the sender's share; any amount below zero while nobody else waits. */
  readonly share: TokenBucket;
  /** How much was read of the sender lately, in steps. */
  level: number;
  /** Oldest first. */
  readonly packets: Received<Packet>[];
}

interface Received<Packet> {
  readonly packet: Packet;
  readonly cost: number;
  readonly atMs: number;
}

/** A packet that is to be read now. */
export interface Taken<Packet> {
  readonly sender: string;
  readonly packet: Packet;
}

/**
 * The packets of one interface that wait to be read, within the work that it takes in a second. Senders of whom little was
 * read lately come first, and where there is no room one of whom most was read loses a packet: so those that flood, however
 * many, wait behind a newcomer. Packets of theirs that have waited for too long are dropped: what a flood left is not read for
 * minutes after it.
 */
export class PacketQueue<Packet> {
  readonly #link: TokenBucket = { tokens: LINK_RATE.burst, atMs: 0 };
  readonly #senders = new TokenBuckets({ ...SENDER_RATE, namesMax: DNSSD.sendersMax });
  readonly #shares = new TokenBuckets({ ...SHARE_RATE, namesMax: DNSSD.sendersMax });
  /** By sender, at each level in their turn. */
  readonly #levels = Array.from({ length: LEVELS }, () => new Map<string, Waiting<Packet>>());
  readonly #waiting = new Map<string, Waiting<Packet>>();
  #waitingCost = 0;

  /** @param loopback all senders have one address @param dropped told the sender of each packet that is not read */
  constructor(
    private readonly loopback: boolean,
    private readonly dropped: (sender: string) => void,
  ) {}

  add(sender: string, packet: Packet, cost: number, nowMs: number): void {
    if (!this.loopback) {
      const own = this.#senders.of(sender, nowMs);
      if (own.tokens <= 0) {
        this.dropped(sender);
        return;
      }
      own.tokens -= cost;
    }
    let waiting = this.#waiting.get(sender);
    if (!waiting) {
      waiting = { share: this.#shares.of(sender, nowMs), level: 0, packets: [] };
      this.#waiting.set(sender, waiting);
      this.#queue(sender, waiting);
    }
    waiting.packets.push({ packet, cost, atMs: nowMs });
    this.#waitingCost += cost;
    if (this.#waitingCost <= DNSSD.workWaitingMax) return;
    const [last] = this.#levels.findLast(({ size }) => size > 0)!.keys();
    this.#remove(last!, "pop");
    this.dropped(last!);
  }

  /** The next packet; undefined when none waits, or the interface has had its work. */
  take(nowMs: number): Taken<Packet> | undefined {
    fill(this.#link, LINK_RATE, nowMs);
    while (this.#link.tokens > 0) {
      const [first] = this.#levels.find(({ size }) => size > 0) ?? [];
      if (!first) return undefined;
      const [sender, waiting] = first;
      const { packet, cost, atMs } = this.#remove(sender, "shift");
      if (waiting.level > 0 && nowMs - atMs > DNSSD.packetWaitMsMax) {
        this.dropped(sender);
        continue;
      }
      this.#link.tokens -= cost;
      fill(waiting.share, SHARE_RATE, nowMs);
      waiting.share.tokens -= cost;
      if (waiting.packets.length > 0) this.#queue(sender, waiting);
      return { sender, packet };
    }
    return undefined;
  }

  /** Charges what a packet cost beyond its size. */
  charge(sender: string, cost: number, nowMs: number): void {
    this.#link.tokens -= cost;
    this.#shares.of(sender, nowMs).tokens -= cost;
    if (!this.loopback) this.#senders.of(sender, nowMs).tokens -= cost;
    const waiting = this.#waiting.get(sender);
    if (waiting) this.#queue(sender, waiting);
  }

  /** How long until `take` gives a packet; Infinity when none waits. */
  waitMs(nowMs: number): number {
    if (this.#waiting.size === 0) return Number.POSITIVE_INFINITY;
    fill(this.#link, LINK_RATE, nowMs);
    return this.#link.tokens > 0 ? 0 : (1 - this.#link.tokens) / (LINK_RATE.perSecond / 1_000);
  }

  /** Behind the others of its level. */
  #queue(sender: string, waiting: Waiting<Packet>): void {
    this.#levels[waiting.level]!.delete(sender);
    const level = Math.floor((SHARE_RATE.burst - waiting.share.tokens) / LEVEL_WORK);
    waiting.level = Math.min(level, LEVELS - 1);
    this.#levels[waiting.level]!.set(sender, waiting);
  }

  #remove(sender: string, end: "shift" | "pop"): Received<Packet> {
    const { packets, level } = this.#waiting.get(sender)!;
    const removed = packets[end]()!;
    this.#waitingCost -= removed.cost;
    if (packets.length === 0) {
      this.#waiting.delete(sender);
      this.#levels[level]!.delete(sender);
    }
    return removed;
  }
}
