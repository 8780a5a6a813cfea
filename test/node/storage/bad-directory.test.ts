import {
  chmod,
  chown,
  cp,
  mkdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, test } from "vitest";
import { eventually } from "../../fixtures/eventually.js";
import { Nodes } from "../../fixtures/nodes.js";
import { loadAll, makeItems, sorted } from "./contract.js";
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
    suggestions: expect.arrayContaining([expect.stringContaining("Nothing was changed in it.")]),
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

  test("one with another program's database under our name", async () => {
    const dir = dirs.fresh();
    await mkdir(dir);
    const other = new DatabaseSync(join(dir, "items.sqlite"));
    other.exec("CREATE TABLE greetings (text)");
    other.close();
    await refuses(dir, "dataDirForeign", /it has "items\.sqlite" in it, and no hubcast\.json/);
  });

  test("one that a hubcast wrote which kept its items in LMDB", async () => {
    const dir = dirs.fresh();
    await mkdir(dir);
    await writeFile(join(dir, "hubcast.json"), `{"program":"hubcast","format":1,"cluster":"default"}`);
    for (const name of ["items.mdb", "items.mdb-lock", "node.key", "lock", "pid"])
      await writeFile(join(dir, name), "0");
    await refuses(dir, "dataDirForeign", /written by an earlier hubcast \(format 1, LMDB\)/);
  });

  test("another cluster's", async () => {
    const dir = await filled();
    await refuses(dir, "dataDirForeign", /belongs to cluster default, not other/, "other");
  });

  test("one of a later format", async () => {
    const dir = await filled();
    await writeFile(join(dir, "hubcast.json"), `{"program":"hubcast","format":3,"cluster":"default"}`);
    await refuses(dir, "dataDirForeign", /format is 3, this hubcast knows 2/);
  });

  test("one with items, whose mark was taken away", async () => {
    const dir = await filled();
    await rm(join(dir, "hubcast.json"));
    await refuses(dir, "dataDirForeign", /it has "items\.sqlite" in it, and no hubcast\.json/);
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
    const file = join(dir, "items.sqlite");
    await truncate(file, left((await stat(file)).size));
    await refuses(dir, "dataDirDamaged", /items\.sqlite is (cut short|no SQLite database)/);
  });

  test("a database cut in half, of which half is kept once the file has its length again", async () => {
    const dir = await filled();
    const file = join(dir, "items.sqlite");
    const { size } = await stat(file);
    await truncate(file, size / 2);
    await refuses(dir, "dataDirDamaged", new RegExp(`to keep what can be read: truncate -s ${size} `));
    await truncate(file, size);
    const storage = await dirs.open(dir);
    const { length } = await loadAll(storage);
    expect(length).toBeGreaterThan(800);
    expect(length + storage.leftOut).toBe(2_000);
  });

  test.each([
    ["garbage", () => Buffer.alloc(100_000, "garbage ")],
    ["zeros", () => Buffer.alloc(100_000)],
    [
      "an LMDB database",
      () => Buffer.from(`${"\0".repeat(16)}\xde\xc0\xef\xbe`.padEnd(8_192, "\0"), "latin1"),
    ],
  ])("a database that is %s", async (_, bytes) => {
    const dir = await filled();
    await writeFile(join(dir, "items.sqlite"), bytes());
    await refuses(dir, "dataDirDamaged", /items\.sqlite is no SQLite database/);
  });

  test("a database of another program in its place", async () => {
    const dir = await filled();
    const file = join(dir, "items.sqlite");
    await rm(file);
    const other = new DatabaseSync(file);
    other.exec("PRAGMA journal_mode = WAL; CREATE TABLE greetings (text)");
    other.close();
    await refuses(dir, "dataDirDamaged", /items\.sqlite no such table: items/);
  });

  test("a database that is gone", async () => {
    const dir = await filled();
    await rm(join(dir, "items.sqlite"));
    await refuses(dir, "dataDirDamaged", /items\.sqlite is missing/);
  });

  test("a torn mark", async () => {
    const dir = await filled();
    await truncate(join(dir, "hubcast.json"), 10);
    await refuses(dir, "dataDirDamaged", /hubcast\.json is not what hubcast wrote/);
  });

  test("a key that is none", async () => {
    const dir = await filled();
    for (const text of ["abc", `${"ab".repeat(32)}c`, `${"ab".repeat(32)} of the kitchen`, "xy".repeat(32)]) {
      await writeFile(join(dir, "node.key"), text);
      await refuses(dir, "dataDirDamaged", /node\.key is not 64 hex digits/);
    }
  });

  test("a key that is a link to nothing", async () => {
    const dir = await filled();
    await rm(join(dir, "node.key"));
    await symlink("/run/secrets/none", join(dir, "node.key"));
    await expect(dirs.open(dir)).rejects.toMatchObject({
      code: "dataDirDamaged",
      message: expect.stringContaining("node.key is a link to a file that is missing"),
    });
    expect(await readlink(join(dir, "node.key"))).toBe("/run/secrets/none");
  });
});

