import type { Delivery } from "./flow-control.js";
import { FRAME, readId, receiptFrame, V1_HEADER, V2_HEADER } from "./frames.js";
import { decodeLinkFrame, LINK_FRAME, type LinkFrame } from "./link-frames.js";
import type { HubLinks } from "./links.js";
import { Backing } from "./memory.js";
import { Piece, Receipt } from "./outbox.js";
import type { RemoteHub, Session } from "./session.js";
import type { HubState } from "./state.js";

type Relayed = Extract<LinkFrame, { readonly blockStart: number }>;

const BLOCK_TYPE = { relay: FRAME.namedRelay, toAll: FRAME.toAll, toGroup: FRAME.toGroup } as const;

/** Handles the frames of other hubs. A malformed frame is skipped and counted. */
export class LinkReceiver {
  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
    private readonly links: HubLinks,
  ) {}

  /** The frame at the inbox of the link. */
  receive(hub: RemoteHub): void {
    const { buffer, start, end } = hub.session.inbox;
    const frame = decodeLinkFrame(buffer, start, end);
    switch (frame?.type) {
      case "relay":
      case "toAll":
      case "toGroup":
        this.#relay(hub, frame);
        break;
      case "client":
        this.links.heardOf(hub, frame);
        break;
      case "gone":
        this.links.gone(hub, frame.id, frame.reason);
        break;
      case "join":
      case "leave":
        this.#member(hub, frame.type, frame.id, frame.group);
        break;
      case "allNamed":
        this.#allNamed(hub);
        break;
      case "receipt": {
        const waiting = hub.receipts.get(frame.number);
        hub.receipts.delete(frame.number);
        waiting?.receipt.answered(frame.reached, frame.unknown, frame.evicted);
        break;
      }
      case "hold":
      case "release": {
        const client = hub.clients.get(frame.id);
        if (client !== undefined) this.links.held(client, frame.type === "hold");
        break;
      }
      case "gap":
        this.links.tellGap(frame.ids, hub.name, { ...frame, closes: true });
        break;
      default:
        this.state.remotes.framesRefused += 1;
    }
  }

  #relay(hub: RemoteHub, frame: Relayed): void {
    const { buffer, end, backing } = hub.session.inbox;
    const block = RelayedFrames.read(buffer, frame.blockStart, end, backing!, BLOCK_TYPE[frame.type]);
    if (block === undefined) {
      this.state.remotes.framesRefused += 1;
      return;
    }
    const gone: number[] = [];
    const v1: Session[] = [];
    const v2: Session[] = [];
    for (const session of this.#receivers(buffer, frame, block, gone)) {
      if (session.version > 1) v2.push(session);
      else v1.push(session);
    }
    const receipt = frame.number === 0 ? undefined : this.#receipt(hub, frame.number);
    for (const id of gone) receipt?.evicted.push(id);
    if (v1.length > 0) this.delivery.deliver([block.v1(v2.length > 0, receipt)], v1);
    if (v2.length > 0) this.delivery.deliver([block.v2(receipt)], v2);
    receipt?.close();
    if (this.delivery.flow.congestedCount === 0) return;
    for (const session of v1) this.#holdIfFull(session, hub);
    for (const session of v2) this.#holdIfFull(session, hub);
  }

  /** @param gone collects the ids of receivers that have left */
  #receivers(bytes: Buffer, frame: Relayed, block: RelayedFrames, gone: number[]): Iterable<Session> {
    const { roster, groups } = this.state;
    if (frame.type === "toAll") return roster.all();
    if (frame.type !== "relay") return block.group === undefined ? [] : groups.members(block.group);
    const receivers: Session[] = [];
    for (let at = frame.idsStart; at < frame.blockStart; at += 8) {
      const id = readId(bytes, at);
      const session = roster.get(id);
      if (session === undefined) gone.push(id);
      else receivers.push(session);
    }
    return receivers;
  }

  #holdIfFull(session: Session, hub: RemoteHub): void {
    if (this.delivery.flow.holdsUp(session)) this.delivery.flow.pauseLink(session, hub.session);
  }

  #receipt(hub: RemoteHub, number: number): Receipt {
    return new Receipt(number, [], (receipt) => {
      const answer = receiptFrame(receipt);
      answer[4] = LINK_FRAME.receipt;
      this.delivery.answer(hub.session, answer);
    });
  }

  #member(hub: RemoteHub, what: "join" | "leave", id: number, group: string): void {
    const client = hub.clients.get(id);
    if (client === undefined) return;
    hub[what](client, group);
    this.state.roster.changed();
  }

  /** Clients missing from the new snapshot have disconnected. */
  #allNamed(hub: RemoteHub): void {
    hub.complete = true;
    for (const client of [...hub.clients.values()]) {
      if (client.stream !== hub.stream) this.links.gone(hub, client.id, "connectionLost");
    }
  }
}

