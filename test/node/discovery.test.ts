import { expect, test } from "vitest";
import type { DiscoveredService } from "../../src/discovery/index.js";
import { Candidates } from "../../src/node/discovery.js";

const shown = (
  id: string,
  addresses: readonly string[],
  { name = id, introducer = "10.0.0.9", port = 4_001 } = {},
): DiscoveredService => {
  const sighting = { interfaceAddress: "10.0.0.1", introducer, host: "h.local", port, addresses, txt: {} };
  return { type: "_hubcast._tcp", name, id, ...sighting, sightings: [sighting] };
};

test("a node is dialled at each of its addresses, with the port of the interface that shows them", () => {
  const candidates = new Candidates();
  expect(candidates.up(shown("A", ["10.0.0.9", "fe80::9%eth0"]), 0)).toEqual({
    id: "A",
    addresses: ["10.0.0.9:4001", "[fe80::9%eth0]:4001"],
    introducer: "10.0.0.9",
  });
});

test("however many nodes one sender announces at an address, few are dialled there", () => {
  const candidates = new Candidates();
  let dialled = 0;
  for (let n = 0; n < 1_000; n++)
    if (candidates.up(shown(`N${n}`, ["10.0.0.66"], { port: 1_000 + n }), n)) dialled++;
  expect(dialled).toBe(16);
});

test("nor from senders of many addresses", () => {
  const candidates = new Candidates();
  let dialled = 0;
  for (let n = 0; n < 1_000; n++)
    if (candidates.up(shown(`N${n}`, ["10.0.0.66"], { introducer: `10.1.${n >> 8}.${n & 255}` }), 0))
      dialled++;
  expect(dialled).toBe(16);
});

test("one sender introduces a bounded number of nodes, at once and by coming and going", () => {
  const candidates = new Candidates();
  let dialled = 0;
  for (let n = 0; n < 1_000; n++) {
    const node = shown(`N${n}`, [`10.2.${n >> 8}.${n & 255}`]);
    if (candidates.up(node, n)) dialled++;
    if (n >= 500) candidates.down(node);
  }
  expect(dialled).toBe(64);
  let later = 0;
  for (let n = 0; n < 1_000; n++) {
    const node = shown(`M${n}`, [`10.3.${n >> 8}.${n & 255}`]);
    if (candidates.up(node, 10_000 + n)) later++;
    candidates.down(node);
  }
  expect(later).toBeLessThan(15);
});

test("a node whose addresses change all the time is dialled at a bounded number of them", () => {
  const candidates = new Candidates();
  const hosts = new Set<string>();
  for (let n = 0; n < 5_000; n++) {
    const candidate = candidates.up(shown("A", [`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`]), n);
    for (const address of candidate?.addresses ?? []) hosts.add(address);
  }
  expect(hosts.size).toBeLessThanOrEqual(256 + 4 * 5);
});

test("nodes of this machine are not counted: nobody else can announce any on loopback", () => {
  const candidates = new Candidates();
  for (let n = 0; n < 200; n++)
    expect(candidates.up(shown(`N${n}`, ["127.0.0.1"], { introducer: "127.0.0.1" }), 0)).toBeDefined();
});

test("a goodbye under another name that claims to be the node takes nothing away", () => {
  const candidates = new Candidates();
  candidates.up(shown("A", ["10.0.0.9"]), 0);
  candidates.up(shown("A", ["10.0.0.66"], { name: "evil" }), 0);
  expect(candidates.down(shown("A", ["10.0.0.66"], { name: "evil" }))).toBe(false);
  expect(candidates.down(shown("A", ["10.0.0.9"]))).toBe(true);
  expect(candidates.down(shown("A", ["10.0.0.9"]))).toBe(false);
});
