import { createHash } from "node:crypto";
import { getEventListeners, once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { LINE_KIND } from "../../src/core/text.js";
import type { Item } from "../../src/node/broadcast.js";
import { connectToNode } from "../../src/node/client.js";
import { startNode } from "../../src/node/index.js";
import { defaultName } from "../../src/node/options.js";
import { BadMember } from "../fixtures/bad-member.js";
import { eventually } from "../fixtures/eventually.js";
import { agreed, listen, meshed, Nodes } from "../fixtures/nodes.js";

const md5 = (raw: string) => createHash("md5").update(raw).digest("hex");

test("a post on one node is visible on all others, and its events are told", async () => {
  await using nodes = new Nodes();
  const [a, b, c] = await nodes.startMesh(3);
  const heard = listen(c!);
  const { id, status, digest } = await a!.post({ raw: "the kettle is on" });
  expect(status).toBe("accepted");
  await eventually(async () => (await b!.get(id))?.digest === digest);
  await eventually(() => heard.events.some((event) => event.type === "item" && event.item.id === id));
  await agreed([a!, b!, c!], 1);
});

test("a peer that holds what was posted a moment ago is said to hold it, when it is asked", async () => {
  await using nodes = new Nodes();
  const [a] = await nodes.startMesh(2);
  expect((await a!.post({ raw: "the kettle is on" }, { wait: "all" })).receipt).toMatchObject({
    complete: true,
  });
  expect(await a!.peers({ fresh: true })).toMatchObject([{ summary: { items: 1 }, agreement: "agrees" }]);
});

test("a peer that does not say what it holds when it is asked is not said to agree", async () => {
  await using nodes = new Nodes();
  const node = await nodes.start();
  const { fingerprint } = await node.status();
  const nowMs = Date.now();
  const window = { sinceMs: nowMs - 60_000, settledMs: nowMs - 2_000 };
  const holdings = { count: 0, fingerprint, settledFingerprint: fingerprint, ...window };
  await using _silent = await BadMember.join(node, nodes.cluster, { holdings });
  expect(await node.peers()).toMatchObject([{ state: "connected", agreement: "agrees" }]);
  expect(await node.peers({ fresh: true })).toMatchObject([{ state: "connected", agreement: "unknown" }]);
});

test("a node that is closed answers what waits, and refuses to ask others", async () => {
  await using nodes = new Nodes();
  const [a] = await nodes.startMesh(2);
  const { id } = await a!.post({ raw: "the kettle is on" });
  const post = a!.post({ raw: "the tea is ready" }, { wait: "all", timeoutMs: 60_000 });
  const fresh = a!.peers({ fresh: true });
  await a!.close();
  expect(await post).toMatchObject({ status: "accepted", receipt: { of: 1 } });
  expect(await fresh).toHaveLength(1);
  await expect(a!.peers({ fresh: true })).rejects.toMatchObject({ code: "stopping" });
  await expect(a!.show(id, { holders: true })).rejects.toMatchObject({ code: "stopping" });
  expect(await a!.show(id)).toMatchObject({ raw: "the kettle is on" });
});

test("a late joiner gets everything, hidden items too, and is ready only then", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start();
  await Promise.all(Array.from({ length: 3_000 }, (_, n) => a.post({ id: `item-${n}`, raw: `raw ${n}` })));
  const b = await nodes.start();
  expect((await b.status()).state).toBe("starting");
  await eventually(async () => (await b.status()).state === "ready");
  expect((await b.status()).items).toBe(3_000);
  await agreed([a, b], 3_000);
});

