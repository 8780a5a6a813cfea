import { readId } from "./id.js";
import type { RemoteHub } from "./links/remote-hub.js";
import type { RemoteHubs } from "./links/remote-hubs.js";
import type { Receipt } from "./receipt.js";
import type { Roster } from "./roster.js";
import type { Session } from "./session.js";

/** Up to so many receivers a list is compared here, above natively: a call costs about as much as four ids. */
const COMPARE_HERE_MAX = 4;

/** Receivers on one other hub. */
export interface RemotePart {
  readonly hub: RemoteHub;
  /** In the order of the list; undefined: those that the audience's key means there. */
  readonly ids: number[] | undefined;
  /** The ids as they go to that hub, once they did. */
  wire?: Buffer;
}

/**
 * The receivers of a sender's current run, resolved once and kept until its list or the roster changes, so that
 * a sender that always writes to the same clients never looks one up again.
 */
export class Audience {
  /** Receivers of plain relays and of relays that name their sender, in the order of the list. */
  readonly plain: Session[] = [];
  readonly named: Session[] = [];
  /** Receivers on other hubs. */
  readonly remote: RemotePart[] = [];
  readonly unknown: number[] = [];
  /** The group that it is made of, if it is one. */
  group: string | undefined;
  /** Somebody is listed twice, so that messages must not be put together: a a b b, not a b a b. */
  repeats = false;
  #epoch = 0;
  #resolved = 0;
  /** The list as it was on the wire; for "all" and groups, a key instead. */
  #list: Buffer = Buffer.alloc(0);
  #listBytes = -1;
  #key: string | undefined;

  get size(): number {
    return this.plain.length + this.named.length + this.remote.length;
  }

  /** Whether it was resolved from the very list at `bytes[start..end)`, and still holds. */
  isList(bytes: Buffer, start: number, end: number, epoch: number): boolean {
    if (epoch !== this.#epoch || end - start !== this.#listBytes) return false;
    if (end - start > 8 * COMPARE_HERE_MAX)
      return bytes.compare(this.#list, 0, this.#listBytes, start, end) === 0;
    for (let at = 0; at < this.#listBytes; at += 1) {
      if (bytes[start + at] !== this.#list[at]) return false;
    }
    return true;
  }

  /** Whether it was resolved for that key ("all", or a group), and still holds. */
  isKey(key: string, epoch: number): boolean {
    return key === this.#key && epoch === this.#epoch;
  }

  /** Reads u64 ids. An id listed twice is a receiver twice; unknown ids are skipped. */
  resolveList(bytes: Buffer, start: number, end: number, roster: Roster, remotes: RemoteHubs): void {
    this.#clear(roster.epoch);
    this.#listBytes = end - start;
    if (this.#list.length < this.#listBytes) this.#list = Buffer.allocUnsafeSlow(this.#listBytes);
    bytes.copy(this.#list, 0, start, end);
    for (let at = start; at < end; at += 8) {
      const id = readId(bytes, at);
      const session = roster.get(id);
      if (session !== undefined) this.#addReceiver(session);
      else if (!this.#addRemote(id, remotes)) this.unknown.push(id);
    }
  }

  /** Takes all of `members` but `sender`. Those on other hubs come by `addHub`. */
  resolveKey(key: string, members: Iterable<Session>, sender: Session, roster: Roster, group?: string): void {
    this.#clear(roster.epoch);
    this.#key = key;
    this.group = group;
    for (const session of members) {
      if (session !== sender) this.#addReceiver(session);
    }
  }

  /** Adds those that the key means on another hub. */
  addHub(hub: RemoteHub): void {
    this.remote.push({ hub, ids: undefined });
  }

  /** Takes out those who left since; tells a receipt. For a run that had to wait. */
  dropGone(epoch: number, receipt: Receipt | undefined): void {
    if (epoch === this.#epoch) return;
    for (const receivers of [this.plain, this.named]) {
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

  #addRemote(id: number, remotes: RemoteHubs): boolean {
    const client = remotes.get(id);
    if (client === undefined) return false;
    if (client.seenBy === this && client.seenAt === this.#resolved) this.repeats = true;
    client.seenBy = this;
    client.seenAt = this.#resolved;
    const part = this.remote.find(({ hub }) => hub === client.hub);
    if (part === undefined) this.remote.push({ hub: client.hub, ids: [id] });
    else part.ids!.push(id);
    return true;
  }

  #addReceiver(session: Session): void {
    // Each session remembers who saw it last, which is cheaper than a set of all that were seen.
    if (session.seenBy === this && session.seenAt === this.#resolved) this.repeats = true;
    session.seenBy = this;
    session.seenAt = this.#resolved;
    if (session.version > 1) this.named.push(session);
    else this.plain.push(session);
  }

  #clear(epoch: number): void {
    this.#resolved += 1;
    this.plain.length = 0;
    this.named.length = 0;
    this.remote.length = 0;
    this.unknown.length = 0;
    this.repeats = false;
    this.#epoch = epoch;
    this.#listBytes = -1;
    this.#key = undefined;
    this.group = undefined;
  }
}
