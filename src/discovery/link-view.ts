import type { Random } from "../core/machine.js";
import { RecordCache } from "./cache.js";
import { DNSSD } from "./limits.js";
import type { DnsPacket, DnsQuestion } from "./packet.js";
import {
  type DnsRecord,
  decodeTxt,
  fold,
  instanceName,
  isPrintable,
  labelOf,
  type ServiceType,
  type SrvRecord,
  setKey,
  type TxtRecord,
  typeName,
} from "./records.js";

/** A service as one interface shows it. */
export interface Sighting {
  /** The address of ours through which it was heard. */
  readonly interfaceAddress: string;
  /** Source address of the packet that named it first: unproven, as all of mDNS is. */
  readonly introducer: string;
  readonly host: string;
  readonly port: number;
  /** IPv4 first. */
  readonly addresses: readonly string[];
  /** Keys in lower case. */
  readonly txt: Readonly<Record<string, string>>;
}

/** An instance that a PTR named. */
export interface Instance {
  readonly type: ServiceType;
  readonly label: string;
  readonly introducer: string;
  /** The host of its SRV record, folded; undefined while that is unknown. */
  host: string | undefined;
}

/** The interface that a view is of. */
export interface ViewedLink {
  readonly link: string;
  readonly interfaceAddress: string;
  readonly loopback: boolean;
}

/** The state of one interface: instances of the browsed types, their records, and open questions about them. */
export class LinkView {
  readonly #cache: RecordCache;
  /** By folded full name. */
  readonly #instances = new Map<string, Instance>();
  /** By type and introducer, and how many those are. */
  readonly #introduced = new Map<ServiceType, { readonly by: Map<string, Set<Instance>>; count: number }>();
  /** Instances without an SRV record. */
  readonly #homeless = new Set<Instance>();
  readonly #byHost = new Map<string, Set<Instance>>();
  readonly #unresolved = new ResolvePlan();
  /** Instances left out because `instancesMax` was reached. */
  refusedCount = 0;

  constructor(
    private readonly via: ViewedLink,
    random: Random,
  ) {
    this.#cache = new RecordCache(random);
  }

