import type { Random } from "../core/machine.js";
import { DNSSD } from "./limits.js";
import { type DnsPacket, type DnsQuestion, query, response } from "./packet.js";
import {
  type DnsRecord,
  encodeTxt,
  hostName,
  instanceName,
  recordKey,
  type ServiceType,
  type SrvRecord,
  sameName,
  sameRecord,
  type TxtRecord,
  TYPE_ENUMERATION,
  typeName,
} from "./records.js";

/** An interface that came up, as one service is to be shown there. */
export interface LinkUp {
  /** The interface's name: the key of everything that is kept per interface. */
  readonly link: string;
  /** No other machine shares the medium: answers may be repeated sooner. */
  readonly loopback: boolean;
  readonly addresses: readonly string[];
  readonly txt: Readonly<Record<string, string>>;
}

export interface Sender {
  readonly address: string;
  readonly port: number;
  /**
   * Whether the address is in a subnet of the interface. A packet to the group is on the link whatever its source, but
   * only these get direct answers (RFC 6762, 11): else we would send packets to any address that a packet names.
   */
  readonly inSubnet: boolean;
}

/** Order to send a packet on an interface, to the group or, with `to`, to one asker. */
export interface SendEffect {
  readonly type: "send";
  readonly link: string;
  readonly packet: DnsPacket;
  readonly to?: Sender;
}

/** One service on one interface: its records there, the progress of probing and announcing, pending answers. */
export class Presence {
  readonly link: string;
  records: ServiceRecords;
  /** Lost the name in a simultaneous probe, and waits to ask again. */
  isDeferred = false;
  #phase: "probing" | "announcing" | "settled" = "probing";
  #stepsDone = 0;
  #stepAtMs: number;
  readonly #queue = new AnswerQueue();
  /** Our records in whose place others were heard, and when last. */
  readonly #contradicted = new Map<DnsRecord, number>();
  readonly #unicast = { secondAtMs: Number.NEGATIVE_INFINITY, count: 0 };

  constructor(
    private readonly service: ServiceIdentity,
    private readonly facts: LinkUp,
    private readonly random: Random,
    label: string,
    startAtMs: number,
  ) {
    this.link = facts.link;
    this.records = this.#build(label);
    this.#stepAtMs = startAtMs;
  }

  /** The name is not ours yet on this interface. */
  get isProbing(): boolean {
    return this.#phase === "probing";
  }

  /** ... and no probe was sent yet. */
  get isWaiting(): boolean {
    return this.isProbing && this.#stepsDone === 0 && !this.isDeferred;
  }

