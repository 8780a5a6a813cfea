import { fill, type TokenBucket } from "../../core/rates.js";
import { type CloseReason, readId } from "./frames.js";
import type { Inbox } from "./inbox.js";
import { HUB_LIMITS } from "./limits.js";
import type { Outbox, Receipt } from "./outbox.js";
import type { Run } from "./run.js";

const WORK_RATE = { perSecond: HUB_LIMITS.shareBytesPerSecond, burst: HUB_LIMITS.shareBurstBytes };
const REQUEST_RATE = { perSecond: HUB_LIMITS.requestBytesPerSecond, burst: HUB_LIMITS.requestBurstBytes };

/**
 * Why a session is not read: a receiver is congested, there is no memory for its next frame, its requests exceed its
 * share, it does not read its answers, or the turn is over.
 */
export type PauseReason = "receiver" | "memory" | "share" | "answers" | "turn";

/** A session as the shell sees it: only the machine writes it. */
export interface SessionView
  extends Readonly<
    Pick<
      Session,
      | "id"
      | "name"
      | "version"
      | "listed"
      | "open"
      | "reading"
      | "parked"
      | "closeReason"
      | "connectedAtMs"
      | "heardAtMs"
      | "notTakenSinceMs"
      | "bytesIn"
      | "framesIn"
      | "pauses"
      | "pausedMs"
      | "roundTripMs"
    >
  > {
  readonly outbox: Readonly<Pick<Outbox, "bytes" | "pieces" | "bytesOut" | "framesOut" | "flightBytes">>;
  readonly link: HubView | undefined;
}

/** One connection to a client, or the link to another hub. */
export class Session implements SessionView {
  /** Agreed in the hello; 1 without one. From 2 on, relayed messages name their sender. */
  version = 1;
  name = "";
  wantsPresence = false;
  /** Visible to others. False before a required token and after the end. */
  listed = false;
  /** Its place in the last list of all ids. */
  listIndex = 0;
  /** The connection is open: its outbox will be written. */
  open = true;
  /** Presence frames have told others of it. */
  announced = false;
  /**
   * The machine still handles its frames: also behind its end, while a message that it sent before waits for a receiver.
   */
  sending = true;
  /** Why it is turned away; told in answer to a hello. */
  refusal: CloseReason | undefined;
  closeReason: CloseReason | undefined;
  readonly groups = new Set<string>();

  /** In the list of outboxes to flush at the end of this turn; in the list to flush now. */
  dirty = false;
  urgent = false;
  pausedFor: PauseReason | undefined;
  /** Whether the shell should read from its socket. */
  reading = true;
  /** Its requests wait: its unread bytes are copied to memory that the system gets back when they are freed. */
  parked = false;
  /** Of a chunk that the shell keeps meanwhile. */
  waitingBytes = 0;
  /** The outbox exceeds half of its limit: senders pause, unless it is frozen. */
  congested = false;
  /** It took nothing for longer than senders wait. */
  frozen = false;
  /** How often it took bytes after it counted as frozen, since the outbox exceeded half. */
  revivals = 0;
  /** Senders that wait for its outbox. */
  waiters: Session[] = [];
  /** Other hubs whose clients wait for its outbox. */
  pausedLinks: Set<Session> | undefined;
  /** The other hub, if the session is a link to one. */
  link: RemoteHub | undefined;

  readonly share: Share;

  recipients: Recipients | undefined;
  run: Run | undefined;

  /** The mark of the resolution that last found it: finds ids that are listed twice. */
  seenBy: object | undefined;

  /** Upper bound of the bytes of answers in its outbox. */
  answerBytes = 0;

  bytesIn = 0;
  /** Length of the last chunk that was read. */
  chunkBytes = 0;
  framesIn = 0;
  /** How often, and how long altogether, it paused for a receiver, for memory, or for its share. */
  pauses = 0;
  pausedMs = 0;
  /** Since when it pauses for these; 0 when it does not. */
  pausedAtMs = 0;
  /** Since when the hub does not read it, for any reason; only while `reading` is false. */
  unreadAtMs = 0;
  heardAtMs: number;
  /** When its unfinished frame began, plus the time in which the hub did not read; 0 without one. */
  frameBeganAtMs = 0;
  pingSentAtMs = 0;
  /** Bytes that its peer has acknowledged, and since when that has not changed; 0 when nothing is missing. */
  takenBytes = 0;
  notTakenSinceMs = 0;
  roundTripMs: number | undefined;

