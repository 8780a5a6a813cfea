import { writeId } from "./frames.js";
import { HUB_LIMITS } from "./limits.js";
import type { RemoteClient, RemoteHub, Session } from "./session.js";

const SLOT_MASK = 1023;

/** The clients that others can see. Ids start at 1 and are never reused. */
export class Roster {
  #epoch = 1;
  readonly #sessions = new Map<number, Session>();
  /** The latest session for each value of the low bits of an id. */
  readonly #slots: (Session | undefined)[] = new Array(SLOT_MASK + 1).fill(undefined);

  constructor(private readonly ids: IdSource = new IdCounter()) {}

  /** Changes with every arrival, departure and change of a group: recipients resolved before are stale. */
  get epoch(): number {
    return this.#epoch;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get hasIds(): boolean {
    return this.ids.left > 0;
  }

  nextId(): number {
    return this.ids.next();
  }

  add(session: Session): void {
    session.listed = true;
    this.#sessions.set(session.id, session);
    this.#slots[session.id & SLOT_MASK] = session;
    this.#epoch += 1;
  }

  remove(session: Session): void {
    if (!session.listed) return;
    session.listed = false;
    this.#sessions.delete(session.id);
    if (this.#slots[session.id & SLOT_MASK] === session) this.#slots[session.id & SLOT_MASK] = undefined;
    this.#epoch += 1;
  }

  /** Recipients have changed otherwise: groups, a version, clients of other hubs. */
  changed(): void {
    this.#epoch += 1;
  }

  /** A look into the map costs 9 ns, into the slots 2: a receiver list has up to 255 ids. */
  get(id: number): Session | undefined {
    const near = this.#slots[id & SLOT_MASK];
    return near !== undefined && near.id === id ? near : this.#sessions.get(id);
  }

  /** Oldest first. */
  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  /** Writes the ids of all, u64 each, from `at` on, and sets each session's place in the list. */
  writeIds(bytes: Buffer, at: number): void {
    let index = 0;
    for (const session of this.#sessions.values()) {
      writeId(bytes, session.id, at + 8 * index);
      session.listIndex = index;
      index += 1;
    }
  }
}

/** Named groups of clients. A group begins with its first member and ends with its last. */
export class Groups {
  readonly #members = new Map<string, Set<Session>>();

  constructor(private readonly roster: Roster) {}

  get size(): number {
    return this.#members.size;
  }

  members(group: string): ReadonlySet<Session> {
    return this.#members.get(group) ?? new Set();
  }

  /** Joining twice is joining once. @returns false when the client is in as many groups as it may be */
  join(session: Session, group: string): boolean {
    if (session.groups.has(group)) return true;
    if (session.groups.size >= HUB_LIMITS.groupsPerClientMax) return false;
    session.groups.add(group);
    const members = this.#members.get(group) ?? new Set();
    this.#members.set(group, members.add(session));
    this.roster.changed();
    return true;
  }

  leave(session: Session, group: string): void {
    if (!session.groups.delete(group)) return;
    const members = this.#members.get(group);
    members?.delete(session);
    if (members?.size === 0) this.#members.delete(group);
    this.roster.changed();
  }

  leaveAll(session: Session): void {
    for (const group of [...session.groups]) this.leave(session, group);
  }
}

/** The other hubs and their clients; empty where a hub is alone. */
export class RemoteHubs {
  readonly hubs = new Set<RemoteHub>();
  /** The number of clients whose senders pause at the request of their hub. */
  held = 0;
  /** Gap frames sent to clients of this hub, and clients closed because version 1 has none. */
  gapsTold = 0;
  /** Malformed frames of other hubs. */
  framesRefused = 0;
  readonly #clients = new Map<number, RemoteClient>();
  #receiptNumber = 0;

  get size(): number {
    return this.#clients.size;
  }

  get(id: number): RemoteClient | undefined {
    return this.#clients.get(id);
  }

  /** A number under which another hub returns a receipt; never reused. */
  nextReceiptNumber(): number {
    this.#receiptNumber += 1;
    return this.#receiptNumber;
  }

  add(client: RemoteClient): void {
    client.hub.clients.set(client.id, client);
    this.#clients.set(client.id, client);
  }

  remove(client: RemoteClient): void {
    for (const group of [...client.groups]) client.hub.leave(client, group);
    client.hub.clients.delete(client.id);
    this.#clients.delete(client.id);
    if (client.held) this.held -= 1;
    client.held = false;
  }

  /** Hub by hub, of each its oldest first. */
  all(): Iterable<RemoteClient> {
    return this.#clients.values();
  }

  membersOf(group: string): number {
    let members = 0;
    for (const hub of this.hubs) members += hub.groups.get(group)?.size ?? 0;
    return members;
  }

  /** Writes the ids of all, u64 each, from `at` on. */
  writeIds(bytes: Buffer, at: number): void {
    let next = at;
    for (const id of this.#clients.keys()) {
      writeId(bytes, id, next);
      next += 8;
    }
  }
}

/** The source of client ids. */
export interface IdSource {
  /** The number of ids left. */
  readonly left: number;
  /** A new id. Only while some are left. */
  next(): number;
}

/** 1, 2, 3 ...: ids of a hub without others. */
class IdCounter implements IdSource {
  readonly left = Number.POSITIVE_INFINITY;
  #last = 0;

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

/** Ids from blocks that this hub alone owns. */
export class IdBlocks implements IdSource {
  left = 0;
  readonly #blocks: { next: number; readonly end: number }[] = [];

  /** @param first the first id of the block. @param end the id behind the last one */
  add(first: number, end: number): void {
    if (end <= first) return;
    this.#blocks.push({ next: first, end });
    this.left += end - first;
  }

  next(): number {
    const block = this.#blocks[0]!;
    const id = block.next;
    block.next += 1;
    this.left -= 1;
    if (block.next === block.end) this.#blocks.shift();
    return id;
  }
}
