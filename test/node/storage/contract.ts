import { afterEach, describe, expect, test } from "vitest";
import { type Item, withDigest } from "../../../src/node/replica/item.js";
import { integritySignature } from "../../../src/node/replica/signature.js";
import type { Storage } from "../../../src/node/storage/port.js";

/** One engine under test. */
export interface EngineUnderTest {
  /** A storage with nothing in it, in a place of its own. */
  open(): Promise<Storage>;
  /** The storage of that place again, after its `close`; absent for an engine that keeps nothing. */
  reopen?(closed: Storage): Promise<Storage>;
}

export function storageContract(name: string, engine: EngineUnderTest): void {
  const opened: Storage[] = [];
  const open = async () => {
    const storage = await engine.open();
    opened.push(storage);
    return storage;
  };
  /** The items that a restart finds. */
  const contentOf = async (storage: Storage): Promise<Item[]> => {
    await storage.close();
    const again = await engine.reopen!(storage);
    opened.push(again);
    return sorted(await loadAll(again));
  };

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((storage) => storage.close()));
  });

  describe(`${name}: every engine`, () => {
    test("is empty at first", async () => {
      expect(await loadAll(await open())).toEqual([]);
    });

    test("completes commits in the order they were asked for", async () => {
      const storage = await open();
      const done: number[] = [];
      const commits = makeItems(50).map((item, index) =>
        storage.commit({ add: [item], remove: [] }).then(() => done.push(index)),
      );
      await Promise.all(commits);
      expect(done).toEqual(Array.from({ length: 50 }, (_, index) => index));
    });

    test("takes a commit with nothing in it", async () => {
      const storage = await open();
      await storage.commit({ add: [], remove: [] });
    });

    test("takes the removal of what it does not hold", async () => {
      const storage = await open();
      await storage.commit({ add: [], remove: makeItems(2) });
    });

    test("closes once, however often it is told to", async () => {
      const storage = await open();
      await Promise.all([storage.close(), storage.close()]);
      await storage.close();
    });
  });

  if (!engine.reopen) return;

  describe(`${name}: what was committed`, () => {
    test("is there after a restart, field by field", async () => {
      const storage = await open();
      const items = makeItems(20);
      await storage.commit({ add: items, remove: [] });
      expect(await contentOf(storage)).toEqual(sorted(items));
    });

    test("was asked for right before close and is there all the same", async () => {
      const storage = await open();
      const items = makeItems(20);
      const commits = items.map((item) => storage.commit({ add: [item], remove: [] }));
      await storage.close();
      await Promise.all(commits);
      expect(await contentOf(storage)).toEqual(sorted(items));
    });

    test("and removed is gone, also within one group or one change", async () => {
      const storage = await open();
      const [kept, early, late, both] = makeItems(4) as [Item, Item, Item, Item];
      await storage.commit({ add: [kept, early], remove: [] });
      await Promise.all([
        storage.commit({ add: [late], remove: [early] }),
        storage.commit({ add: [both], remove: [late] }),
        storage.commit({ add: [], remove: [both] }),
        storage.commit({ add: [both], remove: [] }),
      ]);
      expect(await contentOf(storage)).toEqual(sorted([kept, both]));
    });

    test("twice is there once", async () => {
      const storage = await open();
      const [item] = makeItems(1) as [Item];
      await Promise.all([
        storage.commit({ add: [item], remove: [] }),
        storage.commit({ add: [item, item], remove: [] }),
      ]);
      expect(await contentOf(storage)).toEqual([item]);
    });

    test("of any size and text comes back", async () => {
      const storage = await open();
      const raws = ["x", "ü€😀\u0000\n", "a".repeat(4_000), "b".repeat(1_000_000), "€".repeat(333_333)];
      const items = raws.map((raw, index) => makeItem(`${"ä".repeat(120)}${index}`, raw, index));
      // The largest instants that items can carry, too.
      items.push(makeItem("last", "x", Number.MAX_SAFE_INTEGER), makeItem("first", "x", 0));
      await storage.commit({ add: items, remove: [] });
      expect(await contentOf(storage)).toEqual(sorted(items));
    });

    test("comes with its position, and with marks of what the cluster's log lacks", async () => {
      const storage = await open();
      const [a, b, c, d] = makeItems(4) as [Item, Item, Item, Item];
      expect([storage.position, storage.unlogged.size]).toEqual([undefined, 0]);
      await Promise.all([
        storage.commit({ add: [a], remove: [], position: "1" }),
        storage.commit({ add: [b, c, d], remove: [], unlogged: [b, c, d] }),
        storage.commit({ add: [], remove: [], position: "2", logged: [b] }),
        storage.commit({ add: [], remove: [c] }),
      ]);
      expect(storage.position).toBe("2");
      expect(await contentOf(storage)).toEqual(sorted([a, b, d]));
      const again = opened.at(-1)!;
      expect([again.position, [...again.unlogged]]).toEqual(["2", [d.digest]]);
      await again.commit({ add: [], remove: [], logged: [d] });
      expect(await contentOf(again)).toEqual(sorted([a, b, d]));
      const last = opened.at(-1)!;
      expect([last.position, last.unlogged.size]).toEqual(["2", 0]);
    });

    test("in many groups, more than one batch to load, is all there", { timeout: 90_000 }, async () => {
      const storage = await open();
      const items = makeItems(12_000, 1_000);
      const commits: Promise<void>[] = [];
      for (let at = 0; at < items.length; at += 100) {
        commits.push(storage.commit({ add: items.slice(at, at + 100), remove: [] }));
      }
      await Promise.all(commits);
      const content = await contentOf(storage);
      expect(content.length).toBe(items.length);
      expect(content).toEqual(sorted(items));
    });

    test("after a load is kept as well", async () => {
      const storage = await open();
      const [first, second] = makeItems(2) as [Item, Item];
      expect(await loadAll(storage)).toEqual([]);
      await storage.commit({ add: [first], remove: [] });
      await storage.close();
      const again = await engine.reopen!(storage);
      opened.push(again);
      expect(await loadAll(again)).toEqual([first]);
      await again.commit({ add: [second], remove: [first] });
      expect(await contentOf(again)).toEqual([second]);
    });
  });
}

export async function loadAll(storage: Storage): Promise<Item[]> {
  const items: Item[] = [];
  for await (const batch of storage.load()) items.push(...batch);
  return items;
}

export function makeItems(count: number, rawBytes = 20): Item[] {
  return Array.from({ length: count }, (_, index) =>
    // Not in the order of their instants.
    makeItem(
      `item-${index}`,
      `${index} `.padEnd(rawBytes, "."),
      1_700_000_000_000 + ((index * 7_919) % 5_000),
    ),
  );
}

function makeItem(id: string, raw: string, timestampMs: number): Item {
  return withDigest({ id, raw, signature: integritySignature(raw), timestampMs });
}

export function sorted(items: readonly Item[]): Item[] {
  return items.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}
