import { chmod, mkdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { open } from "lmdb";
import { afterAll, describe, expect, test } from "vitest";
import { loadAll, makeItems, sorted } from "../contract.js";
import { contentOf, DataDirs } from "./data-dirs.js";

const dirs = await DataDirs.create();
afterAll(() => dirs[Symbol.asyncDispose]());

/** A closed data directory with these items. */
async function filled(items = makeItems(2_000)): Promise<string> {
  const storage = await dirs.open();
  await storage.commit({ add: items, remove: [] });
  await storage.close();
  return dirs.dirOf(storage);
}

async function refuses(dir: string, code: string, words: RegExp, cluster?: string): Promise<void> {
  const before = await contentOf(dir);
  await expect(dirs.open(dir, cluster)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(words),
    suggestions: [expect.any(String)],
  });
  expect(await contentOf(dir)).toEqual(before);
}

describe("a directory that is not ours is refused, and not touched:", () => {
  test("one with another program's files", async () => {
    const dir = dirs.fresh();
    await mkdir(dir);
    await writeFile(join(dir, "notes.txt"), "mine");
    await refuses(dir, "dataDirForeign", /"notes\.txt"/);
  });

  test("one with another program's LMDB database", async () => {
    const dir = dirs.fresh();
    const other = open({ path: dir });
    await other.put("greeting", "hello");
    await other.close();
    await refuses(dir, "dataDirForeign", /data\.mdb/);
  });

  test("one with another program's database under our name", async () => {
    const dir = dirs.fresh();
    await mkdir(dir);
    await writeFile(join(dir, "items.mdb"), "SQLite format 3\0".padEnd(9_000, "x"));
    await refuses(dir, "dataDirForeign", /no LMDB database/);
  });

  test("another cluster's", async () => {
    const dir = await filled();
    await refuses(dir, "dataDirForeign", /belongs to cluster default, not other/, "other");
  });

  test("one of a later format", async () => {
    const dir = await filled();
    await writeFile(join(dir, "hubcast.json"), `{"program":"hubcast","format":2,"cluster":"default"}`);
    await refuses(dir, "dataDirForeign", /format is 2, this hubcast knows 1/);
  });

  test("one with items, whose mark was taken away", async () => {
    const dir = await filled();
    await rm(join(dir, "hubcast.json"));
    await refuses(dir, "dataDirForeign", /it has items, but no hubcast\.json/);
  });
});

describe("a damaged directory is refused, and not touched:", () => {
  test.each([
    ["to nothing", () => 0],
    ["inside the first page", () => 3_000],
    ["inside the second page", () => 4_200],
    ["in the middle of a page", (bytes: number) => bytes - 1_000],
    ["in half", (bytes: number) => Math.floor(bytes / 2)],
  ])("a database cut %s", async (_, left) => {
    const dir = await filled();
    const file = join(dir, "items.mdb");
    await truncate(file, left((await stat(file)).size));
    await refuses(dir, "dataDirDamaged", /items\.mdb (is cut short|has something else)/);
  });

  test("a database that is gone", async () => {
    const dir = await filled();
    await rm(join(dir, "items.mdb"));
    await refuses(dir, "dataDirDamaged", /items\.mdb is missing/);
  });

  test("a torn mark", async () => {
    const dir = await filled();
    await truncate(join(dir, "hubcast.json"), 10);
    await refuses(dir, "dataDirDamaged", /hubcast\.json is not what hubcast wrote/);
  });

  test("a key that is none", async () => {
    const dir = await filled();
    await writeFile(join(dir, "node.key"), "abc");
    await refuses(dir, "dataDirDamaged", /node\.key is not 64 hex digits/);
  });

  test("with random bytes anywhere, it is refused or gives back nothing that was not stored", {
    timeout: 90_000,
  }, async () => {
    const items = makeItems(2_000);
    const known = new Map(items.map((item) => [item.digest, item]));
    const dir = await filled(items);
    const file = join(dir, "items.mdb");
    const whole = await readFile(file);
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const outcomes = { refused: 0, lost: 0, whole: 0 };
    for (let round = 0; round < 16; round++) {
      const torn = Buffer.from(whole);
      const at = random(torn.length);
      const bytes = Math.min(torn.length - at, [1, 8, 64, 4_096][round % 4]!);
      for (let index = at; index < at + bytes; index++) torn[index] = random(256);
      await writeFile(file, torn);
      try {
        const storage = await dirs.open(dir);
        const loaded = await loadAll(storage);
        for (const item of loaded) expect(known.get(item.digest)).toEqual(item);
        outcomes[loaded.length < items.length ? "lost" : "whole"]++;
        expect(loaded.length + storage.skipped).toBe(items.length);
        await storage.close();
      } catch (error) {
        expect(error).toMatchObject({ code: "dataDirDamaged" });
        outcomes.refused++;
      }
    }
    expect(Math.min(outcomes.refused, outcomes.lost, outcomes.whole)).toBeGreaterThan(0);
  });
});

