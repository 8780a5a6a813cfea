import type { Machine, Random } from "../../../core/machine.js";
import { DNSSD } from "./limits.js";
import type { SendEffect, Sender } from "./link.js";
import { type Instance, LinkView } from "./link-view.js";
import { type ServiceType, typeName } from "./names.js";
import type { DnsPacket, DnsQuestion } from "./packet.js";
import { questionPackets } from "./question-packets.js";
import { type DiscoveredService, type ServiceEvent, ServiceTable } from "./service-table.js";

export type BrowserInput =
  | { readonly type: "browsed" | "unbrowsed"; readonly service: ServiceType }
  | { readonly type: "linkUp"; readonly link: string; readonly interfaceAddress: string }
  | { readonly type: "linkDown"; readonly link: string }
  | { readonly type: "packet"; readonly link: string; readonly packet: DnsPacket; readonly from: Sender }
  | { readonly type: "woke" };

export type BrowserEffect =
  | SendEffect
  | ServiceEvent
  /** More instances than `instancesMax` are on that link; said once per link. */
  | { readonly type: "full"; readonly link: string };

interface Schedule {
  askAtMs: number;
  intervalMs: number;
}

/**
 * Browses service types on all interfaces: asks at once and then ever less often, keeps what it hears for as
 * long as it lives, asks again before that ends, and tells which services come, change and go.
 * @see RFC 6762, sections 5 and 10
 */
export class Browser implements Machine<BrowserInput, BrowserEffect> {
  readonly #links = new Map<string, LinkView>();
  readonly #schedules = new Map<ServiceType, Schedule>();
  readonly #table = new ServiceTable();
  readonly #fullTold = new Set<string>();

  constructor(private readonly random: Random) {}

  get wakeAtMs(): number {
    let wakeAtMs = Number.POSITIVE_INFINITY;
    for (const { askAtMs } of this.#schedules.values()) wakeAtMs = Math.min(wakeAtMs, askAtMs);
    for (const view of this.#links.values()) wakeAtMs = Math.min(wakeAtMs, view.wakeAtMs);
    return wakeAtMs;
  }

  /** Services of a type that are up now. */
  services(type: ServiceType): readonly DiscoveredService[] {
    return this.#table.list(type);
  }

  /** Whether anybody was heard to use that name. */
  isTaken(label: string, type: ServiceType): boolean {
    return [...this.#links.values()].some((view) => view.isTaken(label, type));
  }

  handle(input: BrowserInput, nowMs: number): readonly BrowserEffect[] {
    switch (input.type) {
      case "browsed":
        if (this.#schedules.has(input.service)) return [];
        this.#schedules.set(input.service, { askAtMs: nowMs, intervalMs: DNSSD.askIntervalMsMin });
        return this.#ask(nowMs);
      case "unbrowsed":
        this.#schedules.delete(input.service);
        for (const [link, view] of this.#links) {
          this.#look(link, view, view.drop(input.service));
        }
        return [];
      case "linkUp": {
        this.#links.set(input.link, new LinkView(input.interfaceAddress, this.random));
        for (const type of this.#schedules.keys()) {
          this.#schedules.set(type, { askAtMs: nowMs, intervalMs: DNSSD.askIntervalMsMin });
        }
        return this.#ask(nowMs);
      }
      case "linkDown": {
        const view = this.#links.get(input.link);
        this.#links.delete(input.link);
        this.#fullTold.delete(input.link);
        return view?.instances().flatMap((instance) => this.#tell(input.link, instance, undefined)) ?? [];
      }
      case "packet":
        return this.#onPacket(input.link, input.packet, input.from, nowMs);
      case "woke": {
        const events = [...this.#links].flatMap(([link, view]) => this.#look(link, view, view.expire(nowMs)));
        return [...events, ...this.#ask(nowMs)];
      }
    }
  }

  #onPacket(link: string, packet: DnsPacket, from: Sender, nowMs: number): readonly BrowserEffect[] {
    const view = this.#links.get(link);
    // 6: an answer from another port is no answer.
    if (!view || packet.kind !== "response" || from.port !== DNSSD.port) return [];
    const events = this.#look(link, view, view.take(packet, this.#schedules.keys(), nowMs));
    if (view.refusedCount === 0 || this.#fullTold.has(link)) return events;
    this.#fullTold.add(link);
    return [...events, { type: "full", link }];
  }

  #look(link: string, view: LinkView, instances: Iterable<Instance>): readonly ServiceEvent[] {
    return [...instances].flatMap((instance) => this.#tell(link, instance, view.sighting(instance)));
  }

  #tell(link: string, { type, label }: Instance, sighting: ReturnType<LinkView["sighting"]>) {
    return this.#table.see(link, type, label, sighting);
  }

  /** Everything that is to be asked now, on each link in as few packets as it fits in. */
  #ask(nowMs: number): readonly SendEffect[] {
    const due = [...this.#schedules].filter(([, schedule]) => schedule.askAtMs <= nowMs);
    for (const [, schedule] of due) {
      schedule.askAtMs = nowMs + schedule.intervalMs;
      schedule.intervalMs = Math.min(schedule.intervalMs * 2, DNSSD.askIntervalMsMax);
    }
    const sends: SendEffect[] = [];
    for (const [link, view] of this.#links) {
      const types = due.map(([type]) => type);
      const questions = types.map(
        (type): DnsQuestion => ({ name: typeName(type), type: "PTR", unicast: false }),
      );
      const known = types.flatMap((type) => view.known(type, nowMs));
      // Type questions last: the known answers go with the last packet of questions.
      const packets = questionPackets([...view.questionsDue(nowMs), ...questions], known);
      for (const packet of packets) sends.push({ type: "send", link, packet });
    }
    return sends;
  }
}