test("different raw under one id on two sides of a partition: one wins on all nodes, and subscribers are told", async () => {
  await using nodes = new Nodes();
  const [a, b] = await Promise.all([nodes.start({ mdns: false }), nodes.start({ mdns: false })]);
  const first = await a.post({ id: "lunch", raw: "at noon" });
  const second = await b.post({ id: "lunch", raw: "at one" });
  const loserNode =
    first.timestampMs < second.timestampMs ||
    (first.timestampMs === second.timestampMs && first.digest < second.digest)
      ? b
      : a;
  const heard = listen(loserNode);
  const bridge = await nodes.start({ mdns: false, peers: [a.peerAddresses[0]!, b.peerAddresses[0]!] });
  await agreed([a, b, bridge], 1);
  const views = await Promise.all([a, b, bridge].map((node) => node.get("lunch")));
  expect(new Set(views.map((item: Item | undefined) => item?.raw)).size).toBe(1);
  expect((await bridge.status()).hidden).toBe(1);
  await eventually(() => heard.events.some((event) => event.type === "replaced"));
  await expect(a.post({ id: "lunch", raw: "at two" })).rejects.toMatchObject({ code: "conflict" });
});

test("the same item posted again is held; another raw or signature under its id is a conflict", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false });
  const item = { id: "news", raw: "good", signature: md5("good").toUpperCase() };
  expect((await a.post(item)).status).toBe("accepted");
  expect((await a.post(item)).status).toBe("held");
  expect((await a.get("news"))?.signature).toBe(md5("good"));
  await expect(a.post({ ...item, raw: "bad", signature: md5("bad") })).rejects.toMatchObject({
    code: "conflict",
  });
  await expect(a.post({ id: "news", raw: "good" })).rejects.toMatchObject({ code: "conflict" });
});

test.each([
  ["a wrong signature", { raw: "x", signature: md5("y") }, "invalidItem"],
  ["a signature of no scheme", { raw: "x", signature: "trust me" }, "invalidItem"],
  ["an empty raw", { raw: "" }, "invalidItem"],
  ["a NUL in the id", { id: "a\0b", raw: "x" }, "invalidItem"],
  ["an id of 257 bytes", { id: `${"é".repeat(128)}x`, raw: "x" }, "invalidItem"],
  ["raw past its limit", { raw: "x".repeat(1_000_001) }, "invalidItem"],
  ["a lone surrogate", { raw: "\ud800" }, "invalidItem"],
  ["a time 3 minutes ahead", { raw: "x", timestampMs: Date.now() + 180_000 }, "timestampOff"],
  ["a time 3 minutes ago", { raw: "x", timestampMs: Date.now() - 180_000 }, "timestampOff"],
])("%s is refused", async (_, draft, code) => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false });
  await expect(a.post(draft)).rejects.toMatchObject({ code });
  expect((await a.status()).items).toBe(0);
});

test("a receipt names the peers that hold the item; without enough of them it is incomplete at the deadline", async () => {
  await using nodes = new Nodes();
  const [a, b, c] = await nodes.startMesh(3);
  const all = await a!.post({ raw: "sign here" }, { wait: "all" });
  expect(all.receipt).toMatchObject({ complete: true, missing: [] });
  expect(new Set(all.receipt!.holders.map(({ id }) => id))).toEqual(new Set([b!.id, c!.id]));
  const tooMany = await a!.post({ raw: "three of you" }, { wait: 3, timeoutMs: 300 });
  expect(tooMany.receipt).toMatchObject({ complete: false });
});

test("a node that starts again without its data takes the row of the one before", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false, name: "a" });
  const again = () => nodes.start({ mdns: false, name: "b", peers: a.peerAddresses });
  for (let n = 0; n < 3; n++) {
    const b = await again();
    await eventually(async () =>
      (await a.peers()).some(({ id, state }) => id === b.id && state === "connected"),
    );
    expect((await a.peers()).map(({ name }) => name)).toEqual(["b"]);
    await meshed([a, b]);
    expect(
      (await b.peers({ fresh: true })).map(({ name }) => name),
      "nor does it list those it stands for",
    ).toEqual(["a"]);
    await b.close();
    await eventually(async () => (await a.peers()).every(({ state }) => state === "left"));
    expect(
      (await a.peers()).map(({ id }) => id),
      "of several that are gone, the last",
    ).toEqual([b.id]);
  }
});

