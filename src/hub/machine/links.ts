import type { Delivery } from "./flow-control.js";
import { type CloseReason, FRAME, gapFrame, newFrame, presenceFrame } from "./frames.js";
import { Inbox } from "./inbox.js";
import {
  clientFrame,
  idList,
  LINK_FRAME,
  LINK_FRAME_BYTES_MAX,
  type LinkFrame,
  linkGapFrame,
  relayHead,
} from "./link-frames.js";
import { Backing } from "./memory.js";
import { Outbox, Piece, type Receipt } from "./outbox.js";
import type { Run } from "./run.js";
import {
  type Lost,
  type Recipients,
  type RemoteClient,
  RemoteHub,
  type RemotePart,
  Session,
} from "./session.js";
import type { HubState } from "./state.js";

/** A hub that comes back under its key is told apart from a new one; most have died and never do. */
const LOST_HUBS_MAX = 64;

/**
 * Links to other hubs. A link is a session like that of a client: its outbox has the same limits, and senders pause
 * for it. Tells other hubs of this hub's clients, and these of messages that may be lost.
 */
export class HubLinks {
  /** Hubs that fell silent, with the messages that were lost: they may come back. */
  readonly #lostHubs = new Map<string, { readonly sinceMs: number; readonly lost: Lost | undefined }>();

  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
  ) {}

  /** A hub is found. @param key 16 hex digits, new at each of its starts */
  begin(key: string, name: string): RemoteHub {
    const { memory, frames, joins, nowMs, remotes } = this.state;
    const session = new Session(
      0,
      new Inbox(frames, LINK_FRAME_BYTES_MAX),
      new Outbox(0, memory, joins),
      nowMs,
    );
    const hub = new RemoteHub(key, name, session);
    session.link = hub;
    remotes.hubs.add(hub);
    this.#introduce(hub);
    const before = this.#lostHubs.get(key);
    this.#lostHubs.delete(key);
    if (before !== undefined) {
      // It was out of reach only. Messages of its clients to all, or to a group, were not sent to this hub meanwhile.
      this.tellGap(undefined, name, { fromMs: before.sinceMs, untilMs: nowMs, closes: false });
      this.#reportLost(hub, before.lost);
    }
    return hub;
  }

  /** The hub is gone, and so are its clients. */
  end(hub: RemoteHub, reason: "hubLost" | "stopping", heardAtMs: number): void {
    const { session } = hub;
    const { remotes, roster } = this.state;
    const { flow } = this.delivery;
    remotes.hubs.delete(hub);
    session.open = false;
    session.sending = false;
    const lost = hub.restart();
    if (reason === "hubLost") {
      this.#lostHubs.set(hub.key, { sinceMs: heardAtMs, lost });
      if (this.#lostHubs.size > LOST_HUBS_MAX) this.#lostHubs.delete(this.#lostHubs.keys().next().value!);
    }
    session.inbox.drop();
    flow.removeReceiver(session);
    flow.removeSender(session);
    this.#forgetHolds(session);
    for (const id of [...hub.clients.keys()]) this.gone(hub, id, reason);
    roster.changed();
  }

  /**
   * Drops the outbox and the bytes in flight, and begins a new stream. The other hub tells the receivers of lost
   * messages.
   */
  restart(hub: RemoteHub): void {
    const lost = hub.restart();
    const { session } = hub;
    session.frozen = false;
    this.delivery.flow.removeReceiver(session);
    this.#forgetHolds(session);
    this.#introduce(hub);
    this.#reportLost(hub, lost);
  }

  /** A reason to close a client's session has occurred on a link. */
  fault(hub: RemoteHub, reason: CloseReason): void {
    if (reason === "slowConsumer" || reason === "memoryBudget") this.restart(hub);
    else {
      // Nothing can be read behind the fault until the stream begins anew.
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
    for (const client of hub.clients.values()) this.held(client, false);
  }

  /** A client has arrived, or its hub says more about it. */
  heardOf(hub: RemoteHub, frame: Named): void {
    const { remotes, roster } = this.state;
    let client = hub.clients.get(frame.id);
    if (client === undefined) {
      // Ids are unique among hubs: a second one comes from a hub that is none of ours.
      if (frame.id === 0 || remotes.get(frame.id) !== undefined || roster.get(frame.id) !== undefined) {
        remotes.framesRefused += 1;
        return;
      }
      client = newClient(hub, frame);
      remotes.add(client);
      roster.changed();
    }
    client.name = frame.name;
    client.version = frame.version;
    client.stream = hub.stream;
    this.#members(client, frame.groups);
    if (!frame.announced || client.announced) return;
    client.announced = true;
    this.delivery.tellWatchers(presenceFrame(client.id, client.name));
  }

  gone(hub: RemoteHub, id: number, reason: CloseReason): void {
    const client = hub.clients.get(id);
    if (client === undefined) return;
    const { remotes, roster } = this.state;
    remotes.remove(client);
    roster.changed();
    this.delivery.flow.resume(client.waiters.splice(0));
    if (client.announced) this.delivery.tellWatchers(presenceFrame(id, client.name, reason));
  }

  /** The client's hub reports whether its senders pause. */
  held(client: RemoteClient, held: boolean): void {
    if (client.held === held) return;
    client.held = held;
    this.state.remotes.held += held ? 1 : -1;
    if (!held) this.delivery.flow.resume(client.waiters.splice(0));
  }

  /**
   * Tells clients of this hub of messages that may be lost.
   * @param ids undefined: all of them
   * @param gap `closes`: clients of version 1, which cannot be told, are closed
   */
  tellGap(
    ids: readonly number[] | undefined,
    hubName: string,
    gap: { readonly fromMs: number; readonly untilMs: number; readonly closes: boolean },
  ): void {
    const { roster, remotes } = this.state;
    const frame = gapFrame(gap.fromMs, gap.untilMs, hubName);
    const sessions = ids === undefined ? [...roster.all()] : ids.flatMap((id) => roster.get(id) ?? []);
    for (const session of sessions) {
      if (session.version > 1) this.delivery.answer(session, frame);
      else if (gap.closes) this.delivery.close(session, "messagesLost");
      else continue;
      remotes.gapsTold += 1;
    }
  }

  /** Names all clients of this hub. */
  #introduce(hub: RemoteHub): void {
    for (const session of this.state.roster.all()) this.delivery.answer(hub.session, clientFrame(session));
    this.delivery.answer(hub.session, newFrame(LINK_FRAME.allNamed, 0));
  }

  #reportLost(hub: RemoteHub, lost: Lost | undefined): void {
    if (lost === undefined) return;
    this.delivery.answer(hub.session, linkGapFrame(lost.to, lost.fromMs, this.state.nowMs));
  }

  #members(client: RemoteClient, groups: readonly string[]): void {
    const before = [...client.groups];
    for (const group of before) if (!groups.includes(group)) client.hub.leave(client, group);
    for (const group of groups) client.hub.join(client, group);
    if (before.length > 0 || groups.length > 0) this.state.roster.changed();
  }

  #forgetHolds(link: Session): void {
    for (const session of this.state.roster.all()) session.pausedLinks?.delete(link);
  }
}

