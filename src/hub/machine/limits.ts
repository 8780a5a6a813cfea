/**
 * Every bound of the hub and of its wire, with its reason. Values that a user may change are defaults here; the
 * option has the same name.
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

  /** Bytes queued for one receiver. Senders pause from half of it on; at all of it a frozen receiver is closed. */
  outboxMax: 64 * 1024 * 1024,
  /** Pieces queued for one receiver: 64 MiB of pieces of 1 KiB. Each costs `pieceBytes` of memory. */
  outboxPiecesMax: 65_536,
  /** The cost of one queued piece besides its bytes: an object, and a slot in each queue. */
  pieceBytes: 96,
  /** The memory of all frames, chunks and queues. */
  memoryMax: 512 * 1024 * 1024,
  /** Connections at the same time; an idle one costs under 20 KB. */
  clientsMax: 10_000,

  /** Under `evict`: senders do not pause for a receiver that took nothing for so long. */
  patienceMs: 250,
  /** Doublings of that for a receiver with a long queue that took bytes after all; up to 2 s. */
  revivalsMax: 3,
  /**
   * Under `evict`, at the memory budget: a client that made no progress for so long may be closed. A guess: a busy
   * machine may leave a healthy client without the processor for some hundred ms.
   */
  memoryPatienceMs: 1_000,
  /**
   * Under `wait`: a receiver for which senders pause is closed when it took nothing for so long. The kernel takes the
   * next bytes only when a third of its buffers is free again, 1 to 3 MB: a reader of 1 MB/s moves every 1 to 3 s.
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
  /** A client that acknowledges nothing for so long is closed, in any version, below any limit. */
  progressTimeoutMs: 60_000,
  /** How often the kernel is asked for unacknowledged bytes of silent connections. */
  unacknowledgedLookMs: 10_000,
  /** Open files that clients leave free: for monitoring, discovery, NATS, and files that are read again. */
  filesReserved: 32,
  /** Connections to monitoring, which are among those files. */
  monitorConnectionsMax: 16,
  /**
   * Connections beyond `clientsMax` that are told so at the same time. The oldest connection that has said no hello makes room
   * for the next.
   */
  refusedAtOnceMax: 8,
  /** How long a hub that closes waits for its outboxes to empty. */
  drainTimeoutMs: 5_000,
  /** How often deadlines of all clients are checked; they are that coarse. */
  tickMs: 1_000,
  /** Work, counted as in turnBytesMax, that deadlines may cause in one turn; the rest is checked `shareStepMs` later. */
  tickBytesMax: 16_777_216,

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
  /** Other joins of that size or more are freed at once: 200 MB a second where 255 receivers are written to in each turn. */
  freedJoinBytesMin: 4_096,
  /** Chunks of that size or more are freed at once after their last use; smaller ones are not worth it. */
  freedChunkBytesMin: 16_384,
  /** Frame buffers of that size or more are reused ... */
  keptFrameBytesMin: 65_536,
  /** ... for frames of the same size, rounded up to this ... */
  keptFrameStepBytes: 65_536,
  /** ... and so many bytes of free ones are kept, outside of `memoryMax`. */
  keptFramesBytesMax: 33_554_432,
  /** Bytes handed to the kernel in one write while it takes everything at once ... */
  batchBytesMax: 1_048_576,
  /** ... and after it did not: small, so that progress shows soon. Doubles with each write taken at once. */
  batchBytesMin: 65_536,
  /**
   * Behind the writes of a turn the next ones wait as long as these took, within these bounds: with many receivers each write
   * costs more than a frame, and meanwhile frames gather that one write carries.
   */
  flushPauseMsMin: 0.5,
  flushPauseMsMax: 4,
  /** An outbox that collected so much in one turn is flushed before the turn ends: caches and memory. */
  flushBytes: 262_144,
  /**
   * Work of one turn of the event loop: bytes received, and for each delivery its bytes and `turnPieceBytes`. Further
   * work waits for the next turn, so that timers, signals and pending writes get theirs in between. 64 MiB take some
   * 20 ms; a smaller limit would collect so little for each of a thousand receivers that writes would cost most.
   */
  turnBytesMax: 67_108_864,
  /**
   * Time in which a turn takes frames, without that of writes. The time that work takes depends on its kind, on the machine
   * and on other processes: 64 MiB took 50 ms, and 150 ms before the code was compiled (bench/abuse-hub.ts
   * receipts-unknown).
   */
  turnMsMax: 10,
  /**
   * The weight of a received byte: it is read into fresh memory, and copied again where a frame is cut. 250 MB that
   * came at once took 450 ms.
   */
  turnReceivedFactor: 12,
  /** The weight of one queued piece besides its bytes: some 0.2 us, in which 512 bytes can be copied. */
  turnPieceBytes: 512,
  /** The weight of a request besides its answer: it is parsed, looked up, and makes resolved recipients stale. */
  requestBytes: 1_024,
  /** The weight of one client in a list of ids, and in a roster with names: some 6 ns and 150 ns. */
  listEntryBytes: 24,
  rosterEntryBytes: 512,
  /** Memory of a receipt that waits for its receivers, and of each id in it that is not known. */
  receiptBytes: 512,
  receiptIdBytes: 8,
  /** The weight of one receiver when a list or a group is resolved, and of one that a receipt names: some 20 ns. */
  resolveBytes: 64,
  /** Work that a client may cause in a second before clients within their share come first: some 5 ms of time ... */
  shareBytesPerSecond: 16_777_216,
  /** ... its burst, and its largest debt ... */
  shareBurstBytes: 4_194_304,
  /** ... and what a new connection starts with: little, or a client could reconnect to get a full share again. */
  shareFirstBytes: 262_144,
  /** The same for requests: 70 lists of 900 clients, or 1,300 pings a second; a burst of 17 lists. */
  requestBytesPerSecond: 2_097_152,
  requestBurstBytes: 524_288,
  /** Work for requests of all clients in one turn, some 1.5 ms: messages come in between, however many ask. */
  turnRequestBytesMax: 4_194_304,
  /** Unread answers of a client from which on it gets no further ones. */
  answersBytesMax: 262_144,
  /** Clients that wait for their share resume at multiples of this. */
  shareStepMs: 10,
  /** Connections whose end is told to the machine in one turn: some 2 ms, where thousands end at the same moment. */
  turnEndingsMax: 32,
  /**
   * New connections that are read for the first time in one turn, where hundreds begin at the same moment: 2 MiB, as each hands
   * over two chunks.
   */
  turnBeginningsMax: 16,
  /** Bytes handed to the kernel in one turn, some 20 ms. Further writes wait for the next one. */
  turnWriteBytesMax: 67_108_864,
  /** The weight of one write there besides its bytes: some 5 us. */
  turnWriteBytes: 16_384,
} as const;