  constructor(
    readonly id: number,
    readonly inbox: Inbox,
    readonly outbox: Outbox,
    readonly connectedAtMs: number,
  ) {
    this.heardAtMs = connectedAtMs;
    this.share = new Share(connectedAtMs);
  }

  /** Not read because of its requests, which may be for long. */
  park(): void {
    this.parked = true;
    this.inbox.park();
  }

  /** How long it took nothing. A link has no socket that shows a write in flight: its queue stands for it. */
  stalledMs(nowMs: number): number {
    const { outbox } = this;
    if (this.link === undefined) return outbox.stalledMs(nowMs);
    return outbox.bytes > 0 ? nowMs - outbox.progressAtMs : 0;
  }
}

/**
 * Fairness between clients, in bytes of work as `turnBytesMax` counts them: a token bucket for all work of one
 * client, and one for its requests.
 * - A client within its share is served also in a spent turn, and from the last memory.
 * - A client over its share gets the rest: turns in rotation, and memory up to the reserve.
 * - Requests over the share wait until it has grown: they are cheap to send and can be expensive to answer.
 * Updated once for each chunk, not for each frame.
 */
export class Share {
  readonly #work: TokenBucket;
  readonly #requests: TokenBucket;

  constructor(nowMs: number) {
    this.#work = { tokens: HUB_LIMITS.shareFirstBytes, atMs: nowMs };
    this.#requests = { tokens: REQUEST_RATE.burst, atMs: nowMs };
  }