test("one bad byte in an item costs that item alone, and the next commit of it heals it", async () => {
  const items = makeItems(100);
  const dir = await filled(items);
  const file = join(dir, "items.mdb");
  const bytes = await readFile(file);
  const at = bytes.indexOf(items[5]!.signature);
  bytes[at + 10] = bytes[at + 10]! ^ 1;
  await writeFile(file, bytes);
  const storage = await dirs.open(dir);
  expect(sorted(await loadAll(storage))).toEqual(sorted(items.toSpliced(5, 1)));
  expect(storage.skipped).toBe(1);
  expect(dirs.errors).toContain("stored items are damaged, and left out");
  await storage.commit({ add: [items[5]!], remove: [] });
  await storage.close();
  expect((await loadAll(await dirs.open(dir))).length).toBe(100);
});

test("a start that was killed before it was complete is taken up again", async () => {
  const dir = await filled([]);
  await rm(join(dir, "hubcast.json"));
  const storage = await dirs.open(dir);
  await storage.close();
  await rm(join(dir, "hubcast.json"));
  await truncate(join(dir, "items.mdb"), 0);
  await rm(join(dir, "items.mdb-lock"));
  await (await dirs.open(dir)).close();
});

describe("the key of the node", () => {
  test("stays from start to start, readable for its owner alone", async () => {
    const first = await dirs.open();
    await first.close();
    const dir = dirs.dirOf(first);
    const second = await dirs.open(dir);
    expect(second.privateKey.length).toBe(32);
    expect(Buffer.from(second.privateKey).equals(first.privateKey)).toBe(true);
    expect((await stat(join(dir, "node.key"))).mode & 0o777).toBe(0o600);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
  });

  test("is made anew once it was deleted", async () => {
    const first = await dirs.open();
    await first.close();
    await rm(join(dirs.dirOf(first), "node.key"));
    const second = await dirs.open(dirs.dirOf(first));
    expect(Buffer.from(second.privateKey).equals(first.privateKey)).toBe(false);
  });
});

test("a directory in use is refused with the process that has it, and free once that has closed", async () => {
  const storage = await dirs.open();
  const dir = dirs.dirOf(storage);
  await refuses(dir, "dataDirInUse", new RegExp(`in use by process ${process.pid}$`));
  const [item] = makeItems(1);
  await storage.commit({ add: [item!], remove: [] });
  await storage.close();
  expect(await loadAll(await dirs.open(dir))).toEqual([item]);
});

test("of many that open one directory at once, one gets it", async () => {
  const dir = dirs.fresh();
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => dirs.open(dir)));
  const refused = outcomes.filter((outcome) => outcome.status === "rejected");
  expect(refused.map(({ reason }) => reason.code)).toEqual(Array(4).fill("dataDirInUse"));
});

describe("without permission", () => {
  const isRoot = process.getuid?.() === 0;
  /** Permissions do not bite root: whoever runs the tests as root is nobody for a while. */
  const asNobody = async (work: () => Promise<void>) => {
    if (isRoot) process.seteuid!(65_534);
    try {
      await work();
    } finally {
      if (isRoot) process.seteuid!(0);
    }
  };

  test.each([
    ["to look into it", 0o000],
    ["to write into it", 0o555],
  ])("%s, a directory is refused", async (_, mode) => {
    const dir = dirs.fresh();
    await mkdir(dir);
    await chmod(dir, mode);
    await chmod(dirname(dir), 0o755);
    await asNobody(() =>
      expect(dirs.open(dir)).rejects.toMatchObject({
        code: "dataDirUnusable",
        message: expect.stringContaining(dir),
        suggestions: [expect.stringContaining("permission")],
      }),
    );
  });

  test("to make it, or with a file in its place, it is refused", async () => {
    const file = dirs.fresh();
    await writeFile(file, "");
    await expect(dirs.open(file)).rejects.toMatchObject({ code: "dataDirUnusable" });
    await expect(dirs.open(join(file, "below"))).rejects.toMatchObject({ code: "dataDirUnusable" });
  });
});
