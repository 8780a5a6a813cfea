/** Ids from `first` up to, not including, `end`, which no other hub has or ever gets. */
export interface IdBlock {
  readonly first: number;
  readonly end: number;
}

/** What a router says of itself; docs/protocol-hub-nats.md. */
export interface RouterHandlers {
  /** A packet of another hub. The bytes belong to the receiver, and nobody else looks at them. */
  readonly onPacket: (packet: Buffer) => void;
  /** The way to other hubs is open again, or cut off. Packets may have been lost in between. */
  readonly onChange: (connected: boolean) => void;
}

/**
 * What carries packets between hubs. It may lose packets, or repeat them, and keeps the order of those that one hub
 * sends to another. All that must be certain is made so above it, by `router/protocol`.
 */
export interface Router {
  /** For people: `nats`. */
  readonly engine: string;
  /** Bytes of one packet. */
  readonly packetBytesMax: number;
  readonly connected: boolean;
  /** Takes packets from now on: those for `hub`, and those for all. */
  start(hub: string, handlers: RouterHandlers): Promise<void>;
  /** To one hub. Dropped while it is not connected. */
  send(hub: string, packet: Buffer): void;
  /** To all other hubs. */
  broadcast(packet: Buffer): void;
  /** A block of ids beyond `above`, an id that is known to be in use. @throws when it cannot be had now */
  lease(above: number): Promise<IdBlock>;
  /** What was sent is still written. */
  close(): Promise<void>;
}
