import { expect, test } from "vitest";
import { agreementLines, agreementOf, disagreementOf } from "../../src/cli/agreement.js";
import type { NodeStatus, Peer } from "../../src/node/broadcast.js";

const NOW_MS = 1_700_000_000_000;

test("a node whose connected peers all agree agrees", () => {
  const agreement = agreementOf(status(), [peer("hall"), peer("attic")]);
  expect(agreement).toMatchObject({ agreed: true, name: "kitchen", items: 7 });
  expect(agreementLines(agreement, NOW_MS)).toEqual([
    "kitchen  holds 7 items",
    "hall     agrees",
    "attic    agrees",
  ]);
});

test("a node alone agrees, unless it is still starting", () => {
  expect(agreementOf(status(), [])).toMatchObject({ agreed: true, alone: true });
  const starting = agreementOf(status({ state: "starting" }), []);
  expect(starting.agreed).toBe(false);
  expect(disagreementOf(starting)).toBe("kitchen is starting: it has not compared itself with anybody yet");
});

test("a peer that differs is shown with both counts, and since when", () => {
  const agreement = agreementOf(status(), [peer("hall"), differing("attic", 3, "0a")]);
  expect(agreement.agreed).toBe(false);
  expect(agreement.peers[1]).toEqual({
    id: "id-attic",
    name: "attic",
    verdict: "differs",
    items: 3,
    itemsHere: 7,
    sinceMs: NOW_MS - 5_000,
  });
  expect(agreementLines(agreement, NOW_MS)[2]).toBe(
    "attic    differs for 5.0 s: it holds 3 items, here are 7, so they differ in 4 or more",
  );
  expect(disagreementOf(agreement)).toBe("hold another set than kitchen: attic");
});

test("equal counts of different sets differ in one item at least", () => {
  const [, line] = agreementLines(agreementOf(status(), [differing("attic", 7, "0a")]), NOW_MS);
  expect(line).toContain("differ in 1 or more");
});

test("peers that differ from the asked node and told the same fingerprint are named together", () => {
  const { peers } = agreementOf(status(), [
    differing("hall", 3, "0a"),
    differing("attic", 3, "0a"),
    differing("shed", 3, "0b"),
  ]);
  expect(peers.map(({ sameAs }) => sameAs)).toEqual([["attic"], ["hall"], undefined]);
});

test("a difference by policy is called that", () => {
  const agreement = agreementOf(status(), [{ ...differing("attic", 3, "0a"), agreement: "differsByPolicy" }]);
  expect(agreement.agreed).toBe(false);
  expect(agreementLines(agreement, NOW_MS)[1]).toMatch(/^attic {4}differs by policy for 5\.0 s/);
  expect(disagreementOf(agreement)).toBe("accept other items by their policy: attic");
});

test("a degraded node does not agree, and says why and of whom, whatever the sets are", () => {
  const detail = {
    code: "retentionDiffers",
    message: "attic keeps items for 1 h 0 min, kitchen for 24 h 0 min: they exchange none",
    advice: "Start all with the same --retention.",
    peer: { id: "id-attic", name: "attic" },
  } as const;
  const apart = peer("attic", { agreement: "unknown", reasons: ["retentionDiffers"] });
  const agreement = agreementOf(status({ reasons: ["retentionDiffers"], details: [detail] }), [apart]);
  expect(agreement).toMatchObject({ agreed: false, reasons: ["retentionDiffers"], details: [detail] });
  expect(agreementLines(agreement, NOW_MS)).toEqual([
    "kitchen  holds 7 items, retentionDiffers",
    "attic    not compared, retentionDiffers",
  ]);
  expect(disagreementOf(agreement)).toBe(`retentionDiffers: ${detail.message}`);
  const withPolicy = agreementOf(status({ reasons: ["policyDiffers"] }), [peer("hall")]);
  expect(withPolicy.agreed).toBe(false);
});

test("a sample of the members is called that", () => {
  const many = status({ members: 1_500, membersEstimated: true });
  expect(agreementOf(many, [peer("hall")])).toMatchObject({ agreed: true, membersEstimated: 1_500 });
  expect(agreementOf(status(), [peer("hall")])).not.toHaveProperty("membersEstimated");
});

test("a peer that left does not count, one that was lost does, also where another has its name", () => {
  const left = peer("hall", { state: "left", agreement: "unknown", reason: "said goodbye" });
  const lost = peer("attic", { state: "lost", agreement: "unknown", reason: "heartbeatLost" });
  expect(agreementOf(status(), [left])).toMatchObject({ agreed: true, peers: [] });
  const without = agreementOf(status(), [left, lost]);
  expect(without.agreed).toBe(false);
  expect(agreementLines(without, NOW_MS)[1]).toBe(
    "attic    lost 9.0 s ago (heartbeatLost): nobody knows what it holds",
  );
  const named = agreementOf(status({ name: "attic" }), [lost, { ...peer("attic"), id: "another" }]);
  expect(named.agreed).toBe(false);
  expect(named.peers.map(({ verdict }) => verdict)).toEqual(["lost", "agrees"]);
});

function status(more: Partial<NodeStatus> = {}): NodeStatus {
  return {
    name: "kitchen",
    id: "id-kitchen",
    state: "ready",
    reasons: [],
    details: [],
    items: 5,
    hidden: 2,
    ...more,
  } as unknown as NodeStatus;
}

function peer(name: string, more: Partial<Peer> = {}): Peer {
  return {
    id: `id-${name}`,
    name,
    address: "/ip4/127.0.0.1/tcp/1",
    state: "connected",
    linked: true,
    sinceMs: NOW_MS - 9_000,
    summary: { items: 7, fingerprint: "07", fingerprintSinceMs: 0, ageMs: 1 },
    agreement: "agrees",
    ...more,
  };
}

function differing(name: string, items: number, fingerprint: string): Peer {
  return peer(name, {
    agreement: "differs",
    summary: { items, fingerprint, fingerprintSinceMs: 0, ageMs: 1 },
    difference: { sinceMs: NOW_MS - 5_000, itemsHere: 7 },
  });
}
