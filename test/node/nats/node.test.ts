import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StartedNode } from "../../../src/node/index.js";
import { signItem } from "../../../src/node/keys.js";
import { encodeBatch, withDigest } from "../../../src/node/replica/item.js";
import { eventually } from "../../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";
import { agreed, listen, meshed } from "../../fixtures/nodes.js";
import { NatsNodes, textsOf } from "./ground.js";

const post = (texts: readonly string[]) => texts.map((raw) => ({ id: raw, raw }));

describe.skipIf(natsMissing)("nodes on NATS", { concurrent: true }, () => {
  let server: NatsServer;
  const dir = mkdtempSync(join(tmpdir(), "hubcast-nats-nodes-"));

  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("meet, hand on what is posted, tell who holds it, and agree", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two, three] = (await nodes.startMesh(3)) as [StartedNode, StartedNode, StartedNode];
    const heard = listen(two);
    const { status, receipt } = await one.post({ id: "a", raw: "first" }, { wait: "all" });
    expect(status).toBe("accepted");
    expect(receipt).toMatchObject({ complete: true, missing: [] });
    expect(receipt!.holders.map(({ id }) => id).sort()).toEqual([two.id, three.id].sort());
    await agreed([one, two, three], 1);
    await eventually(() => heard.events.some((event) => event.type === "item" && event.item.raw === "first"));
    heard.stop();
    expect(await one.status()).toMatchObject({ engine: "nats", peers: 2, state: "ready", peerAddresses: [] });
    await eventually(async () => (await one.peers()).every(({ agreement }) => agreement === "agrees"));
    await expect(two.post({ id: "a", raw: "other" })).rejects.toMatchObject({ code: "conflict" });
    expect((await two.post({ id: "a", raw: "first" })).status).toBe("held");
  });

  test("one that closes while it verifies what it reads ends cleanly", async () => {
    await using nodes = new NatsNodes(server);
    const one = await nodes.start();
    const { privateKey } = generateKeyPairSync("ed25519");
    const drafts = Array.from({ length: 2_000 }, (_, n) => signItem({ id: `${n}`, raw: "x" }, privateKey));
    await Promise.all(drafts.map((draft) => one.post(draft)));
    const two = await nodes.start();
    await eventually(async () => (await two.status()).gossip.batchesReceived > 0);
    await two.close();
    expect((await two.status()).items).toBeLessThan(2_000);
  });

  test("tell who holds an item, and who lacks it", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
    await one.post({ id: "a", raw: "first" });
    const full = await nodes.start({ itemsMax: 1 });
    await meshed([one, two, full]);
    await agreed([one, two, full], 1);
    await one.post({ id: "b", raw: "second" }, { wait: 1, timeoutMs: 30_000 });
    const { receipt } = (await one.show("b", { holders: true, timeoutMs: 5_000 }))!;
    expect(receipt!.holders.map(({ id }) => id)).toEqual([two.id]);
    expect(receipt!.lacking.map(({ id }) => id)).toEqual([full.id]);
    expect(receipt).toMatchObject({ of: 2, complete: false, missing: [], refused: [], lost: [] });
    expect((await two.show("a", { holders: true }))!.receipt).toMatchObject({ complete: true, lacking: [] });
  });

  test("one that comes later reads everything, also with nobody else there", async () => {
    await using nodes = new NatsNodes(server);
    const first = await nodes.start();
    for (const item of post(["a", "b", "c"])) await first.post(item);
    await first.close();
    const later = await nodes.start();
    await eventually(async () => (await later.status()).items === 3);
    expect(await textsOf(later)).toEqual(["a", "b", "c"]);
    expect((await later.status()).gossip.itemsReceived).toBe(3);
  });

  test("one that leaves is gone at once, by its own word", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = await nodes.startMesh(2);
    const { id } = two!;
    await two!.close();
    await eventually(async () => (await one!.peers()).find((peer) => peer.id === id)?.state === "left");
  });

  test("of two clusters share a server, and nothing else", async () => {
    await using nodes = new NatsNodes(server);
    await using others = new NatsNodes(server);
    const one = await nodes.start();
    const other = await others.start();
    await one.post({ id: "a", raw: "ours" });
    await other.post({ id: "a", raw: "theirs" });
    expect([await textsOf(one), await textsOf(other)]).toEqual([["ours"], ["theirs"]]);
    expect([await one.peers(), await other.peers()]).toEqual([[], []]);
  });

  test("with a data directory read only what they lack when they come back, and keep their id", async () => {
    await using nodes = new NatsNodes(server);
    const stays = await nodes.start();
    const dataDir = join(dir, "lacks");
    const before = await nodes.start({ dataDir });
    for (const item of post(["a", "b", "c", "d", "e"])) await stays.post(item);
    await before.post({ id: "own", raw: "own" });
    await agreed([stays, before], 6);
    await before.close();
    for (const item of post(["f", "g"])) await stays.post(item);
    const after = await nodes.start({ dataDir });
    expect(after.id).toBe(before.id);
    await agreed([stays, after], 8);
    const { gossip, sync } = await after.status();
    expect({ read: gossip.itemsReceived + gossip.duplicates, fetched: sync.itemsReceived }).toEqual({
      read: 2,
      fetched: 0,
    });
  });

  test("find a stream that was made anew, fill it, and read it from its start", async () => {
    await using nodes = new NatsNodes(server);
    const dataDir = join(dir, "anew");
    const [one, two] = [await nodes.start({ dataDir }), await nodes.start()];
    for (const item of post(["a", "b", "c"])) await one.post(item);
    await agreed([one, two], 3);
    await nodes.manage((jsm) => jsm.streams.delete(nodes.stream));
    expect((await two.post({ id: "d", raw: "d" })).status).toBe("accepted");
    await agreed([one, two], 4);
    await eventually(async () => {
      const { state } = await nodes.manage((jsm) => jsm.streams.info(nodes.stream));
      return state.messages >= 2;
    });
    await Promise.all([one.close(), two.close()]);
    const later = await nodes.start();
    await eventually(async () => (await later.status()).items === 4);
    const again = await nodes.start({ dataDir });
    await again.post({ id: "e", raw: "e" });
    await agreed([later, again], 5);
  });

  test("put back into a stream that was purged what a node that came later lacks", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
    for (const item of post(["a", "b", "c"])) await one.post(item);
    await agreed([one, two], 3);
    await nodes.manage((jsm) => jsm.streams.purge(nodes.stream));
    const later = await nodes.start();
    await agreed([one, two, later], 3, 60_000);
    const { state } = await nodes.manage((jsm) => jsm.streams.info(nodes.stream));
    expect(state.messages).toBeGreaterThan(0);
  }, 90_000);

  test("of a full stream refuse a post, keep what they have, and go on when there is room", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
    await one.post({ id: "a", raw: "a" });
    const resize = (max_bytes: number) =>
      nodes.manage((jsm) => jsm.streams.update(nodes.stream, { max_bytes }));
    await resize(3_000);
    await expect(one.post({ id: "b", raw: "b".repeat(3_000) })).rejects.toMatchObject({
      code: "natsFull",
      httpStatus: 507,
    });
    expect((await one.status()).reasons).toEqual(["natsFull"]);
    expect(await one.get("b")).toBeUndefined();
    await agreed([one, two], 1);
    await resize(-1);
    expect((await one.post({ id: "b", raw: "b".repeat(3_000) })).status).toBe("accepted");
    await agreed([one, two], 2);
    expect((await one.status()).reasons).toEqual([]);
  });

  test("pass by what is no batch, or has a bad item, and do not mind words that are none", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = (await nodes.startMesh(2)) as [StartedNode, StartedNode];
    const prefix = `hubcast.nodes.1.${nodes.cluster}`;
    const forged = encodeBatch([
      withDigest({ id: "forged", raw: "x", signature: "0".repeat(32), timestampMs: Date.now() }),
    ]);
    await nodes.manage(async (jsm) => {
      const js = jsm.jetstream();
      for (const bytes of [new Uint8Array(), Buffer.from("garbage"), forged]) {
        await js.publish(`${prefix}.items.stranger`, bytes);
        await js.publish(`${prefix}.items.${one.id}`, bytes);
      }
    });
    await nodes.say(`${prefix}.here.stranger`, [Buffer.from("garbage"), Buffer.of(1), new Uint8Array()]);
    await one.post({ id: "a", raw: "good" });
    await agreed([one, two], 1);
    expect((await two.status()).gossip).toMatchObject({ rejected: 6, itemsReceived: 1 });
    expect((await one.status()).peers).toBe(1);
    const later = await nodes.start();
    await agreed([one, two, later], 1);
  });

  test("of every size of item", async () => {
    await using nodes = new NatsNodes(server);
    const [one, two] = await nodes.startMesh(2);
    const raws = ["x", "y".repeat(70_000), "z".repeat(1_000_000)];
    await Promise.all(raws.map((raw, index) => one!.post({ id: `${"i".repeat(250)}${index}`, raw })));
    await agreed([one!, two!], 3);
    await meshed([one!, two!]);
  });
});
