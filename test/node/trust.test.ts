import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { StartedNode, Trusted } from "../../src/node/index.js";
import { signItem } from "../../src/node/keys.js";
import { TrustPolicy } from "../../src/node/replica/policy.js";
import { publicKeyHex } from "../../src/node/replica/signature.js";
import { eventually } from "../fixtures/eventually.js";
import { listen, meshed, Nodes } from "../fixtures/nodes.js";

const alice = generateKeyPairSync("ed25519").privateKey;
const bob = generateKeyPairSync("ed25519").privateKey;
const ALICE = publicKeyHex(alice);
const BOB = publicKeyHex(bob);
const by = (key: KeyObject, id: string) => signItem({ id, raw: `text of ${id}` }, key);

describe("what is posted to a node that trusts alice", () => {
  test.each([
    ["by alice", by(alice, "a"), undefined],
    ["by bob", by(bob, "b"), "refusedByPolicy"],
    ["by nobody", { id: "n", raw: "text" }, "refusedByPolicy"],
    ["by bob in the name of alice", forged(), "invalidItem"],
  ])("%s", async (_who, draft, code) => {
    await using nodes = new Nodes();
    const node = await nodes.start({ mdns: false, trust: [ALICE.toUpperCase()] });
    const posted = node.post(draft);
    if (code) await expect(posted).rejects.toMatchObject({ code });
    else expect((await posted).status).toBe("accepted");
    expect((await node.status()).items).toBe(code ? 0 : 1);
  });
});

describe("a key that is bound to topics", () => {
  const trust = [{ key: ALICE.toUpperCase(), topics: ["alerts", "deploy/site"] }, BOB];

  test.each([
    ["alerts/1", undefined],
    ["alerts/disk/1", undefined],
    ["deploy/site/1", undefined],
    ["deploy/1", "refusedTopic"],
    ["alerts", "refusedTopic"],
    ["alerts-2/1", "refusedTopic"],
    ["alerts//1", "refusedTopic"],
    ["1", "refusedTopic"],
  ])("and the id %j", async (id, code) => {
    await using nodes = new Nodes();
    const node = await nodes.start({ mdns: false, trust });
    const posted = node.post(by(alice, id));
    if (code) await expect(posted).rejects.toMatchObject({ code });
    else expect((await posted).status).toBe("accepted");
    // The topic is not reserved for that key, and others go where they like.
    expect((await node.post(by(bob, `${id}-bob`))).status).toBe("accepted");
    expect((await node.status()).items).toBe(code ? 1 : 2);
  });

  test("is refused elsewhere by gossip, by reconciliation, from disk, and when it is bound later", async () => {
    await using nodes = new Nodes();
    const [open, bound] = [await nodes.start(), await nodes.start({ trust })];
    await meshed([open, bound]);
    const post = async (name: string) => {
      await open.post(by(alice, `private/${name}`));
      await open.post(by(alice, `alerts/${name}`));
    };
    await post("by-gossip");
    await holds(bound, "alerts/by-gossip");
    const late = await nodes.start({ trust });
    await holds(late, "alerts/by-gossip");
    await eventually(async () => (await agreement(open, bound)) === "differsByPolicy");
    await eventually(async () => (await agreement(bound, late)) === "agrees");
    const asks = await open.post(by(alice, "private/asked"), { wait: "all", timeoutMs: 30_000 });
    expect(asks.receipt!.refused.map(({ id }) => id).sort()).toEqual([bound.id, late.id].sort());

    const dataDir = mkdtempSync(join(tmpdir(), "hubcast-bound-"));
    const alone = { mdns: false, peers: [], dataDir } as const;
    const before = await nodes.start({ ...alone, trust: [ALICE] });
    await before.post(by(alice, "private/on-disk"));
    await before.post(by(alice, "alerts/on-disk"));
    await before.close();
    const after = await nodes.start({ ...alone, trust });
    await holds(after, "alerts/on-disk");
    after.trust([{ key: ALICE, topics: ["private"] }]);
    expect((await after.status()).items).toBe(0);
    // Given up, also on the disk.
    await after.close();
    const last = await nodes.start({ ...alone, trust: [ALICE] });
    expect((await last.status()).items).toBe(0);
  });

  test.each<[string, readonly Trusted[], RegExp]>([
    ["no topics", [{ key: ALICE, topics: [] }], /has an empty list of topics/],
    ["a topic that is none", [{ key: ALICE, topics: ["alerts/"] }], /^"alerts\/" is no topic/],
    ["a key that is none", [{ key: "alice", topics: ["alerts"] }], /64 hex digits/],
    [
      "the key alone, too",
      [{ key: ALICE, topics: ["alerts"] }, ALICE.toUpperCase()],
      /with topics and without/,
    ],
    ["something else", [{ key: ALICE } as Trusted], /an array of public keys, or of objects \{key, topics\}/],
  ])("with %s is refused at the start, and later changes nothing", async (_what, keys, message) => {
    await using nodes = new Nodes();
    const refusal = { code: "invalidOption", message: expect.stringMatching(message) };
    await expect(nodes.start({ mdns: false, trust: keys })).rejects.toMatchObject(refusal);
    const node = await nodes.start({ mdns: false, trust });
    expect(() => node.trust(keys)).toThrow(expect.objectContaining(refusal));
    expect((await node.post(by(alice, "alerts/1"))).status).toBe("accepted");
  });

  test("makes another policy, which is the same however it is written", () => {
    const text = (...keys: Trusted[]) => new TrustPolicy({ keys }).text;
    const one = text({ key: ALICE, topics: ["a", "b"] }, BOB);
    expect(text(BOB, { key: ALICE.toUpperCase(), topics: ["b", "a", "b"] })).toBe(one);
    expect(text({ key: ALICE, topics: ["b"] }, BOB, { key: ALICE, topics: ["a"] })).toBe(one);
    expect(text({ key: ALICE, topics: ["a"] }, BOB)).not.toBe(one);
    expect(text(ALICE, BOB)).not.toBe(one);
    expect(one.length).toBeLessThanOrEqual(64);
  });
});

