import type { HubMachine } from "../machine/machine.js";
import type { HubView, SessionView } from "../machine/session.js";
import {
  type Ack,
  ackPacket,
  decodePacket,
  type Heartbeat,
  heartbeatPacket,
  LINK_LIMITS,
  type Packet,
  ReceiveStream,
  type Segment,
  SendStream,
} from "./streams.js";

/**
 * Reliable streams between hubs over packets that may be lost: finds other hubs, keeps a stream to each, and tells
 * the machine when one is lost. It has no clock: the shell calls `woke` at `wakeAtMs`.
 */
export class HubTransport {
  /** Packets that could not be read, and heartbeats of more hubs than a hub takes. */
  packetsRefused = 0;
  #idsEnd = 1;
  readonly #streams = new Map<string, HubStream>();
  /** Numbers the streams to other hubs; always grows. */
  #epoch = 0;
  #heartbeatAtMs = Number.POSITIVE_INFINITY;

  readonly #nextEpoch = (): number => {
    this.#epoch += 1;
    return this.#epoch;
  };

  /** @param key 16 hex digits, new at each start of the hub */
  constructor(
    readonly key: string,
    private readonly name: string,
    private readonly machine: HubMachine,
    private readonly carrier: Carrier,
  ) {}

  /** Ids before it may be leased to this hub, or to one that any hub here ever heard of. */
  get idsEnd(): number {
    return this.#idsEnd;
  }

  /** Whether every known hub has named its clients. */
  get complete(): boolean {
    return [...this.#streams.values()].every(({ hub }) => hub.complete);
  }

  /** Packets sent again to the present hubs. */
  get packetsResent(): number {
    return [...this.#streams.values()].reduce((sum, { outgoing }) => sum + outgoing.resent, 0);
  }

  get wakeAtMs(): number {
    let atMs = this.#heartbeatAtMs;
    for (const stream of this.#streams.values())
      atMs = Math.min(atMs, stream.wakeAtMs, stream.heardAtMs + LINK_LIMITS.silentMs);
    return atMs;
  }

  /** The carrier takes packets from now on. */
  start(nowMs: number): void {
    this.#heartbeatAtMs = nowMs + LINK_LIMITS.heartbeatMs;
    this.#heartbeat({ wantsAnswer: true });
  }

  /** This hub has leased ids before `end`. Others know it before they hear of clients with these ids. */
  leased(end: number): void {
    this.#idsEnd = Math.max(this.#idsEnd, end);
    this.#heartbeat({});
  }

  /** A packet arrived. The transport owns the bytes from now on. */
  packet(bytes: Buffer, nowMs: number): void {
    const packet = decodePacket(bytes);
    if (packet === undefined) this.packetsRefused += 1;
    else if (packet.from !== this.key) this.#take(packet, nowMs);
  }

  /** The carrier is connected again. Packets of either direction may be lost. */
  connected(nowMs: number): void {
    this.#heartbeat({ wantsAnswer: true });
    for (const stream of this.#streams.values()) {
      stream.resend(nowMs);
      stream.flush(nowMs);
      this.#ack(stream);
    }
  }

  /** Sends the bytes that the machine has queued for a hub. */
  flush(session: SessionView, nowMs: number): void {
    this.#streamOf(session)?.flush(nowMs);
  }

  /** The machine reads the link again, or no longer. */
  reading(session: SessionView, nowMs: number): void {
    const stream = this.#streamOf(session);
    stream?.read(nowMs);
    if (stream !== undefined) this.#ackIfDue(stream, nowMs);
  }

  /** @param lateMs how much later than `wakeAtMs` it is: this hub was busy and read no packets meanwhile */
  woke(nowMs: number, lateMs: number): void {
    for (const stream of [...this.#streams.values()]) {
      if (lateMs > LINK_LIMITS.lateMs) stream.heardAtMs += lateMs;
      if (nowMs - stream.heardAtMs >= LINK_LIMITS.silentMs) {
        this.#lose(stream, "hubLost", nowMs);
        continue;
      }
      if (nowMs >= stream.outgoing.resendAtMs) stream.probe(nowMs);
      this.#ackIfDue(stream, nowMs);
    }
    if (nowMs < this.#heartbeatAtMs) return;
    this.#heartbeatAtMs = nowMs + LINK_LIMITS.heartbeatMs;
    this.#heartbeat({});
    for (const { incoming, hub } of this.#streams.values())
      if (incoming.epoch === 0) this.#askForStream(hub.key);
  }

  /** This hub stops: tells the others. */
  leave(nowMs: number): void {
    this.#heartbeatAtMs = Number.POSITIVE_INFINITY;
    this.#heartbeat({ leaving: true });
    for (const stream of this.#streams.values()) stream.close(nowMs);
    this.#streams.clear();
  }

  #take(packet: Packet, nowMs: number): void {
    const stream = this.#streams.get(packet.from);
    if (stream !== undefined) stream.heardAtMs = nowMs;
    switch (packet.type) {
      case "heartbeat":
        this.#heartbeatReceived(packet, stream, nowMs);
        break;
      case "segment":
        // The sender knows this hub but was taken for lost: a heartbeat makes it introduce itself and begin again.
        if (stream === undefined) this.#heartbeat({ wantsAnswer: true }, packet.from);
        else {
          stream.segment(packet, nowMs);
          this.#ackIfDue(stream, nowMs);
        }
        break;
      case "ack":
        stream?.acknowledged(packet, nowMs);
        break;
    }
  }

  #heartbeatReceived(
    heartbeat: Heartbeat & { readonly from: string },
    stream: HubStream | undefined,
    nowMs: number,
  ): void {
    this.#idsEnd = Math.max(this.#idsEnd, heartbeat.idsEnd);
    if (heartbeat.leaving) {
      if (stream !== undefined) this.#lose(stream, "stopping", nowMs);
    } else if (stream === undefined) this.#meet(heartbeat.from, heartbeat.name, nowMs);
    else if (heartbeat.wantsAnswer) this.#heartbeat({}, heartbeat.from);
  }

  #meet(key: string, name: string, nowMs: number): void {
    if (this.#streams.size >= LINK_LIMITS.hubsMax) {
      this.packetsRefused += 1;
      return;
    }
    // Before anything else, so that the other hub knows whose stream follows.
    this.#heartbeat({}, key);
    const stream = new HubStream(
      this.machine.connectHub(key, name, nowMs),
      this.key,
      this.#nextEpoch,
      this.machine,
      this.carrier,
      nowMs,
    );
    this.#streams.set(key, stream);
    this.#shareWindows();
    stream.flush(nowMs);
  }

  #lose(stream: HubStream, reason: "hubLost" | "stopping", nowMs: number): void {
    this.#streams.delete(stream.hub.key);
    stream.close(nowMs);
    this.machine.handle({ type: "hubLost", hub: stream.hub, reason, heardAtMs: stream.heardAtMs }, nowMs);
    this.#shareWindows();
  }

  /** The windows of all other hubs together must not exceed the carrier's buffer for this hub. */
  #shareWindows(): void {
    const { windowsBytes, windowBytesMin, windowBytesMax } = LINK_LIMITS;
    const share = Math.floor(windowsBytes / Math.max(1, this.#streams.size));
    const window = Math.max(windowBytesMin, Math.min(windowBytesMax, share));
    for (const { incoming } of this.#streams.values()) incoming.window = window;
  }

  #ackIfDue(stream: HubStream, nowMs: number): void {
    if (nowMs >= stream.incoming.ackAtMs) this.#ack(stream);
  }

  #ack(stream: HubStream): void {
    if (stream.incoming.epoch > 0)
      this.carrier.send(stream.hub.key, ackPacket(this.key, stream.incoming.ack()));
  }

  /** Asks for the stream of a hub that is alive and of whose stream nothing has arrived. */
  #askForStream(hub: string): void {
    const nothing = { epoch: 0, received: 0, consumed: 0, window: LINK_LIMITS.windowBytesMin, missing: true };
    this.carrier.send(hub, ackPacket(this.key, nothing));
  }

  #heartbeat(heartbeat: { readonly wantsAnswer?: boolean; readonly leaving?: boolean }, to?: string): void {
    const packet = heartbeatPacket(this.key, {
      wantsAnswer: false,
      leaving: false,
      idsEnd: this.#idsEnd,
      name: this.name,
      ...heartbeat,
    });
    if (to === undefined) this.carrier.broadcast(packet);
    else this.carrier.send(to, packet);
  }

  #streamOf(session: SessionView): HubStream | undefined {
    return session.link === undefined ? undefined : this.#streams.get(session.link.key);
  }
}