  get wakeAtMs(): number {
    return Math.min(this.#cache.nextAtMs, this.#unresolved.nextAtMs);
  }

  isTaken(label: string, type: ServiceType): boolean {
    return this.#instances.has(fold(instanceName(label, type)));
  }

  /**
   * Takes the records of a response that belong to browsed types: first PTR, then SRV and TXT of instances that
   * a PTR named, then addresses of hosts that an SRV named. So nothing is kept that no bounded list leads to. Records that
   * concern more than `instancesPerPacketMax` instances are not taken.
   * @param introducer the sender's address
   * @returns instances to look at again
   */
  take(
    packet: DnsPacket,
    introducer: string,
    types: Iterable<ServiceType>,
    nowMs: number,
  ): ReadonlySet<Instance> {
    const records = [...packet.answers, ...packet.additionals];
    const touched = new Set<Instance>();
    const mayTouch = (instance: Instance | undefined) =>
      touched.size < DNSSD.instancesPerPacketMax || (instance !== undefined && touched.has(instance));
    const browsed = [...types];
    /** Types without room for another of this sender. The search walks over all senders: once a packet is enough. */
    const full = new Set<ServiceType>();
    for (const record of records) {
      if (record.type !== "PTR") continue;
      const name = fold(record.name);
      const type = browsed.find((candidate) => name === typeName(candidate));
      const known = this.#find(record.data);
      if (!type || !mayTouch(known)) continue;
      const instance = known ?? this.#make(record, type, introducer, touched, full);
      if (!instance) continue;
      this.#cache.put(record, DNSSD.instancesMax, nowMs);
      touched.add(instance);
    }
    for (const record of records) {
      const instance = record.type === "SRV" || record.type === "TXT" ? this.#find(record.name) : undefined;
      if (!instance || !mayTouch(instance)) continue;
      if (record.type === "SRV" && !isHostName(record.data.target)) continue;
      this.#cache.put(record, DNSSD.recordsPerInstanceMax, nowMs);
      touched.add(instance);
    }
    for (const instance of touched) this.#point(instance);
    for (const record of records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      const instances = this.#byHost.get(fold(record.name));
      if (!instances || ![...instances].every(mayTouch)) continue;
      if (!isReachable(record.data, this.via.loopback)) continue;
      const isNew = this.#cache.put(record, DNSSD.addressesPerHostMax, nowMs);
      if (isNew) for (const instance of instances) touched.add(instance);
    }
    this.#plan(touched, nowMs);
    return touched;
  }

  /** Drops expired records. @returns instances to look at again */
  expire(nowMs: number): ReadonlySet<Instance> {
    const touched = new Set<Instance>();
    for (const record of this.#cache.expire(nowMs)) {
      const instance = this.#find(record.type === "PTR" ? record.data : record.name);
      if (instance) touched.add(instance);
      if (record.type === "A" || record.type === "AAAA") {
        for (const user of this.#byHost.get(fold(record.name)) ?? []) touched.add(user);
      } else if (instance && record.type === "PTR") {
        this.#forget(instance);
      } else if (instance) {
        this.#point(instance);
      }
    }
    this.#plan(touched, nowMs);
    return touched;
  }

  /** Forgets a type that is no longer browsed. @returns its instances, now gone */
  drop(type: ServiceType): readonly Instance[] {
    const dropped = this.instances().filter((instance) => instance.type === type);
    for (const instance of dropped) this.#forget(instance);
    return dropped;
  }

  /** All instances of all types. */
  instances(): readonly Instance[] {
    return [...this.#instances.values()];
  }

  /** The sighting of an instance; undefined until PTR, SRV, TXT and an address are known. */
  sighting(instance: Instance): Sighting | undefined {
    const name = instanceName(instance.label, instance.type);
    if (!this.#has(instance)) return undefined;
    const srv = this.#cache.get("SRV", name)[0] as SrvRecord | undefined;
    const txt = this.#cache.get("TXT", name)[0] as TxtRecord | undefined;
    const addresses = srv ? this.#addresses(srv.data.target) : [];
    if (!srv || !txt || addresses.length === 0) return undefined;
    const { target: host, port } = srv.data;
    const { interfaceAddress } = this.via;
    const { introducer } = instance;
    return { interfaceAddress, introducer, host, port, addresses, txt: decodeTxt(txt.data) };
  }

  /** Questions that are due: records near their end, and those that an instance still lacks. */
  questionsDue(nowMs: number): readonly DnsQuestion[] {
    const questions = new Map<string, DnsQuestion>();
    const ask = (question: DnsQuestion) => questions.set(setKey(question.type, question.name), question);
    for (const { type, name } of this.#cache.takeRefreshDue(nowMs)) ask({ type, name, unicast: false });
    const most = DNSSD.questionsPerPacketMax / 3;
    for (const instance of this.#unresolved.takeDue(most, nowMs)) this.#missing(instance).forEach(ask);
    return [...questions.values()];
  }

  known(type: ServiceType, nowMs: number): readonly DnsRecord[] {
    return this.#cache.known("PTR", typeName(type), nowMs);
  }

  #find(name: string): Instance | undefined {
    return this.#instances.get(fold(name));
  }

  /** A new instance, if it is one, no goodbye, and there is room. */
  #make(
    { data: name, ttlS }: Extract<DnsRecord, { type: "PTR" | "A" | "AAAA" }>,
    type: ServiceType,
    introducer: string,
    touched: Set<Instance>,
    full: Set<ServiceType>,
  ): Instance | undefined {
    if (full.has(type)) return undefined;
    const label = labelOf(name, type);
    if (label === undefined || ttlS === 0) return undefined;
    const introduced = this.#introduced.get(type) ?? { by: new Map<string, Set<Instance>>(), count: 0 };
    this.#introduced.set(type, introduced);
    if (introduced.count >= DNSSD.instancesMax && !this.#makeRoom(type, introducer, touched)) {
      full.add(type);
      this.refusedCount++;
      return undefined;
    }
    const instance: Instance = { type, label, introducer, host: undefined };
    this.#instances.set(fold(name), instance);
    introduced.by.set(introducer, (introduced.by.get(introducer) ?? new Set()).add(instance));
    introduced.count++;
    this.#homeless.add(instance);
    return instance;
  }

  /**
   * An instance that died or never resolved makes room: its PTR alone would stay for over an hour. Else one of the sender
   * that introduced most does, so that a sender that announces thousands does not keep others out.
   */
  #makeRoom(type: ServiceType, introducer: string, touched: Set<Instance>): boolean {
    let leaves = this.#homelessOf(type);
    if (!leaves) {
      const { by } = this.#introduced.get(type)!;
      let most = by.get(introducer);
      for (const instances of by.values()) if (instances.size > (most?.size ?? 0) + 1) most = instances;
      if (!most || most === by.get(introducer)) return false;
      [leaves] = most;
    }
    this.#forget(leaves!);
    touched.add(leaves!);
    return true;
  }

  #homelessOf(type: ServiceType): Instance | undefined {
    for (const instance of this.#homeless) if (instance.type === type) return instance;
    return undefined;
  }

  #plan(touched: ReadonlySet<Instance>, nowMs: number): void {
    for (const instance of touched) {
      if (this.#has(instance) && this.#missing(instance).length > 0) this.#unresolved.need(instance, nowMs);
      else this.#unresolved.done(instance);
    }
  }

  #missing(instance: Instance): readonly DnsQuestion[] {
    const name = instanceName(instance.label, instance.type);
    const missing: DnsQuestion[] = [];
    if (instance.host === undefined) missing.push({ name, type: "SRV", unicast: false });
    else if (this.#addresses(instance.host).length === 0) {
      missing.push({ name: instance.host, type: "A", unicast: false });
      missing.push({ name: instance.host, type: "AAAA", unicast: false });
    }
    if (this.#cache.get("TXT", name).length === 0) missing.push({ name, type: "TXT", unicast: false });
    return missing;
  }

  #has(instance: Instance): boolean {
    return this.#find(instanceName(instance.label, instance.type)) === instance;
  }

  /** Follows an instance's SRV to its host. */
  #point(instance: Instance): void {
    const name = instanceName(instance.label, instance.type);
    const srv = this.#cache.get("SRV", name)[0] as SrvRecord | undefined;
    const host = srv && fold(srv.data.target);
    if (host === instance.host) return;
    this.#unpoint(instance);
    if (host === undefined) return;
    const users = this.#byHost.get(host) ?? new Set();
    if (users.size >= DNSSD.instancesPerHostMax) return;
    instance.host = host;
    this.#homeless.delete(instance);
    this.#byHost.set(host, users.add(instance));
  }

  #unpoint(instance: Instance): void {
    const { host } = instance;
    if (host === undefined) return;
    instance.host = undefined;
    this.#homeless.add(instance);
    const users = this.#byHost.get(host);
    users?.delete(instance);
    if (users?.size !== 0) return;
    this.#byHost.delete(host);
    this.#cache.removeName(host);
  }

