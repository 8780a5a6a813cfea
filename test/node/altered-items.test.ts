import { generateKeyPairSync } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import type { NodeOptions, StartedNode } from "../../src/node/index.js";
import { signItem } from "../../src/node/keys.js";
import { encodeBatch, type Item, withDigest } from "../../src/node/replica/item.js";
import { integritySignature, publicKeyHex } from "../../src/node/replica/signature.js";
import { BadMember } from "../fixtures/bad-member.js";
import { eventually } from "../fixtures/eventually.js";
import { Nodes } from "../fixtures/nodes.js";

// Every way in refuses an item that is not what its author signed. Digests are made anew over what was altered, as an
// attacker would: they give nothing away.

const alice = generateKeyPairSync("ed25519").privateKey;
const mallory = generateKeyPairSync("ed25519").privateKey;
const directories = await mkdtemp(join(tmpdir(), "hubcast-altered-"));

const signed = (): Item => withDigest(signItem({ id: "notice", raw: "doors open at nine" }, alice));
const altered = (change: Partial<Item>): Item => {
  const { id, raw, timestampMs, signature } = { ...signed(), ...change };
  return withDigest({ id, raw, timestampMs, signature });
};
const flipped = (signature: string) =>
  signature.slice(0, -1) + (Number.parseInt(signature.slice(-1), 16) ^ 1).toString(16);

const LEFT_OUT = "stored items are damaged, and left out; peers that hold them bring them back";

const ALTERATIONS: readonly [string, () => Item][] = [
  ["raw", () => altered({ raw: "doors open at ten" })],
  ["id (a replay)", () => altered({ id: "notice-2" })],
  ["time", () => altered({ timestampMs: signed().timestampMs + 1_000 })],
  [
    "key",
    () => altered({ signature: signed().signature.replace(publicKeyHex(alice), publicKeyHex(mallory)) }),
  ],
  ["signature", () => altered({ signature: flipped(signed().signature) })],
  [
    "raw, though unsigned",
    () => altered({ raw: "at ten", signature: integritySignature("doors open at nine") }),
  ],
];

describe.each(ALTERATIONS)("an item with another %s is refused", (_what, make) => {
  test("by HTTP, alone and in bulk, and from the program that the node runs in", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ mdns: false, http: { port: 0 } });
    await using client = await connectToNode(node.url!);
    await expect(client.post(make())).rejects.toMatchObject({ code: "invalidItem" });
    await expect(node.post(make())).rejects.toMatchObject({ code: "invalidItem" });
    const headers = { "content-type": "application/x-ndjson" };
    const { digest: _, ...line } = make();
    const bulk = await fetch(`${node.url}/v1/items`, { method: "POST", headers, body: JSON.stringify(line) });
    expect(await bulk.json()).toMatchObject({ status: "invalid", code: "invalidItem" });
    expect((await node.status()).items).toBe(0);
  });

  test("by gossip", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ mdns: false });
    await using member = await BadMember.join(node, nodes.cluster);
    member.gossip(encodeBatch([make()]));
    await eventually(async () => (await node.status()).gossip.rejected === 1);
    expect((await node.status()).items).toBe(0);
  });

  test("by reconciliation, and whoever gives it is cut off", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start({ mdns: false });
    await using member = await BadMember.join(node, nodes.cluster);
    await member.give([make()]);
    await eventually(async () => (await node.peers())[0]?.reason === "invalidItem");
    expect((await node.status()).items).toBe(0);
  });

  test("from disk, with the MAC of another node", async () => {
    await using nodes = new Nodes();
    const log: string[] = [];
    const options = stored(log);
    const before = await nodes.start(options);
    await before.post({ id: "untouched", raw: "untouched" });
    await before.close();
    putRow(options.dataDir, make());
    const node = await nodes.start(options);
    expect(await idsOf(node)).toEqual(["untouched"]);
    expect(log).toEqual([LEFT_OUT]);
    expect(await node.status()).toMatchObject({ state: "degraded", reasons: ["itemsLeftOut"], leftOut: 1 });
    await node.close();
    expect((await (await nodes.start(options)).status()).leftOut, "it is gone from the disk").toBe(0);
  });
});

test("what was stored and then altered in its place is left out", async () => {
  await using nodes = new Nodes();
  const log: string[] = [];
  const options = stored(log);
  const before = await nodes.start(options);
  for (const id of ["a", "b"]) await before.post(signItem({ id, raw: `text of ${id}` }, alice));
  const item = (await before.get("b"))!;
  await before.close();
  putRow(options.dataDir, { ...item, raw: "text of c" });
  expect(await idsOf(await nodes.start(options))).toEqual(["a"]);
  expect(log).toEqual([LEFT_OUT]);
});

test("what an author did sign is taken on each of these ways", async () => {
  await using nodes = new Nodes();
  const options = stored([]);
  await (await nodes.start(options)).close();
  putRow(options.dataDir, altered({}));
  const node = await nodes.start(options);
  expect(await idsOf(node)).toEqual(["notice"]);
  await using member = await BadMember.join(node, nodes.cluster);
  member.gossip(encodeBatch([altered(signItem({ id: "gossiped", raw: "x" }, alice))]));
  await eventually(() => node.get("gossiped"));
  await member.give([altered(signItem({ id: "given", raw: "x" }, alice))]);
  await eventually(() => node.get("given"));
});

let lastDirectory = 0;

function stored(log: string[]): NodeOptions & { readonly dataDir: string } {
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (_: object, message: string) => void log.push(message),
  };
  return { mdns: false, dataDir: join(directories, `${++lastDirectory}`), logger };
}

/** Writes a row as docs/durability.md has it, with a MAC that this node did not make. */
function putRow(dataDir: string, { id, raw, signature, timestampMs, digest }: Item): void {
  const database = new DatabaseSync(join(dataDir, "items.sqlite"));
  database.prepare("DELETE FROM items WHERE digest = ?").run(digest);
  database
    .prepare("INSERT INTO items VALUES (NULL, ?, ?, ?, ?, ?, ?, 0)")
    .run(id, raw, signature, timestampMs, digest, "a".repeat(32));
  database.close();
}

async function idsOf(node: StartedNode): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id } of node.list()) ids.push(id);
  return ids.sort();
}