const NO_IDS = Buffer.alloc(0);

/**
 * Queues a run for the hubs of its remote receivers, once for each hub, and for its local receivers of version 2:
 * both get the same bytes. Each hub gets a head that lists its receivers, then the frames.
 */
export function relayToHubs(state: HubState, delivery: Delivery, run: Run, recipients: Recipients): void {
  const { v2, remote, group } = recipients;
  const { receipt } = run;
  const pieces = run.v2(v2.length + remote.length);
  const bodies = receipt === undefined ? pieces : pieces.map(withoutReceipt);
  // `deliver` takes the pieces over: one hold for each call.
  const calls = remote.length + (v2.length > 0 ? 1 : 0);
  for (const piece of pieces) piece.backing.hold(calls - 1);
  let blockBytes = 0;
  for (const { size } of pieces) blockBytes += size;
  for (const part of remote) {
    const { hub, ids } = part;
    const number = receipt === undefined ? 0 : expectReceipt(state, receipt, part, group);
    if (ids !== undefined) part.wire ??= idList(ids);
    const head = relayHead(linkType(part, run), number, part.wire ?? NO_IDS, blockBytes);
    // Before `deliver`, which may restart the stream and must count this run as lost then.
    hub.queued(ids, head.length + blockBytes, state.nowMs);
    delivery.deliver([new Piece(head, 0, new Backing(head.length, state.memory)), ...bodies], [hub.session]);
  }
  if (v2.length > 0) delivery.deliver(pieces, v2);
}

/** The first remote receiver for which senders pause. */
export function pausedRemote(state: HubState, recipients: Recipients): RemoteClient | undefined {
  if (state.remotes.held === 0) return undefined;
  for (const part of recipients.remote) {
    for (const client of clientsOf(part, recipients.group)) if (client.held) return client;
  }
  return undefined;
}

function clientsOf({ hub, ids }: RemotePart, group: string | undefined): Iterable<RemoteClient> {
  if (ids !== undefined) return ids.flatMap((id) => hub.clients.get(id) ?? []);
  return group === undefined ? hub.clients.values() : (hub.groups.get(group) ?? []);
}

function expectReceipt(state: HubState, receipt: Receipt, part: RemotePart, group?: string): number {
  const ids = part.ids ?? [...clientsOf(part, group)].map(({ id }) => id);
  const number = state.remotes.nextReceiptNumber();
  receipt.expect(1);
  part.hub.receipts.set(number, { receipt, ids });
  return number;
}

function linkType({ ids }: RemotePart, run: Run): number {
  if (ids !== undefined) return LINK_FRAME.relay;
  return run.v2Type === FRAME.toGroup ? LINK_FRAME.toGroup : LINK_FRAME.toAll;
}

function withoutReceipt({ bytes, frames, backing }: Piece): Piece {
  return new Piece(bytes, frames, backing);
}

type Named = Extract<LinkFrame, { readonly type: "client" }>;

function newClient(hub: RemoteHub, { id, version }: Named): RemoteClient {
  return {
    id,
    hub,
    version,
    name: "",
    announced: false,
    groups: new Set(),
    held: false,
    waiters: [],
    stream: hub.stream,
  };
}
