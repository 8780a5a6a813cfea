import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { StartedNode } from "../../../src/node/index.js";
import { eventually } from "../../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";
import { SmallDisk } from "../../fixtures/small-disk.js";
import { NatsNodes, textsOf } from "./ground.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-nats-faults-"));
afterAll(() => rm(root, { recursive: true, force: true }));

/** Posts on each node, one after the other, until it is told to stop. What is acknowledged must never be lost. */
class Load {
  readonly accepted = new Set<string>();
  readonly #refused = new Set<string>();
  readonly #posting: readonly Promise<void>[];
  #isStopping = false;

  constructor(nodes: readonly StartedNode[], bytes = 10) {
    this.#posting = nodes.map(async (node, index) => {
      for (let n = 0; !this.#isStopping; n++) {
        const raw = `${index}-${n}`.padEnd(bytes, ".");
        await node.post({ id: `${index}-${n}`, raw }).then(
          () => this.accepted.add(raw),
          ({ code }: { code: string }) => this.#refused.add(code),
        );
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    });
  }

  /** Waits for so many more. */
  async more(count: number): Promise<void> {
    const enough = this.accepted.size + count;
    await eventually(() => this.accepted.size >= enough, 30_000);
  }

  /** @returns the codes with which posts were refused */
  async stop(): Promise<readonly string[]> {
    this.#isStopping = true;
    await Promise.all(this.#posting);
    return [...this.#refused];
  }

  /** Waits until all hold all that was accepted, and the same. */
  async isHeldBy(nodes: readonly StartedNode[]): Promise<void> {
    await eventually(async () => {
      const [first, ...others] = await Promise.all(nodes.map(textsOf));
      const held = new Set(first);
      const lost = [...this.accepted].filter((raw) => !held.has(raw));
      expect(lost.slice(0, 3)).toEqual([]);
      return others.every((texts) => texts.join() === first!.join());
    }, 40_000);
  }
}

const says = (node: StartedNode, ...reasons: string[]) =>
  eventually(async () => (await node.status()).reasons.join() === reasons.join(), 30_000);

/** Two nodes, one with a disk. */
async function pair(nodes: NatsNodes, name: string): Promise<[StartedNode, StartedNode]> {
  return [await nodes.start(), await nodes.start({ dataDir: join(root, name) })];
}

describe.skipIf(natsMissing)(
  "under posts nothing that was acknowledged is lost",
  { timeout: 150_000 },
  () => {
    test("when the server is killed and started again six times in a row", async () => {
      await using server = await NatsServer.start();
      await using nodes = new NatsNodes(server);
      const both = await pair(nodes, "killed");
      const load = new Load(both);
      for (let round = 1; round <= 6; round++) {
        await load.more(30);
        await server.stop("SIGKILL");
        await Promise.all(both.map((node) => says(node, "natsAway")));
        await server.restart();
        await Promise.all(both.map((node) => says(node)));
      }
      await load.more(30);
      expect((await load.stop()).filter((code) => code !== "natsAway")).toEqual([]);
      await load.isHeldBy([...both, await nodes.start()]);
    });

    test("when the stream is deleted, and when it is purged", async () => {
      await using server = await NatsServer.start();
      await using nodes = new NatsNodes(server);
      const both = await pair(nodes, "deleted");
      const load = new Load(both);
      await load.more(50);
      await nodes.manage((jsm) => jsm.streams.delete(nodes.stream));
      await load.more(50);
      await nodes.manage((jsm) => jsm.streams.purge(nodes.stream));
      await load.more(50);
      expect((await load.stop()).filter((code) => code !== "natsAway")).toEqual([]);
      await load.isHeldBy([...both, await nodes.start()]);
    });

    test("when the server comes back with what it had a while ago", async () => {
      await using server = await NatsServer.start();
      await using nodes = new NatsNodes(server);
      const both = await pair(nodes, "rolled back");
      const load = new Load(both);
      await load.more(50);
      await server.stop("SIGTERM");
      await cp(server.storeDir, join(root, "backup"), { recursive: true });
      await server.restart();
      await load.more(50);
      await server.wipe();
      await Promise.all(both.map((node) => says(node, "natsAway")));
      await cp(join(root, "backup"), server.storeDir, { recursive: true });
      await server.restart();
      await Promise.all(both.map((node) => says(node)));
      await load.more(50);
      expect((await load.stop()).filter((code) => code !== "natsAway")).toEqual([]);
      await load.isHeldBy([...both, await nodes.start()]);
    });

    test("when the disk of the server is full, is freed, and the server is started again", async (context) => {
      const disk = SmallDisk.mount(40 * 1_048_576);
      if (typeof disk === "string") return context.skip(disk);
      await using _unmounts = disk;
      disk.fill(36 * 1_048_576);
      await using server = await NatsServer.start({ storeDir: join(disk.path, "store") });
      await using nodes = new NatsNodes(server);
      const both = await pair(nodes, "full");
      const load = new Load(both, 20_000);
      // A server that cannot write stops to answer (2.9 does), or says that it is full.
      await eventually(async () => {
        const told = await Promise.all(both.map((node) => node.status()));
        return told.every(({ reasons }) => reasons.includes("natsAway") || reasons.includes("natsFull"));
      }, 60_000);
      disk.free();
      await server.stop("SIGKILL");
      await server.restart();
      await Promise.all(both.map((node) => says(node)));
      await load.more(50);
      expect((await load.stop()).filter((code) => !["natsAway", "natsFull"].includes(code))).toEqual([]);
      await load.isHeldBy([...both, await nodes.start()]);
    });
  },
);
