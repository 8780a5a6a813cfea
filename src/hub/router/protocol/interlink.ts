import type { HubMachine } from "../../protocol/hub-machine.js";
import type { Session } from "../../protocol/session.js";
import { LINK_LIMITS } from "./limits.js";
import { ackPacket, type Beat, beatPacket, decodePacket, type Packet } from "./packet.js";
import { type Carrier, Way } from "./way.js";

/**
 * What stands between the machine of a hub and packets that may be lost: finds other hubs, keeps a way to each, and
 * tells the machine when one is gone. Facts in by the methods, packets out by the carrier. It has no clock: whoever
 * runs it calls `woke` at `wakeAtMs`.
 */
export class Interlink {
  /** Packets that were none. */
  packetsRefused = 0;
  readonly #ways = new Map<string, Way>();
  /** Of streams to other hubs: each new one has a larger number than all before. */
  #epoch = 0;
  #beatAtMs = Number.POSITIVE_INFINITY;

  readonly #nextEpoch = (): number => {
    this.#epoch += 1;
    return this.#epoch;
  };

  /** @param key 16 hex digits, anew at each start of the hub */
  constructor(
    readonly key: string,
    private readonly name: string,
    private readonly machine: HubMachine,
    private readonly carrier: Carrier,
  ) {}

  /** Whether all hubs that were met have named their clients. */
  get complete(): boolean {
    return [...this.#ways.values()].every(({ hub }) => hub.complete);
  }

  /** Packets that were sent again to the hubs that are there. */
  get packetsResent(): number {
    return [...this.#ways.values()].reduce((sum, { outgoing }) => sum + outgoing.resent, 0);
  }

  get wakeAtMs(): number {
    let atMs = this.#beatAtMs;
    for (const way of this.#ways.values())
      atMs = Math.min(atMs, way.wakeAtMs, way.hub.heardAtMs + LINK_LIMITS.silentMs);
    return atMs;
  }

  /** The carrier takes packets from now on. */
  start(nowMs: number): void {
    this.#beatAtMs = nowMs + LINK_LIMITS.beatMs;
    this.#beat({ wantsAnswer: true });
  }

  /** Bytes came by the carrier. They belong to the interlink from now on. */
  packet(bytes: Buffer, nowMs: number): void {
    const packet = decodePacket(bytes);
    if (packet === undefined) this.packetsRefused += 1;
    else if (packet.from !== this.key) this.#take(packet, nowMs);
  }

  /** The carrier is connected again. What was sent meanwhile may be lost, in both directions. */
  connected(nowMs: number): void {
    this.#beat({ wantsAnswer: true });
    for (const way of this.#ways.values()) {
      way.resend(nowMs);
      way.flush(nowMs);
      this.#ack(way);
    }
  }

  /** Sends what the machine has queued for a hub. */
  flush(session: Session, nowMs: number): void {
    this.#wayOf(session)?.flush(nowMs);
  }

  /** The machine reads from it again, or no longer. */
  reading(session: Session, nowMs: number): void {
    const way = this.#wayOf(session);
    way?.read(nowMs);
    if (way !== undefined) this.#ackIfDue(way, nowMs);
  }

  /** @param lateMs how much later than `wakeAtMs` it is: this hub was busy itself, and heard nobody meanwhile */
  woke(nowMs: number, lateMs: number): void {
    for (const way of [...this.#ways.values()]) {
      if (lateMs > LINK_LIMITS.lateMs) way.hub.heardAtMs += lateMs;
      if (nowMs - way.hub.heardAtMs >= LINK_LIMITS.silentMs) {
        this.#lose(way, "hubLost", nowMs);
        continue;
      }
      if (nowMs >= way.outgoing.resendAtMs) way.probe(nowMs);
      this.#ackIfDue(way, nowMs);
    }
    if (nowMs < this.#beatAtMs) return;
    this.#beatAtMs = nowMs + LINK_LIMITS.beatMs;
    this.#beat({});
    for (const { incoming, hub } of this.#ways.values())
      if (incoming.epoch === 0) this.#askForStream(hub.key);
  }

  /** This hub stops: the others are told. */
  leave(): void {
    this.#beatAtMs = Number.POSITIVE_INFINITY;
    this.#beat({ leaving: true });
    for (const way of this.#ways.values()) way.close();
    this.#ways.clear();
  }

  #take(packet: Packet, nowMs: number): void {
    const way = this.#ways.get(packet.from);
    if (way !== undefined) way.hub.heardAtMs = nowMs;
    switch (packet.type) {
      case "beat":
        this.#beatCame(packet, way, nowMs);
        break;
      case "segment":
        // It takes this hub for known, but was taken for gone: it says its name, and begins again.
        if (way === undefined) this.#beat({ wantsAnswer: true }, packet.from);
        else {
          way.segment(packet, nowMs);
          this.#ackIfDue(way, nowMs);
        }
        break;
      case "ack":
        way?.acknowledged(packet, nowMs);
        break;
    }
  }

  #beatCame(beat: Beat & { readonly from: string }, way: Way | undefined, nowMs: number): void {
    if (beat.leaving) {
      if (way !== undefined) this.#lose(way, "stopping", nowMs);
    } else if (way === undefined) this.#meet(beat.from, beat.name, nowMs);
    else if (beat.wantsAnswer) this.#beat({}, beat.from);
  }

  #meet(key: string, name: string, nowMs: number): void {
    // First of all, so that it knows whose stream it is that comes behind.
    this.#beat({}, key);
    const way = new Way(
      this.machine.hubCame(key, name, nowMs),
      this.key,
      this.#nextEpoch,
      this.machine,
      this.carrier,
    );
    this.#ways.set(key, way);
    this.#shareWindows();
    way.flush(nowMs);
  }

  #lose(way: Way, reason: "hubLost" | "stopping", nowMs: number): void {
    this.#ways.delete(way.hub.key);
    way.close();
    this.machine.hubWent(way.hub, reason, nowMs);
    this.#shareWindows();
  }

  /** All other hubs together must not overrun what the carrier holds for this one. */
  #shareWindows(): void {
    const { windowsBytes, windowBytesMin, windowBytesMax } = LINK_LIMITS;
    const share = Math.floor(windowsBytes / Math.max(1, this.#ways.size));
    const window = Math.max(windowBytesMin, Math.min(windowBytesMax, share));
    for (const { incoming } of this.#ways.values()) incoming.window = window;
  }

  #ackIfDue(way: Way, nowMs: number): void {
    if (nowMs >= way.incoming.ackAtMs) this.#ack(way);
  }

  #ack(way: Way): void {
    if (way.incoming.epoch > 0) this.carrier.send(way.hub.key, ackPacket(this.key, way.incoming.ack()));
  }

  /** That hub is there, and nothing of its stream has come. */
  #askForStream(hub: string): void {
    const nothing = { epoch: 0, received: 0, consumed: 0, window: LINK_LIMITS.windowBytesMin, missing: true };
    this.carrier.send(hub, ackPacket(this.key, nothing));
  }

  #beat(beat: { readonly wantsAnswer?: boolean; readonly leaving?: boolean }, to?: string): void {
    const packet = beatPacket(this.key, { wantsAnswer: false, leaving: false, name: this.name, ...beat });
    if (to === undefined) this.carrier.broadcast(packet);
    else this.carrier.send(to, packet);
  }

  #wayOf(session: Session): Way | undefined {
    return session.link === undefined ? undefined : this.#ways.get(session.link.key);
  }
}
