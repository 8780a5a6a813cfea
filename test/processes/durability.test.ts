import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Item } from "../../src/node/broadcast.js";
import { connectToNode } from "../../src/node/client.js";
import { eventually } from "../fixtures/eventually.js";
import { NodeProcess } from "../fixtures/node-process.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-durable-"));

const cluster = `t-${randomUUID().slice(0, 13)}`;
const start = (dir: string, peers: readonly string[] = []) =>
  NodeProcess.start({
    flags: [
      ...["--port", "0", "--p2p-host", "127.0.0.1", "--no-mdns", "--cluster", cluster, "--data-dir", dir],
      ...peers.flatMap((peer) => ["--peer", peer]),
    ],
  });

/** HUBCAST_KILL_ROUNDS=100 HUBCAST_AIMED_ROUNDS=20 npx vitest run test/processes/durability */
const ROUNDS = Number(process.env.HUBCAST_KILL_ROUNDS ?? 6);
const AIMED_ROUNDS = Number(process.env.HUBCAST_AIMED_ROUNDS ?? 4);

test(`a node killed under load ${ROUNDS} times has everything that it acknowledged, and its id`, {
  timeout: 20_000 + ROUNDS * 10_000,
}, async () => {
  const dir = join(root, "killed");
  const acknowledged = new Map<string, string>();
  const ids = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    await using node = await start(dir);
    ids.add(node.id);
    await expectAll(node, acknowledged);
    const victims = acknowledged.size + 1 + Math.floor(Math.random() * 500);
    await postUntilDead(node, `round-${round}`, acknowledged, () => {
      if (acknowledged.size >= victims) node.child.kill("SIGKILL");
    });
  }
  await using node = await start(dir);
  await expectAll(node, acknowledged);
  expect(acknowledged.size).toBeGreaterThan(ROUNDS);
  expect(ids).toEqual(new Set([node.id]));
  console.log(`${acknowledged.size} items acknowledged in ${ROUNDS} rounds, all there`);
});

test("three nodes killed at once under load have everything that was to be held by all three, each on its own disk", {
  timeout: 240_000,
}, async () => {
  const dirs = [0, 1, 2].map((n) => join(root, `three-${n}`));
  const acknowledged = new Map<string, string>();
  for (let round = 0; round < 2; round++) {
    const nodes: NodeProcess[] = [];
    try {
      for (const dir of dirs) nodes.push(await start(dir, nodes[0]?.peerAddresses.slice(0, 1)));
      await eventually(async () => {
        const all = await Promise.all(nodes.map((node) => node.status()));
        return all.every(({ peers }) => peers === 2);
      }, 30_000);
      await using client = await connectToNode(nodes[0]!.url);
      const enough = acknowledged.size + 200 + Math.floor(Math.random() * 500);
      const post = async (worker: number) => {
        // Until the node is dead: then a post is rejected.
        for (let n = 0; ; n++) {
          const draft = { id: `three-${round}-${worker}-${n}`, raw: `raw ${n}` };
          const { receipt } = await client.post(draft, { wait: 2, timeoutMs: 30_000 });
          if (receipt!.complete) acknowledged.set(draft.id, draft.raw);
          if (acknowledged.size >= enough) for (const { child } of nodes) child.kill("SIGKILL");
        }
      };
      await Promise.allSettled(Array.from({ length: 32 }, (_, worker) => post(worker)));
      for (const { child } of nodes) if (child.signalCode === null) await once(child, "exit");
      expect(acknowledged.size).toBeGreaterThanOrEqual(enough);
    } finally {
      for (const node of nodes) await node[Symbol.asyncDispose]();
    }
    // Each alone, so that none has it from another.
    for (const dir of dirs) {
      await using node = await start(dir);
      await expectAll(node, acknowledged);
    }
  }
  console.log(`${acknowledged.size} items acknowledged by three nodes, all there`);
});

const traces = spawnSync("strace", ["-V"]).status === 0;
const reason = traces ? "" : "no strace";

