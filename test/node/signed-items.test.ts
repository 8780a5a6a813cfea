import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import { signItem } from "../../src/node/keys.js";
import { agreed, Nodes } from "../fixtures/nodes.js";

const { privateKey } = generateKeyPairSync("ed25519");
const other = generateKeyPairSync("ed25519").privateKey;
const OFFLINE = { mdns: false, http: { port: 0 } };

test("signed items reach all nodes by gossip, and one that joins later by reconciliation", async () => {
  await using nodes = new Nodes();
  const [a, b] = await nodes.startMesh(2);
  for (let n = 0; n < 50; n++) await a!.post(signItem({ id: `item-${n}`, raw: `raw ${n}` }, privateKey));
  await agreed([a!, b!], 50);
  const late = await nodes.start();
  await agreed([a!, b!, late], 50);
  expect((await late.get("item-7"))?.signature).toBe((await a!.get("item-7"))?.signature);
});

describe("where items enter", () => {
  const signed = () => signItem({ id: "notice", raw: "doors open at nine" }, privateKey);
  test.each([
    ["another raw", () => ({ ...signed(), raw: "doors open at ten" })],
    ["another id (a replay)", () => ({ ...signed(), id: "notice-2" })],
    ["another time", () => ({ ...signed(), timestampMs: signed().timestampMs - 1_000 })],
    ["no time", () => ({ id: "notice", raw: "doors open at nine", signature: signed().signature })],
    ["the key of somebody else", () => ({ ...signed(), signature: swapKey(signed().signature) })],
    ["a bit of the signature flipped", () => ({ ...signed(), signature: flipLastBit(signed().signature) })],
  ])("an item with %s is refused, alone and among many", async (_what, forge) => {
    await using nodes = new Nodes();
    const node = await nodes.start(OFFLINE);
    await using client = await connectToNode(node.url!);
    await expect(client.post(forge())).rejects.toMatchObject({ code: "invalidItem" });
    const statuses = [];
    const good = { id: "unsigned", raw: "x" };
    for await (const line of client.postMany([forge(), good, signed()])) statuses.push(line.status);
    expect(statuses).toEqual(["invalid", "accepted", "accepted"]);
  });

  test("one that was stamped too long ago is refused, however well it is signed", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(OFFLINE);
    const old = signItem({ raw: "x", timestampMs: Date.now() - 180_000 }, privateKey);
    await expect(node.post(old)).rejects.toMatchObject({ code: "timestampOff" });
  });

  test("it is taken in any letter case, once, and told in lower case", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(OFFLINE);
    const item = signed();
    const shouted = `ED25519:${item.signature.slice(8).toUpperCase()}`;
    expect((await node.post({ ...item, signature: shouted })).status).toBe("accepted");
    expect((await node.post(item)).status).toBe("held");
    expect((await node.get("notice"))?.signature).toBe(item.signature);
  });

  test("batches of a bulk request keep their order, checked or not", async () => {
    await using nodes = new Nodes();
    const node = await nodes.start(OFFLINE);
    await using client = await connectToNode(node.url!);
    const drafts = Array.from({ length: 3_000 }, (_, n) => {
      const draft = { id: `item-${n >> 1}`, raw: `${n}`.padEnd(200, ".") };
      return n % 2 === 0 && n < 600 ? signItem(draft, n % 4 === 0 ? privateKey : other) : draft;
    });
    const statuses = [];
    for await (const line of client.postMany(drafts)) statuses.push(line.status);
    expect(statuses).toEqual(drafts.map((_, n) => (n % 2 === 0 ? "accepted" : "conflict")));
  });
});

function swapKey(signature: string): string {
  const [scheme, , rest] = signature.split(":");
  const key = signItem({ raw: "x" }, other).signature.split(":")[1];
  return [scheme, key, rest].join(":");
}

function flipLastBit(signature: string): string {
  const last = Number.parseInt(signature.slice(-1), 16) ^ 1;
  return signature.slice(0, -1) + last.toString(16);
}
