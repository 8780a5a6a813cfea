import { describe, expect, it } from "vitest";
import { GossipOutbox } from "../../src/node/gossip-outbox.js";
import { decodeBatch } from "../../src/node/protocol/batch.js";
import { itemOf, NOW } from "./protocol/replica-kit.js";

class FakeCluster {
  hasAudience = true;
  readonly published: Uint8Array[] = [];
  publish(message: Uint8Array): void {
    this.published.push(message);
  }
}

describe("the gossip outbox", () => {
  const items = [0, 1, 2].map((n) => itemOf(`id ${n}`, `raw ${n}`, NOW + n));

  it("sends what one turn brings in one message, in order, and what comes close behind it in the next", async () => {
    const cluster = new FakeCluster();
    const outbox = new GossipOutbox(() => cluster);
    for (const item of items.slice(0, 2)) outbox.add([item]);
    expect(cluster.published).toEqual([]);
    await new Promise(setImmediate);
    outbox.add(items.slice(2));
    outbox.flush();
    expect(cluster.published.map(decodeBatch)).toEqual([items.slice(0, 2), items.slice(2)]);
    expect(outbox.figures).toEqual({ messagesSent: 2, itemsSent: 3 });
  });

  it("makes no message when nobody would hear it", () => {
    const cluster = new FakeCluster();
    cluster.hasAudience = false;
    const outbox = new GossipOutbox(() => cluster);
    outbox.add(items);
    outbox.flush();
    expect(cluster.published).toEqual([]);
    expect(outbox.figures).toEqual({ messagesSent: 0, itemsSent: 0 });
  });
});