test.each([
  ["attic", 8_080, "attic"],
  ["attic.example.com", 8_081, "attic.example.com-8081"],
  ["attic", 0, "attic-abcdef"],
  ["attic", undefined, "attic-abcdef"],
  ["localhost", 8_080, "node-abcdef"],
  ["a host", 8_080, "node-abcdef"],
])("without a name, a node on host %s and port %s is called %s", (host, port, name) => {
  expect(defaultName("12D3KooWABCDEF", port, host)).toBe(name);
});

test("a node that closes has left; its peers do not call it lost", async () => {
  await using nodes = new Nodes();
  const [a, b] = await nodes.startMesh(2);
  await b!.close();
  await b!.close();
  const [peer] = await eventually(async () => {
    const peers = await a!.peers();
    return peers[0]?.state === "connected" ? undefined : peers;
  });
  expect(peer).toMatchObject({ id: b!.id, state: "left", reason: "said goodbye" });
});

test("items expire everywhere and are not taken back", async () => {
  await using nodes = new Nodes();
  const [a, b] = await nodes.startMesh(2, { retentionMs: 1_500 });
  const heard = listen(b!);
  const { id } = await a!.post({ raw: "short news" });
  await eventually(async () => b!.get(id));
  await eventually(() => heard.events.some((event) => event.type === "expired" && event.item.id === id));
  await eventually(async () => (await a!.get(id)) === undefined);
  expect((await b!.status()).items).toBe(0);
});

test("with a retention that leaves nothing to compare, nobody is said to agree", async () => {
  await using nodes = new Nodes();
  const [a] = await nodes.startMesh(2, { retentionMs: 3_000 });
  expect((await a!.peers()).map(({ agreement }) => agreement)).toEqual(["unknown"]);
});

test("nodes of different retention exchange nothing and are listed; one of another cluster does not get in", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false });
  const other = await nodes.start({ mdns: false, retentionMs: 3_600_000, peers: [a.peerAddresses[0]!] });
  const stranger = await nodes.start({
    mdns: false,
    cluster: `${nodes.cluster}-x`,
    peers: [a.peerAddresses[0]!],
  });
  const friend = await nodes.start({ mdns: false, peers: [a.peerAddresses[0]!] });
  await a.post({ raw: "for friends" });
  await agreed([a, friend], 1);
  expect((await other.status()).items + (await stranger.status()).items).toBe(0);
  expect((await a.peers()).map(({ id }) => id).toSorted()).toEqual([friend.id, other.id].toSorted());
});

test("each address of a peer that leads to nobody is warned of once, with the reason, in lines of one kind, and listed until it is reached", {
  timeout: 120_000,
}, async () => {
  await using nodes = new Nodes();
  const spare = createServer().listen(0, "127.0.0.1");
  await once(spare, "listening");
  const { port } = spare.address() as { port: number };
  spare.close();
  await once(spare, "close");
  const warnings: string[] = [];
  const kinds = new Set<string | undefined>();
  let failures = 0;
  const logger = {
    ...{ info() {}, error() {} },
    debug: (_: object, text: string) => {
      if (text === "peer not reached") failures++;
    },
    warn: (fields: { [LINE_KIND]?: string }, text: string) => {
      warnings.push(text);
      kinds.add(fields[LINE_KIND]);
    },
  };
  const peers = [`127.0.0.1:${port}`, "127.0.0.1:1", "nobody.invalid:4001"];
  const node = await nodes.start({ mdns: false, peers, logger });
  const unreached = async () => (await node.peers()).filter(({ state }) => state === "unreached");
  // A node that is woken late dials less often, and a name may take long to resolve.
  await eventually(async () => (await unreached()).length === 3, 30_000);
  await eventually(async () => (await node.status()).reasons.includes("noPeer"));
  expect((await node.status()).details[0]!.message).toContain("refuses connections");
  await eventually(() => failures > 12, 30_000);
  expect(warnings).toHaveLength(3);
  expect([...kinds]).toEqual([expect.stringContaining("unreached")]);
  for (const peer of peers) {
    const why = peer.startsWith("nobody") ? "no name that can be resolved" : "refuses connections";
    expect(
      warnings.filter((text) => text.startsWith(`peer ${peer} unreached: `) && text.includes(why)),
    ).toHaveLength(1);
  }
  const other = await nodes.start({ mdns: false, p2p: { hosts: ["127.0.0.1"], port } });
  await eventually(async () => (await unreached()).length === 2, 30_000);
  expect((await node.peers()).find(({ id }) => id === other.id)).toMatchObject({ state: "connected" });
  await eventually(async () => (await node.status()).state === "ready");
});

