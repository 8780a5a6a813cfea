import type { Random } from "../../../core/machine.js";
import { additionalsFor, answersTo, forLegacy, isKnown } from "./answer.js";
import { AnswerQueue } from "./answer-queue.js";
import { DNSSD } from "./limits.js";
import type { LinkUp, SendEffect, Sender } from "./link.js";
import { type DnsPacket, query, response } from "./packet.js";
import type { DnsRecord } from "./records.js";
import { buildRecords, type ServiceIdentity, type ServiceRecords } from "./service.js";
import { encodeTxt } from "./txt.js";

/** One service on one interface: its records there, how far probing and announcing are, answers that wait. */
export class Presence {
  readonly link: string;
  records: ServiceRecords;
  /** Lost the name to one who probed it at the same time, and waits to ask again. */
  isDeferred = false;
  #phase: "probing" | "announcing" | "settled" = "probing";
  #stepsDone = 0;
  #stepAtMs: number;
  readonly #queue = new AnswerQueue();
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

  /** ... and nobody was asked yet. */
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
  }

  /** 8.2: lost a simultaneous probe; asks again in a second, in case the winner was but a late packet. */
  defer(nowMs: number): void {
    if (this.isDeferred) return;
    this.#stepsDone = 0;
    this.#stepAtMs = nowMs + DNSSD.tieBreakWaitMs;
    this.isDeferred = true;
  }

  /** Sends what is due: the next probe or announcement, and answers. */
  wake(nowMs: number): SendEffect[] {
    const sends: SendEffect[] = [];
    if (nowMs >= this.#stepAtMs) sends.push(this.#step(nowMs));
    const answers = this.#queue.takeDue(nowMs);
    if (answers.length > 0) sends.push(this.#multicast(answers, nowMs));
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
    let unicast = true;
    for (const question of packet.questions) {
      for (const record of answersTo(question, this.records)) {
        if (isKnown(record, packet.answers)) continue;
        answers.add(record);
        // 5.4: directly only while the others on the network still have it from us.
        unicast &&= question.unicast && nowMs - this.#queue.lastSentAtMs(record) < record.ttlS * 250;
      }
    }
    if (answers.size === 0) return [];
    if (from.port !== DNSSD.port) return this.#reply(packet, forLegacy([...answers]), answers, from, nowMs);
    const probe = packet.authorities.length > 0;
    if (unicast && !probe) return this.#reply(undefined, [...answers], answers, from, nowMs);
    this.#schedule(answers, packet, from, nowMs);
    return this.wake(nowMs);
  }

  /** The records are void from now on; nothing when they were never announced. */
  goodbye(): SendEffect[] {
    if (this.isProbing) return [];
    // The enumeration of types is shared: other nodes go on having services of this type.
    const gone = this.records.all.filter((record) => record !== this.records.enumeration);
    return [this.#send(response({ answers: gone.map((record) => ({ ...record, ttlS: 0 })) }))];
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
        from.address,
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
