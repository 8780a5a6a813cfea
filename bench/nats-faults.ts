// Faults of a NATS server under posts: whether its nodes lose posts, and how soon they are well again.
// npm run build && node bench/nats-faults.ts [nats-server program]
// Read: from the end of the fault (the server takes connections again; the stream was deleted, purged) until both nodes took a
// post and give no reason, and until a node that comes then, without a disk, holds all that was ever acknowledged. Wanted is 10 s
// for both. `lost` must be 0. `named after` counts from the fault itself until both nodes said so; a fault of the stream alone is
// mended before it is named. The full disk needs root, for a tmpfs.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type StartedNode, startNode } from "../build/src/node/index.js";

const PORT = 20_000 + (process.pid % 20_000);
const ENGINE = `nats://127.0.0.1:${PORT}`;
const MIB = 1_048_576;
const DEADLINE_MS = 60_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const [program = "/usr/sbin/nats-server"] = process.argv.slice(2);
const root = mkdtempSync(join(tmpdir(), "hubcast-bench-nats-faults-"));
const seconds = (ms: number | undefined) => (ms === undefined ? "-" : (ms / 1_000).toFixed(1));

class World {
  server: ChildProcess | undefined;
  readonly nodes: StartedNode[] = [];
  readonly accepted = new Set<string>();
  readonly cluster: string;
  #posting: Promise<unknown> = Promise.resolve();
  #stopping = false;

  readonly store: string;

  constructor(name: string, store: string) {
    this.store = store;
    this.cluster = `bench-${name}`;
  }

  async startServer(): Promise<void> {
    const file = join(root, "nats.conf");
    // With a limit beyond what the disk has: else the server would keep to a part of what is free at its start.
    writeFileSync(
      file,
      `listen: "127.0.0.1:${PORT}"\nhttp: "127.0.0.1:${PORT + 1}"\njetstream { store_dir: ${JSON.stringify(this.store)}, max_file_store: 1GB }\n`,
    );
    this.server = spawn(program, ["-c", file], { stdio: "ignore" });
    await until(async () => (await fetch(`http://127.0.0.1:${PORT + 1}/healthz`)).ok);
  }

  async stopServer(): Promise<void> {
    const exit = once(this.server!, "exit");
    this.server!.kill("SIGKILL");
    await exit;
  }

  async startNodes(bytes = 200): Promise<void> {
    const options = { engine: ENGINE, mdns: false, cluster: this.cluster };
    this.nodes.push(await startNode(options));
    this.nodes.push(await startNode({ ...options, dataDir: join(root, this.cluster) }));
    this.#posting = Promise.all(this.nodes.map((node, index) => this.#post(node, index, bytes)));
  }

  async manage<Result>(
    act: (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<Result>,
  ): Promise<Result> {
    const connection = await connect({ servers: `127.0.0.1:${PORT}` });
    try {
      return await act(await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  }

  /** @returns ms until all nodes say that something is wrong */
  async named(): Promise<number> {
    const atMs = performance.now();
    await until(async () => (await this.#reasons()).every((reasons) => reasons.length > 0));
    return performance.now() - atMs;
  }

  /** The fault is over: prints how long it took until nodes, and one that comes, were well. */
  async over(name: string, namedMs?: number): Promise<void> {
    const atMs = performance.now();
    const before = this.#counts();
    await until(async () => {
      const isTaken = this.#counts().every((count, index) => count > before[index]!);
      return isTaken && (await this.#reasons()).every((reasons) => reasons.length === 0);
    });
    const wellMs = performance.now() - atMs;
    const newcomer = await startNode({ engine: ENGINE, mdns: false, cluster: this.cluster });
    let lost = 0;
    const expected = [...this.accepted];
    await until(async () => {
      const held = new Set<string>();
      for await (const { id } of newcomer.list()) held.add(id);
      lost = expected.filter((id) => !held.has(id)).length;
      return lost === 0;
    }).catch(() => {});
    const fullMs = performance.now() - atMs;
    await newcomer.close();
    console.log(
      [name.padEnd(28), seconds(namedMs), seconds(wellMs), seconds(fullMs), expected.length, lost].join(
        " | ",
      ),
    );
  }

  async close(): Promise<void> {
    this.#stopping = true;
    await this.#posting;
    await Promise.all(this.nodes.map((node) => node.close()));
    await this.stopServer();
  }

  async #post(node: StartedNode, index: number, bytes: number): Promise<void> {
    for (let n = 0; !this.#stopping; n++) {
      const id = `${index}-${n}`;
      await node.post({ id, raw: "x".repeat(bytes) }).then(
        () => this.accepted.add(id),
        () => {},
      );
      await pause(2);
    }
  }

  #counts(): number[] {
    const counts = this.nodes.map(() => 0);
    for (const id of this.accepted) counts[Number(id[0])]!++;
    return counts;
  }

  async #reasons(): Promise<readonly (readonly string[])[]> {
    return (await Promise.all(this.nodes.map((node) => node.status()))).map(({ reasons }) => reasons);
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + DEADLINE_MS; performance.now() < endMs; await pause(20))
    if (await isSo().catch(() => false)) return;
  throw new Error(`not within ${DEADLINE_MS} ms`);
}

async function world(
  name: string,
  run: (one: World) => Promise<void>,
  store = join(root, `${name}-store`),
): Promise<void> {
  const one = new World(name, store);
  await one.startServer();
  try {
    await run(one);
  } finally {
    await one.close();
  }
}

console.log(
  "fault                        | named after s | well after s | newcomer has all after s | acknowledged | lost",
);
await world("killed", async (one) => {
  await one.startNodes();
  for (let round = 1; round <= 6; round++) {
    await pause(1_000);
    await one.stopServer();
    const namedMs = await one.named();
    await one.startServer();
    await one.over(`server killed, time ${round}`, namedMs);
  }
});
await world("stream", async (one) => {
  await one.startNodes();
  await pause(2_000);
  const stream = `hubcast-nodes-${one.cluster}`;
  await one.manage((jsm) => jsm.streams.delete(stream));
  await one.over("stream deleted");
  await pause(2_000);
  await one.manage((jsm) => jsm.streams.purge(stream));
  await one.over("stream purged");
});
await world("rollback", async (one) => {
  await one.startNodes();
  await pause(2_000);
  await one.stopServer();
  cpSync(one.store, join(root, "backup"), { recursive: true });
  await one.startServer();
  await pause(3_000);
  await one.stopServer();
  const namedMs = await one.named();
  rmSync(one.store, { recursive: true });
  cpSync(join(root, "backup"), one.store, { recursive: true });
  await one.startServer();
  await one.over("rolled back from a backup", namedMs);
});
const disk = join(root, "disk");
mkdirSync(disk);
if (spawnSync("mount", ["-t", "tmpfs", "-o", `size=${40 * MIB}`, "tmpfs", disk]).status === 0) {
  try {
    writeFileSync(join(disk, "ballast"), Buffer.alloc(32 * MIB));
    await world(
      "full",
      async (one) => {
        await one.startNodes(20_000);
        // Until it takes nothing any more.
        for (let before = -1; one.accepted.size !== before; await pause(500)) before = one.accepted.size;
        const namedMs = await one.named();
        rmSync(join(disk, "ballast"));
        await one.stopServer();
        await one.startServer();
        await one.over("disk full, freed, restarted", namedMs);
      },
      join(disk, "store"),
    );
  } finally {
    spawnSync("umount", [disk]);
  }
}
rmSync(root, { recursive: true, force: true });