describe("of a damaged database", () => {
  test("what can be read is kept, the rest is counted, and the next start finds nothing wrong", {
    timeout: 90_000,
  }, async () => {
    const items = makeItems(2_000);
    const known = new Map(items.map((item) => [item.digest, item]));
    const dir = await filled(items);
    const file = join(dir, "items.sqlite");
    const whole = await readFile(file);
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const outcomes = { refused: 0, lost: 0, whole: 0 };
    for (let round = 0; round < 12; round++) {
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
        expect(loaded.length + storage.leftOut).toBe(items.length);
        await storage.close();
        const again = await dirs.open(dir);
        expect((await loadAll(again)).length).toBe(loaded.length);
        expect(again.leftOut).toBe(0);
        await again.close();
      } catch (error) {
        expect(error).toMatchObject({ code: "dataDirDamaged" });
        outcomes.refused++;
      }
    }
    expect(Math.min(outcomes.lost, outcomes.whole)).toBeGreaterThan(0);
  });

  test.each([
    ["the last page", (pages: number) => [pages - 1]],
    ["a page in the middle", (pages: number) => [pages >> 1]],
    ["three pages here and there", (pages: number) => [pages >> 2, pages >> 1, pages - 5]],
    ["each tenth page", (pages: number) => Array.from({ length: pages / 10 - 1 }, (_, n) => 10 * n + 10)],
  ])("nearly all is kept when it is %s", async (_, tornPages) => {
    const items = makeItems(2_000);
    const dir = await filled(items);
    const file = join(dir, "items.sqlite");
    const bytes = await readFile(file);
    const torn = tornPages(bytes.length / 4_096);
    for (const page of torn) bytes.fill("torn", page * 4_096, (page + 1) * 4_096);
    await writeFile(file, bytes);
    const storage = await dirs.open(dir);
    const loaded = await loadAll(storage);
    // A page has 15 of these items.
    expect(loaded.length).toBeGreaterThan(items.length - 20 * torn.length);
    expect(loaded.length + storage.leftOut).toBe(items.length);
    expect(dirs.errors).toContain(
      "stored items are damaged, and left out; peers that hold them bring them back",
    );
    await storage.commit({ add: items, remove: [] });
    await storage.close();
    expect(sorted(await loadAll(await dirs.open(dir)))).toEqual(sorted(items));
  });

  test("nothing is changed while another program has it open", async () => {
    const items = makeItems(2_000);
    const storage = await dirs.open();
    await storage.commit({ add: items, remove: [] });
    // As a node leaves it that was killed: all of it in the log.
    const dir = dirs.fresh();
    await cp(dirs.dirOf(storage), dir, { recursive: true });
    await storage.close();
    const file = join(dir, "items.sqlite");
    const reader = new DatabaseSync(file);
    reader.prepare("SELECT count(*) FROM items").get();
    reader.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
    const bytes = await readFile(file);
    bytes.fill("torn", ((bytes.length / 4_096) >> 1) * 4_096, (((bytes.length / 4_096) >> 1) + 1) * 4_096);
    await writeFile(file, bytes);
    const held = {
      code: "dataDirInUse",
      message: expect.stringContaining("another program that has it open"),
    };
    await expect(dirs.open(dir)).rejects.toMatchObject(held);
    await expect(dirs.open(dir)).rejects.toMatchObject(held);
    reader.close();
    const mended = await dirs.open(dir);
    const loaded = await loadAll(mended);
    expect(loaded.length).toBeGreaterThan(1_970);
    expect(loaded.length + mended.leftOut).toBe(2_000);
  });

  test("each one that was damaged is kept", async () => {
    const dir = await filled();
    for (let count = 0; count < 3; count++) {
      const file = join(dir, "items.sqlite");
      const bytes = await readFile(file);
      bytes.fill("torn", bytes.length - 4_096);
      await writeFile(file, bytes);
      await (await dirs.open(dir)).close();
    }
    const names = Object.keys(await contentOf(dir)).filter((name) => name.includes("damaged"));
    expect(names).toEqual(["items.sqlite.damaged", "items.sqlite.damaged-2", "items.sqlite.damaged-3"]);
  });
});

