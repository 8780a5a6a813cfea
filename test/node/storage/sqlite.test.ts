import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, expect, test } from "vitest";
import { type Item, withDigest } from "../../../src/node/replica/item.js";
import { loadAll, makeItems, sorted, storageContract } from "./contract.js";
import { DataDirs } from "./data-dirs.js";

const dirs = await DataDirs.create();
afterAll(() => dirs[Symbol.asyncDispose]());

storageContract("sqlite", {
  open: () => dirs.open(),
  reopen: (closed) => dirs.open(dirs.dirOf(closed)),
});

test("a commit after close is refused", async () => {
  const storage = await dirs.open();
  await storage.close();
  await expect(storage.commit({ add: makeItems(1), remove: [] })).rejects.toMatchObject({
    code: "storageFailed",
  });
});

test("people and other programs read what is stored, also while the node runs", async () => {
  const storage = await dirs.open();
  const [item, other] = makeItems(2) as [Item, Item];
  await storage.commit({ add: [item, other], remove: [], unlogged: [other], position: "7" });
  const rows = readAll(dirs.dirOf(storage), "SELECT * FROM items ORDER BY id");
  const { id, raw, signature, timestampMs, digest } = item;
  expect(rows).toMatchObject([
    { id, raw, signature, timestamp_ms: timestampMs, digest, unlogged: 0 },
    { digest: other.digest, unlogged: 1 },
  ]);
  expect(rows[0]!.verified).toMatch(/^[0-9a-f]{32}$/);
  expect(readAll(dirs.dirOf(storage), "SELECT * FROM state ORDER BY name")).toEqual([
    { name: "items", value: 2 },
    { name: "position", value: "7" },
  ]);
});

test("a reader that is in the middle of something holds up no commit", async () => {
  const storage = await dirs.open();
  await storage.commit({ add: makeItems(2_000, 5_000), remove: [] });
  const reader = new DatabaseSync(join(dirs.dirOf(storage), "items.sqlite"), { readOnly: true });
  const rows = reader.prepare("SELECT id FROM items").iterate();
  rows.next();
  for (let n = 0; n < 5; n++)
    await storage.commit({ add: makeItems(2_000, 5_000 + n), remove: makeItems(2_000, 4_999 + n) });
  reader.close();
  await storage.close();
  expect(sorted(await loadAll(await dirs.open(dirs.dirOf(storage))))).toEqual(
    sorted(makeItems(2_000, 5_004)),
  );
});

test("whatever comes and goes, what is held is there, and counted", async () => {
  const storage = await dirs.open();
  const held = new Map<string, Item>();
  let state = 11;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < 60; round++) {
    const add = Array.from({ length: random(400) }, (_, index) => {
      const raw = "x".repeat(1 + random([50, 300, 3_000, 20_000][random(4)]!));
      return withDigest({
        id: `${round}-${index}`,
        raw,
        signature: "s",
        timestampMs: random(2) ? round : random(60),
      });
    });
    // From the oldest on, as expiry does, or here and there.
    const oldest = [...held.values()].sort((a, b) => a.timestampMs - b.timestampMs);
    const remove = random(2) ? oldest.slice(0, random(oldest.length)) : oldest.filter(() => random(3) === 0);
    for (const item of remove) held.delete(item.digest);
    for (const item of add) held.set(item.digest, item);
    await storage.commit({ add, remove });
  }
  await storage.close();
  const dir = dirs.dirOf(storage);
  expect(readAll(dir, "SELECT value FROM state")).toEqual([{ value: held.size }]);
  const again = await dirs.open(dir);
  expect(sorted(await loadAll(again))).toEqual(sorted([...held.values()]));
  expect(again.leftOut).toBe(0);
});

function readAll(dir: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(join(dir, "items.sqlite"), { readOnly: true });
  const rows = database
    .prepare(sql)
    .all()
    .map((row) => ({ ...row }));
  database.close();
  return rows;
}
