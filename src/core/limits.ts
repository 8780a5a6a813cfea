/**
 * Every bound of a node and the wire it speaks, each with its reason. Values that a user may change are only
 * defaults here; the flag or option that changes one carries the same name.
 */
export const LIMITS = {
  /** Bytes of UTF-8 in an item's id: a line of text, not a document. */
  idBytesMax: 256,
  /** Topics of so many segments have an index; a filter by a deeper one reads all items of the one above that has. */
  topicSegmentsIndexed: 8,
  /** Bytes of UTF-8 in raw: one item still fits in one gossip message. */
  rawBytesMax: 1_000_000,
  /** Characters of a signature: the longest scheme (ed25519) needs 201, the rest is room for others. */
  signatureBytesMax: 512,
  /** How far ahead of a node's clock an item may be stamped, and how far clocks of peers may differ. */
  clockSkewMsMax: 120_000,
  /**
   * A wall clock that steps further than this at once has jumped; time synchronisation slews smaller offsets, under a
   * second.
   */
  clockJumpMs: 10_000,
  /** How long a wall clock that has jumped must stand before a node goes by it, and expired items are kept hidden. */
  clockHoldMs: 600_000,
  /** How long items are kept, counted from their timestamp. */
  retentionMs: 24 * 3_600_000,
  /** The shortest retention. Under 5 s items expire before nodes have exchanged summaries. */
  retentionMsMin: 1_000,

  /** One step of a start: a slow disk needs seconds; a step that takes a minute never ends. */
  startStepMs: 60_000,
  /** After this time the log names the step that a start waits for. */
  startSlowMs: 3_000,

  /** Items a node holds at most; 1,000,000 items of 200 B take about 600 MB. */
  itemsMax: 2_000_000,
  /** Bytes (canonical encoding) a node holds at most. */
  itemBytesMax: 1_073_741_824,
  /** Arrivals that can be resumed by `Last-Event-ID`; each costs a reference, not a copy. */
  eventHistoryMax: 100_000,
  /** Items that a client of events remembers, by their digest, so as not to tell them again when the node restarts. */
  eventsToldMax: 1_000_000,
  /** Subscribers of events, HTTP and library together. */
  subscribersMax: 1_000,

  /** A gossip batch closes at this size: 64 KiB carries some 200 small items and one syscall's worth of bytes. */
  batchBytesMax: 65_536,
  /** ... or this long after its first item, when the node is not idle. */
  batchDelayMs: 2,
  /** The largest gossip message: one item of maximal size and its framing; a NATS server as installed takes 1 MiB. */
  gossipBytesMax: 1_040_000,
  /** The largest frame between two peers: a batch that holds one item of maximal size. */
  peerFrameBytesMax: 1_100_000,

  /** Digests in one `have` or `want`: 32 KiB, a frame that one flow-control window carries. */
  digestsPerFrameMax: 1_024,
  /** Bytes of items that answer one `want`; items that do not fit are requested again. */
  itemsPerAnswerBytes: 262_144,
  /** `want` frames to one peer without their answer: enough to hide a round trip, and a bound on its queue. */
  wantsInFlight: 4,
  /** Digests a node wants at the same time, from all peers together; the next round finds the others again. */
  wantsMax: 262_144,
  /** A `want` or `reconcile` without its answer for so long, and longer where either end is busy, ends the connection. */
  answerTimeoutMs: 10_000,
  /** Messages of one reconciliation round; a million differences take 256 of the size below, each way. */
  roundMessagesMax: 512,
  /** Largest reconciliation message that either side sends, or reads: 7,000 ranges, some 40 ms. */
  reconcileBytesMax: 131_072,
  /** Rounds that one peer may open with us in a minute. */
  roundsPerPeerMinuteMax: 60,
  /** Digests refused by policy that are remembered, so that they are not fetched again, and as many refused for their time. */
  refusedDigestsMax: 1_000_000,
  /** Signatures checked by a thread in one go: 7 ms of work, so that a single post does not wait long behind many. */
  verificationBatchMax: 32,
  /** ... and of large items as many as these bytes hold. */
  verificationBatchBytesMax: 262_144,
  /** Threads that check signatures of authors; one checks about 5,000 a second. */
  verificationThreadsMax: 8,
  /** Checks that wait; past it gossip is left to reconciliation, which requests only as much as it can take. */
  verificationQueueMax: 8_192,
  /** ... or these bytes. */
  verificationQueueBytesMax: 67_108_864,
  /** Digests checked lately, so that an item that comes by three ways at once is checked once. */
  verdictsMax: 16_384,
  /** Receipts that peers wait for, for items that have not arrived here yet. */
  confirmationsMax: 100_000,

  /** A node wants one reconciliation with a random peer this often, give or take a quarter. */
  syncIntervalMs: 20_000,
  /**
   * A peer that was silent for so long gets a ping: its answer has as long again, since a frame is never lost on a link, only
   * late...
   */
  heartbeatMs: 1_500,
  /**
   * ... and without one for so long its link is cut. A killed machine must show within 5 s, 1.5 s of which others have
   * to tell of it.
   */
  heartbeatLostMs: 3_000,
  /** Summaries go out at most this often while sets differ, or items are being fetched... */
  summaryMs: 1_000,
  /** ... this often while gossip changes the set... */
  summaryBusyMs: 3_000,
  /** ... and this often when it does not. */
  summaryIdleMs: 10_000,
  /** Items stamped longer ago than this have arrived by gossip, or they were missed. */
  settleMs: 2_000,
  /** No peer after so long: the node is ready alone. */
  aloneAfterMs: 3_000,

  /** Connections with peers, also those that end at once: a whole cluster may ask one node for addresses at the same time. */
  peerConnectionsMax: 1_024,
  /** A node dials until it has links with so many members: with fewer members all are linked with each other. */
  linksWanted: 6,
  /** ... and takes in others up to so many. Each more costs an announcement for each batch. */
  linksMax: 10,
  /** Members that a node knows of; in a larger cluster the roster is a sample of so many. */
  rosterMembersMax: 1_000,
  /** Members renew their record, with their count and fingerprint, this often... */
  recordRefreshMs: 10_000,
  /**
   * ... and in large clusters so seldom that a node hears of this many in a second: to read, verify and pass on one takes 0.3
   * ms, also while nothing happens...
   */
  recordsPerSecond: 5,
  /** ... but no more seldom than this: two processes with one identity are known by their renewals (`TWINS_MS`)... */
  recordRefreshMsMax: 100_000,
  /** ... and of a sample in a second so many, were all members in it: there a member lives by its renewals. */
  sampleRecordsPerSecond: 20,
  /** Records in one frame, or verified in one go: to verify one takes 0.2 ms, and nothing else is done meanwhile. */
  recordsPerFrameMax: 32,
  /** Verified records that are remembered, since each comes again on other links: 2 MB. */
  recordsVerifiedMax: 1_024,
  /** Members that a newcomer is referred to. */
  referredMax: 8,
  /** Addresses to dial that are remembered, beside the roster. */
  candidatesMax: 1_024,
  /** Nodes of another version or cluster key that are listed; any machine on the network can pose as any number of them. */
  strangersMax: 64,
  /** Attempts to connect at the same time. */
  dialsAtOnceMax: 8,
  /** Addresses remembered for one candidate: a machine with Docker and VPNs has a dozen. */
  peerAddressesMax: 24,
  /** How long the id of a peer that broke the protocol is refused; twice as long each time... */
  punishmentMs: 60_000,
  /** ... up to this. */
  punishmentMsMax: 3_600_000,
  /** Punished ids remembered; the one punished longest ago is forgotten first. */
  punishedMax: 1_024,
  /**
   * Work, in bytes, that a link may cause in a second in the long run: 27,000 items of 256 B, the most that a node
   * accepts, are 10 MB.
   */
  linkWorkPerSecond: 16_777_216,
  /** ... and at once, after it was quiet: 87,000 items of 256 B, posted in bulk. */
  linkWorkBurst: 33_554_432,
  /** Frames of all kinds on one link in a second: 20 authors under load, each with a batch every 2 ms... */
  linkFramesPerSecond: 10_000,
  /** ... and at once. */
  linkFramesBurst: 10_000,
  /** A link that is held for so long, without as much pause twice over, is cut. */
  linkPatienceMs: 4_000,
  /** Batches remembered, to recognise a second copy and to answer peers that missed the first. */
  batchesSeenMax: 8_192,
  /** Bytes kept of them, to make them again: 1,000 batches of 256 small items each. */
  batchContentsBytesMax: 8_388_608,
  /** Batches that may be announced in one frame, or be missing here. */
  announcedMax: 4_096,
  /** Questions remembered, to route their answers back. */
  questionsMax: 4_096,
  /** Answers of either kind in one frame: of 32 posts by 1,000 members, so that both kinds fit in a frame. */
  answersPerFrameMax: 32_768,
  /** More bytes that wait for one link: batches are announced on it, and no longer pushed. */
  linkQueueBytesLong: 8_388_608,
  /** Frame bytes that wait for one peer; past it the peer is cut off, and reconciles when it is back. */
  peerQueueBytesMax: 67_108_864,
  /** How long a message may be without its acknowledgement by JetStream: servers elect a new leader in that time. */
  natsAckMsMax: 8_000,

  /**
   * How long a dial may take where this node is not late, until both have said hello. A SYN that is lost twice is sent again
   * after 3 s, and a machine that starts a whole cluster is busy.
   */
  peerHandshakeMsMax: 8_000,

  /** Nodes that one sender of multicast DNS may introduce: one of thousands must not make all nodes dial a victim. */
  introducedNodesMax: 64,
  /** ... and further ones a second. */
  introducedNodesPerSecond: 1,
  /** Addresses of nodes that it may introduce in a second. */
  introducedAddressesPerSecond: 4,
  /** Nodes that are sought at one address of a machine, whoever introduces them; loopback has no such limit. */
  nodesPerHostMax: 16,

  /** Where the HTTP API of a node listens unless another port is asked for. */
  httpPort: 8_080,
  /** A JSON body of one item: raw may be escaped to six times its size, and there is the frame around it. */
  requestBytesMax: 6_200_000,
  /** One line of a bulk request, for the same reason. */
  bulkLineBytesMax: 6_200_000,
  /** Result bytes that wait for a bulk client that does not read yet; past it the node stops reading too. */
  bulkResultBytesMax: 67_108_864,
  /**
   * Items a second that one caller on another machine may post, and that may be signed by one key; --post-rate and
   * --key-rate set other limits, for all callers.
   */
  postItemsPerSecond: 2_000,
  /** Callers, and keys, whose rate is remembered; past it the one that posted longest ago is forgotten. */
  postCallersMax: 10_000,
  /** Wrong tokens that one address may show at once: more than a person mistypes, fewer than a search needs... */
  tokenGuessesMax: 100,
  /** ... and in a second, in the long run. */
  tokenGuessesPerSecond: 1,
  /** Addresses whose guesses are remembered; past it the one that showed a token longest ago is forgotten. */
  tokenGuessersMax: 10_000,
  /** Items on one page of GET /v1/items. */
  pageItemsMax: 10_000,
  /** How long a request (not a bulk body) may take to arrive. */
  requestTimeoutMs: 10_000,
  /** Request line and headers together; a browser sends under 2 KiB. */
  requestHeaderBytesMax: 16_384,
  /** Connections of HTTP clients; past it new ones are closed at once. An idle one costs about 11 KiB. */
  httpConnectionsMax: 20_000,
  /** Files that a server's start leaves free below the system's limit for the disk and resolving names. */
  filesReserved: 32,
  /** Items on one page of GET /v1/items that names no limit. */
  pageItems: 1_000,
  /** The longest `timeoutMs` of a post that waits for a receipt. */
  receiptTimeoutMsMax: 300_000,
  /** Bytes of bulk lines handed to the node and not decided yet; past it the node stops reading for a moment. */
  bulkInFlightBytesMax: 8_388_608,
  /** A streamed body or answer on which nothing moves for so long is cut. */
  streamStallMs: 60_000,
  /** Bytes of all bodies, and bulk lines, that are not whole yet, or not all posted: of five as large as can be. */
  bodyBytesHeldMax: 33_554_432,
  /** Bytes of all answers that their clients have not read yet: four bulk clients that read nothing until all is sent. */
  answerBytesWaitingMax: 268_435_456,
  /** A comment goes to every event subscriber this often, so that proxies and clients know that both ends live. */
  eventHeartbeatMs: 15_000,
  /** How long a body is still read and thrown away after its refusal, so that the client gets to read the answer. */
  refusedBodyMs: 2_000,
  /** How long requests that run when the API closes may take to finish. */
  closeMs: 2_000,
} as const;

/** The same names with other values, for tests. */
export type Limits = { readonly [Name in keyof typeof LIMITS]: number };
