import type { CloseReason } from "./machine/frames.js";
import type { HubMachine } from "./machine/machine.js";
import type { SessionView } from "./machine/session.js";

/** One client, as `clients()` and GET /v1/clients show it. */
export interface HubClientStatus {
  readonly id: number;
  readonly name: string;
  /** Remote `host:port`. */
  readonly address: string;
  /** Version of the protocol: 1 without a hello. */
  readonly version: number;
  /** Epoch ms. */
  readonly sinceMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  readonly messagesOut: number;
  /** Bytes and pieces queued for it. */
  readonly outboxBytes: number;
  readonly outboxPieces: number;
  /** How often, and how long altogether, the hub did not read from it: a receiver or the memory was full, or its share used up. */
  readonly pauses: number;
  readonly pausedMs: number;
  /** Round trip of the last ping; absent before the first. */
  readonly roundTripMs?: number;
  /** When (epoch ms) and why the client was closed; absent while it is connected. */
  readonly closedMs?: number;
  readonly reason?: CloseReason;
}

/** Reasons for a degraded hub; docs/errors.md explains each. */
export const HUB_REASONS = ["natsAway"] as const;
export type HubReason = (typeof HUB_REASONS)[number];

export interface HubReasonDetail {
  readonly code: HubReason;
  readonly message: string;
  /** How to mend it. */
  readonly advice: string;
}

const NATS_AWAY: HubReasonDetail = {
  code: "natsAway",
  message: "NATS is away: clients of this hub reach each other only",
  advice: "Start the NATS server again, or look at the network to it.",
};

/** @param router absent: the hub has no engine */
export function hubReasons(router: RouterStatus | undefined): readonly HubReasonDetail[] {
  return router && !router.connected ? [NATS_AWAY] : [];
}

/** The hub as a whole, as `stats()` and GET /v1/status show it. */
export interface HubStatus {
  readonly name: string;
  readonly address: string;
  readonly uptimeMs: number;
  readonly state: "ready" | "degraded" | "stopping";
  /** Why it is degraded, for programs and for people. */
  readonly reasons: readonly HubReason[];
  readonly details: readonly HubReasonDetail[];
  readonly clients: number;
  /** The limit of the options, or a lower one where the limit of open files requires it. */
  readonly clientsMax: number;
  readonly groups: number;
  /** Connections since the start, and those that ended, by reason. */
  readonly connections: number;
  readonly closed: Readonly<Partial<Record<CloseReason, number>>>;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  /** Deliveries: a message to ten receivers counts ten times. */
  readonly messagesOut: number;
  /** Bytes of frames and queues: now, the peak, and the limit. */
  readonly memoryBytes: number;
  readonly memoryPeakBytes: number;
  readonly memoryMaxBytes: number;
  /** When its certificate expires, epoch ms; absent without TLS. */
  readonly certificateExpiresAtMs?: number;
  /** The other hubs; absent without an engine. */
  readonly router?: RouterStatus;
}

/** Closed clients that are remembered for `clients()`. */
const CLOSED_KEPT = 1_000;

/** Totals of closed clients, and the last of them. */
export class History {
  readonly closed: HubClientStatus[] = [];
  readonly reasons: Partial<Record<CloseReason, number>> = {};
  connections = 0;
  bytesIn = 0;
  bytesOut = 0;
  messagesIn = 0;
  messagesOut = 0;

  add(status: HubClientStatus, reason: CloseReason): void {
    this.reasons[reason] = (this.reasons[reason] ?? 0) + 1;
    this.bytesIn += status.bytesIn;
    this.bytesOut += status.bytesOut;
    this.messagesIn += status.messagesIn;
    this.messagesOut += status.messagesOut;
    this.closed.push(status);
    if (this.closed.length > CLOSED_KEPT) this.closed.shift();
  }

  /** A connection that did not become a client. */
  refuse(reason: CloseReason): void {
    this.connections += 1;
    this.reasons[reason] = (this.reasons[reason] ?? 0) + 1;
  }

  /** Sums over all clients, connected and closed. */
  totals(machine: HubMachine): Pick<HubStatus, "bytesIn" | "bytesOut" | "messagesIn" | "messagesOut"> {
    let { bytesIn, bytesOut, messagesIn, messagesOut } = this;
    for (const session of machine.sessions) {
      bytesIn += session.bytesIn;
      bytesOut += session.outbox.bytesOut;
      messagesIn += session.framesIn;
      messagesOut += session.outbox.framesOut;
    }
    return { bytesIn, bytesOut, messagesIn, messagesOut };
  }
}

export function clientStatus(session: SessionView, address: string): HubClientStatus {
  const { outbox } = session;
  return {
    id: session.id,
    name: session.name,
    address,
    version: session.version,
    sinceMs: Math.round(session.connectedAtMs),
    bytesIn: session.bytesIn,
    bytesOut: outbox.bytesOut,
    messagesIn: session.framesIn,
    messagesOut: outbox.framesOut,
    outboxBytes: outbox.bytes,
    outboxPieces: outbox.pieces,
    pauses: session.pauses,
    pausedMs: Math.round(session.pausedMs),
    ...(session.roundTripMs === undefined ? {} : { roundTripMs: session.roundTripMs }),
  };
}

/** Another hub of the federation. */
export interface OtherHubStatus {
  readonly name: string;
  /** Anew at each of its starts. */
  readonly key: string;
  readonly clients: number;
  /** Bytes queued for it; those in flight are not counted. */
  readonly queuedBytes: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** The federation, as `stats()` and GET /v1/status show it. */
export interface RouterStatus {
  readonly engine: string;
  /** False while NATS is away: clients of this hub reach each other only. */
  readonly connected: boolean;
  /** Clients of other hubs. */
  readonly clients: number;
  /** How often a client of this hub was told, or closed, because messages to it may be lost. */
  readonly gaps: number;
  /** Packets and frames of other hubs that could not be read. */
  readonly refused: number;
  /** Packets that were sent again: NATS lost them, or was slow. */
  readonly resent: number;
  readonly hubs: readonly OtherHubStatus[];
}