/** Copying less costs less than the vectors it saves. */
const COPY_BELOW_BYTES = 16_384;

/**
 * Consecutive frames for clients as another hub sent them: `bytes[start..end)`. Receivers of version 2 get them
 * uncopied.
 */
class RelayedFrames {
  readonly count: number;

  private constructor(
    private readonly bytes: Buffer,
    private readonly start: number,
    private readonly end: number,
    /** Keeps `bytes` in memory. */
    private readonly backing: Backing,
    readonly type: number,
    count: number,
  ) {
    this.count = count;
  }

  /** @returns undefined unless these are whole frames of that type */
  static read(
    bytes: Buffer,
    start: number,
    end: number,
    backing: Backing,
    type: number,
  ): RelayedFrames | undefined {
    let count = 0;
    let at = start;
    while (at < end) {
      if (end - at < V2_HEADER || bytes[at + 4] !== type) return undefined;
      const length = bytes.readUInt32BE(at);
      if (length < V2_HEADER - 4 || length > end - at - 4) return undefined;
      at += 4 + length;
      count += 1;
    }
    return count === 0 ? undefined : new RelayedFrames(bytes, start, end, backing, type, count);
  }

  /** The group of the first frame; undefined when it names none. */
  get group(): string | undefined {
    const at = this.start + V2_HEADER;
    const frameEnd = this.start + 4 + this.bytes.readUInt32BE(this.start);
    if (this.type !== FRAME.toGroup || at >= frameEnd) return undefined;
    const nameEnd = at + 1 + this.bytes[at]!;
    return nameEnd > frameEnd ? undefined : this.bytes.toString("utf8", at + 1, nameEnd);
  }

  /** For receivers of version 1. @param keepsBytes `v2` still needs the bytes */
  v1(keepsBytes: boolean, receipt: Receipt | undefined): Piece {
    if (this.count === 1 && !keepsBytes && this.end - this.start >= COPY_BELOW_BYTES) {
      const at = this.start + V2_HEADER - V1_HEADER;
      writeV1Header(this.bytes, at, this.end - at);
      return this.#slice(at, receipt);
    }
    const size = this.end - this.start - this.count * (V2_HEADER - V1_HEADER);
    const target = Buffer.allocUnsafeSlow(size);
    let filled = 0;
    for (let at = this.start; at < this.end; ) {
      const next = at + 4 + this.bytes.readUInt32BE(at);
      writeV1Header(target, filled, next - at - V2_HEADER + V1_HEADER);
      this.bytes.copy(target, filled + V1_HEADER, at + V2_HEADER, next);
      filled += next - at - V2_HEADER + V1_HEADER;
      at = next;
    }
    return new Piece(target, this.count, new Backing(size, this.backing.memory), receipt);
  }

  /** For receivers of version 2. */
  v2(receipt: Receipt | undefined): Piece {
    const size = this.end - this.start;
    // A slice of a few bytes would keep the whole read in memory.
    if (2 * size >= this.backing.bytes) return this.#slice(this.start, receipt);
    const copy = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(copy, 0, this.start, this.end);
    return new Piece(copy, this.count, new Backing(size, this.backing.memory), receipt);
  }

  #slice(at: number, receipt: Receipt | undefined): Piece {
    this.backing.hold(1);
    return new Piece(this.bytes.subarray(at, this.end), this.count, this.backing, receipt);
  }
}

function writeV1Header(target: Buffer, at: number, size: number): void {
  target.writeUInt32BE(size - 4, at);
  target[at + 4] = FRAME.relay;
}
