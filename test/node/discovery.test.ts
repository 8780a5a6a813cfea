import { expect, test } from "vitest";
import type { DiscoveredService } from "../../src/discovery/index.js";
import { IntroducedNodes } from "../../src/node/discovery.js";

const shown = (
  id: string,
  addresses: readonly string[],
  { name = id, introducer = "10.0.0.9", port = 4_001 } = {},
): DiscoveredService => {
  const sighting = { interfaceAddress: "10.0.0.1", introducer, host: "h.local", port, addresses, txt: {} };
  return { type: "_hubcast._tcp", name, id, ...sighting, sightings: [sighting] };
};

test("a node is dialled at each of its addresses, with the port of the interface that shows them", () => {
  const introduced = new IntroducedNodes();
  expect(introduced.up(shown("A", ["10.0.0.9", "fe80::9%eth0"]), 0)).toEqual({
    id: "A",
    addresses: ["10.0.0.9:4001", "[fe80::9%eth0]:4001"],
    introducer: "10.0.0.9",
  });
});

test("however many nodes one sender announces at an address, few are dialled there", () => {
  const introduced = new IntroducedNodes();
  let dialled = 0;
  for (let n = 0; n < 1_000; n++)
    if (introduced.up(shown(`N${n}`, ["10.0.0.66"], { port: 1_000 + n }), n)) dialled++;
  expect(dialled).toBe(16);
});

test("nor from senders of many addresses", () => {
  const introduced = new IntroducedNodes();
  let dialled = 0;
  for (let n = 0; n < 1_000; n++)
    if (introduced.up(shown(`N${n}`, ["10.0.0.66"], { introducer: `10.1.${n >> 8}.${n & 255}` }), 0))
      dialled++;
  expect(dialled).toBe(16);
});

test("one sender introduces a bounded number of nodes, at once and by coming and going", () => {
  const introduced = new IntroducedNodes();
  let dialled = 0;
  for (let n = 0; n < 1_000; n++) {
    const node = shown(`N${n}`, [`10.2.${n >> 8}.${n & 255}`]);
    if (introduced.up(node, n)) dialled++;
    if (n >= 500) introduced.down(node);
  }
  expect(dialled).toBe(64);
  let later = 0;
  for (let n = 0; n < 1_000; n++) {
    const node = shown(`M${n}`, [`10.3.${n >> 8}.${n & 255}`]);
    if (introduced.up(node, 10_000 + n)) later++;
    introduced.down(node);
  }
  expect(later).toBeLessThan(15);
});

test("a node whose addresses change all the time is dialled at a bounded number of them", () => {
  const introduced = new IntroducedNodes();
  const hosts = new Set<string>();
  for (let n = 0; n < 5_000; n++) {
    const candidate = introduced.up(shown("A", [`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`]), n);
    for (const address of candidate?.addresses ?? []) hosts.add(address);
  }
  expect(hosts.size).toBeLessThanOrEqual(256 + 4 * 5);
});

test("nodes of this machine are not counted: nobody else can announce any on loopback", () => {
  const introduced = new IntroducedNodes();
  for (let n = 0; n < 200; n++)
    expect(introduced.up(shown(`N${n}`, ["127.0.0.1"], { introducer: "127.0.0.1" }), 0)).toBeDefined();
});

test("a goodbye under another name that claims to be the node takes nothing away", () => {
  const introduced = new IntroducedNodes();
  introduced.up(shown("A", ["10.0.0.9"]), 0);
  introduced.up(shown("A", ["10.0.0.66"], { name: "evil" }), 0);
  expect(introduced.down(shown("A", ["10.0.0.66"], { name: "evil" }))).toBe(false);
  expect(introduced.down(shown("A", ["10.0.0.9"]))).toBe(true);
  expect(introduced.down(shown("A", ["10.0.0.9"]))).toBe(false);
});
