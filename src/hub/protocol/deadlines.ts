import { pingFrame } from "./encode.js";
import { FRAME } from "./frame-type.js";
import { HUB_LIMITS } from "./limits.js";
import type { Session } from "./session.js";
import type { Switchboard } from "./switchboard.js";

const PING_TOKEN = Buffer.from("hubcast\n");

/** How long a connection that is turned away may take to say hello and be told why. */
const REFUSAL_MS = 1_000;

/** Deadlines of all clients, looked at once a tick: 10,000 clients cost well under a millisecond. */
export class Deadlines {
  constructor(private readonly board: Switchboard) {}

  /** @param sessions every connection, listed or not */
  check(sessions: Iterable<Session>): void {
    for (const session of sessions) {
      if (!session.open) continue;
      if (session.refusal !== undefined) this.#refused(session);
      else {
        if (!session.announced) this.board.announce(session);
        this.#frame(session);
        if (session.open && session.version > 1) this.#ping(session);
      }
    }
  }

  #refused(session: Session): void {
    const { nowMs, options } = this.board;
    const waitedMs = nowMs - session.connectedAtMs;
    if (session.refusal === "clientsMax") {
      if (waitedMs >= REFUSAL_MS) this.board.close(session, "clientsMax");
    } else if (waitedMs >= options.handshakeTimeoutMs) this.board.close(session, "handshakeTimeout");
  }

  /** The clock of a frame does not run while the hub itself does not read. */
  #frame(session: Session): void {
    const beganAtMs = session.frameBeganAtMs;
    if (!session.reading || beganAtMs === 0) return;
    if (this.board.nowMs - beganAtMs >= this.board.options.frameTimeoutMs)
      this.board.close(session, "frameTimeout");
  }

  #ping(session: Session): void {
    const { nowMs, options } = this.board;
    if (!session.reading) return;
    const silentMs = nowMs - session.heardAtMs;
    if (session.pingSentAtMs > 0) {
      const waitedMs = Math.min(silentMs, nowMs - session.pingSentAtMs);
      if (waitedMs >= options.pingTimeoutMs) this.board.close(session, "pingTimeout");
    } else if (silentMs >= options.pingIntervalMs) {
      session.pingSentAtMs = nowMs;
      this.board.answer(session, pingFrame(FRAME.ping, PING_TOKEN));
    }
  }
}

export const TICK_MS = HUB_LIMITS.tickMs;
