import { expect, test } from "vitest";
import type { StartedNode } from "../../src/node/index.js";
import { encodeBatch } from "../../src/node/protocol/batch.js";
import { withDigest } from "../../src/node/protocol/item.js";
import { BadMember } from "../fixtures/bad-member.js";
import { eventually } from "../fixtures/eventually.js";
import { Nodes } from "../fixtures/nodes.js";

const MEMORY_RISE_MAX = 48 * 1_048_576;
const MESSAGES = 200;

test.each([
  ["fail their digests", `sha256:${"0".repeat(64)}`],
  ["their authors did not sign", `ed25519:${"ab".repeat(32)}:${"0".repeat(128)}`],
])(
  "a member that gossips items that %s is cut off and not let in again; the others go on",
  { timeout: 60_000 },
  async (_what, signature) => {
    await using nodes = new Nodes();
    const [node, friend] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
    await using member = await BadMember.join(node, nodes.cluster);
    const before = memory();
    for (let n = 0; n < MESSAGES && member.losses.length === 0; n++) {
      member.gossip(batch(`${n}`, signature));
      await new Promise(setImmediate);
    }
    await eventually(() => member.losses.length > 0);
    const seen = (await node.peers()).find(({ id }) => id === member.id)!;
    expect([seen.state, seen.reason]).toEqual(["lost", "its gossip was rejected again and again"]);
    expect(memory() - before).toBeLessThan(MEMORY_RISE_MAX);

    // It dials again at once, as any node does that was cut off; the friend that comes and goes is let in.
    const { id } = await node.post({ raw: "life goes on" });
    await eventually(() => friend.get(id));
    await using other = await BadMember.join(node, nodes.cluster);
    expect((await node.peers()).find(({ id }) => id === other.id)!.state).toBe("connected");
    expect((await node.peers()).find(({ id }) => id === member.id)!.state).toBe("lost");
    const { gossip, items } = await node.status();
    expect(items).toBe(1);
    expect(gossip.rejected).toBeLessThan(MESSAGES);
  },
);

test("a member that erred once stays", async () => {
  await using nodes = new Nodes();
  const node = await nodes.start();
  await using member = await BadMember.join(node, nodes.cluster);
  member.gossip(batch("once", `sha256:${"0".repeat(64)}`));
  await eventually(async () => (await node.status()).gossip.rejected === 1);
  expect((await node.peers())[0]!.state).toBe("connected");
  expect(member.losses).toEqual([]);
});

function batch(text: string, signature: string): Uint8Array {
  const item = (n: number) =>
    withDigest({ id: `${n}`, raw: `${text} ${n}`.padEnd(400, "."), signature, timestampMs: Date.now() });
  return encodeBatch(Array.from({ length: 100 }, (_, n) => item(n)));
}

function memory(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
