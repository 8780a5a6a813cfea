import type { ServiceType } from "./names.js";

/** A service as one interface shows it. */
export interface Sighting {
  /** The address of ours through which it was heard. */
  readonly interfaceAddress: string;
  readonly host: string;
  readonly port: number;
  /** IPv4 first. */
  readonly addresses: readonly string[];
  /** Keys in lower case. */
  readonly txt: Readonly<Record<string, string>>;
}

/** A service as all interfaces together show it; host, port and TXT are those of where it was heard first. */
export interface DiscoveredService extends Sighting {
  readonly type: ServiceType;
  /** The name of the instance, which a conflict may change. */
  readonly name: string;
  /** The identity from TXT; absent when somebody else's program advertises the type without one. */
  readonly id?: string;
  /** What each interface shows, the first heard first. `txt` of the whole holds the keys of all of them. */
  readonly sightings: readonly Sighting[];
}

export interface ServiceEvent {
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

/** Joins what the interfaces show into services, and tells what changed. One identity and name is one service. */
export class ServiceTable {
  readonly #services = new Map<string, Seen>();
  /** Link and instance to the key of the service it is part of. */
  readonly #keys = new Map<string, string>();

  /** Services of a type that are up. */
  list(type: ServiceType): readonly DiscoveredService[] {
    return [...this.#services.values()].filter((seen) => seen.type === type).map((seen) => seen.told);
  }

  /**
   * Takes what a link now shows of an instance.
   * @param name the label of the instance
   * @param sighting undefined when it is gone there, or not complete
   */
  see(
    link: string,
    type: ServiceType,
    name: string,
    sighting: Sighting | undefined,
  ): readonly ServiceEvent[] {
    // Joined by what no name or id may hold.
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
