import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Broadcast, Item } from "../../src/node/broadcast.js";
import { connectToNode } from "../../src/node/client.js";
import { eventually } from "../fixtures/eventually.js";
import { Lan, type Machine, whyNoLan, whyNoRoughCable } from "../fixtures/lan.js";
import { loopbackFlags, NodeCrowd, NodeProcess, processesAgree } from "../fixtures/node-process.js";

const noLan = whyNoLan();
const skipped = (reason: string | undefined) => (reason === undefined ? "" : ` (skipped: ${reason})`);

describe.skipIf(noLan)(`machines in two rooms${skipped(noLan)}`, () => {
  test("rooms of 2 and 3 that post while apart agree once the cable is back, on the winner of an id too", {
    timeout: 120_000,
  }, async () => {
    await using lan = await Lan.open(2, 3);
    await using nodes = await startNodes(lan.machines);
    await nodes.connected();
    const [left, right] = [nodes.all.slice(0, 2), nodes.all.slice(2)];
    await lan.cut();
    for (let n = 0; n < 10; n++) {
      await post(left[n % 2]!, `left-${n}`, `said left ${n}`);
      await post(right[n % 3]!, `right-${n}`, `said right ${n}`);
    }
    await post(left[0]!, "contested", "by the left");
    await post(right[0]!, "contested", "by the right");
    await processesAgree(left, 11);
    await processesAgree(right, 11);
    await lan.heal();
    await processesAgree(nodes.all, 21, 30_000);
    const winners = await Promise.all(nodes.all.map((node) => node.get<Item>("/v1/items/contested")));
    expect(new Set(winners.map(({ digest }) => digest)).size).toBe(1);
    expect(winners[0]!.raw).toBe("by the left");
    for (const node of nodes.all) expect((await node.status()).hidden).toBe(1);
  });

  test("a cable pulled until each side has given up the other heals within 10 s by itself", {
    timeout: 120_000,
  }, async () => {
    await using lan = await Lan.open(1, 2);
    await using nodes = await startNodes(lan.machines);
    const [left, ...right] = nodes.all as [NodeProcess, NodeProcess, NodeProcess];
    await nodes.connected();
    await lan.cut();
    // Lost for so long that redialling is at its slowest.
    const lostFor = async (node: NodeProcess, ids: readonly string[], lengthMs: number) => {
      const peers = (await node.peers()).filter(({ id }) => ids.includes(id));
      return peers.every(({ state, sinceMs }) => state === "lost" && Date.now() - sinceMs > lengthMs);
    };
    const rightIds = right.map(({ id }) => id);
    await eventually(() => lostFor(left, rightIds, 12_000), 30_000);
    for (const node of right) await eventually(() => lostFor(node, [left.id], 10_000), 10_000);
    await post(left, "from-left", "1");
    await post(right[0]!, "from-right", "2");
    await lan.heal();
    await processesAgree(nodes.all, 2, 10_000);
    // Equal they may be before the last two have met.
    await nodes.connected(10_000);
  });

  test("rooms of 5 and 5 that have given each other up, and were not linked all with all, heal within 30 s", {
    timeout: 300_000,
  }, async () => {
    await using lan = await Lan.open(5, 5);
    await using nodes = await startNodes(lan.machines);
    const rooms = [nodes.all.slice(0, 5), nodes.all.slice(5)] as const;
    await nodes.connected(60_000);
    await lan.cut();
    for (const [room, own] of rooms.entries()) {
      const gone = new Set(rooms[1 - room]!.map(({ id }) => id));
      for (const node of own)
        await nodes.eventually(async () => {
          const lost = (await node.peers()).filter(({ state, id }) => state === "lost" && gone.has(id));
          return lost.length === 5 && (await node.status()).peers === 4;
        }, 30_000);
    }
    for (const [room, own] of rooms.entries())
      for (const [n, node] of own.entries()) await post(node, `room-${room}-${n}`, `said in room ${room}`);
    await lan.heal();
    await Promise.all([processesAgree(nodes.all, 10, 30_000), nodes.connected(30_000)]);
  });

  test("over a cable of 400 kbit/s, a newcomer gets an item that takes 8 s, and is ready with all items", {
    timeout: 120_000,
  }, async () => {
    await using lan = await Lan.open(1, 1);
    await lan.narrow(400);
    await using nodes = new NodeCrowd();
    const [left, right] = lan.machines as [Machine, Machine];
    nodes.all.push(await NodeProcess.start({ under: left.under }));
    const lines = Array.from({ length: 200 }, (_, n) => ({ id: `n${n}`, raw: `${n}`.padEnd(1_000, ".") }));
    lines.splice(100, 0, { id: "large", raw: "large".padEnd(400_000, ".") });
    const text = lines.map((line) => JSON.stringify(line)).join("\n");
    await nodes.all[0]!.call("/v1/items", { type: "application/x-ndjson", text });
    nodes.all.push(await NodeProcess.start({ under: right.under }));
    const newcomer = nodes.all[1]!;
    await eventually(async () => (await newcomer.status()).state === "ready", 60_000);
    expect((await newcomer.status()).items).toBe(lines.length);
    expect(newcomer.stderr).not.toContain("heartbeatLost");
    await post(nodes.all[0]!, "last", "news");
    await processesAgree(nodes.all, lines.length + 1, 30_000);
  });

  const noRoughCable = whyNoRoughCable();
  test.skipIf(noRoughCable)(
    `a cable that loses 10 % and delays by 50 ms brings everything${skipped(noRoughCable)}`,
    { timeout: 120_000 },
    async () => {
      await using lan = await Lan.open(2, 2);
      await lan.roughen(10, 50);
      await using nodes = await startNodes(lan.machines);
      await nodes.connected(60_000);
      for (let n = 0; n < 40; n++) await post(nodes.all[n % 4]!, `n${n}`, `news ${n}`);
      await processesAgree(nodes.all, 40, 60_000);
    },
  );
});