test("a node takes from peers only what its policy accepts, and both say that they differ by policy", async () => {
  await using nodes = new Nodes();
  const [open, strict] = [await nodes.start(), await nodes.start({ trust: [ALICE] })];
  await meshed([open, strict]);
  await open.post({ id: "nobody", raw: "unsigned" });
  await open.post(by(bob, "bob-1"));
  await open.post(by(alice, "alice-1"));
  await holds(strict, "alice-1");
  const late = await nodes.start({ trust: [ALICE, BOB] });
  await holds(late, "alice-1", "bob-1");
  await eventually(async () => (await agreement(open, strict)) === "differsByPolicy");
  await eventually(async () => (await agreement(strict, open)) === "differsByPolicy");
});

test("a difference is seen with a retention of seconds too", async () => {
  await using nodes = new Nodes();
  const retentionMs = 20_000;
  const [open, strict] = [
    await nodes.start({ retentionMs }),
    await nodes.start({ retentionMs, trust: [ALICE] }),
  ];
  await meshed([open, strict]);
  await open.post({ id: "nobody", raw: "unsigned" });
  await eventually(async () => (await agreement(open, strict)) === "differsByPolicy");
  expect((await open.peers())[0]!.difference).toMatchObject({ itemsHere: 1 });
});

test("a change of trust drops what is no longer trusted, and fetches what is trusted now", async () => {
  await using nodes = new Nodes();
  const [open, strict] = [await nodes.start(), await nodes.start({ trust: [ALICE] })];
  await meshed([open, strict]);
  const watch = listen(strict);
  for (let n = 0; n < 20; n++) {
    await open.post(by(alice, `alice-${n}`));
    await open.post(by(bob, `bob-${n}`));
  }
  await eventually(async () => (await strict.status()).items === 20);
  strict.trust([ALICE, BOB]);
  await eventually(async () => (await strict.status()).items === 40);
  await eventually(async () => (await agreement(open, strict)) === "agrees");
  strict.trust([BOB]);
  expect((await strict.status()).items).toBe(20);
  expect(await strict.get("alice-3")).toBeUndefined();
  await eventually(() => watch.events.filter(({ type }) => type === "expired").length === 20);
  await eventually(async () => (await agreement(open, strict)) === "differsByPolicy");
  strict.trust([ALICE, BOB]);
  await eventually(async () => (await strict.status()).items === 40);
  expect((await open.status()).items).toBe(40);
  expect(() => strict.trust(["alice"])).toThrow(/64 hex digits/);
  watch.stop();
});

test("what was refused is not fetched again", async () => {
  await using nodes = new Nodes();
  const open = await nodes.start({ syncIntervalMs: 1_000 });
  for (let n = 0; n < 30; n++) await open.post({ raw: `unsigned ${n}` });
  const strict = await nodes.start({ require: ["ed25519"], syncIntervalMs: 1_000 });
  await eventually(async () => (await open.status()).sync.itemsSent === 30);
  const rounds = async () => (await open.status()).sync.rounds + (await strict.status()).sync.rounds;
  const before = await rounds();
  await eventually(async () => (await rounds()) >= before + 3);
  expect((await open.status()).sync.itemsSent).toBe(30);
  expect(await strict.status()).toMatchObject({ items: 0, notTaken: 30 });
  expect((await open.peers())[0]?.state).toBe("connected");
});

test("equal policies are equal whatever the order and case of their keys", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ trust: [ALICE, BOB] });
  const b = await nodes.start({ trust: [BOB.toUpperCase(), ALICE, BOB], require: ["ed25519"] });
  await meshed([a, b]);
  await a.post(by(alice, "a"));
  await holds(b, "a");
  await eventually(async () => (await agreement(a, b)) === "agrees");
});

test.each([
  [{ require: [] }, "require"],
  [{ require: ["rsa" as never] }, "require"],
  [{ trust: ["12"] }, "64 hex digits"],
  [{ trust: [ALICE], require: ["sha256" as const] }, "leaves out ed25519"],
])("a policy that means nothing is refused: %j", async (options, said) => {
  await using nodes = new Nodes();
  await expect(nodes.start(options)).rejects.toMatchObject({
    code: "invalidOption",
    message: expect.stringContaining(said),
  });
});

function forged() {
  const { signature, ...item } = by(bob, "f");
  return { ...item, signature: signature.replace(BOB, ALICE) };
}

async function holds(node: StartedNode, ...ids: string[]): Promise<void> {
  await eventually(async () => {
    const held: string[] = [];
    for await (const { id } of node.list()) held.push(id);
    return held.sort().join() === ids.sort().join();
  });
}

async function agreement(of: StartedNode, about: StartedNode): Promise<string | undefined> {
  return (await of.peers()).find(({ id }) => id === about.id)?.agreement;
}
