/** Every bound of what hubs say to each other, each with its reason. */
export const LINK_LIMITS = {
  /** How often a hub says that it is there. */
  beatMs: 800,
  /** A hub that was silent for so long is gone. With `beatMs`: after 2.4 to 3.2 s, and the others learn it within 5 s. */
  silentMs: 3_200,
  /** A wake-up later than this says that this hub was busy, and heard nobody for that reason. */
  lateMs: 500,
  /** Bytes that all other hubs together may have on the way to this one: a nats-server holds 64 MiB for a client. */
  windowsBytes: 33_554_432,
  /** ... and one of them at most: what 10 Gbit/s carry in some ms. */
  windowBytesMax: 4_194_304,
  /** ... and at least, however many hubs there are; also what a hub may send before it was told more. */
  windowBytesMin: 262_144,
  /** Bytes of one packet: large enough that its cost is in its bytes, small enough to be a slice among others. */
  packetBytesMax: 131_072,
  /** An acknowledgement waits so long for more to acknowledge, unless a quarter of the window came. */
  ackDelayMs: 40,
  /**
   * When nothing was acknowledged for so long, one packet is sent again; twice as long after each time ... Holes are
   * asked for at once, so this is for the last packets before a pause; sooner, a hub that is merely busy gets more to do.
   */
  resendMs: 1_000,
  /** ... up to this. */
  resendMsMax: 2_000,
  /** How often one hole is asked for, and how often a stream that cannot be read is refused. */
  askAgainMs: 100,
} as const;
