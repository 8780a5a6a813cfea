import { PacedCalls } from "../runtime/turns.js";
import { DNSSD } from "./limits.js";
import { PacketQueue, type Taken } from "./packet-queue.js";

/** A packet as it was received. */
export interface ReceivedPacket {
  readonly bytes: Buffer;
  decode(): void;
}

/**
 * Reads the packets of all interfaces, some in each turn of the event loop: a flood of them, and all that services which
 * come and go set off, leaves turns for others in between (bench/abuse-mdns.ts).
 */
export class PacketTurns {
  readonly #queues = new Map<string, PacketQueue<ReceivedPacket>>();
  readonly #turns = new PacedCalls(1, () => this.#yields > 0 && this.#yields-- > 0);
  /** Turns left to others. */
  #yields = 0;
  #isPlanned = false;
  /** Waits until an interface may have work again. */
  #timer: NodeJS.Timeout | undefined;

  /** @param read takes what its turn has come for @param dropped told the sender of each packet that is not read */
  constructor(
    private readonly read: (packet: ReceivedPacket) => void,
    private readonly dropped: (sender: string) => void,
  ) {}

  /** @param loopback all senders have one address */
  open({ name, loopback }: { readonly name: string; readonly loopback: boolean }): void {
    this.#queues.set(name, new PacketQueue(loopback, this.dropped));
  }

  /** Packets of that interface that wait are not read any more. */
  close(name: string): void {
    this.#queues.delete(name);
  }

  add(name: string, from: string, packet: ReceivedPacket): void {
    const queue = this.#queues.get(name);
    if (!queue) return;
    const nowMs = performance.now();
    queue.add(from, packet, 1 + packet.bytes.length / 1_024, nowMs);
    this.#planIn(queue.waitMs(nowMs));
  }

  charge(name: string, sender: string, changes: number): void {
    this.#queues.get(name)?.charge(sender, changes * DNSSD.workPerChange, performance.now());
  }

  #planIn(waitMs: number): void {
    if (this.#isPlanned) return;
    if (waitMs > 0) {
      if (waitMs < Number.POSITIVE_INFINITY)
        this.#timer ??= setTimeout(() => this.#planIn(0), waitMs).unref();
      return;
    }
    this.#isPlanned = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#turns.add([this.#readSome]);
  }

  readonly #readSome = (): void => {
    this.#isPlanned = false;
    const endMs = performance.now() + DNSSD.turnMsMax;
    for (let nowMs = performance.now(); nowMs < endMs; nowMs = performance.now()) {
      const taken = this.#take(nowMs);
      if (!taken) {
        const waitsMs = [...this.#queues.values()].map((queue) => queue.waitMs(nowMs));
        this.#planIn(Math.min(...waitsMs));
        return;
      }
      this.read(taken.packet);
    }
    this.#yields = DNSSD.turnsBetween;
    this.#planIn(0);
  };

  #take(nowMs: number): Taken<ReceivedPacket> | undefined {
    for (const [name, queue] of this.#queues) {
      const taken = queue.take(nowMs);
      if (!taken) continue;
      // Behind the others.
      this.#queues.delete(name);
      this.#queues.set(name, queue);
      return taken;
    }
    return undefined;
  }
}
