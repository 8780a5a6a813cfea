import type { HubPeer } from "./decode.js";
import { groupFrame, identityFrame, newFrame, pingFrame, textFrame, welcomeFrame } from "./encode.js";
import { FEATURE, FRAME, VERSION, WIRE_ERROR } from "./frame-type.js";
import { writeId } from "./id.js";
import { HUB_LIMITS } from "./limits.js";
import type { Outcome } from "./relay.js";
import type { Session } from "./session.js";
import type { Switchboard } from "./switchboard.js";

/** Answers what is not a message. Each answer is queued, so it keeps its place among what is delivered. */
export class Requests {
  constructor(private readonly board: Switchboard) {}

  identity(session: Session): Outcome {
    if (body(session).length > 0) return "malformedFrame";
    this.board.answer(session, identityFrame(session.id));
    return "done";
  }

  list(session: Session): Outcome {
    if (body(session).length > 0) return "malformedFrame";
    const { roster, remotes } = this.board;
    const remoteBytes = 8 * remotes.size;
    const frame = roster.idsWithout(session, 5, remoteBytes);
    if (remoteBytes > 0) remotes.writeIds(frame, frame.length - remoteBytes);
    frame.writeUInt32BE(frame.length - 4, 0);
    frame[4] = FRAME.list;
    this.board.answer(session, frame);
    return "done";
  }

  /** u8 version, u8 features, u8 length, name, then the token to the end. */
  hello(session: Session): Outcome {
    const bytes = body(session);
    if (bytes.length < 3 || bytes.length < 3 + bytes[2]!) return "malformedFrame";
    const { options, roster } = this.board;
    // What comes after the hello may be of version 1 all the same: a hello of version 1 is an odd way to say so.
    session.version = Math.max(1, Math.min(VERSION, bytes[0]!));
    const nameEnd = 3 + bytes[2]!;
    if (bytes[2]! > HUB_LIMITS.nameBytesMax) return "malformedFrame";
    if (session.refusal === "clientsMax") return "clientsMax";
    if (options.tokenMatches !== undefined && !options.tokenMatches(bytes.subarray(nameEnd)))
      return "unauthorized";
    session.name = printable(bytes.toString("utf8", 3, nameEnd));
    session.wantsPresence = (bytes[1]! & FEATURE.presence) !== 0 && session.version > 1;
    session.refusal = undefined;
    session.inbox.frameBytesMax = HUB_LIMITS.frameBytesMax;
    if (!session.listed) this.board.list(session);
    else {
      // What others have resolved still holds it as a client of version 1.
      roster.epoch += 1;
      this.board.links.tellClient(session);
    }
    if (session.wantsPresence) this.board.watchers.add(session);
    this.board.answer(
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
    if (this.board.groups.join(session, group)) {
      if (session.groups.size > before) this.board.links.tellMember("join", session, group);
      this.#answerGroup(session, FRAME.join, group);
    } else
      this.#error(session, WIRE_ERROR.tooManyGroups, `no more than ${HUB_LIMITS.groupsPerClientMax} groups`);
    return "done";
  }

  leave(session: Session): Outcome {
    const group = this.#group(session);
    if (group === undefined) return "done";
    if (session.groups.has(group)) this.board.links.tellMember("leave", session, group);
    this.board.groups.leave(session, group);
    this.#answerGroup(session, FRAME.leave, group);
    return "done";
  }

  /** Who is there, with names, in as many frames as it takes: u8 more, then u64 id, u8 version, u8 length, name. */
  roster(session: Session): Outcome {
    if (body(session).length > 0) return "malformedFrame";
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
    this.board.answer(session, pingFrame(FRAME.pong, token));
    return "done";
  }

  pong(session: Session): Outcome {
    if (body(session).length !== 8) return "malformedFrame";
    if (session.pingSentAtMs > 0) session.roundTripMs = this.board.nowMs - session.pingSentAtMs;
    session.pingSentAtMs = 0;
    return "done";
  }

  #rosterFrame(session: Session, parts: readonly Buffer[], bytes: number, more: number): void {
    const frame = newFrame(FRAME.roster, 1 + bytes);
    frame[5] = more;
    let at = 6;
    for (const part of parts) at += part.copy(frame, at);
    this.board.answer(session, frame);
  }

  *#others(session: Session): Iterable<HubPeer> {
    for (const other of this.board.roster.all()) if (other !== session) yield other;
    yield* this.board.remotes.all();
  }

  #answerGroup(session: Session, type: number, group: string): void {
    const members = this.board.groups.members(group).size + this.board.remotes.membersOf(group);
    this.board.answer(session, groupFrame(type, members, group));
  }

  #group(session: Session): string | undefined {
    const name = body(session);
    if (name.length >= 1 && name.length <= HUB_LIMITS.nameBytesMax) return name.toString("utf8");
    const length = `1 to ${HUB_LIMITS.nameBytesMax} bytes`;
    this.#error(session, WIRE_ERROR.badName, `a group's name has ${length}, not ${name.length}`);
    return undefined;
  }

  #error(session: Session, code: number, text: string): void {
    this.board.answer(session, textFrame(FRAME.error, code, text));
  }
}

function body(session: Session): Buffer {
  const { buffer, start, end } = session.inbox;
  return buffer.subarray(start + 5, end);
}

/** Names end up in logs and on terminals: no control characters. */
function printable(name: string): string {
  return name.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}