  grow(nowMs: number): void {
    fill(this.#work, WORK_RATE, nowMs);
    fill(this.#requests, REQUEST_RATE, nowMs);
  }

  /** Work was done for the client. Its debt is bounded, so that it recovers soon after it stops. */
  spend(bytes: number): void {
    this.#work.tokens = Math.max(-WORK_RATE.burst, this.#work.tokens - bytes);
  }

  /** The part of that work that a request caused. */
  ask(bytes: number): void {
    this.#requests.tokens -= bytes;
  }

  /** @param bytes work done for the client and not yet passed to `spend` */
  covers(bytes: number): boolean {
    return this.#work.tokens > bytes;
  }

  /** How long the next request waits; 0 when it does not. */
  get requestWaitMs(): number {
    const { tokens } = this.#requests;
    return tokens > 0 ? 0 : ((1 - tokens) * 1_000) / REQUEST_RATE.perSecond;
  }
}

/**
 * Receiver lists up to this many ids are compared here, longer ones natively: a native call costs about as much as
 * four ids.
 */
const COMPARE_HERE_MAX = 4;

/** Receivers on one other hub. */
export interface RemotePart {
  readonly hub: RemoteHub;
  /** In the order of the list; undefined: the members of the group, or all, on that hub. */
  readonly ids: number[] | undefined;
  /** The ids as written to that hub, once they were. */
  wire?: Buffer;
}

interface ById<T> {
  get(id: number): T | undefined;
}

/**
 * The receivers of a sender's current run. They are resolved once and kept until its list or the roster changes, so
 * that a sender that always addresses the same clients never looks one up again.
 */
export class Recipients {
  /** Receivers of each version of the protocol, in the order of the list. */
  readonly v1: Session[] = [];
  readonly v2: Session[] = [];
  readonly remote: RemotePart[] = [];
  readonly unknown: number[] = [];
  /** The group that these are the members of, if any. */
  group: string | undefined;
  /** An id is listed twice: messages must not be joined into a run, or a a b b becomes a b a b. */
  repeats = false;
  #epoch = 0;
  /** One for each resolution. It refers to nothing: a session that it marks may stay longer than these recipients. */
  #mark: object = {};
  /** The list as it was on the wire; a key instead for "all" and groups. */
  #list: Buffer = Buffer.alloc(0);
  #listBytes = -1;
  #key: string | undefined;

  get size(): number {
    return this.v1.length + this.v2.length + this.remote.length;
  }

  isStale(epoch: number): boolean {
    return epoch !== this.#epoch;
  }

  /** Whether these were resolved from the list at `bytes[start..end)` and are not stale. */
  isList(bytes: Buffer, start: number, end: number, epoch: number): boolean {
    if (this.isStale(epoch) || end - start !== this.#listBytes) return false;
    if (end - start > 8 * COMPARE_HERE_MAX)
      return bytes.compare(this.#list, 0, this.#listBytes, start, end) === 0;
    for (let at = 0; at < this.#listBytes; at += 1) {
      if (bytes[start + at] !== this.#list[at]) return false;
    }
    return true;
  }

  /** Whether these were resolved for that key ("all", or a group) and are not stale. */
  isKey(key: string, epoch: number): boolean {
    return key === this.#key && !this.isStale(epoch);
  }

  /** Reads u64 ids. An id listed twice is a receiver twice; unknown ids are skipped. */
  resolveList(
    bytes: Buffer,
    start: number,
    end: number,
    epoch: number,
    clients: ById<Session>,
    remotes: ById<RemoteClient>,
  ): void {
    this.#clear(epoch);
    this.#listBytes = end - start;
    if (this.#list.length < this.#listBytes) this.#list = Buffer.allocUnsafeSlow(this.#listBytes);
    bytes.copy(this.#list, 0, start, end);
    for (let at = start; at < end; at += 8) {
      const id = readId(bytes, at);
      const session = clients.get(id);
      if (session !== undefined) this.#addReceiver(session);
      else if (!this.#addRemote(remotes.get(id))) this.unknown.push(id);
    }
  }

  /** Adds all `members` except the sender. `addHub` adds those on other hubs. */
  resolveKey(key: string, members: Iterable<Session>, sender: Session, epoch: number, group?: string): void {
    this.#clear(epoch);
    this.#key = key;
    this.group = group;
    for (const session of members) {
      if (session !== sender) this.#addReceiver(session);
    }
  }

  addHub(hub: RemoteHub): void {
    this.remote.push({ hub, ids: undefined });
  }

  /** For a run that waited: removes receivers that have left, and records them in the receipt. */
  dropGone(epoch: number, receipt: Receipt | undefined): void {
    if (!this.isStale(epoch)) return;
    for (const receivers of [this.v1, this.v2]) {
      const there = receivers.filter((session) => session.open);
      if (there.length === receivers.length) continue;
      for (const session of receivers) {
        if (!session.open) receipt?.evicted.push(session.id);
      }
      receivers.splice(0, receivers.length, ...there);
      this.#epoch = 0;
    }
    for (const part of this.remote.filter(({ hub }) => !hub.session.open)) {
      this.remote.splice(this.remote.indexOf(part), 1);
      receipt?.evicted.push(...(part.ids ?? []));
      this.#epoch = 0;
    }
  }

  #addRemote(client: RemoteClient | undefined): boolean {
    if (client === undefined) return false;
    if (client.seenBy === this.#mark) this.repeats = true;
    client.seenBy = this.#mark;
    const part = this.remote.find(({ hub }) => hub === client.hub);
    if (part === undefined) this.remote.push({ hub: client.hub, ids: [client.id] });
    else part.ids!.push(client.id);
    return true;
  }

  #addReceiver(session: Session): void {
    // A mark on the session is cheaper than a set of all receivers.
    if (session.seenBy === this.#mark) this.repeats = true;
    session.seenBy = this.#mark;
    if (session.version > 1) this.v2.push(session);
    else this.v1.push(session);
  }

  #clear(epoch: number): void {
    this.#mark = {};
    this.v1.length = 0;
    this.v2.length = 0;
    this.remote.length = 0;
    this.unknown.length = 0;
    this.repeats = false;
    this.#epoch = epoch;
    this.#listBytes = -1;
    this.#key = undefined;
    this.group = undefined;
  }
}

/** A client of another hub. */
export interface RemoteClient {
  readonly id: number;
  readonly hub: RemoteHub;
  name: string;
  version: number;
  announced: boolean;
  readonly groups: Set<string>;
  /** Its outbox exceeds half of its limit, as its hub reports: senders pause. */
  held: boolean;
  waiters: Session[];
  /** The stream in which its hub named it last. */
  stream: number;
  /** The mark of the resolution that last found it: finds ids that are listed twice. */
  seenBy?: object;
}

/** Ids of receivers; undefined: all clients of that hub. */
type Receivers = readonly number[] | undefined;

/** Messages that were lost in flight to a hub: their receivers, and since when. */
export interface Lost {
  readonly to: Receivers;
  readonly fromMs: number;
}

/** A run of messages in the stream to a hub. */
interface Unconfirmed {
  /** Its end in the stream. */
  end: number;
  readonly to: Receivers;
  readonly atMs: number;
}

/** More lost receivers than this are recorded as all. */
const VICTIMS_MAX = 4_096;

/** Another hub as the shell sees it: only the machine writes it. */
export interface HubView
  extends Readonly<
    Pick<RemoteHub, "key" | "name" | "complete" | "unreadable" | "restarts" | "bufferedBytes">
  > {
  readonly session: SessionView;
  readonly clients: ReadonlyMap<number, unknown>;
}

/** Another hub and the state of the link to it. */
export class RemoteHub implements HubView {
  readonly clients = new Map<number, RemoteClient>();
  readonly groups = new Map<string, Set<RemoteClient>>();
  /** Messages that wait for that hub's receipt, with the receivers if they were listed. */
  readonly receipts = new Map<number, { readonly receipt: Receipt; readonly ids: readonly number[] }>();
  /** The number of streams that it began; and of those begun to it after the first. */
  stream = 0;
  restarts = 0;
  /** The stream from it is malformed and has to begin again. */
  unreadable = false;
  /** The other hub has named all its clients. */
  complete = false;
  /** Bytes that the transport keeps: packets that are not acknowledged, and arrived ones that are not read. */
  bufferedBytes = 0;
  /** Runs that it has not acknowledged. */
  #unconfirmed: Unconfirmed[] = [];
  /** Bytes that had left the outbox when the stream to it began. */
  #streamBase = 0;

  constructor(
    /** 16 hex digits, new at each start of that hub. */
    readonly key: string,
    readonly name: string,
    /** The link's session: its outbox, and the senders that wait for it. */
    readonly session: Session,
  ) {}

  /** Records a run of messages before it is queued. */
  queued(to: Receivers, bytes: number, nowMs: number): void {
    const { outbox } = this.session;
    const end = outbox.bytesOut + outbox.bytes + bytes - this.#streamBase;
    const last = this.#unconfirmed.at(-1);
    if (last !== undefined && last.to === to) last.end = end;
    else this.#unconfirmed.push({ end, to, atMs: nowMs });
  }

  /** All of the stream before `offset` has arrived. */
  confirmed(offset: number): void {
    let count = 0;
    while (count < this.#unconfirmed.length && this.#unconfirmed[count]!.end <= offset) count += 1;
    if (count > 0) this.#unconfirmed.splice(0, count);
  }

  /**
   * Drops the outbox and begins a new stream; bytes in flight count as lost.
   * @returns undefined when nothing is lost
   */
  restart(): Lost | undefined {
    this.restarts += 1;
    const lost = this.#unconfirmed;
    this.#unconfirmed = [];
    this.session.outbox.drop();
    this.#streamBase = this.session.outbox.bytesOut;
    this.failReceipts();
    if (lost.length === 0) return undefined;
    const fromMs = lost[0]!.atMs;
    const victims = new Set<number>();
    for (const { to } of lost) {
      for (const id of to ?? []) victims.add(id);
      if (to === undefined || victims.size > VICTIMS_MAX) return { to: undefined, fromMs };
    }
    return { to: [...victims], fromMs };
  }

  /** The receipts will not come: whether the messages arrived is unknown. */
  failReceipts(): void {
    const waiting = [...this.receipts.values()];
    this.receipts.clear();
    for (const { receipt, ids } of waiting) receipt.answered(0, [], ids);
  }

  join(client: RemoteClient, group: string): void {
    client.groups.add(group);
    const members = this.groups.get(group) ?? new Set();
    this.groups.set(group, members.add(client));
  }

  leave(client: RemoteClient, group: string): void {
    client.groups.delete(group);
    const members = this.groups.get(group);
    members?.delete(client);
    if (members?.size === 0) this.groups.delete(group);
  }
}