describe("of SQLite's log, as a node that was killed leaves it,", { timeout: 90_000 }, () => {
  const items = makeItems(3_000);
  /** A directory with nearly all items in the log, 20 to a commit. */
  const killed = async (): Promise<string> => {
    const storage = await dirs.open();
    for (let at = 0; at < items.length; at += 20)
      await storage.commit({ add: items.slice(at, at + 20), remove: [] });
    const dir = dirs.fresh();
    await cp(dirs.dirOf(storage), dir, { recursive: true });
    await rm(join(dir, "items.sqlite-shm"));
    return dir;
  };

  test.each([
    ["in its head", 3],
    ["in the salt of its head", 18],
    ["in the head of a frame", 32 + 100 * 4_120 + 2],
    ["in the salt of a frame", 32 + 100 * 4_120 + 9],
    ["in a page", 32 + 100 * 4_120 + 3_000],
    ["in a page near its end", -20 * 4_120],
  ])("flipped bytes %s cost the items in that page at most", async (_, place) => {
    const dir = await killed();
    const file = join(dir, "items.sqlite-wal");
    const log = await readFile(file);
    expect(log.length).toBeGreaterThan(1_000_000);
    for (let n = 0; n < 4; n++) log[(place + n + log.length) % log.length]! ^= 0xff;
    await writeFile(file, log);
    const storage = await dirs.open(dir);
    const { length } = await loadAll(storage);
    expect(length).toBeGreaterThan(2_900);
    expect(length + storage.leftOut).toBe(3_000);
  });

  test("one that ends in the middle of a commit ends with the commit before, and nothing is missing", async () => {
    const dir = await killed();
    const file = join(dir, "items.sqlite-wal");
    const { size } = await stat(file);
    for (let cut = 1; cut < size; cut = 3 * cut + 1_000) {
      const torn = dirs.fresh();
      await cp(dir, torn, { recursive: true });
      await truncate(join(torn, "items.sqlite-wal"), size - cut);
      const storage = await dirs.open(torn);
      const loaded = await loadAll(storage);
      expect(storage.leftOut).toBe(0);
      expect(loaded.length % 20).toBe(0);
      expect(sorted(loaded)).toEqual(sorted(items.slice(0, loaded.length)));
    }
  });
});

test("one bad byte in an item costs that item alone, and the next commit of it heals it", async () => {
  const items = makeItems(100);
  const dir = await filled(items);
  const file = join(dir, "items.sqlite");
  const bytes = await readFile(file);
  // SQLite leaves copies of rows in the free space of pages.
  const { signature } = items[5]!;
  for (let at = bytes.indexOf(signature); at >= 0; at = bytes.indexOf(signature, at)) bytes[at + 10]! ^= 1;
  await writeFile(file, bytes);
  const storage = await dirs.open(dir);
  expect(sorted(await loadAll(storage))).toEqual(sorted(items.toSpliced(5, 1)));
  expect(storage.leftOut).toBe(1);
  await storage.commit({ add: [items[5]!], remove: [] });
  await storage.close();
  const again = await dirs.open(dir);
  expect((await loadAll(again)).length).toBe(100);
  expect(again.leftOut).toBe(0);
});