  get wakeAtMs(): number {
    return Math.min(this.#stepAtMs, this.#queue.nextAtMs);
  }

  /** Begins again to ask whether the name is free. */
  probeFrom(atMs: number, label: string): void {
    this.records = this.#build(label);
    this.#phase = "probing";
    this.#stepsDone = 0;
    this.#stepAtMs = atMs;
    this.isDeferred = false;
    this.#queue.clear();
    this.#contradicted.clear();
  }

  /** Announces a name that needs no probing. */
  announceFrom(atMs: number, label: string): void {
    this.probeFrom(atMs, label);
    this.#phase = "announcing";
  }

  /**
   * 8.2: lost a simultaneous probe; asks again in a second, in case the winner was but a late packet.
   * @returns false when it waits already
   */
  defer(nowMs: number): boolean {
    if (this.isDeferred) return false;
    this.#stepsDone = 0;
    this.#stepAtMs = nowMs + DNSSD.tieBreakWaitMs;
    this.isDeferred = true;
    return true;
  }

  /** Sends the next probe or announcement, and the answers that are due. */
  wake(nowMs: number): SendEffect[] {
    const sends: SendEffect[] = [];
    if (nowMs >= this.#stepAtMs) sends.push(this.#step(nowMs));
    const answers = this.#queue.takeDue(nowMs);
    if (answers.length > 0) sends.push(this.#multicast(answers, nowMs));
    for (const record of answers) {
      const contradictedAtMs = this.#contradicted.get(record);
      if (contradictedAtMs === undefined) continue;
      // Others keep what came in the second before ours, as a part of one set (10.2).
      if (nowMs - contradictedAtMs <= DNSSD.flushGraceMs) this.#contradict(record, nowMs);
      else this.#contradicted.delete(record);
    }
    return sends;
  }

  /** Takes a query that was heard on this interface. Before the name is ours it is not answered. */
  answer(packet: DnsPacket, from: Sender, nowMs: number): SendEffect[] {
    if (this.isProbing) return [];
    if (packet.questions.length === 0) {
      this.#queue.suppress(from.address, packet.answers);
      return [];
    }
    const answers = new Set<DnsRecord>();
    // Once for each record: a packet may ask for it 32 times, and hold 480 known answers.
    const known = new Set(this.records.all.filter((record) => isKnown(record, packet.answers)));
    let unicast = true;
    for (const question of packet.questions) {
      for (const record of answersTo(question, this.records)) {
        if (known.has(record)) continue;
        answers.add(record);
        // 5.4: directly only while the others on the network still have it from us.
        unicast &&= question.unicast && nowMs - this.#queue.lastSentAtMs(record) < record.ttlS * 250;
      }
    }
    if (answers.size === 0) return [];
    if (from.port !== DNSSD.port) {
      if (!from.inSubnet) return [];
      return this.#reply(packet, forLegacy([...answers]), answers, from, nowMs);
    }
    const probe = packet.authorities.length > 0;
    if (unicast && !probe && from.inSubnet) return this.#reply(undefined, [...answers], answers, from, nowMs);
    this.#schedule(answers, packet, from, nowMs);
    return this.wake(nowMs);
  }

  /**
   * 6.6 and 9: another host announced our records with too short a life, for example a forged goodbye, or others in their
   * place. Ours are announced again: before others drop them, or to void the false ones.
   * @param isOurs whether a record is one of ours, on whichever interface
   */
  defend(heard: readonly DnsRecord[], isOurs: (record: DnsRecord) => boolean, nowMs: number): SendEffect[] {
    if (this.isProbing) return [];
    const foreign = heard.filter((other) => other.flush && other.ttlS > 0 && !isOurs(other));
    for (const record of this.records.all) {
      const isInItsPlace = (other: DnsRecord) =>
        other.type === record.type && sameName(other.name, record.name);
      if (heard.some((other) => other.ttlS * 2 < record.ttlS && sameRecord(other, record)))
        this.#queue.add(record, nowMs, DNSSD.defendIntervalMs, undefined);
      else if (record.flush && foreign.some(isInItsPlace)) {
        this.#contradicted.set(record, nowMs);
        this.#contradict(record, nowMs);
      }
    }
    return this.wake(nowMs);
  }

  /** The records are void from now on; nothing when they were never announced. */
  goodbye(): SendEffect[] {
    if (this.isProbing) return [];
    // The enumeration of types is shared: other nodes go on having services of this type.
    const gone = this.records.all.filter((record) => record !== this.records.enumeration);
    return [this.#send(response({ answers: gone.map((record) => ({ ...record, ttlS: 0 })) }))];
  }

  #contradict(record: DnsRecord, nowMs: number): void {
    this.#queue.add(record, nowMs, DNSSD.contradictIntervalMs, undefined);
  }

  #build(label: string): ServiceRecords {
    return buildRecords(this.service, label, encodeTxt(this.facts.txt), this.facts.addresses);
  }

  #step(nowMs: number): SendEffect {
    if (this.#phase === "probing" && this.#stepsDone < DNSSD.probeCount) {
      this.isDeferred = false;
      this.#stepsDone++;
      this.#stepAtMs = nowMs + DNSSD.probeIntervalMs;
      return this.#send(this.#probe());
    }
    if (this.#phase === "probing") {
      this.#phase = "announcing";
      this.#stepsDone = 0;
    }
    this.#stepsDone++;
    if (this.#stepsDone < DNSSD.announceCount) {
      this.#stepAtMs = nowMs + DNSSD.announceIntervalMs;
    } else {
      this.#phase = "settled";
      this.#stepAtMs = Number.POSITIVE_INFINITY;
    }
    return this.#multicast(this.records.all, nowMs);
  }

  /** 8.1: one question per name, the wished records as authorities. Not QU: the port is shared (15.1). */
  #probe(): DnsPacket {
    const { srv, txt, addresses } = this.records;
    const names = [srv.name, srv.data.target];
    const questions = names.map((name) => ({ name, type: "ANY", unicast: false }));
    return query({ questions, authorities: [srv, txt, ...addresses] });
  }

