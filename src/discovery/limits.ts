/** Every time and bound of discovery, each with its reason. Times that RFC 6762 fixes name their section. */
export const DNSSD = {
  /** The addresses and port of multicast DNS (3). */
  group: "224.0.0.251",
  groupIPv6: "ff02::fb",
  port: 5353,

  /** Life of records that name a host, SRV and A/AAAA (10). */
  hostTtlS: 120,
  /** Life of all other records, PTR and TXT (10); longer lives that we are told are cut to it. */
  otherTtlS: 4_500,
  /** Life of records in answers to a resolver that knows no multicast DNS (6.7). */
  legacyTtlS: 10,

  /** Questions before a name is ours, and the time between them (8.1). */
  probeCount: 3,
  probeIntervalMs: 250,
  /** Random wait before the first probe. The RFC allows up to 250; more than this would cost the first second. */
  probeDelayMsMax: 50,
  /** How long the loser of a simultaneous probe waits before it asks again (8.2). */
  tieBreakWaitMs: 1_000,
  /**
   * Conflicts in the window after which a service takes a name that holds its identity, is unique, and so needs
   * no probing (8.1). 8.1 allows 15 in 10 s; the longer window also ends a dispute that a rival keeps alive slowly.
   */
  conflictsMax: 15,
  conflictWindowMs: 600_000,
  /** Labels remembered that other hosts probe at the same time; they only help to choose the next number. */
  claimsMax: 1_024,
  /** Random wait after several hosts lost one name together, before each chooses its next one (8.1 allows 250). */
  crowdWaitMsMax: 250,

  /** Unsolicited announcements, and the time between them (8.3). */
  announceCount: 2,
  announceIntervalMs: 1_000,

  /** Random delay of an answer that others may give too (6). */
  sharedDelayMsMin: 20,
  sharedDelayMsMax: 120,
  /** ... on the loopback interface, where answers of many do not collide. */
  sharedDelayLoopbackMsMax: 20,
  /** The same while more known answers are to come (7.2). */
  truncatedDelayMsMin: 400,
  truncatedDelayMsMax: 500,
  /** A record is multicast at most this often on one interface (6). */
  repeatIntervalMs: 1_000,
  /** ... on the loopback interface, which no other machine shares: late starters need not wait a second. */
  repeatIntervalLoopbackMs: 100,
  /** ... when its owner defends a name against a probe (6), or a record against a forged goodbye (6.6)... */
  defendIntervalMs: 250,
  /** ... and against another record in its place (9). Two machines of one identity do so against each other, for good. */
  contradictIntervalMs: 2_000,
  /** Direct answers to single askers per second and service: an asker may forge its address. */
  unicastAnswersPerSecondMax: 100,

  /** Time between two questions for a type: 1, 2, 4 ... up to 60 s (5.2 allows up to an hour). */
  askIntervalMsMin: 1_000,
  askIntervalMsMax: 60_000,
  /** Wait before a record that an announcement left out is asked for, so that one packet asks for several. */
  resolveDelayMs: 20,
  /** Attempts (after 20 ms, 1 s, 2 s, 4 s ...) to resolve one instance, until its PTR is heard again. */
  resolveAttemptsMax: 5,
  /** Parts of a record's life, in percent, at which its owner is asked again (5.2), and the random addition. */
  refreshAtPercent: [80, 85, 90, 95],
  refreshJitterPercent: 2,
  /** Records that live shorter than this are left to expire: a liar must not make us ask all the time. */
  refreshTtlSMin: 10,
  /**
   * From goodbye to `down`. 10.1 says 1 s; half of it, so that a clean stop is seen within a second. Longer than
   * `defendIntervalMs`: an owner that contradicts a forged goodbye is never `down`.
   */
  goodbyeGraceMs: 500,
  /** How long a cache-flush bit leaves older records of the same name and type (10.2). */
  flushGraceMs: 1_000,

  /** Expired records are removed this often: a flood of short lives must not wake a node each millisecond. */
  expireStepMs: 100,
  /** Refreshes are grouped into seconds, so that one packet asks for many records. */
  refreshStepMs: 1_000,

  /** Instances of one type that are remembered per interface. */
  instancesMax: 1_024,
  /** Instances of one host: each of its addresses that changes is told for each of them. Ours have one. */
  instancesPerHostMax: 16,
  /** A, and AAAA, records of one host: of others that are kept, and of ours that are sent, which fit one packet. */
  addressesPerHostMax: 16,
  /**
   * Instances that the records of one packet concern, and a few more of one host. Each costs work (`workPerChange`): the fewer
   * a packet has, the sooner others are read. Ours have one.
   */
  instancesPerPacketMax: 32,
  /** SRV, or TXT, records of one instance: the newest counts, and the one before lives until it is flushed. */
  recordsPerInstanceMax: 2,
  /** Questions and records in one packet; 9,000 bytes of the shortest known answers hold 450. */
  recordsPerPacketMax: 512,
  /**
   * Labels and compression pointers that decoding one packet may read. Pointers let 9,000 bytes name 160,000 labels,
   * which take 34 ms to decode; 512 records with two names of five steps each need 5,120.
   */
  nameStepsMax: 8_192,
  /** Questions of one packet that are asked or answered. */
  questionsPerPacketMax: 32,
  /** Packets with known answers that one question may take; askers of the rest are answered once more. */
  knownAnswerPacketsMax: 8,
  /** The largest packet we send: under the smallest common MTU. */
  packetBytesMax: 1_400,
  /** The largest packet we read: larger ones break RFC 6762 (17) and are dropped before they are decoded. */
  receivedBytesMax: 9_000,
  /**
   * Work that one interface takes in a second, and at once: a packet costs 1 and 1 for each KiB, some 0.15 ms. 1,000
   * nodes that answer one question are 1,000 packets.
   */
  workPerSecondMax: 1_000,
  workBurst: 2_000,
  /** ... and that waits, at most 2 MiB of packets. Where there is more, the sender of whom most was read loses a packet. */
  workWaitingMax: 2_000,
  /**
   * A packet that has waited for so long is not read, unless it is of a sender of whom little was read. By its size no packet
   * waits for longer, but what it sets off may cost ten times as much.
   */
  packetWaitMsMax: 2_500,
  /** Packets are read for so long in one turn of the event loop; then so many turns have none: a request takes several. */
  turnMsMax: 4,
  turnsBetween: 3,
  /** The same for one sender, but on loopback, where all have one address: 100 nodes on one machine start at once. */
  senderWorkPerSecondMax: 200,
  senderWorkBurst: 1_000,
  /** The cost of reporting one change of a service, in the same measure. */
  workPerChange: 0.5,
  /** Senders whose work is remembered. */
  sendersMax: 1_024,

  /** A DNS label, and so the name of an instance. */
  labelBytesMax: 63,
  /** One `key=value` of a TXT record (RFC 6763, 6.1), and all of them (6.2 recommends to fit one packet). */
  txtEntryBytesMax: 255,
  txtBytesMax: 1_000,
  /** Entries, and bytes, of a foreign TXT record that are read; 6.2 asks for at most 1,300 bytes. */
  txtEntriesMax: 64,
  txtReadBytesMax: 1_300,

  /** Subnets of one interface that are spoken to, each from an address of its own. */
  subnetsMax: 8,
  /** How often the machine's interfaces are looked at (0.1 ms): a network that comes up late is used within 1 s. */
  interfaceCheckMs: 1_000,
  /** How long `close` waits for its goodbyes to leave the process. */
  closeWaitMs: 150,
} as const;
