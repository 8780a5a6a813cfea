import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { keyMark } from "../../src/node/discovery.js";
import type { NodeOptions, StartedNode } from "../../src/node/index.js";
import { eventually } from "../fixtures/eventually.js";
import { agreed, meshed, Nodes } from "../fixtures/nodes.js";

const KEY = randomBytes(32);

test("nodes with the key find each other and agree", async () => {
  await using nodes = new Nodes();
  const [a, b] = await nodes.startMesh(2, { clusterKey: KEY });
  await a!.post({ raw: "for members" });
  await agreed([a!, b!], 1);
});

test.each<[string, NodeOptions, NodeOptions]>([
  ["another key", { clusterKey: KEY }, { clusterKey: randomBytes(32) }],
  ["no key", { clusterKey: KEY }, {}],
  ["a key where the others have none", {}, { clusterKey: KEY }],
])(
  "a node with %s learns nothing, found by multicast and dialling by address",
  async (_what, members, outsider) => {
    await using nodes = new Nodes();
    const [a, b] = await nodes.startMesh(2, members);
    await a!.post({ raw: "for members" });
    await agreed([a!, b!], 1);
    const out = await nodes.start({ ...outsider, peers: [a!.peerAddresses[0]!, b!.peerAddresses[0]!] });
    await learnsNothing(out, [a!, b!]);
  },
);

test("a node that is not on the list learns nothing, though it has the key; one that is joins", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ clusterKey: KEY });
  const b = await nodes.start({ clusterKey: KEY, allowPeers: [a.id], peers: [a.peerAddresses[0]!] });
  await meshed([a, b]);
  await b.post({ raw: "for those on the list" });
  await agreed([a, b], 1);
  await a.close();
  const out = await nodes.start({ clusterKey: KEY, peers: [b.peerAddresses[0]!] });
  await learnsNothing(out, [b]);
});

test("the mark of a key in multicast differs by key, and is short", () => {
  expect(keyMark(KEY)).toMatch(/^[0-9a-f]{8}$/);
  expect(keyMark(KEY)).not.toBe(keyMark(randomBytes(32)));
});

test.each([
  [{ clusterKey: randomBytes(16) }, "16 bytes"],
  [{ allowPeers: ["kitchen"] }, "no id of a node"],
])("a key or list that is none is refused: %j", async (options, said) => {
  await using nodes = new Nodes();
  await expect(nodes.start(options)).rejects.toMatchObject({
    code: "invalidOption",
    message: expect.stringContaining(said),
  });
});

/** It gives up on finding anybody, as a node without peers does, and neither side has heard of the other. */
async function learnsNothing(outsider: StartedNode, members: readonly StartedNode[]): Promise<void> {
  await eventually(async () => (await outsider.status()).state !== "starting");
  const { items, bytes, peers, sync, gossip } = await outsider.status();
  expect({ items, bytes, peers }).toEqual({ items: 0, bytes: 0, peers: 0 });
  expect([sync.bytesReceived, sync.rounds, gossip.batchesReceived]).toEqual([0, 0, 0]);
  // By multicast each may see that the other has another key, and no more.
  const met = async (node: StartedNode) => (await node.peers()).filter(({ state }) => state !== "unreached");
  expect(await met(outsider)).toEqual([]);
  for (const member of members)
    expect((await met(member)).filter(({ id }) => id === outsider.id)).toEqual([]);
}
