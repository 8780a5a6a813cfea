import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { Broadcast } from "../../src/node/broadcast.js";
import { connectToNode } from "../../src/node/client.js";
import { eventually } from "../fixtures/eventually.js";

const HOST = fileURLToPath(new URL("../fixtures/node-host.ts", import.meta.url));
/** Nodes in each process. */
const HOSTED = [1, 10, 12, 12, 12, 12, 12];
const NODES = HOSTED.reduce((sum, count) => sum + count) + 1;
/** This test proves that states are reached, on machines that are busy with others; bench/ says how fast. */
const PATIENCE_MS = 300_000;

test(`${NODES} nodes that all know one --peer know each other; every post reaches all, and a goodbye too`, {
  timeout: 5 * PATIENCE_MS,
}, async () => {
  const cluster = `t-${randomUUID().slice(0, 13)}`;
  await using nodes = new HostedNodes(cluster);
  const [seed] = await nodes.start(HOSTED[0]!);
  await Promise.all(HOSTED.slice(1).map((count) => nodes.start(count)));
  await nodes.knowEachOther();
  for (const { links, reasons } of await nodes.statuses()) {
    expect(links).toBeGreaterThan(0);
    expect(reasons).toEqual([]);
  }
  expect((await seed!.node.status()).links, "the one that all dialled does not carry all").toBeLessThan(20);

  // It is full by now: whoever comes late is referred to others.
  const [late] = await nodes.start(1);
  await nodes.knowEachOther();

  const { id, receipt } = await late!.node.post({ raw: "to all" }, { wait: "all", timeoutMs: PATIENCE_MS });
  expect(receipt).toMatchObject({ of: NODES - 1, complete: true, missing: [], refused: [] });
  expect(new Set(receipt!.holders.map((holder) => holder.id)).size).toBe(NODES - 1);
  const slowestMs = Math.max(...receipt!.holders.map(({ afterMs }) => afterMs));
  console.log(`the last of ${NODES - 1} other nodes said after ${slowestMs} ms that it holds the post`);
  for (const { node } of nodes.all) expect((await node.get(id))?.raw).toBe("to all");

  const posts = await Promise.all(nodes.all.map(({ node, url }) => node.post({ raw: `from ${url}` })));
  for (const { node } of nodes.all)
    for (const post of posts) await eventually(() => node.get(post.id), PATIENCE_MS);
  await eventually(
    async () => (await seed!.node.peers({ fresh: true })).every(({ agreement }) => agreement === "agrees"),
    PATIENCE_MS,
  );

  const gone = await nodes.close(7);
  for (const { node } of nodes.all) {
    const heard = async () => (await node.peers()).find((peer) => peer.id === gone)?.state === "left";
    await eventually(heard, PATIENCE_MS);
  }
  expect((await nodes.statuses()).map(({ members }) => members)).toEqual(nodes.all.map(() => NODES - 1));
});

interface HostedNode {
  readonly node: Broadcast;
  readonly url: string;
  readonly host: ChildProcess;
}

/** Nodes in a few processes; all but the first are given its address. */
class HostedNodes implements AsyncDisposable {
  readonly all: HostedNode[] = [];
  readonly #hosts: ChildProcess[] = [];
  #seed: string | undefined;

  constructor(private readonly cluster: string) {}

  async start(count: number): Promise<readonly HostedNode[]> {
    const host = fork(HOST, [String(count), this.cluster, ...(this.#seed ? [this.#seed] : [])]);
    this.#hosts.push(host);
    const [{ urls, peerAddress }] = await once(host, "message");
    this.#seed ??= peerAddress;
    const started: HostedNode[] = [];
    for (const url of urls)
      started.push({ node: await eventually(() => connectToNode(url), PATIENCE_MS), url, host });
    this.all.push(...started);
    return started;
  }

  statuses() {
    return Promise.all(this.all.map(({ node }) => node.status()));
  }

  async knowEachOther(): Promise<void> {
    let last = "";
    await eventually(async () => {
      const found = await this.statuses();
      last = found.map(({ peers, links, state }) => `${peers}/${links}/${state}`).join(" ");
      return found.every(({ peers, state }) => peers === this.all.length - 1 && state === "ready");
    }, PATIENCE_MS).catch(() => {
      throw new Error(`rosters are not full: ${last}`);
    });
  }

  /** Lets one say goodbye. @returns its id */
  async close(index: number): Promise<string> {
    const [{ node, url, host }] = this.all.splice(index, 1) as [HostedNode];
    const { id } = await node.status();
    await node.close();
    host.send(url);
    await once(host, "message");
    return id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map(({ node }) => node.close()));
    for (const host of this.#hosts) host.kill("SIGKILL");
  }
}
