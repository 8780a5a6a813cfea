import type { Receipt } from "../receipt.js";
import type { Session } from "../session.js";

/** A client of another hub. */
export interface RemoteClient {
  readonly id: number;
  readonly hub: RemoteHub;
  name: string;
  version: number;
  announced: boolean;
  readonly groups: Set<string>;
  /** Its own hub says that its queue is over half: senders wait. */
  held: boolean;
  waiters: Session[];
  /** Of the stream in which its hub named it last. */
  stream: number;
  /** Which audience it was last made part of, and at which of its resolutions: to see who is listed twice. */
  seenBy?: object;
  seenAt?: number;
}

/** Ids of receivers; undefined: all clients of that hub. */
type Receivers = readonly number[] | undefined;

/** Messages that were lost on the way to a hub: for whom they were, and since when. */
export interface Lost {
  readonly to: Receivers;
  readonly fromMs: number;
}

/** A run of messages in the stream to a hub. */
interface Unconfirmed {
  /** Where it ends in the stream. */
  end: number;
  readonly to: Receivers;
  readonly atMs: number;
}

/** A set of victims larger than that is "all". */
const VICTIMS_MAX = 4_096;

/** Another hub, as this one knows it. */
export class RemoteHub {
  readonly clients = new Map<number, RemoteClient>();
  readonly groups = new Map<string, Set<RemoteClient>>();
  /** Messages whose receipts wait for what that hub says; with the receivers, where they were listed. */
  readonly receipts = new Map<number, { readonly receipt: Receipt; readonly ids: readonly number[] }>();
  /** Counts the streams that it began, and those that were begun to it after the first. */
  stream = 0;
  restarts = 0;
  /** What came of it makes no sense: its stream is to begin anew. */
  unreadable = false;
  /** It has named all its clients. */
  complete = false;
  heardAtMs: number;
  /** What it has not acknowledged. */
  #unconfirmed: Unconfirmed[] = [];
  /** Bytes that had left the outbox when the stream to it began. */
  #streamBase = 0;

  constructor(
    /** 16 hex digits, anew at each start of that hub. */
    readonly key: string,
    readonly name: string,
    /** What is queued for it; senders wait for it as for a client. */
    readonly session: Session,
    nowMs: number,
  ) {
    this.heardAtMs = nowMs;
  }

  /** So many bytes of messages are about to be queued for it. */
  queued(to: Receivers, bytes: number, nowMs: number): void {
    const { outbox } = this.session;
    const end = outbox.bytesOut + outbox.bytes + bytes - this.#streamBase;
    const last = this.#unconfirmed.at(-1);
    if (last !== undefined && last.to === to) last.end = end;
    else this.#unconfirmed.push({ end, to, atMs: nowMs });
  }

  /** All of the stream before `offset` has come. */
  confirmed(offset: number): void {
    let count = 0;
    while (count < this.#unconfirmed.length && this.#unconfirmed[count]!.end <= offset) count += 1;
    if (count > 0) this.#unconfirmed.splice(0, count);
  }

  /**
   * Drops what is queued for it, and begins a new stream. What was on the way counts as lost.
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

  /** Nothing will be heard of these any more: nobody knows whether they arrived. */
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
