import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { startNode } from "../../../../src/node/index.js";
import type { Item } from "../../../../src/node/protocol/item.js";
import type { Storage } from "../../../../src/node/storage/port.js";
import { SmallDisk } from "../../../fixtures/small-disk.js";
import { loadAll, makeItems, sorted } from "../contract.js";
import { DataDirs } from "./data-dirs.js";

const MIB = 2 ** 20;
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
    // What rests on an item that is not on disk yet waits for it, and falls with it.
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
});

/** @returns what was taken */
async function commitUntilRefused(storage: Storage, items: readonly Item[]): Promise<Item[]> {
  const kept: Item[] = [];
  for (let at = 0; at < items.length; at += 10) {
    const add = items.slice(at, at + 10);
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

/** Closed before its disk is unmounted, also when the test fails. */
function closing<S extends Storage>(storage: S): S & AsyncDisposable {
  return Object.assign(storage, { [Symbol.asyncDispose]: () => storage.close() });
}
