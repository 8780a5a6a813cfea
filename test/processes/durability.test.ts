import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Item } from "../../src/node/broadcast.js";
import { eventually } from "../fixtures/eventually.js";
import { NodeProcess } from "../fixtures/node-process.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-durable-"));
afterAll(() => rm(root, { recursive: true, force: true }));

const cluster = `t-${randomUUID().slice(0, 13)}`;
const start = (dir: string) =>
  NodeProcess.start({
    flags: ["--port", "0", "--p2p-host", "127.0.0.1", "--no-mdns", "--cluster", cluster, "--data-dir", dir],
  });

/** 100 rounds: HUBCAST_KILL_ROUNDS=100 npx vitest run test/processes/durability */
const ROUNDS = Number(process.env.HUBCAST_KILL_ROUNDS ?? 10);

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
    await postUntilDead(node, `round-${round}`, acknowledged, victims);
  }
  await using node = await start(dir);
  await expectAll(node, acknowledged);
  expect(acknowledged.size).toBeGreaterThan(ROUNDS);
  expect(ids).toEqual(new Set([node.id]));
  console.log(`${acknowledged.size} items acknowledged in ${ROUNDS} rounds, all there`);
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
      at = after(at, new RegExp(`write.*items\\.mdb>.*${marker}`));
      at = after(at, /fdatasync(\(.*items\.mdb>\)| resumed>\)) += 0/);
      // The page that makes the transaction valid, through the descriptor that syncs by itself.
      const answer = after(at, new RegExp(`write.*HTTP/1\\.1 201.*${marker}`));
      at = after(at, /pwrite64\(.*items\.mdb>.*, 128, (40|4136)/);
      expect(at).toBeLessThan(answer);
      at = answer;
    }
  });
});

/** Posts over a few connections, single items and bulk, and kills the node at the `last` acknowledgement. */
async function postUntilDead(
  node: NodeProcess,
  prefix: string,
  acknowledged: Map<string, string>,
  last: number,
): Promise<void> {
  let isDead = false;
  const acknowledge = (id: string, raw: string) => {
    acknowledged.set(id, raw);
    if (acknowledged.size < last || isDead) return;
    isDead = true;
    node.child.kill("SIGKILL");
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
  expect(isDead).toBe(true);
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

  static async attach(pid: number): Promise<Trace> {
    const file = join(root, `strace-${pid}`);
    const calls = "trace=fdatasync,fsync,write,writev,pwrite64,pwritev,sendto,sendmsg";
    const strace = spawn("strace", ["-f", "-y", "-s", "20000", "-e", calls, "-o", file, "-p", String(pid)]);
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
