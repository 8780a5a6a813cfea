import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { StartedNode } from "../../src/node/index.js";
import { encodeBatch, withDigest } from "../../src/node/replica/item.js";
import { BadMember } from "../fixtures/bad-member.js";
import { eventually } from "../fixtures/eventually.js";
import { Nodes } from "../fixtures/nodes.js";

const MEMORY_RISE_MAX = 48 * 1_048_576;
const BATCHES = 200;

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
    for (let n = 0; n < BATCHES && member.losses.length === 0; n++) {
      member.gossip(batch(`${n}`, signature));
      await new Promise(setImmediate);
    }
    await eventually(() => member.losses.length > 0);
    await eventually(async () => (await node.peers()).find(({ id }) => id === member.id)?.state === "lost");
    expect((await node.peers()).find(({ id }) => id === member.id)!.reason).toBe("invalidItem");
    expect(memory() - before).toBeLessThan(MEMORY_RISE_MAX);

    const { id } = await node.post({ raw: "life goes on" });
    await eventually(() => friend.get(id));
    // The node closes a connection of an id that it punishes before any frame.
    const heard = member.heard.length;
    if (await member.dial(node)) await eventually(() => member.losses.length > 1);
    expect(member.heard.length).toBe(heard);
    await using other = await BadMember.join(node, nodes.cluster, { name: "other" });
    expect((await node.peers()).find(({ id }) => id === other.id)!.state).toBe("connected");
    expect((await node.peers()).find(({ id }) => id === member.id)!.state).toBe("lost");
    const { gossip, items } = await node.status();
    expect(items).toBe(1);
    expect(gossip.rejected).toBeLessThan(BATCHES);
  },
);

test("a member that sends good frames without end is held up, then cut; the others are served meanwhile", {
  timeout: 120_000,
}, async () => {
  await using nodes = new Nodes();
  const [node, friend] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
  await using member = await BadMember.join(node, nodes.cluster);
  const before = memory();
  const flood = setInterval(() => {
    for (let n = 0; n < 1_000 && !member.isQueueLong; n++)
      member.send({ t: "ping", atMs: Date.now(), roster: "0".repeat(16) });
  }, 5);
  try {
    await eventually(async () => (await node.status()).gossip.heldUp > 0, 30_000);
    const { id } = await node.post({ raw: "life goes on" });
    await eventually(() => friend.get(id));
    await eventually(() => member.losses.length > 0, 60_000);
  } finally {
    clearInterval(flood);
  }
  await eventually(async () => (await node.peers()).find(({ id }) => id === member.id)?.state === "lost");
  expect((await node.peers()).find(({ id }) => id === member.id)!.reason).toBe("overBudget");
  expect(memory() - before).toBeLessThan(MEMORY_RISE_MAX);
});

function batch(text: string, signature: string): Uint8Array {
  const item = (n: number) =>
    withDigest({ id: `${n}`, raw: `${text} ${n}`.padEnd(400, "."), signature, timestampMs: Date.now() });
  return encodeBatch(Array.from({ length: 100 }, (_, n) => item(n)));
}

/** Live bytes: garbage of the member, which runs in this process too, does not count. */
function memory(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
