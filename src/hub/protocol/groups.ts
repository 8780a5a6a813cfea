import { HUB_LIMITS } from "./limits.js";
import type { Roster } from "./roster.js";
import type { Session } from "./session.js";

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
    this.roster.epoch += 1;
    return true;
  }

  leave(session: Session, group: string): void {
    if (!session.groups.delete(group)) return;
    const members = this.#members.get(group);
    members?.delete(session);
    if (members?.size === 0) this.#members.delete(group);
    this.roster.epoch += 1;
  }

  leaveAll(session: Session): void {
    for (const group of [...session.groups]) this.leave(session, group);
  }
}