describe.skipIf(reason)(`seen by strace${reason ? ` (skipped: ${reason})` : ""}`, () => {
  test("an item is written and synced before its post is answered", { timeout: 60_000 }, async () => {
    await using node = await start(join(root, "traced"));
    await using trace = await Trace.attach(node.child.pid!);
    const markers = Array.from({ length: 5 }, () => randomUUID());
    for (const marker of markers) expect((await node.post({ id: marker, raw: "kept" })).status).toBe(201);
    const calls = await trace.calls();
    const after = (from: number, pattern: RegExp) => {
      const place = calls.findIndex((line, index) => index >= from && pattern.test(line));
      expect(place, `${pattern} in\n${calls.slice(from).join("\n")}`).toBeGreaterThanOrEqual(0);
      return place;
    };
    let at = 0;
    for (const marker of markers) {
      at = after(at, new RegExp(`write.*items\\.sqlite-wal>.*${marker}`));
      at = after(at, /f(?:data)?sync(\(.*items\.sqlite-wal>\)| resumed>\)) += 0/);
      const answer = after(0, new RegExp(`write.*HTTP/1\\.1 201.*${marker}`));
      expect(at).toBeLessThan(answer);
      at = answer;
    }
  });

  test("a post has a sync of its own, and many at once share theirs", { timeout: 60_000 }, async () => {
    await using node = await start(join(root, "counted"));
    const syncsOf = async (posts: () => Promise<unknown>) => {
      await using trace = await Trace.attach(node.child.pid!);
      await posts();
      return (await trace.calls()).filter((line) => /f(data)?sync\(/.test(line)).length;
    };
    const post = async (id: string) => expect((await node.post({ id, raw: "kept" })).status).toBe(201);
    const alone = await syncsOf(async () => {
      for (let n = 0; n < 20; n++) await post(`alone-${n}`);
    });
    expect(alone).toBeGreaterThanOrEqual(20);
    // The first one after the log started over syncs the log's head, too.
    expect(alone).toBeLessThanOrEqual(22);
    // In one request, so that they come at once also where the machine is busy.
    const body = Array.from({ length: 200 }, (_, n) => JSON.stringify({ id: `with-${n}`, raw: "kept" }));
    const together = await syncsOf(async () => {
      const headers = { "content-type": "application/x-ndjson" };
      const response = await fetch(`${node.url}/v1/items?results=full`, {
        method: "POST",
        headers,
        body: body.join("\n"),
      });
      expect((await response.text()).match(/"status":"accepted"/g)).toHaveLength(200);
    });
    expect(together).toBeGreaterThan(0);
    expect(together).toBeLessThan(50);
  });

  test(`a node killed in the middle of a commit ${AIMED_ROUNDS} times has everything that it acknowledged`, {
    timeout: 20_000 + AIMED_ROUNDS * 20_000,
  }, async () => {
    const dir = join(root, "aimed");
    const acknowledged = new Map<string, string>();
    for (let round = 0; round < AIMED_ROUNDS; round++) {
      await using node = await start(dir);
      await expectAll(node, acknowledged);
      // Between two pages of a commit, or before the commit is synced.
      const call = round % 2 ? "fsync,fdatasync" : "pwrite64";
      await using _ = await Trace.attach(node.child.pid!, [
        ...["-P", join(dir, "items.sqlite-wal")],
        ...["-e", `inject=${call}:signal=SIGKILL:when=${round + 1 + Math.floor(Math.random() * 50)}`],
      ]);
      await postUntilDead(node, `aimed-${round}`, acknowledged, () => {});
      expect(node.child.signalCode).toBe("SIGKILL");
    }
    await using node = await start(dir);
    await expectAll(node, acknowledged);
    console.log(`${acknowledged.size} items acknowledged in ${AIMED_ROUNDS} rounds, all there`);
  });
});

/** Posts over a few connections, single items and bulk, until the node is dead. @param onAcknowledged after each answer */
async function postUntilDead(
  node: NodeProcess,
  prefix: string,
  acknowledged: Map<string, string>,
  onAcknowledged: () => void,
): Promise<void> {
  let isDead = false;
  node.child.once("exit", () => {
    isDead = true;
  });
  const acknowledge = (id: string, raw: string) => {
    acknowledged.set(id, raw);
    onAcknowledged();
  };
  const single = async (worker: number) => {
    for (let n = 0; n < 10_000 && !isDead; n++) {
      const id = `${prefix}-${worker}-${n}`;
      const raw = "x".repeat(1 + ((n * 31) % 3_000));
      const answer = await node.post({ id, raw });
      if (answer.status === 201) acknowledge(id, raw);
      await answer.arrayBuffer();
    }
  };
  const bulk = async () => {
    for (let n = 0; n < 1_000 && !isDead; n++) {
      const lines = Array.from({ length: 50 }, (_, line) => ({
        id: `${prefix}-bulk-${n}-${line}`,
        raw: `line ${line}`,
      }));
      const answer = await fetch(new URL("/v1/items", node.url), {
        method: "POST",
        headers: { "content-type": "application/x-ndjson" },
        body: lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
      });
      for (const text of (await answer.text()).trim().split("\n")) {
        const { id, status } = JSON.parse(text);
        const line = lines.find((each) => each.id === id);
        if (line && status === "accepted") acknowledge(id, line.raw);
      }
    }
  };
  // Their last requests end with the node.
  await Promise.allSettled([...Array.from({ length: 8 }, (_, worker) => single(worker)), bulk()]);
  if (!isDead) await once(node.child, "exit");
}

async function expectAll(node: NodeProcess, acknowledged: ReadonlyMap<string, string>): Promise<void> {
  const answer = await fetch(new URL("/v1/items", node.url), { headers: { accept: "application/x-ndjson" } });
  const lines = (await answer.text()).split("\n").filter(Boolean);
  const held = new Map(lines.map((line) => JSON.parse(line) as Item).map(({ id, raw }) => [id, raw]));
  const missing = [...acknowledged].filter(([id, raw]) => held.get(id) !== raw).map(([id]) => id);
  expect(missing).toEqual([]);
}

/** System calls of a process and its threads, from when `attach` resolves until `calls` is asked for. */
class Trace implements AsyncDisposable {
  private constructor(
    private readonly strace: ChildProcess,
    private readonly file: string,
  ) {}

  static async attach(pid: number, flags: readonly string[] = []): Promise<Trace> {
    const file = join(root, `strace-${pid}`);
    const calls = "trace=fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg";
    const all = ["-f", "-y", "-s", "20000", "-e", calls, ...flags, "-o", file, "-p", String(pid)];
    const strace = spawn("strace", all);
    let said = "";
    strace.stderr!.on("data", (text) => {
      said += text;
    });
    await eventually(() => {
      if (strace.exitCode !== null) throw new Error(said);
      return said.includes("attached");
    });
    return new Trace(strace, file);
  }

  async calls(): Promise<string[]> {
    await this[Symbol.asyncDispose]();
    return (await readFile(this.file, "utf8")).split("\n");
  }

  /** Lets go of the process, which runs on. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.strace.exitCode !== null || this.strace.signalCode !== null) return;
    const exit = once(this.strace, "exit");
    this.strace.kill("SIGINT");
    await exit;
  }
}
