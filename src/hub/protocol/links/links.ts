import type { CloseReason } from "../close-reason.js";
import { gapFrame, newFrame } from "../encode.js";
import { Inbox } from "../inbox.js";
import { Outbox } from "../outbox.js";
import { Session } from "../session.js";
import type { Switchboard } from "../switchboard.js";
import { Departed } from "./departed.js";
import {
  clientFrame,
  goneFrame,
  idFrame,
  LINK_FRAME,
  LINK_FRAME_BYTES_MAX,
  linkGapFrame,
  memberFrame,
} from "./link-frame.js";
import { type Lost, RemoteHub } from "./remote-hub.js";
import { RemotePresence } from "./remote-presence.js";

/**
 * The connections to other hubs. Each is a session like that of a client: its queue has the same limits, senders wait
 * for it as for a receiver. Tells other hubs of the clients of this one, and these of what may be lost.
 */
export class Links {
  /** Hubs that fell silent, and what was lost on the way to them: they may come back. */
  readonly #departed = new Departed();

  readonly presence: RemotePresence;

  constructor(private readonly board: Switchboard) {
    this.presence = new RemotePresence(board);
  }

  /** Another hub is there. @param key 16 hex digits, anew at each of its starts */
  begin(key: string, name: string): RemoteHub {
    const { memory, frames, joins, nowMs, remotes } = this.board;
    const session = new Session(
      0,
      new Inbox(frames, LINK_FRAME_BYTES_MAX),
      new Outbox(0, memory, joins),
      nowMs,
    );
    const hub = new RemoteHub(key, name, session, nowMs);
    session.link = hub;
    remotes.hubs.add(hub);
    this.#introduce(hub);
    const before = this.#departed.take(key);
    if (before !== undefined) {
      // It was out of reach only. What its clients sent meanwhile, to all or to a group, never was on the way.
      this.tellGap(undefined, name, { fromMs: before.sinceMs, untilMs: nowMs, closes: false });
      this.#reportLost(hub, before.lost);
    }
    return hub;
  }

  /** It is gone: so are its clients. */
  end(hub: RemoteHub, reason: "hubLost" | "stopping"): void {
    const { session } = hub;
    const { remotes, waiting, roster } = this.board;
    remotes.hubs.delete(hub);
    session.open = false;
    session.sending = false;
    const lost = hub.restart();
    if (reason === "hubLost") this.#departed.remember(hub.key, { sinceMs: hub.heardAtMs, lost });
    session.inbox.drop();
    waiting.noLongerReceives(session);
    waiting.noLongerSends(session);
    this.#forgetHolds(session);
    for (const id of [...hub.clients.keys()]) this.presence.gone(hub, id, reason);
    roster.epoch += 1;
  }

  /** Gives up what is queued and on the way, and begins a new stream. Who was to get it is told by its own hub. */
  restart(hub: RemoteHub): void {
    const lost = hub.restart();
    const { session } = hub;
    session.frozen = false;
    this.board.waiting.noLongerReceives(session);
    this.#forgetHolds(session);
    this.#introduce(hub);
    this.#reportLost(hub, lost);
  }

  /** What a session of a client would be closed for. */
  fault(hub: RemoteHub, reason: CloseReason): void {
    if (reason === "slowConsumer" || reason === "memoryBudget") this.restart(hub);
    else {
      // What comes behind cannot be read either, until the stream begins anew.
      hub.unreadable = true;
      hub.session.sending = false;
      hub.session.inbox.drop();
    }
  }

  /** The other hub has begun a new stream: it names all its clients again. */
  streamBegan(hub: RemoteHub): void {
    hub.session.inbox.drop();
    hub.session.sending = true;
    hub.unreadable = false;
    hub.stream += 1;
    hub.complete = false;
    hub.failReceipts();
    for (const client of hub.clients.values()) this.presence.held(client, false);
  }

  /** A client is there, or says more about itself. */
  tellClient(session: Session): void {
    if (this.board.remotes.hubs.size > 0) this.#tellAll(clientFrame(session));
  }

  tellGone(session: Session, reason: CloseReason): void {
    if (this.board.remotes.hubs.size > 0) this.#tellAll(goneFrame(session.id, reason));
  }

  tellMember(type: "join" | "leave", session: Session, group: string): void {
    if (this.board.remotes.hubs.size > 0) this.#tellAll(memberFrame(LINK_FRAME[type], session.id, group));
  }

  /** The queue of a client is over half, and that hub sends to it: its senders wait from now on. */
  hold(session: Session, link: Session): void {
    session.heldLinks ??= new Set();
    if (session.heldLinks.has(link)) return;
    session.heldLinks.add(link);
    this.board.answer(link, idFrame(LINK_FRAME.hold, session.id));
    this.board.waiting.heldElsewhere(session);
  }

  /** There is room in that queue again, or nobody waits for it any longer. */
  release(session: Session): void {
    const links = [...(session.heldLinks ?? [])];
    session.heldLinks = undefined;
    for (const link of links) this.board.answer(link, idFrame(LINK_FRAME.release, session.id));
  }

  /**
   * Tells clients of this hub what they may have missed.
   * @param ids undefined: all of them
   * @param gap `closes`: those of version 1, which cannot be told, are closed
   */
  tellGap(
    ids: readonly number[] | undefined,
    hubName: string,
    gap: { readonly fromMs: number; readonly untilMs: number; readonly closes: boolean },
  ): void {
    const { roster, remotes } = this.board;
    const frame = gapFrame(gap.fromMs, gap.untilMs, hubName);
    const sessions = ids === undefined ? [...roster.all()] : ids.flatMap((id) => roster.get(id) ?? []);
    for (const session of sessions) {
      if (session.version > 1) this.board.answer(session, frame);
      else if (gap.closes) this.board.close(session, "messagesLost");
      else continue;
      remotes.gapsTold += 1;
    }
  }

  /** All clients of this hub, to one that does not know them. */
  #introduce(hub: RemoteHub): void {
    for (const session of this.board.roster.all()) this.board.answer(hub.session, clientFrame(session));
    this.board.answer(hub.session, newFrame(LINK_FRAME.allNamed, 0));
  }

  #reportLost(hub: RemoteHub, lost: Lost | undefined): void {
    if (lost === undefined) return;
    this.board.answer(hub.session, linkGapFrame(lost.to, lost.fromMs, this.board.nowMs));
  }

  #tellAll(frame: Buffer): void {
    for (const { session } of this.board.remotes.hubs) this.board.answer(session, frame);
  }

  #forgetHolds(link: Session): void {
    for (const session of this.board.roster.all()) session.heldLinks?.delete(link);
  }
}
