import { expect, it } from "vitest";
import { localPlaceOf } from "../../src/cli/network.js";
import type { DiscoveredService } from "../../src/discovery/index.js";

const OWN = new Set(["127.0.0.1", "::1", "192.168.0.7"]);

function service(...places: { addresses: string[]; http?: string }[]): DiscoveredService {
  const sightings = places.map(({ addresses, http }) => ({
    interfaceAddress: "127.0.0.1",
    introducer: "127.0.0.1",
    host: "hubcast-1.local",
    port: 4001,
    addresses,
    txt: http === undefined ? {} : { http },
  }));
  return { type: "_hubcast._tcp", name: "kitchen", id: "1", sightings, ...sightings[0]! };
}

it.each([
  [
    "loopback first",
    service({ addresses: ["192.168.0.7"], http: "80" }, { addresses: ["127.0.0.1"], http: "81" }),
    "127.0.0.1:81",
  ],
  [
    "an address of this machine",
    service({ addresses: ["10.0.0.1", "192.168.0.7"], http: "80" }),
    "192.168.0.7:80",
  ],
  ["IPv6 in brackets", service({ addresses: ["::1"], http: "80" }), "[::1]:80"],
  ["no other machine", service({ addresses: ["192.168.0.8"], http: "80" }), undefined],
  ["no interface without the API", service({ addresses: ["127.0.0.1"] }), undefined],
  ["no port that is none", service({ addresses: ["127.0.0.1"], http: "80/evil" }), undefined],
])("uses %s", (_what, found, place) => {
  expect(localPlaceOf(found, OWN)).toBe(place);
});