test("peer exchange joins nodes that know only one of the others", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false });
  const others = [];
  for (let n = 0; n < 4; n++) others.push(await nodes.start({ mdns: false, peers: [a.peerAddresses[0]!] }));
  await meshed([a, ...others]);
});

test("of two nodes with one name the second is renamed, and says so", { timeout: 60_000 }, async () => {
  await using nodes = new Nodes();
  // Of this test alone: where another has a "kitchen" and a "kitchen (2)", the second of these would be the third.
  const name = `kitchen ${nodes.cluster}`;
  const a = await nodes.start({ name });
  await eventually(async () => (await a.status()).name === name);
  const warnings: string[] = [];
  const logger = {
    debug() {},
    info() {},
    error() {},
    warn: (_: object, text: string) => warnings.push(text),
  };
  const b = await nodes.start({ name, logger });
  // Probes that are lost on a busy machine show with a later answer.
  await eventually(() => [a.name, b.name].includes(`${name} (2)`), 40_000);
  if (b.name === `${name} (2)`) expect(warnings.join()).toContain("is taken on this network");
  await eventually(async () => (await a.peers())[0]?.name === b.name);
});

test("a start that fails leaves nothing open: a taken port says so, and the next start works", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as { port: number };
  const options = { mdns: false, p2p: { hosts: ["127.0.0.1"] }, http: { port } };
  await expect(startNode(options)).rejects.toMatchObject({
    code: "portInUse",
    message: expect.stringContaining("--port 0"),
  });
  taken.close();
  await once(taken, "close");
  const node = await startNode(options);
  await node.close();
});

test.each([
  [{ cluster: "Team 7" }, "cluster name"],
  [{ name: "a\nb" }, "node name"],
  [{ retentionMs: 10 }, "retentionMs"],
  [{ engine: "carrier-pigeon" }, "engine"],
])("options out of their range are refused by name: %j", async (options, word) => {
  await expect(startNode(options)).rejects.toMatchObject({
    code: "invalidOption",
    message: expect.stringContaining(word),
  });
});

test("a data directory where nothing can be made is refused, and does not keep the start for ever", async () => {
  for (const dataDir of ["/proc/x", "/proc/self/x/y"]) {
    await expect(startNode({ dataDir, mdns: false, p2p: { hosts: ["127.0.0.1"] } })).rejects.toMatchObject({
      code: "dataDirUnusable",
      message: expect.stringContaining(`cannot make the data directory ${dataDir}`),
    });
  }
});