  #schedule(answers: ReadonlySet<DnsRecord>, packet: DnsPacket, from: Sender, nowMs: number): void {
    const probe = packet.authorities.length > 0;
    const shared = [...answers].some((record) => !record.flush);
    const repeatMs = this.facts.loopback ? DNSSD.repeatIntervalLoopbackMs : DNSSD.repeatIntervalMs;
    const [min, max] = this.#delays(shared && !probe, packet.truncated);
    const dueMs = nowMs + Math.round(min + this.random() * (max - min));
    for (const record of answers) {
      this.#queue.add(
        record,
        dueMs,
        probe ? Math.min(repeatMs, DNSSD.defendIntervalMs) : repeatMs,
        packet.truncated ? from.address : undefined,
      );
    }
  }

  #delays(shared: boolean, truncated: boolean): readonly [number, number] {
    if (truncated) return [DNSSD.truncatedDelayMsMin, DNSSD.truncatedDelayMsMax];
    if (!shared) return [0, 0];
    if (this.facts.loopback) return [0, DNSSD.sharedDelayLoopbackMsMax];
    return [DNSSD.sharedDelayMsMin, DNSSD.sharedDelayMsMax];
  }

  #multicast(answers: readonly DnsRecord[], nowMs: number): SendEffect {
    const additionals = additionalsFor(answers, this.records);
    this.#queue.sent([...answers, ...additionals], nowMs);
    return this.#send(response({ answers, additionals }));
  }

  /** @param legacy the query of a resolver that knows no multicast DNS and wants its id and question back */
  #reply(
    legacy: DnsPacket | undefined,
    answers: readonly DnsRecord[],
    asked: ReadonlySet<DnsRecord>,
    to: Sender,
    nowMs: number,
  ): SendEffect[] {
    if (nowMs - this.#unicast.secondAtMs >= 1_000) {
      this.#unicast.secondAtMs = nowMs;
      this.#unicast.count = 0;
    }
    if (++this.#unicast.count > DNSSD.unicastAnswersPerSecondMax) return [];
    const additionals = additionalsFor([...asked], this.records);
    const packet = legacy
      ? { id: legacy.id, questions: legacy.questions, answers, additionals: forLegacy(additionals) }
      : { answers, additionals };
    return [{ ...this.#send(response(packet)), to }];
  }

  #send(packet: DnsPacket): SendEffect {
    return { type: "send", link: this.link, packet };
  }
}

interface Waiting {
  readonly record: DnsRecord;
  readonly dueMs: number;
  /** The only asker, if it has more known answers to send: these may remove the record again. */
  readonly asker: string | undefined;
}

/** Answers of one interface that wait for their moment, and when each record was last multicast there. */
class AnswerQueue {
  readonly #waiting = new Map<string, Waiting>();
  readonly #sentAtMs = new Map<string, number>();

  /** The moment the first answer is due, Infinity for none. */
  get nextAtMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#waiting.values()) next = Math.min(next, dueMs);
    return next;
  }

  /**
   * @param repeatMs the shortest time after the record's last multicast
   * @param asker address of a host that has more known answers to send
   */
  add(record: DnsRecord, dueMs: number, repeatMs: number, asker: string | undefined): void {
    const key = recordKey(record);
    const before = this.#waiting.get(key);
    const allowedMs = Math.max(dueMs, this.lastSentAtMs(record) + repeatMs);
    this.#waiting.set(key, {
      record,
      dueMs: Math.min(allowedMs, before?.dueMs ?? Number.POSITIVE_INFINITY),
      asker: before === undefined || before.asker === asker ? asker : undefined,
    });
  }

  /** Known answers that came after their question (RFC 6762, 7.2). */
  suppress(asker: string, known: readonly DnsRecord[]): void {
    for (const [key, waiting] of this.#waiting) {
      if (waiting.asker === asker && isKnown(waiting.record, known)) this.#waiting.delete(key);
    }
  }

  takeDue(nowMs: number): readonly DnsRecord[] {
    const due = [...this.#waiting.values()].filter((waiting) => waiting.dueMs <= nowMs);
    for (const { record } of due) this.#waiting.delete(recordKey(record));
    return due.map(({ record }) => record);
  }

  /** Notes a multicast; also of records that went along as additional ones. */
  sent(records: readonly DnsRecord[], nowMs: number): void {
    for (const record of records) this.#sentAtMs.set(recordKey(record), nowMs);
  }

  lastSentAtMs(record: DnsRecord): number {
    return this.#sentAtMs.get(recordKey(record)) ?? Number.NEGATIVE_INFINITY;
  }

  /** Forgets everything: the records are about to change. */
  clear(): void {
    this.#waiting.clear();
    this.#sentAtMs.clear();
  }
}

