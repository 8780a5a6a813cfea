import type { Random } from "../../../core/machine.js";
import { RecordCache } from "./cache.js";
import { DNSSD } from "./limits.js";
import { fold, instanceName, labelOf, type ServiceType, typeName } from "./names.js";
import type { DnsPacket, DnsQuestion } from "./packet.js";
import { type DnsRecord, type SrvRecord, setKey, type TxtRecord } from "./records.js";
import { ResolvePlan } from "./resolve-plan.js";
import type { Sighting } from "./service-table.js";
import { decodeTxt } from "./txt.js";

/** An instance that a PTR named. */
export interface Instance {
  readonly type: ServiceType;
  readonly label: string;
  /** Where its SRV points to, folded; undefined while that is unknown. */
  host: string | undefined;
}

/** What one interface shows: instances of the browsed types, their records, and what is to be asked about them. */
export class LinkView {
  readonly #cache: RecordCache;
  /** By folded full name. */
  readonly #instances = new Map<string, Instance>();
  readonly #counts = new Map<ServiceType, number>();
  /** Those that no SRV leads on from. */
  readonly #homeless = new Set<Instance>();
  readonly #byHost = new Map<string, Set<Instance>>();
  readonly #unresolved = new ResolvePlan<Instance>();
  /** Instances left out because `instancesMax` was reached. */
  refusedCount = 0;

  constructor(
    readonly interfaceAddress: string,
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
   * a PTR named, then addresses of hosts that an SRV named. So nothing is kept that no bounded list leads to.
   * @returns instances to look at again
   */
  take(packet: DnsPacket, types: Iterable<ServiceType>, nowMs: number): ReadonlySet<Instance> {
    const records = [...packet.answers, ...packet.additionals].slice(0, DNSSD.recordsPerPacketMax);
    const touched = new Set<Instance>();
    const browsed = [...types];
    for (const record of records) {
      if (record.type !== "PTR") continue;
      const type = browsed.find((candidate) => fold(record.name) === typeName(candidate));
      const instance = type && (this.#find(record.data) ?? this.#make(record.data, type, record.ttlS));
      if (!instance) continue;
      this.#cache.put(record, DNSSD.instancesMax, nowMs);
      touched.add(instance);
    }
    for (const record of records) {
      const instance = record.type === "SRV" || record.type === "TXT" ? this.#find(record.name) : undefined;
      if (!instance) continue;
      this.#cache.put(record, DNSSD.recordsPerSetMax, nowMs);
      touched.add(instance);
    }
    for (const instance of touched) this.#point(instance);
    for (const record of records) {
      if (record.type !== "A" && record.type !== "AAAA") continue;
      const instances = this.#byHost.get(fold(record.name));
      if (!instances) continue;
      this.#cache.put(record, DNSSD.recordsPerSetMax, nowMs);
      for (const instance of instances) touched.add(instance);
    }
    this.#plan(touched, nowMs);
    return touched;
  }

  /** Drops what is past its life. @returns instances to look at again */
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

  /** Forgets a type that nobody browses any more. @returns its instances, now gone */
  drop(type: ServiceType): readonly Instance[] {
    const dropped = this.instances().filter((instance) => instance.type === type);
    for (const instance of dropped) this.#forget(instance);
    return dropped;
  }

  /** All instances of all types. */
  instances(): readonly Instance[] {
    return [...this.#instances.values()];
  }

  /** What there is to tell about an instance; undefined until PTR, SRV, TXT and an address are known. */
  sighting(instance: Instance): Sighting | undefined {
    const name = instanceName(instance.label, instance.type);
    if (!this.#has(instance)) return undefined;
    const srv = this.#cache.get("SRV", name)[0] as SrvRecord | undefined;
    const txt = this.#cache.get("TXT", name)[0] as TxtRecord | undefined;
    const addresses = srv ? this.#addresses(srv.data.target) : [];
    if (!srv || !txt || addresses.length === 0) return undefined;
    const { target: host, port } = srv.data;
    return { interfaceAddress: this.interfaceAddress, host, port, addresses, txt: decodeTxt(txt.data) };
  }

  /** What to ask now: records near their end, and those that an instance still lacks. */
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
  #make(name: string, type: ServiceType, ttlS: number): Instance | undefined {
    const label = labelOf(name, type);
    if (label === undefined || ttlS === 0) return undefined;
    if ((this.#counts.get(type) ?? 0) >= DNSSD.instancesMax) {
      // One that died or never resolved makes room; its PTR alone would stay for over an hour.
      const [dead] = this.#homeless;
      if (dead?.type !== type) {
        this.refusedCount++;
        return undefined;
      }
      this.#forget(dead);
    }
    const instance: Instance = { type, label, host: undefined };
    this.#instances.set(fold(name), instance);
    this.#counts.set(type, (this.#counts.get(type) ?? 0) + 1);
    this.#homeless.add(instance);
    return instance;
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
    instance.host = host;
    this.#homeless.delete(instance);
    const users = this.#byHost.get(host) ?? new Set();
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
    this.#counts.set(instance.type, (this.#counts.get(instance.type) ?? 0) - 1);
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
    return [...of("A").sort(), ...of("AAAA").sort()];
  }
}