test("all nodes restarted one after the other under posts: nothing that a second node held is lost", {
  timeout: 180_000,
}, async () => {
  const flags = loopbackFlags(`t-${randomUUID().slice(0, 13)}`);
  await using nodes = new NodeCrowd();
  for (let n = 0; n < 3; n++) nodes.all.push(await NodeProcess.start({ flags }));
  await nodes.connected();
  const promised: string[] = [];
  const writer = writeTo(nodes, promised);
  for (const signal of ["SIGTERM", "SIGKILL", "SIGKILL", "SIGTERM"] as const) {
    const enough = promised.length + 20;
    await eventually(() => promised.length >= enough, 20_000);
    // As an operator who restarts a cluster waits: all are there, and say that they hold the same.
    await eventually(() => allAgree(nodes.all), 30_000);
    const oldest = nodes.all.shift()!;
    await oldest.stop(signal);
    nodes.all.push(await NodeProcess.start({ flags }));
  }
  await writer.stop();
  await eventually(() => allAgree(nodes.all), 30_000);
  for (const node of nodes.all) {
    await using client = await connectToNode(node.url);
    const held = new Set<string>();
    for await (const { id } of client.list()) held.add(id);
    expect(promised.filter((id) => !held.has(id))).toEqual([]);
  }
});

/** Posts one item after the other to the node started last but one, and notes those that a second node holds. */
function writeTo(nodes: NodeCrowd, promised: string[]): { stop(): Promise<void> } {
  let stopped = false;
  const clients = new Map<NodeProcess, Broadcast>();
  const work = async () => {
    for (let n = 0; !stopped; n++) {
      const node = nodes.all[n % nodes.all.length]!;
      try {
        const client = clients.get(node) ?? (await connectToNode(node.url));
        clients.set(node, client);
        const id = `kept-${n}`;
        const { receipt } = await client.post({ id, raw: `kept ${n}` }, { wait: 1, timeoutMs: 2_000 });
        if (receipt!.complete) promised.push(id);
      } catch {
        // It was being stopped: nothing was promised.
      }
      // The nodes, not this process, are to have the processor.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await Promise.all([...clients.values()].map((client) => client.close()));
  };
  const working = work();
  return {
    stop() {
      stopped = true;
      return working;
    },
  };
}

/** One node on each machine, started as users start it; they find each other by mDNS. */
async function startNodes(machines: readonly Machine[]): Promise<NodeCrowd> {
  const nodes = new NodeCrowd();
  try {
    for (const { under } of machines) nodes.all.push(await NodeProcess.start({ under }));
    return nodes;
  } catch (error) {
    await nodes[Symbol.asyncDispose]();
    throw error;
  }
}

async function post(node: NodeProcess, id: string, raw: string): Promise<void> {
  const answer = await node.post({ id, raw });
  if (answer.status !== 201) throw new Error(`${id}: ${answer.status} ${await answer.text()}`);
}

async function allAgree(nodes: readonly NodeProcess[]): Promise<boolean> {
  const views = await Promise.all(nodes.map((node) => node.peers()));
  return views.every(
    (peers) =>
      peers.filter(({ state, agreement }) => state === "connected" && agreement === "agrees").length ===
      nodes.length - 1,
  );
}
