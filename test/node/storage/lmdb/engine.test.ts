import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type Item, withDigest } from "../../../../src/node/protocol/item.js";
import { databaseFault } from "../../../../src/node/storage/lmdb/pages.js";
import { loadAll, makeItems, sorted, storageContract } from "../contract.js";
import { DataDirs } from "./data-dirs.js";

const dirs = await DataDirs.create();
afterAll(() => dirs[Symbol.asyncDispose]());

storageContract("lmdb", {
  open: () => dirs.open(),
  reopen: (closed) => dirs.open(dirs.dirOf(closed)),
});

test("lmdb: a commit after close is refused", async () => {
  const storage = await dirs.open();
  await storage.close();
  await expect(storage.commit({ add: makeItems(1), remove: [] })).rejects.toMatchObject({
    code: "storageFailed",
  });
});

test("lmdb: the walk through the pages finds nothing wrong, whatever comes and goes", async () => {
  const storage = await dirs.open();
  const file = join(dirs.dirOf(storage), "items.mdb");
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
    expect(await databaseFault(file)).toBeUndefined();
  }
  await storage.close();
  expect(sorted(await loadAll(await dirs.open(dirs.dirOf(storage))))).toEqual(sorted([...held.values()]));
});
