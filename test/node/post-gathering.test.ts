import { describe, expect, it } from "vitest";
import type { Item } from "../../src/node/replica/item.js";
import type { PostOutcome } from "../../src/node/replica/messages.js";
import { PostGathering } from "../../src/runtime/turns.js";
import { itemOf, NOW } from "./replica/replica-kit.js";

describe("posts of one turn", () => {
  const items = [0, 1, 2].map((n) => itemOf(`id ${n}`, `raw ${n}`, NOW + n)) as [Item, Item, Item];

  it("are handed over together, and each gets its own outcome", async () => {
    const handed: (readonly Item[])[] = [];
    const gathering = new PostGathering<Item, PostOutcome>(async (batch) => {
      handed.push(batch);
      return batch.map((item, index) => ({ status: index === 1 ? "held" : "accepted", item }));
    });
    const outcomes = await Promise.all(items.slice(0, 2).map((item) => gathering.add(item)));
    expect(outcomes).toEqual([
      { status: "accepted", item: items[0] },
      { status: "held", item: items[1] },
    ]);
    await gathering.add(items[2]);
    expect(handed).toEqual([[items[0], items[1]], [items[2]]]);
  });

  it("of which one waits for the disk do not hold back the next turn", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const gathering = new PostGathering<Item, PostOutcome>(async (batch) => {
      if (batch[0] === items[0]) await promise;
      return batch.map((item) => ({ status: "accepted", item }));
    });
    const first = gathering.add(items[0]);
    await new Promise(setImmediate);
    expect(await gathering.add(items[1])).toEqual({ status: "accepted", item: items[1] });
    resolve();
    expect(await first).toEqual({ status: "accepted", item: items[0] });
  });

  it("fail together where they cannot be taken", async () => {
    const gathering = new PostGathering<Item, PostOutcome>(() => Promise.reject(new Error("closed")));
    const outcomes = await Promise.allSettled(items.map((item) => gathering.add(item)));
    expect(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason.message)).toEqual(
      Array(3).fill("closed"),
    );
  });
});