/** Our records that answer a question; an NSEC when the name is ours but has none of that type (RFC 6762, 6.1). */
function answersTo(question: DnsQuestion, own: ServiceRecords): readonly DnsRecord[] {
  const named = own.all.filter((record) => sameName(record.name, question.name));
  const answers = named.filter((record) => question.type === "ANY" || question.type === record.type);
  if (answers.length > 0 || named.length === 0 || !named.some((record) => record.flush)) return answers;
  const rrtypes = [...new Set(named.map((record) => record.type))];
  const name = named[0]!.name;
  return [{ name, type: "NSEC", ttlS: DNSSD.hostTtlS, flush: true, data: { nextDomain: name, rrtypes } }];
}

/** Records that an asker would ask for next, sent along with the answers (RFC 6763, 12). */
function additionalsFor(answers: readonly DnsRecord[], own: ServiceRecords): readonly DnsRecord[] {
  const wanted: DnsRecord[] = [];
  if (answers.includes(own.pointer)) wanted.push(own.srv, own.txt);
  if (answers.includes(own.srv) || wanted.includes(own.srv)) wanted.push(...own.addresses);
  return wanted.filter((record) => !answers.includes(record));
}

/** Whether the asker holds the record with at least half of its life left (RFC 6762, 7.1). */
function isKnown(record: DnsRecord, known: readonly DnsRecord[]): boolean {
  return known.some((other) => other.ttlS * 2 >= record.ttlS && sameRecord(other, record));
}

/** The records as a resolver sees them that knows no multicast DNS: no flush bit, a short life (RFC 6762, 6.7). */
function forLegacy(records: readonly DnsRecord[]): readonly DnsRecord[] {
  return records.map((record) => ({
    ...record,
    flush: false,
    ttlS: Math.min(record.ttlS, DNSSD.legacyTtlS),
  }));
}

/** The advertised service, without its name (which a conflict may change) and the fields that differ per interface. */
export interface ServiceIdentity {
  readonly type: ServiceType;
  readonly id: string;
  readonly port: number;
}

/** The records of one service on one interface. */
export interface ServiceRecords {
  /** `_services._dns-sd._udp.local` PTR to the type: shared by all services of the type. */
  readonly enumeration: DnsRecord;
  /** Type PTR to the instance: shared by name, ours by data. */
  readonly pointer: DnsRecord;
  readonly srv: SrvRecord;
  readonly txt: TxtRecord;
  /** A and AAAA of the host, only addresses of this interface. */
  readonly addresses: readonly DnsRecord[];
  /** All of the above, in the order they are announced. */
  readonly all: readonly DnsRecord[];
}

/**
 * Builds the records of a service as one interface shows them.
 * @param label the name of the instance, one DNS label
 * @param txt encoded entries
 * @param addresses IPv4 and IPv6 addresses of the interface
 */
function buildRecords(
  service: ServiceIdentity,
  label: string,
  txt: readonly Buffer[],
  addresses: readonly string[],
): ServiceRecords {
  const instance = instanceName(label, service.type);
  const host = hostName(service.id);
  const shared = { ttlS: DNSSD.otherTtlS, flush: false };
  const enumeration: DnsRecord = {
    name: TYPE_ENUMERATION,
    type: "PTR",
    ...shared,
    data: typeName(service.type),
  };
  const pointer: DnsRecord = { name: typeName(service.type), type: "PTR", ...shared, data: instance };
  const srv: SrvRecord = {
    name: instance,
    type: "SRV",
    ttlS: DNSSD.hostTtlS,
    flush: true,
    data: { priority: 0, weight: 0, port: service.port, target: host },
  };
  const text: TxtRecord = { name: instance, type: "TXT", ttlS: DNSSD.otherTtlS, flush: true, data: txt };
  const hosts = (["A", "AAAA"] as const).flatMap((type) =>
    addresses
      .filter((address) => address.includes(":") === (type === "AAAA"))
      .slice(0, DNSSD.addressesPerHostMax)
      .map((data): DnsRecord => ({ name: host, type, ttlS: DNSSD.hostTtlS, flush: true, data })),
  );
  return {
    enumeration,
    pointer,
    srv,
    txt: text,
    addresses: hosts,
    all: [enumeration, pointer, srv, text, ...hosts],
  };
}