/** Carries packets to other hubs; may lose them, and keeps their order. */
interface Carrier {
  readonly packetBytesMax: number;
  readonly connected: boolean;
  send(hub: string, packet: Buffer): void;
  broadcast(packet: Buffer): void;
}

/** The streams to and from one other hub: the link's counterpart of a socket. */
class HubStream {
  readonly outgoing: SendStream;
  readonly incoming = new ReceiveStream();
  /** Bytes that arrived while the machine did not read; and the size of the chunk that it has not finished. */
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #begun = 0;
  #restarts = 0;

  constructor(
    readonly hub: HubView,
    from: string,
    private readonly nextEpoch: () => number,
    private readonly machine: HubMachine,
    private readonly carrier: Carrier,
    /** When a packet of that hub last arrived. */
    public heardAtMs: number,
  ) {
    this.outgoing = new SendStream(from, nextEpoch(), carrier.packetBytesMax);
  }

  /** When something is due; Infinity when nothing is. */
  get wakeAtMs(): number {
    return Math.min(this.incoming.ackAtMs, this.outgoing.resendAtMs);
  }

  /** Sends the link's outbox, as far as the window of the other hub allows. */
  flush(nowMs: number): void {
    const { session } = this.hub;
    this.#beginAnew(nowMs);
    while (session.open && this.carrier.connected && this.outgoing.hasRoom) {
      const vectors = this.machine.takeBatch(session, nowMs);
      if (vectors.length === 0) return;
      this.#send(this.outgoing.packets(vectors, nowMs));
      this.#reportBuffered(nowMs);
      // The packets hold the bytes now. `false` keeps batches small, so that other hubs get theirs in between.
      this.machine.handle({ type: "sent", session, atOnce: false }, nowMs);
    }
  }

