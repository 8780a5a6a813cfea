import type { CloseReason } from "./close-reason.js";
import { FRAME } from "./frame-type.js";
import { LinkIntake } from "./links/link-intake.js";
import { type Outcome, Relay } from "./relay.js";
import { Requests } from "./requests.js";
import type { Session } from "./session.js";
import type { Switchboard } from "./switchboard.js";

/** Takes what has come from a client or another hub, frame by frame, and hands each to whoever knows its type. */
export class Frames {
  readonly #relay: Relay;
  readonly #requests: Requests;
  readonly #intake: LinkIntake;

  constructor(private readonly board: Switchboard) {
    this.#relay = new Relay(board);
    this.#requests = new Requests(board);
    this.#intake = new LinkIntake(board);
  }

  /** Takes the frames that have come from it, until there are no more or it is held. */
  pump(session: Session): void {
    const { inbox } = session;
    const { waiting, memory } = this.board;
    while (session.sending && session.hold === undefined) {
      const found = inbox.peek();
      if (found === "frame") {
        if (this.board.turnSpent) {
          waiting.forNextTurn(session);
          return;
        }
        const outcome = this.#frame(session);
        if (outcome === "held") return;
        if (outcome !== "done") {
          this.#refuse(session, outcome);
          return;
        }
        session.framesIn += 1;
        session.frameBeganAtMs = 0;
        if (session.sending) inbox.advance();
        continue;
      }
      // Before a frame is begun: a sender that waits holds one frame in memory, not two.
      if (!this.#relay.endRun(session) || !session.sending) return;
      if (found === "begins") {
        if (inbox.begin()) continue;
        waiting.forRoom(session);
      } else if (found !== "more") this.#refuse(session, found);
      else if (memory.full && !inbox.midFrame) waiting.forRoom(session);
      else session.frameBeganAtMs = inbox.midFrame ? session.frameBeganAtMs || this.board.nowMs : 0;
      return;
    }
  }

  /** What it sent before the fault is still delivered, if it must wait for that. */
  #refuse(session: Session, reason: CloseReason): void {
    if (this.#relay.endRun(session)) this.board.close(session, reason);
  }

  #frame(session: Session): Outcome {
    const { inbox } = session;
    const type = inbox.buffer[inbox.start + 4]!;
    if (session.refusal !== undefined && type !== FRAME.hello) return session.refusal;
    // Messages first: they are what the hub is for.
    if (type === FRAME.relay) return this.#relay.plain(session);
    if (session.version > 1) {
      if (type === FRAME.namedRelay) return this.#relay.named(session);
      if (type === FRAME.toAll) return this.#relay.toAll(session);
      if (type === FRAME.toGroup) return this.#relay.toGroup(session);
    }
    if (session.link !== undefined) {
      this.#intake.take(session.link);
      return "done";
    }
    if (!this.#relay.endRun(session)) return "held";
    if (this.board.waiting.holdsUp(session)) {
      // Its own answers would only make its full outbox fuller.
      this.board.waiting.forReceiver(session, session);
      return "held";
    }
    const outcome = this.#request(session, type);
    if (!session.announced && outcome === "done") this.board.announce(session);
    return outcome;
  }

  #request(session: Session, type: number): Outcome {
    if (type === FRAME.identity) return this.#requests.identity(session);
    if (type === FRAME.list) return this.#requests.list(session);
    if (type === FRAME.hello) return this.#requests.hello(session);
    if (session.version < 2) return "unknownType";
    switch (type) {
      case FRAME.join:
        return this.#requests.join(session);
      case FRAME.leave:
        return this.#requests.leave(session);
      case FRAME.roster:
        return this.#requests.roster(session);
      case FRAME.ping:
        return this.#requests.ping(session);
      case FRAME.pong:
        return this.#requests.pong(session);
      default:
        return "unknownType";
    }
  }
}
