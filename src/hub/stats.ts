import type { CloseReason } from "./protocol/close-reason.js";
import type { HubMachine } from "./protocol/hub-machine.js";
import type { Session } from "./protocol/session.js";
import type { RouterStatus } from "./router/status.js";

/** One client, as `clients()` and GET /v1/clients show it. */
export interface HubClientStatus {
  readonly id: number;
  readonly name: string;
  /** Remote `host:port`. */
  readonly address: string;
  /** Of the protocol: 1 without a hello. */
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
  /** How often, and how long altogether, the hub did not read from it because a receiver or the memory was full. */
  readonly pauses: number;
  readonly pausedMs: number;
  /** Of the last ping; absent before the first. */
  readonly roundTripMs?: number;
  /** Only of those that are gone: when (epoch ms) and why. */
  readonly closedMs?: number;
  readonly reason?: CloseReason;
}

/** The hub as a whole, as `stats()` and GET /v1/status show it. */
export interface HubStatus {
  readonly name: string;
  readonly address: string;
  readonly uptimeMs: number;
  readonly state: "ready" | "stopping";
  readonly clients: number;
  readonly groups: number;
  /** Connections since the start, and those that ended, by reason. */
  readonly connections: number;
  readonly closed: Readonly<Partial<Record<CloseReason, number>>>;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly messagesIn: number;
  /** Deliveries: a message to ten receivers counts ten times. */
  readonly messagesOut: number;
  /** What frames and queues take now, took at most, and may take. */
  readonly memoryBytes: number;
  readonly memoryPeakBytes: number;
  readonly memoryMaxBytes: number;
  /** Only with an engine: the other hubs. */
  readonly router?: RouterStatus;
}

/** Closed clients that are remembered for `clients()`. */
const CLOSED_KEPT = 1_000;

/** Counts what the clients that are gone did, and remembers the last of them. */
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

  /** The four sums over all clients, those that are there and those that are gone. */
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

export function clientStatus(session: Session, address: string): HubClientStatus {
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
