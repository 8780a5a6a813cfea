/** Another hub, as this one sees it. */
export interface OtherHubStatus {
  readonly name: string;
  /** Anew at each of its starts. */
  readonly key: string;
  readonly clients: number;
  /** Bytes that wait here for it; those on the way are not among them. */
  readonly queuedBytes: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** What connects a hub with others, as `stats()` and GET /v1/status show it. */
export interface RouterStatus {
  readonly engine: string;
  /** False while it is away: clients of this hub reach each other only. */
  readonly connected: boolean;
  /** Clients of other hubs. */
  readonly clients: number;
  /** How often a client of this hub was told, or closed, because something sent to it may be lost. */
  readonly gaps: number;
  /** Packets and frames of others that made no sense. */
  readonly refused: number;
  /** Packets that were sent again to the hubs that are there: NATS lost them, or was slow. */
  readonly resent: number;
  readonly hubs: readonly OtherHubStatus[];
}
