import { receiptFrame } from "../encode.js";
import { FRAME } from "../frame-type.js";
import { readId } from "../id.js";
import { Receipt } from "../receipt.js";
import type { Session } from "../session.js";
import type { Switchboard } from "../switchboard.js";
import { Block } from "./block.js";
import { decodeLinkFrame, type LinkFrame } from "./link-decode.js";
import { LINK_FRAME } from "./link-frame.js";
import type { RemoteHub } from "./remote-hub.js";

type Relayed = Extract<LinkFrame, { readonly blockStart: number }>;

const BLOCK_TYPE = { relay: FRAME.namedRelay, toAll: FRAME.toAll, toGroup: FRAME.toGroup } as const;

/** Takes what other hubs say. A frame that makes no sense is left out, and counted. */
export class LinkIntake {
  constructor(private readonly board: Switchboard) {}

  /** The frame that the inbox of the link stands at. */
  take(hub: RemoteHub): void {
    const { buffer, start, end } = hub.session.inbox;
    const frame = decodeLinkFrame(buffer, start, end);
    const { presence } = this.board.links;
    switch (frame?.type) {
      case "relay":
      case "toAll":
      case "toGroup":
        this.#relay(hub, frame);
        break;
      case "client":
        presence.named(hub, frame);
        break;
      case "gone":
        presence.gone(hub, frame.id, frame.reason);
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
        if (client !== undefined) presence.held(client, frame.type === "hold");
        break;
      }
      case "gap":
        this.board.links.tellGap(frame.ids, hub.name, { ...frame, closes: true });
        break;
      default:
        this.board.remotes.framesRefused += 1;
    }
  }

  #relay(hub: RemoteHub, frame: Relayed): void {
    const { buffer, end, backing } = hub.session.inbox;
    const block = Block.read(buffer, frame.blockStart, end, backing!, BLOCK_TYPE[frame.type]);
    if (block === undefined) {
      this.board.remotes.framesRefused += 1;
      return;
    }
    const gone: number[] = [];
    const plain: Session[] = [];
    const named: Session[] = [];
    for (const session of this.#receivers(buffer, frame, block, gone)) {
      if (session.version > 1) named.push(session);
      else plain.push(session);
    }
    const receipt = frame.number === 0 ? undefined : this.#receipt(hub, frame.number);
    receipt?.evicted.push(...gone);
    if (plain.length > 0) this.board.deliver([block.plain(named.length > 0, receipt)], plain);
    if (named.length > 0) this.board.deliver([block.named(receipt)], named);
    receipt?.seal();
    if (this.board.waiting.congestedCount === 0) return;
    for (const session of plain) this.#holdIfFull(session, hub);
    for (const session of named) this.#holdIfFull(session, hub);
  }

  /** @param gone gets the ids of those that are not there any more */
  #receivers(bytes: Buffer, frame: Relayed, block: Block, gone: number[]): Iterable<Session> {
    const { roster, groups } = this.board;
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
    if (this.board.waiting.holdsUp(session)) this.board.links.hold(session, hub.session);
  }

  #receipt(hub: RemoteHub, number: number): Receipt {
    return new Receipt(number, [], (receipt) => {
      const answer = receiptFrame(receipt);
      answer[4] = LINK_FRAME.receipt;
      this.board.answer(hub.session, answer);
    });
  }

  #member(hub: RemoteHub, what: "join" | "leave", id: number, group: string): void {
    const client = hub.clients.get(id);
    if (client === undefined) return;
    hub[what](client, group);
    this.board.roster.epoch += 1;
  }

  /** Whoever was not named again is gone since. */
  #allNamed(hub: RemoteHub): void {
    hub.complete = true;
    for (const client of [...hub.clients.values()]) {
      if (client.stream !== hub.stream) this.board.links.presence.gone(hub, client.id, "connectionLost");
    }
  }
}
