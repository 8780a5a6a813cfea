/**
 * Every bound of the hub and of its wire, each with its reason. Values that a user may change are only
 * defaults here; the option that changes one carries the same name.
 */
export const HUB_LIMITS = {
  /** Bytes of one payload: the seed's limit. */
  payloadBytesMax: 1_024_000,
  /** Receivers that one relay can list: their number is one byte. */
  receiversMax: 255,
  /** Bytes of a name of a client, a hub or a group: a line of text; its length is one byte. */
  nameBytesMax: 64,
  /** Bytes of a token. */
  tokenBytesMax: 512,
  /** Groups that one client can be in; each costs a set entry on both sides. */
  groupsPerClientMax: 64,
  /** The largest length field a client may send: a relay of version 2 to 255 receivers with a full payload. */
  frameBytesMax: 1 + 1 + 8 + 1 + 255 * 8 + 1_024_000,
  /** The largest length field the hub sends: a list of a million clients. Clients refuse more. */
  answerBytesMax: 1 + 8 * 1_000_000,

  /** Bytes queued for one receiver. Senders wait from half of it on; at all of it a frozen receiver is closed. */
  outboxMax: 64 * 1024 * 1024,
  /** Pieces queued for one receiver: 64 MiB of pieces of 1 KiB. Each costs `pieceBytes` of memory. */
  outboxPiecesMax: 65_536,
  /** What one queued piece costs besides its bytes: an object, and a slot in each queue. */
  pieceBytes: 96,
  /** What all frames, chunks and queues may take together. */
  memoryMax: 512 * 1024 * 1024,
  /** Connections at the same time; an idle one costs under 20 KB. */
  clientsMax: 10_000,

  /** Under `evict`: a receiver that took nothing for so long holds up nobody. */
  patienceMs: 250,
  /** Each time that it took bytes after all, while its queue is long, that doubles; at most so often, up to 2 s. */
  revivalsMax: 3,
  /**
   * Under `evict`, at the memory budget: a client that made no progress for so long may be closed. A guess: a busy
   * machine may leave a healthy client without the processor for some hundred ms.
   */
  memoryPatienceMs: 1_000,
  /**
   * Under `wait`: a receiver that holds up senders and took nothing for so long is closed. The kernel takes the next
   * bytes only when a third of its buffers is free again, 1 to 3 MB: a reader of 1 MB/s moves every 1 to 3 s.
   */
  stallTimeoutMs: 10_000,
  /** From the connection to a valid hello, where a token is needed, and for a TLS handshake. */
  handshakeTimeoutMs: 10_000,
  /** From the first byte of a frame to its last, not counting time in which the hub did not read. */
  frameTimeoutMs: 30_000,
  /** A client of version 2 that was silent for so long is pinged ... */
  pingIntervalMs: 15_000,
  /** ... and closed when it stays silent for so long after that. */
  pingTimeoutMs: 15_000,
  /** How long a hub that closes waits for its outboxes to empty. */
  drainTimeoutMs: 5_000,
  /** How often deadlines of all clients are looked at; they are that coarse. */
  tickMs: 1_000,

  /** Pieces smaller than this are copied together when flushed: a vector costs more than copying 2 KiB. */
  joinBelowBytes: 2_048,
  /** Small pieces in a row that are joined while they still wait. */
  joinPieces: 1_024,
  /** Vectors in one write: the kernel takes no more. */
  vectorsMax: 1_024,
  /** Small pieces are joined up to this size; also the size of the buffers that are kept for that. */
  joinBytes: 262_144,
  /** Buffers of `joinBytes` kept for the next join: a turn rarely has more than one write that waits. */
  joinBuffersKept: 4,
  /** Frames of that size or more that had memory of their own leave it to others ... */
  keptFrameBytesMin: 65_536,
  /** ... of the same size, rounded up to this ... */
  keptFrameStepBytes: 65_536,
  /** ... and so much of it is kept while nobody needs it, outside of `memoryMax`. */
  keptFramesBytesMax: 33_554_432,
  /** Bytes handed to the kernel in one write while it takes everything at once ... */
  batchBytesMax: 1_048_576,
  /** ... and after it did not: small, so that progress shows soon. Doubles with each write taken at once. */
  batchBytesMin: 65_536,
  /** An outbox that collected so much in one turn is flushed before the turn ends: caches and memory. */
  flushBytes: 262_144,
  /**
   * Work of one turn of the event loop: bytes received, and for each delivery its bytes and `turnPieceBytes`. What is
   * beyond waits for the next turn, so that timers, signals and writes that wait get theirs in between. 64 MiB take
   * some 20 ms; for less, each of a thousand receivers would be flushed for less than a write is worth.
   */
  turnBytesMax: 67_108_864,
  /** What one queued piece counts for there besides its bytes: some 0.2 us, in which 512 bytes can be copied. */
  turnPieceBytes: 512,
  /** Bytes handed to the kernel in one turn, in all: some 20 ms. Whoever has more goes on in the next one. */
  turnWriteBytesMax: 67_108_864,
} as const;