test("a node that was closed leaves nothing at a signal that outlives it", async () => {
  const { signal } = new AbortController();
  const node = await startNode({ mdns: false, p2p: { hosts: ["127.0.0.1"] }, signal });
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  await node.close();
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("an aborted signal closes the node", async () => {
  await using nodes = new Nodes();
  const abort = new AbortController();
  const [a, b] = await Promise.all([nodes.start(), nodes.start({ signal: abort.signal })]);
  await meshed([a, b]);
  abort.abort();
  await eventually(async () => (await a.peers())[0]?.state === "left");
});

test("events resume behind an id; history has none, and the place of another run is gone or started over from", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false });
  // History is in the order of stamps, and two posts may share a millisecond.
  await a.post({ id: "one", raw: "1", timestampMs: Date.now() - 10 });
  const first = listen(a, { sinceMs: 0 });
  await a.post({ id: "two", raw: "2" });
  await eventually(() => first.events.length === 3);
  first.stop();
  expect(first.events.map(({ type }) => type)).toEqual(["item", "caught-up", "item"]);
  await a.post({ id: "three", raw: "3" });
  for await (const event of a.events({ after: first.events[2]!.eventId! })) {
    expect(event).toMatchObject({ type: "item", item: { id: "three" } });
    break;
  }
  expect(first.events[0]!.eventId).toBeUndefined();
  const gone = a.events({ after: "0123-7" })[Symbol.asyncIterator]();
  await expect(gone.next()).rejects.toThrow("of another run of the node");
  const ahead = a.events({ after: first.events[2]!.eventId!.replace(/\d+$/, "99") })[Symbol.asyncIterator]();
  await expect(ahead.next()).rejects.toThrow("after the newest event");
  for await (const event of a.events({ after: "0123-7", sinceMs: 0 })) {
    expect(event).toMatchObject({ type: "item", item: { id: "one" } });
    break;
  }
});

test("the client over HTTP and the node in the process tell the same", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false, http: { port: 0 } });
  await using client = await connectToNode(a.url!);
  const { id } = await client.post({ raw: "over the wire" });
  expect(await client.get(id)).toEqual(await a.get(id));
  const here: Item[] = [];
  for await (const item of a.list()) here.push(item);
  const there: Item[] = [];
  for await (const item of client.list()) there.push(item);
  expect(there).toEqual(here);
  expect((await client.status()).fingerprint).toBe((await a.status()).fingerprint);
});

test("an item that arrives while history is read is told once, as it arrived", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false });
  const nowMs = Date.now();
  for (const [id, agoMs] of [
    ["one", 100],
    ["three", 10],
  ] as const)
    await a.post({ id, raw: id, timestampMs: nowMs - agoMs });
  const events = a.events({ sinceMs: 0 })[Symbol.asyncIterator]();
  const told = [await events.next()];
  await a.post({ id: "two", raw: "two", timestampMs: nowMs - 50 });
  for (let n = 0; n < 3; n++) told.push(await events.next());
  expect(told.map(({ value }) => ("item" in value ? value.item.id : value.type))).toEqual([
    "one",
    "three",
    "caught-up",
    "two",
  ]);
  await events.return!();
});

test("a topic deeper than the index is looked for in parts: a page may be empty and yet not the last", async () => {
  await using nodes = new Nodes();
  const a = await nodes.start({ mdns: false, http: { port: 0 } });
  await using remote = await connectToNode(a.url!);
  const above = "1/2/3/4/5/6/7/8";
  const ids = [...Array.from({ length: 25_000 }, (_, n) => `${above}/other/${n}`), `${above}/9/x`];
  for await (const { status } of remote.postMany(ids.map((id) => ({ id, raw: "x" }))))
    expect(status).toBe("accepted");
  const topic = `${above}/9`;
  const textAt = async (query: string, headers = {}) =>
    await (await fetch(`${a.url}/v1/items${query}`, { headers })).text();
  const page: { nextCursor: string } = JSON.parse(await textAt(`?topic=${topic}`));
  expect(page).toEqual({ items: [], nextCursor: expect.any(String) });
  const last = JSON.parse(await textAt(`?topic=${topic}&cursor=${page.nextCursor}`));
  expect(last).toMatchObject({ items: [{ id: `${above}/9/x` }] });
  const lines = await textAt(`?topic=${topic}`, { accept: "application/x-ndjson" });
  expect(JSON.parse(lines)).toMatchObject({ id: `${above}/9/x` });
  for (const order of ["oldest", "newest"] as const) {
    for (const node of [a, remote]) {
      const found: string[] = [];
      for await (const { id } of node.list({ topic, order })) found.push(id);
      expect(found).toEqual([`${above}/9/x`]);
    }
  }
});
