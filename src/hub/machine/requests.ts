import { printable } from "../../core/text.js";
import type { Delivery } from "./flow-control.js";
import {
  FEATURE,
  FRAME,
  groupFrame,
  type HubPeer,
  identityFrame,
  newFrame,
  pingFrame,
  textFrame,
  VERSION,
  WIRE_ERROR,
  welcomeFrame,
  writeId,
} from "./frames.js";
import { HUB_LIMITS } from "./limits.js";
import { clientFrame, LINK_FRAME, memberFrame } from "./link-frames.js";
import { Backing } from "./memory.js";
import { Piece } from "./outbox.js";
import type { Outcome } from "./relay.js";
import type { Session } from "./session.js";
import type { HubState } from "./state.js";

/** Answers every frame that is not a message. Answers are queued, so that they keep their place among deliveries. */
export class Requests {
  /**
   * A list with the ids of all, kept while an outbox holds it: 900 clients that ask share it, and an answer takes no
   * memory of its own.
   */
  #list: { readonly epoch: number; readonly bytes: Buffer; readonly backing: Backing } | undefined;

  constructor(
    private readonly state: HubState,
    private readonly delivery: Delivery,
  ) {}

  identity(session: Session): Outcome {
    if (body(session).length > 0) return "malformedFrame";
    this.delivery.answer(session, identityFrame(session.id));
    return "done";
  }

  list(session: Session): Outcome {
    if (body(session).length > 0) return "malformedFrame";
    const { bytes, backing } = this.#listed();
    // A client that asks is in it, and is not told of itself.
    const own = 5 + 8 * session.listIndex;
    const pieces = [new Piece(bytes.subarray(0, own), 1, backing)];
    if (own + 8 < bytes.length) {
      backing.hold(1);
      pieces.push(new Piece(bytes.subarray(own + 8), 0, backing));
    }
    this.delivery.deliver(pieces, [session]);
    return "done";
  }

  /** u8 version, u8 features, u8 length, name, then the token to the end. */
  hello(session: Session): Outcome {
    const bytes = body(session);
    if (bytes.length < 3 || bytes.length < 3 + bytes[2]!) return "malformedFrame";
    const { options, roster } = this.state;
    // A hello of version 1 is legal: what follows it is version 1.
    session.version = Math.max(1, Math.min(VERSION, bytes[0]!));
    const nameEnd = 3 + bytes[2]!;
    if (bytes[2]! > HUB_LIMITS.nameBytesMax) return "malformedFrame";
    if (session.refusal === "clientsMax") return "clientsMax";
    const refusal = options.refuseToken?.(bytes.subarray(nameEnd), session);
    if (refusal !== undefined) return refusal;
    // The name is shown in logs and on the terminals of other clients.
    session.name = printable(bytes.toString("utf8", 3, nameEnd));
    session.wantsPresence = (bytes[1]! & FEATURE.presence) !== 0 && session.version > 1;
    session.refusal = undefined;
    session.inbox.frameBytesMax = HUB_LIMITS.frameBytesMax;
    if (!session.listed) this.delivery.list(session);
    else {
      // Recipients resolved before still count this client as version 1.
      roster.changed();
      this.delivery.tellHubs(() => clientFrame(session));
    }
    if (session.wantsPresence) this.state.watchers.add(session);
    this.delivery.answer(
      session,
      welcomeFrame({
        version: session.version,
        features: session.wantsPresence ? FEATURE.presence : 0,
        id: session.id,
        pingIntervalMs: options.pingIntervalMs,
        payloadBytesMax: HUB_LIMITS.payloadBytesMax,
        name: options.name,
      }),
    );
    return "done";
  }

  join(session: Session): Outcome {
    const group = this.#group(session);
    if (group === undefined) return "done";
    const before = session.groups.size;
    if (this.state.groups.join(session, group)) {
      if (session.groups.size > before)
        this.delivery.tellHubs(() => memberFrame(LINK_FRAME.join, session.id, group));
      this.#answerGroup(session, FRAME.join, group);
    } else
      this.#error(session, WIRE_ERROR.tooManyGroups, `no more than ${HUB_LIMITS.groupsPerClientMax} groups`);
    return "done";
  }

