import type { Machine, Random } from "../core/machine.js";
import { DNSSD } from "./limits.js";
import { type Instance, LinkView, type Sighting, type ViewedLink } from "./link-view.js";
import { type DnsPacket, type DnsQuestion, questionPackets } from "./packet.js";
import type { SendEffect, Sender } from "./presence.js";
import { type ServiceType, typeName } from "./records.js";

export type BrowserInput =
  | { readonly type: "browsed" | "unbrowsed"; readonly service: ServiceType }
  | ({ readonly type: "linkUp" } & ViewedLink)
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
 * Browses service types on all interfaces: asks at once and then ever less often, caches records for their TTL,
 * refreshes them before it ends, and reports services that come, change and go.
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

  /** Whether the name is in use by another host. */
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
        this.#links.set(input.link, new LinkView(input, this.random));
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
    const events = this.#look(link, view, view.take(packet, from.address, this.#schedules.keys(), nowMs));
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

  /** All questions that are due, on each link in as few packets as possible. */
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

/** A service as all interfaces together show it; host, port and TXT come from the interface that heard it first. */
export interface DiscoveredService extends Sighting {
  readonly type: ServiceType;
  /** The name of the instance, which a conflict may change. */
  readonly name: string;
  /** The identity from TXT; absent when another program advertises the type without one. */
  readonly id?: string;
  /** The service as seen on each interface, in order of arrival. `txt` of the whole holds the keys of all of them. */
  readonly sightings: readonly Sighting[];
}

interface ServiceEvent {
  readonly type: "up" | "changed" | "down";
  readonly service: DiscoveredService;
}

interface Seen {
  readonly type: ServiceType;
  readonly name: string;
  readonly id: string | undefined;
  readonly byLink: Map<string, Sighting>;
  told: DiscoveredService;
}

/** Merges the sightings on all interfaces into services, and reports changes. One identity and name is one service. */
class ServiceTable {
  readonly #services = new Map<string, Seen>();
  /** Link and instance to the key of the service it is part of. */
  readonly #keys = new Map<string, string>();

  /** Services of a type that are up. */
  list(type: ServiceType): readonly DiscoveredService[] {
    return [...this.#services.values()].filter((seen) => seen.type === type).map((seen) => seen.told);
  }

  /**
   * Takes a link's current sighting of an instance.
   * @param name the label of the instance
   * @param sighting undefined when it is gone there, or not complete
   */
  see(
    link: string,
    type: ServiceType,
    name: string,
    sighting: Sighting | undefined,
  ): readonly ServiceEvent[] {
    // The separator cannot occur in a name or id.
    const place = `${link}\n${type}\n${name}`;
    const id = sighting?.txt.id;
    const key = sighting ? `${type}\n${name}\n${id ?? ""}` : undefined;
    const before = this.#keys.get(place);
    const events: ServiceEvent[] = [];
    if (before !== undefined && before !== key) {
      this.#keys.delete(place);
      events.push(...this.#lose(before, link));
    }
    if (sighting && key !== undefined) {
      this.#keys.set(place, key);
      events.push(...this.#gain(key, link, { type, name, id }, sighting));
    }
    return events;
  }

  #gain(
    key: string,
    link: string,
    head: Pick<Seen, "type" | "name" | "id">,
    sighting: Sighting,
  ): readonly ServiceEvent[] {
    const seen = this.#services.get(key);
    if (!seen) {
      const byLink = new Map([[link, sighting]]);
      const told = join(head, byLink);
      this.#services.set(key, { ...head, byLink, told });
      return [{ type: "up", service: told }];
    }
    seen.byLink.set(link, sighting);
    return retell(seen);
  }

  #lose(key: string, link: string): readonly ServiceEvent[] {
    const seen = this.#services.get(key);
    if (!seen?.byLink.delete(link)) return [];
    if (seen.byLink.size > 0) return retell(seen);
    this.#services.delete(key);
    return [{ type: "down", service: seen.told }];
  }
}

function retell(seen: Seen): readonly ServiceEvent[] {
  const now = join(seen, seen.byLink);
  if (JSON.stringify(now) === JSON.stringify(seen.told)) return [];
  seen.told = now;
  return [{ type: "changed", service: now }];
}

function join(
  { type, name, id }: Pick<Seen, "type" | "name" | "id">,
  byLink: ReadonlyMap<string, Sighting>,
): DiscoveredService {
  const sightings = [...byLink.values()];
  const first = sightings[0]!;
  const addresses = [...new Set(sightings.flatMap((sighting) => sighting.addresses))];
  // Assigned from last to first, so that the first heard wins; fromEntries, for keys such as __proto__.
  const txt = Object.fromEntries(sightings.toReversed().flatMap((sighting) => Object.entries(sighting.txt)));
  return { type, name, ...(id === undefined ? {} : { id }), ...first, addresses, txt, sightings };
}
