import type { HubMachine } from "../../protocol/hub-machine.js";
import type { RemoteHub } from "../../protocol/links/remote-hub.js";
import { Incoming } from "./incoming.js";
import { Outgoing } from "./outgoing.js";
import type { Ack, Segment } from "./packet.js";

/** Carries packets to other hubs; may lose them, and keeps their order. */
export interface Carrier {
  readonly packetBytesMax: number;
  readonly connected: boolean;
  send(hub: string, packet: Buffer): void;
  broadcast(packet: Buffer): void;
}

/** The way to one other hub and back: what a socket is to a client. */
export class Way {
  readonly outgoing: Outgoing;
  readonly incoming = new Incoming();
  /** Bytes that have come while the machine did not read, and those that it has but did not work through. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #begun = 0;
  #restarts = 0;

  constructor(
    readonly hub: RemoteHub,
    from: string,
    private readonly nextEpoch: () => number,
    private readonly machine: HubMachine,
    private readonly carrier: Carrier,
  ) {
    this.outgoing = new Outgoing(from, nextEpoch(), machine.memory, carrier.packetBytesMax);
  }

  /** When something is due; Infinity when not. */
  get wakeAtMs(): number {
    return Math.min(this.incoming.ackAtMs, this.outgoing.resendAtMs);
  }

  /** Sends what is queued for that hub, as far as it has room. */
  flush(nowMs: number): void {
    const { session } = this.hub;
    this.#beginAnew();
    while (session.open && this.carrier.connected && this.outgoing.hasRoom) {
      const vectors = session.outbox.take(nowMs);
      if (vectors.length === 0) return;
      this.#send(this.outgoing.packets(vectors, nowMs));
      // Its memory is kept by the packets now. `false`: in small batches, so that other hubs get theirs in between.
      this.machine.sent(session, nowMs, false);
    }
  }

  /** Part of its stream came. */
  segment(segment: Segment, nowMs: number): void {
    const place = this.incoming.place(segment, nowMs);
    if (place === "begins") {
      this.#dropUnread();
      this.#begun = 0;
      this.machine.hubBegan(this.hub, nowMs);
    }
    if (place !== "begins" && place !== "next") return;
    this.#unread.push(segment.bytes);
    this.#unreadBytes += segment.bytes.length;
    this.machine.memory.add(segment.bytes.length);
    this.read(nowMs);
  }

  /** Hands over what has come, as long as the machine reads. */
  read(nowMs: number): void {
    const { session } = this.hub;
    while (session.open && session.reading) {
      if (this.#begun > 0) this.incoming.consume(this.#begun, nowMs);
      this.#begun = 0;
      const bytes = this.#unread.shift();
      if (bytes === undefined) return;
      this.#unreadBytes -= bytes.length;
      this.machine.memory.remove(bytes.length);
      this.#begun = bytes.length;
      this.machine.received(session, bytes, nowMs);
      if (this.hub.unreadable) this.#refuse(nowMs);
    }
  }

  /** It says how much of ours has come. */
  acknowledged(ack: Ack, nowMs: number): void {
    this.#beginAnew();
    const answer = this.outgoing.take(ack, nowMs);
    this.hub.confirmed(this.outgoing.received);
    if (answer === "restart") this.machine.hubMissed(this.hub, nowMs);
    else if (answer === "resend") this.resend(nowMs);
    this.flush(nowMs);
  }

  /** Sends again whatever may be lost. */
  resend(nowMs: number): void {
    this.#beginAnew();
    this.#send(this.outgoing.resend(nowMs));
  }

  /** Nothing was heard of what it was sent. */
  probe(nowMs: number): void {
    this.#beginAnew();
    this.#send(this.outgoing.probe(nowMs));
  }

  close(): void {
    this.#dropUnread();
    this.outgoing.drop();
  }

  /** The machine has given up what was queued and on the way: what it queues now is a new stream. */
  #beginAnew(): void {
    if (this.hub.restarts === this.#restarts) return;
    this.#restarts = this.hub.restarts;
    this.outgoing.restart(this.nextEpoch());
  }

  /** What has come cannot be read. */
  #refuse(nowMs: number): void {
    this.#dropUnread();
    this.#begun = 0;
    this.incoming.refuse(nowMs);
  }

  #send(packets: readonly Buffer[]): void {
    for (const packet of packets) this.carrier.send(this.hub.key, packet);
  }

  #dropUnread(): void {
    this.machine.memory.remove(this.#unreadBytes);
    this.#unread = [];
    this.#unreadBytes = 0;
  }
}
