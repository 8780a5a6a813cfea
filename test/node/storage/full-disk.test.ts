import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { startNode } from "../../../src/node/index.js";
import type { Item } from "../../../src/node/replica/item.js";
import type { Storage } from "../../../src/node/storage/port.js";
import { eventually } from "../../fixtures/eventually.js";
import { SmallDisk } from "../../fixtures/small-disk.js";
import { loadAll, makeItems, sorted } from "./contract.js";
import { DataDirs } from "./data-dirs.js";

const MIB = 2 ** 20;
/** Hundreds of commits one after the other, also on a machine that is busy. */
const timeout = 90_000;
const probe = SmallDisk.mount(MIB);
const reason = typeof probe === "string" ? probe : "";
if (typeof probe !== "string") await probe[Symbol.asyncDispose]();
const dirs = await DataDirs.create();
afterAll(() => dirs[Symbol.asyncDispose]());

describe.skipIf(reason)(`on a full disk${reason ? ` (skipped: ${reason})` : ""}`, () => {
  test("a commit is refused whole, what was committed stays, and with space it goes on", async () => {
    await using disk = SmallDisk.mount(6 * MIB) as SmallDisk;
    const dir = join(disk.path, "data");
    const items = makeItems(4_000, 2_000);
    await using storage = closing(await dirs.open(dir));
    disk.fill(3 * MIB);
    const kept = await commitUntilRefused(storage, items);
    expect(kept.length).toBeGreaterThan(100);
    disk.fillUp();
    // Many at once while it is full: each is told, in order, and none is half there.
    const more = items.slice(kept.length, kept.length + 100);
    const refusals = await Promise.allSettled(
      more.map((item) => storage.commit({ add: [item], remove: [] })),
    );
    expect(new Set(refusals.map(({ status }) => status))).toEqual(new Set(["rejected"]));
    disk.free();
    await storage.commit({ add: more, remove: [] });
    await storage.close();
    await using again = closing(await dirs.open(dir));
    expect(sorted(await loadAll(again))).toEqual(sorted([...kept, ...more]));
  });

  test("a start loads what is there, and removals that failed are made up for", async () => {
    await using disk = SmallDisk.mount(6 * MIB) as SmallDisk;
    const dir = join(disk.path, "data");
    const items = makeItems(4_000, 2_000);
    const first = await dirs.open(dir);
    disk.fill(4 * MIB);
    const kept = await commitUntilRefused(first, items);
    await first.close();
    await using second = closing(await dirs.open(dir));
    expect((await loadAll(second)).length).toBe(kept.length);
    const expired = kept.slice(0, 50);
    // It may or may not find a page to work with; later it does.
    await second.commit({ add: [], remove: expired }).catch(() => {});
    disk.free();
    await second.commit({ add: [], remove: kept.slice(50, 400) });
    await second.close();
    await using third = closing(await dirs.open(dir));
    expect(sorted(await loadAll(third))).toEqual(sorted(kept.slice(400)));
  });

  test.each([
    { rawBytes: 100, count: 8_000, step: 25 },
    { rawBytes: 2_000, count: 4_000, step: 10 },
    { rawBytes: 100_000, count: 100, step: 1 },
  ])(
    "items of $rawBytes B fill it, and what expires makes room again, time after time",
    { timeout },
    async ({ rawBytes, count, step }) => {
      await using disk = SmallDisk.mount(3 * MIB) as SmallDisk;
      const dir = join(disk.path, "data");
      const items = makeItems(count, rawBytes);
      let storage: Storage = closing(await dirs.open(dir));
      let first = 0;
      for (let round = 0; round < 3; round++) {
        const kept = await commitUntilRefused(storage, items, step);
        if (round === 0) first = kept.length;
        expect(kept.length, "as many as the first time").toBeGreaterThan(0.8 * first);
        // A restart before the removals, and one behind them.
        if (round === 0) storage = await again(storage, dir, kept.length);
        for (let at = 0; at < kept.length; at += 1_000)
          await storage.commit({ add: [], remove: kept.slice(at, at + 1_000) });
        if (round === 1) storage = await again(storage, dir, 0);
      }
      // Room for SQLite and the other fields of an item.
      expect(first * (rawBytes + 250)).toBeGreaterThan(1.3 * MIB);
      await storage.close();
    },
  );

  test("filled to the last block by others, it is started on: all is there, and goes on once there is space", async () => {
    await using disk = SmallDisk.mount(6 * MIB) as SmallDisk;
    const dir = join(disk.path, "data");
    const storage = closing(await dirs.open(dir));
    const items = makeItems(500, 2_000);
    await storage.commit({ add: items.slice(0, 400), remove: [] });
    disk.fillUp();
    const second = await again(storage, dir, 400);
    const more = items.slice(400);
    await expect(second.commit({ add: more, remove: [] })).rejects.toMatchObject({
      code: "storageFailed",
      message: expect.stringMatching(/the disk of --data-dir is full: \d+ KiB are free/),
      suggestions: [expect.stringContaining("wait until items expire")],
    });
    disk.free();
    await second.commit({ add: more, remove: [] });
    await (await again(second, dir, 500)).close();
  });

  test("a new directory is refused", async () => {
    await using disk = SmallDisk.mount(MIB) as SmallDisk;
    disk.fill(MIB - 4_096);
    await expect(dirs.open(join(disk.path, "data"))).rejects.toMatchObject({
      code: "dataDirUnusable",
      suggestions: ["Free space on that disk."],
    });
  });

  test("a node refuses posts, and held and conflict with them; serves what it has; takes posts again once there is space", async () => {
    await using disk = SmallDisk.mount(4 * MIB) as SmallDisk;
    const options = {
      dataDir: join(disk.path, "data"),
      cluster: "full-disk",
      mdns: false,
      p2p: { hosts: ["127.0.0.1"] },
    };
    const node = await startNode(options);
    disk.fill(MIB);
    let taken = 0;
    const postUntilRefused = async () => {
      for (; taken < 10_000; taken++) await node.post({ id: `n${taken}`, raw: "x".repeat(10_000) });
    };
    await expect(postUntilRefused()).rejects.toMatchObject({ code: "storageFailed" });
    // A commit that rests on an item that is not on disk yet waits for it, and falls with it.
    const post = (raw: string) => node.post({ id: `n${taken}`, raw });
    const [large, other] = ["x".repeat(10_000), "y".repeat(10_000)] as [string, string];
    const outcomes = await Promise.allSettled([post(large), post(large), post(other)]);
    expect(outcomes.map((outcome) => outcome.status === "rejected" && outcome.reason.code)).toEqual(
      Array(3).fill("storageFailed"),
    );
    expect(await node.status()).toMatchObject({
      items: taken,
      state: "degraded",
      reasons: ["storageFailed"],
    });
    expect(await node.get("n0")).toBeDefined();
    expect(await node.get(`n${taken}`)).toBeUndefined();
    disk.free();
    const answers = await Promise.allSettled([post(large), post(large), post(other)]);
    expect(answers).toMatchObject([
      { value: { status: "accepted" } },
      { value: { status: "held" } },
      { reason: { code: "conflict" } },
    ]);
    expect((await node.status()).reasons).toEqual([]);
    await node.close();
    const again = await startNode(options);
    expect((await again.status()).items).toBe(taken + 1);
    await again.close();
  });

  test("a node that filled its disk takes posts again when items have expired", async () => {
    await using disk = SmallDisk.mount(3 * MIB) as SmallDisk;
    const node = await startNode({
      dataDir: join(disk.path, "data"),
      cluster: "small-disk",
      mdns: false,
      p2p: { hosts: ["127.0.0.1"] },
      retentionMs: 4_000,
    });
    await using _ = node;
    const fill = async () => {
      for (let n = 0; n < 10_000; n++) await node.post({ raw: `${n} `.padEnd(20_000, "x") });
    };
    for (let round = 0; round < 2; round++) {
      await expect(fill()).rejects.toMatchObject({
        code: "storageFailed",
        suggestions: [expect.stringMatching(/Free space .* or wait until items expire/)],
      });
      expect((await node.status()).reasons).toEqual(["storageFailed"]);
      await eventually(async () => (await node.status()).items === 0);
      expect(await node.post({ raw: "x".repeat(20_000) })).toMatchObject({ status: "accepted" });
      expect((await node.status()).reasons).toEqual([]);
    }
  });
});

/** @returns what was taken */
async function commitUntilRefused(storage: Storage, items: readonly Item[], step = 10): Promise<Item[]> {
  const kept: Item[] = [];
  for (let at = 0; at < items.length; at += step) {
    const add = items.slice(at, at + step);
    try {
      await storage.commit({ add, remove: [] });
    } catch (error) {
      expect(error).toMatchObject({ code: "storageFailed" });
      return kept;
    }
    kept.push(...add);
  }
  throw new Error("the disk never filled up");
}

/** Closes a storage and opens its directory anew. @param count of items that should be in it */
async function again(storage: Storage, dir: string, count: number): Promise<Storage & AsyncDisposable> {
  await storage.close();
  const opened = closing(await dirs.open(dir));
  expect((await loadAll(opened)).length).toBe(count);
  return opened;
}

/** Closed before its disk is unmounted, also when the test fails. */
function closing<S extends Storage>(storage: S): S & AsyncDisposable {
  return Object.assign(storage, { [Symbol.asyncDispose]: () => storage.close() });
}
