import { afterEach, expect } from "vitest";
import {
  type AdvertisedService,
  type DiscoveredService,
  type DnsSd,
  openDnsSd,
} from "../../src/discovery/index.js";

const opened: DnsSd[] = [];
export const warnings: Error[] = [];
let serial = 0;

afterEach(async () => {
  await Promise.all(opened.splice(0).map((dnssd) => dnssd.close()));
  expect(warnings.splice(0)).toEqual([]);
});

export async function open(): Promise<DnsSd> {
  const dnssd = await openDnsSd({
    interfaces: ["127.0.0.1"],
    onWarning: (warning) => warnings.push(warning),
  });
  opened.push(dnssd);
  return dnssd;
}

/** A service with a name and identity that no other test uses: all tests share one port. */
export function service(fields: Partial<AdvertisedService> = {}): AdvertisedService {
  const unique = `${process.pid}-${++serial}`;
  return {
    type: "_hubcast._tcp",
    name: `web ${unique}`,
    id: `ID-${unique}`,
    port: 4_000,
    txt: {},
    ...fields,
  };
}

/** The events of a browser about the identities that matter. */
export function watch(
  dnssd: DnsSd,
  ids: readonly string[],
  type: AdvertisedService["type"] = "_hubcast._tcp",
) {
  const events: (readonly [string, string])[] = [];
  const services = new Map<string, DiscoveredService>();
  const note = (event: string) => (found: DiscoveredService) => {
    if (found.id === undefined || !ids.includes(found.id)) return;
    events.push([event, found.id]);
    if (event === "down") services.delete(found.id);
    else services.set(found.id, found);
  };
  const handle = dnssd.browse(type, { up: note("up"), changed: note("changed"), down: note("down") });
  return { events, services, close: () => handle.close() };
}