  leave(session: Session): Outcome {
    const group = this.#group(session);
    if (group === undefined) return "done";
    if (session.groups.has(group))
      this.delivery.tellHubs(() => memberFrame(LINK_FRAME.leave, session.id, group));
    this.state.groups.leave(session, group);
    this.#answerGroup(session, FRAME.leave, group);
    return "done";
  }

  /** All clients with names, in as many frames as needed: u8 more, then u64 id, u8 version, u8 length, name. */
  roster(session: Session): Outcome {
    if (body(session).length > 0) return "malformedFrame";
    const { roster, remotes } = this.state;
    this.state.turnBytes += HUB_LIMITS.rosterEntryBytes * (roster.size + remotes.size);
    let parts: Buffer[] = [];
    let bytes = 0;
    for (const other of this.#others(session)) {
      const name = Buffer.from(other.name);
      const part = Buffer.alloc(10 + name.length);
      writeId(part, other.id, 0);
      part[8] = other.version;
      part[9] = name.length;
      name.copy(part, 10);
      if (bytes + part.length > HUB_LIMITS.payloadBytesMax) {
        this.#rosterFrame(session, parts, bytes, 1);
        parts = [];
        bytes = 0;
      }
      parts.push(part);
      bytes += part.length;
    }
    this.#rosterFrame(session, parts, bytes, 0);
    return "done";
  }

  ping(session: Session): Outcome {
    const token = body(session);
    if (token.length !== 8) return "malformedFrame";
    this.delivery.answer(session, pingFrame(FRAME.pong, token));
    return "done";
  }

  pong(session: Session): Outcome {
    if (body(session).length !== 8) return "malformedFrame";
    if (session.pingSentAtMs > 0) session.roundTripMs = this.state.nowMs - session.pingSentAtMs;
    session.pingSentAtMs = 0;
    return "done";
  }

  /** The ids of all, behind the head of a frame with one less. The caller releases the backing. */
  #listed(): { readonly bytes: Buffer; readonly backing: Backing } {
    const { state } = this;
    const { roster, remotes, memory } = state;
    if (this.#list?.epoch === roster.epoch) {
      this.#list.backing.hold(1);
      return this.#list;
    }
    const count = roster.size + remotes.size;
    state.turnBytes += HUB_LIMITS.listEntryBytes * count;
    const bytes = newFrame(FRAME.list, 8 * count);
    bytes.writeUInt32BE(1 + 8 * (count - 1), 0);
    roster.writeIds(bytes, 5);
    remotes.writeIds(bytes, 5 + 8 * roster.size);
    const backing = new Backing(bytes.length, memory, () => {
      if (this.#list === list) this.#list = undefined;
    });
    const list = { epoch: roster.epoch, bytes, backing };
    this.#list = list;
    return list;
  }

  #rosterFrame(session: Session, parts: readonly Buffer[], bytes: number, more: number): void {
    const frame = newFrame(FRAME.roster, 1 + bytes);
    frame[5] = more;
    let at = 6;
    for (const part of parts) at += part.copy(frame, at);
    this.delivery.answer(session, frame);
  }

  *#others(session: Session): Iterable<HubPeer> {
    for (const other of this.state.roster.all()) if (other !== session) yield other;
    yield* this.state.remotes.all();
  }

  #answerGroup(session: Session, type: number, group: string): void {
    const members = this.state.groups.members(group).size + this.state.remotes.membersOf(group);
    this.delivery.answer(session, groupFrame(type, members, group));
  }

  #group(session: Session): string | undefined {
    const name = body(session);
    if (name.length >= 1 && name.length <= HUB_LIMITS.nameBytesMax) return name.toString("utf8");
    const length = `1 to ${HUB_LIMITS.nameBytesMax} bytes`;
    this.#error(session, WIRE_ERROR.badName, `a group's name has ${length}, not ${name.length}`);
    return undefined;
  }

  #error(session: Session, code: number, text: string): void {
    this.delivery.answer(session, textFrame(FRAME.error, code, text));
  }
}

function body(session: Session): Buffer {
  const { buffer, start, end } = session.inbox;
  return buffer.subarray(start + 5, end);
}
