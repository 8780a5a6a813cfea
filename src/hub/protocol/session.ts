import type { Audience } from "./audience.js";
import type { CloseReason } from "./close-reason.js";
import type { Inbox } from "./inbox.js";
import type { RemoteHub } from "./links/remote-hub.js";
import type { Outbox } from "./outbox.js";
import type { Run } from "./run.js";

/** Why a sender is not read: a receiver is behind, there is no memory to begin its next frame, or this turn is over. */
export type Hold = "receiver" | "memory" | "turn";

/** What the hub knows of one connection. */
export class Session {
  /** Agreed in a hello; 1 without. From 2 on, what is relayed to it names its sender. */
  version = 1;
  name = "";
  wantsPresence = false;
  /** Others see it and can send to it. False before a needed token, and from its end on. */
  listed = false;
  /** Its connection stands: what is queued for it will be written. */
  open = true;
  /** Its presence was told to others. */
  announced = false;
  /** What it sends is still taken. Outlives `open` while something it sent before its end waits for a receiver. */
  sending = true;
  /** Set when it is turned away: told to those who say hello, and to nobody else. */
  refusal: CloseReason | undefined;
  closeReason: CloseReason | undefined;
  readonly groups = new Set<string>();

  /** In the list of outboxes to flush at the end of this turn; in the one of those to flush right now. */
  dirty = false;
  urgent = false;
  hold: Hold | undefined;
  /** Whether the shell should read from its socket. */
  reading = true;
  /** Its outbox is over half: senders wait, unless it is frozen. */
  congested = false;
  /** It took nothing for longer than anyone waits for it. */
  frozen = false;
  /** How often it was taken for frozen and then took bytes, since its outbox went over half. */
  revivals = 0;
  /** Those who wait for its outbox. */
  waiters: Session[] = [];
  /** Other hubs whose clients wait for its outbox. */
  heldLinks: Set<Session> | undefined;
  /** Set when this is no client, but another hub. */
  link: RemoteHub | undefined;

  audience: Audience | undefined;
  run: Run | undefined;

  /** Which audience it was last made part of, and at which of its resolutions: to see who is listed twice. */
  seenBy: Audience | undefined;
  seenAt = 0;

  bytesIn = 0;
  framesIn = 0;
  /** How often, and for how long altogether, it waited for a receiver or for memory. */
  pauses = 0;
  pausedMs = 0;
  /** Since when it waits so; 0 when it does not. */
  pausedAtMs = 0;
  /** Since when the hub does not read from it, for whatever reason; only while `reading` is false. */
  unreadAtMs = 0;
  heardAtMs: number;
  /** When its unfinished frame began; 0 without one. Moves on by the time the hub did not read. */
  frameBeganAtMs = 0;
  pingSentAtMs = 0;
  roundTripMs: number | undefined;

  constructor(
    readonly id: number,
    readonly inbox: Inbox,
    readonly outbox: Outbox,
    readonly connectedAtMs: number,
  ) {
    this.heardAtMs = connectedAtMs;
  }

  /** For how long it took nothing. Another hub has no socket to show that: what waits for it does. */
  stillMs(nowMs: number): number {
    const { outbox } = this;
    if (this.link === undefined) return outbox.stillMs(nowMs);
    return outbox.bytes > 0 ? nowMs - outbox.progressAtMs : 0;
  }
}