  segment(segment: Segment, nowMs: number): void {
    const place = this.incoming.place(segment, nowMs);
    if (place === "begins") {
      this.#dropUnread();
      this.#begun = 0;
      this.machine.handle({ type: "hubBegan", hub: this.hub }, nowMs);
    }
    if (place !== "begins" && place !== "next") return;
    this.#unread.push(segment.bytes);
    this.#unreadBytes += segment.bytes.length;
    this.read(nowMs);
    this.#reportBuffered(nowMs);
  }

  /** Hands arrived bytes over while the machine reads. */
  read(nowMs: number): void {
    const { session } = this.hub;
    while (session.open && session.reading) {
      if (this.#begun > 0) this.incoming.consume(this.#begun, nowMs);
      this.#begun = 0;
      const bytes = this.#unread.shift();
      if (bytes === undefined) return;
      this.#unreadBytes -= bytes.length;
      this.#reportBuffered(nowMs);
      this.#begun = bytes.length;
      this.machine.handle({ type: "received", session, chunk: bytes }, nowMs);
      if (this.hub.unreadable) this.#refuse(nowMs);
    }
  }

  acknowledged(ack: Ack, nowMs: number): void {
    this.#beginAnew(nowMs);
    const answer = this.outgoing.take(ack, nowMs);
    this.#reportBuffered(nowMs);
    this.machine.handle({ type: "hubReceived", hub: this.hub, offset: this.outgoing.received }, nowMs);
    if (answer === "restart") this.machine.handle({ type: "hubMissed", hub: this.hub }, nowMs);
    else if (answer === "resend") this.resend(nowMs);
    this.flush(nowMs);
  }

  /** Sends all unacknowledged packets again. */
  resend(nowMs: number): void {
    this.#beginAnew(nowMs);
    this.#send(this.outgoing.resend(nowMs));
  }

  /** No acknowledgement arrived in time. */
  probe(nowMs: number): void {
    this.#beginAnew(nowMs);
    this.#send(this.outgoing.probe(nowMs));
  }

  close(nowMs: number): void {
    this.#dropUnread();
    this.outgoing.drop();
    this.#reportBuffered(nowMs);
  }

  /** After the machine has dropped the outbox and the bytes in flight, the next bytes begin a new stream. */
  #beginAnew(nowMs: number): void {
    if (this.hub.restarts === this.#restarts) return;
    this.#restarts = this.hub.restarts;
    this.outgoing.restart(this.nextEpoch());
    this.#reportBuffered(nowMs);
  }

  /** The received bytes are malformed. */
  #refuse(nowMs: number): void {
    this.#dropUnread();
    this.#begun = 0;
    this.incoming.refuse(nowMs);
    this.#reportBuffered(nowMs);
  }

  #send(packets: readonly Buffer[]): void {
    for (const packet of packets) this.carrier.send(this.hub.key, packet);
  }

  #dropUnread(): void {
    this.#unread = [];
    this.#unreadBytes = 0;
  }

  /** The machine counts the bytes that this stream keeps against its memory. */
  #reportBuffered(nowMs: number): void {
    const bytes = this.outgoing.keptBytes + this.#unreadBytes;
    if (bytes !== this.hub.bufferedBytes)
      this.machine.handle({ type: "hubBuffered", hub: this.hub, bytes }, nowMs);
  }
}