test("what is lost of a damaged database is told, and comes back from a peer", {
  timeout: 90_000,
}, async () => {
  await using nodes = new Nodes();
  const dataDir = dirs.fresh();
  const start = (peers: readonly string[] = []) => nodes.start({ mdns: false, dataDir, peers });
  const whole = await nodes.start({ mdns: false });
  const first = await start(whole.peerAddresses);
  await Promise.all(Array.from({ length: 500 }, (_, n) => first.post({ id: `${n}`, raw: "x".repeat(200) })));
  await eventually(async () => (await whole.status()).items === 500);
  await first.close();
  const file = join(dataDir, "items.sqlite");
  const bytes = await readFile(file);
  const pages = bytes.length / 4_096;
  for (const page of [pages >> 1, pages - 3]) bytes.fill("torn", page * 4_096, (page + 1) * 4_096);
  await writeFile(file, bytes);

  const alone = await start();
  const { items, leftOut } = await alone.status();
  expect([items + leftOut, leftOut > 0]).toEqual([500, true]);
  expect(await alone.status()).toMatchObject({ state: "degraded", reasons: ["itemsLeftOut"] });
  await alone.close();

  // Once more, since that start has mended the database.
  await writeFile(file, bytes);
  const again = await start(whole.peerAddresses);
  await eventually(async () => (await again.status()).items === 500);
  await eventually(async () => (await again.status()).reasons.length === 0);
  expect((await again.status()).leftOut).toBe(leftOut);
});

describe("a start that was killed before it was complete is taken up again:", () => {
  test.each([
    ["nothing but the lock", ["hubcast.json", "node.key", "items.sqlite", "pid"], undefined],
    ["with the key", ["hubcast.json", "items.sqlite"], undefined],
    ["with half of a database", ["hubcast.json"], 3_000],
    ["with a database without its name", [], Number.POSITIVE_INFINITY],
  ])("%s", async (_, missing, newBytes) => {
    const dir = await filled([]);
    if (newBytes !== undefined) {
      await rename(join(dir, "items.sqlite"), join(dir, "items.sqlite.new"));
      if (Number.isFinite(newBytes)) await truncate(join(dir, "items.sqlite.new"), newBytes);
    }
    for (const name of missing) await rm(join(dir, name));
    const storage = await dirs.open(dir);
    expect(await loadAll(storage)).toEqual([]);
    await storage.commit({ add: makeItems(3), remove: [] });
    await storage.close();
    expect((await loadAll(await dirs.open(dir))).length).toBe(3);
  });
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

  test("is made anew once it was deleted, with a warning, and what was stored stays", async () => {
    const dir = await filled(makeItems(3));
    await rm(join(dir, "node.key"));
    dirs.warnings.length = 0;
    const storage = await dirs.open(dir);
    expect(dirs.warnings).toEqual([expect.stringMatching(/^node\.key is gone: this node has a new id/)]);
    expect((await loadAll(storage)).length).toBe(3);
  });

  test.each([
    [0o600, 0],
    [0o400, 0],
    [0o640, 1],
    [0o644, 1],
    [0o602, 1],
  ])("with mode %o brings %i warnings", async (mode, warnings) => {
    const dir = await filled([]);
    await chmod(join(dir, "node.key"), mode);
    dirs.warnings.length = 0;
    await dirs.open(dir);
    expect(dirs.warnings).toEqual(
      Array(warnings).fill(expect.stringMatching(/^node\.key is open to other users/)),
    );
  });
});

describe("a directory that others can write to", () => {
  const warned = expect.stringMatching(/^other users can write to the data directory/);

  test.each([
    [0o700, 0],
    [0o775, 0],
    [0o777, 1],
  ])("brings a warning with mode %o: %i", async (mode, warnings) => {
    const dir = await filled([]);
    await chmod(dir, mode);
    dirs.warnings.length = 0;
    await dirs.open(dir);
    expect(dirs.warnings).toEqual(Array(warnings).fill(warned));
  });

  // Only root can give a directory away; to root, every other owner is one that can write there.
  test.runIf(process.getuid?.() === 0)("brings a warning when it is another user's", async () => {
    const dir = await filled([]);
    await chown(dir, 12_345, 12_345);
    dirs.warnings.length = 0;
    await dirs.open(dir);
    expect(dirs.warnings).toEqual([warned]);
  });
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