  #forget(instance: Instance): void {
    const name = fold(instanceName(instance.label, instance.type));
    this.#unpoint(instance);
    this.#instances.delete(name);
    this.#homeless.delete(instance);
    const introduced = this.#introduced.get(instance.type);
    const siblings = introduced?.by.get(instance.introducer);
    if (siblings?.delete(instance)) introduced!.count--;
    if (siblings?.size === 0) introduced!.by.delete(instance.introducer);
    this.#unresolved.done(instance);
    this.#cache.removeName(name);
    this.#cache.removeRecord({
      name: typeName(instance.type),
      type: "PTR",
      ttlS: 0,
      flush: false,
      data: name,
    });
  }

  /** Sorted, so that a refresh in another order is no change. */
  #addresses(host: string): readonly string[] {
    const of = (type: "A" | "AAAA") =>
      this.#cache.get(type, host).flatMap(({ data }) => (typeof data === "string" ? [data] : []));
    const { link } = this.via;
    // A link-local address means something on its link alone.
    const zoned = of("AAAA").map((address) => (/^fe[89ab]/i.test(address) ? `${address}%${link}` : address));
    return [...of("A").sort(), ...zoned.sort()];
  }
}

/** DNS names are at most 254 characters, and dns-packet reads no longer ones. */
function isHostName(name: string): boolean {
  return name !== "." && isPrintable(name);
}

/**
 * Whether an address may be that of one host on this link. An address of the loopback interface that comes from elsewhere
 * would make nodes dial themselves, and commands take a foreign host for this machine.
 */
function isReachable(address: string, loopback: boolean): boolean {
  if (address.includes(":")) {
    if (/^(::|ff.*|::ffff:.*)$/i.test(address)) return false;
    return loopback || address !== "::1";
  }
  const first = Number(address.split(".")[0]);
  return first > 0 && first < 224 && (loopback || first !== 127);
}

interface Attempt {
  atMs: number;
  count: number;
  lastMs: number;
}

/** When to ask about incomplete instances: after 20 ms, then after 1, 2, 4 ... s, a bounded number of times. */
class ResolvePlan {
  readonly #attempts = new Map<Instance, Attempt>();
  #nextAtMs = Number.POSITIVE_INFINITY;

  get nextAtMs(): number {
    return this.#nextAtMs;
  }

  /** The instance was heard of and lacks something. Given up on, it gets a new round once a minute at most. */
  need(instance: Instance, nowMs: number): void {
    const before = this.#attempts.get(instance);
    if (before && (before.atMs < Number.POSITIVE_INFINITY || nowMs - before.lastMs < DNSSD.askIntervalMsMax))
      return;
    this.#attempts.set(instance, { atMs: nowMs + DNSSD.resolveDelayMs, count: 0, lastMs: nowMs });
    this.#nextAtMs = Math.min(this.#nextAtMs, nowMs + DNSSD.resolveDelayMs);
  }

  /** It lacks nothing, or is gone. */
  done(instance: Instance): void {
    this.#attempts.delete(instance);
  }

  /** Takes at most `max` instances to ask about now; more stay due. */
  takeDue(max: number, nowMs: number): readonly Instance[] {
    if (nowMs < this.#nextAtMs) return [];
    const due: Instance[] = [];
    this.#nextAtMs = Number.POSITIVE_INFINITY;
    for (const [instance, attempt] of this.#attempts) {
      if (attempt.atMs <= nowMs && due.length < max) {
        due.push(instance);
        attempt.count++;
        attempt.lastMs = nowMs;
        attempt.atMs =
          attempt.count < DNSSD.resolveAttemptsMax
            ? nowMs + DNSSD.askIntervalMsMin * 2 ** (attempt.count - 1)
            : Number.POSITIVE_INFINITY;
      } else if (attempt.atMs <= nowMs) {
        attempt.atMs = nowMs + DNSSD.resolveDelayMs;
      }
      this.#nextAtMs = Math.min(this.#nextAtMs, attempt.atMs);
    }
    return due;
  }
}
