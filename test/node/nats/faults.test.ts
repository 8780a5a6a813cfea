import { cp, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { StartedNode } from "../../../src/node/index.js";
import { eventually } from "../../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../../fixtures/nats-server.js";
import { SmallDisk } from "../../fixtures/small-disk.js";
import { NatsNodes, textsOf } from "./ground.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-nats-faults-"));

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

/** A server and two nodes, one with a disk, under posts. */
class LoadedPair implements AsyncDisposable {
  private constructor(
    readonly server: NatsServer,
    readonly nodes: NatsNodes,
    readonly both: readonly StartedNode[],
    readonly load: Load,
    private readonly opened: AsyncDisposable,
  ) {}

  /** @param bytes of each post */
  static async start(name: string, { bytes = 10, storeDir }: { bytes?: number; storeDir?: string } = {}) {
    await using opened = new AsyncDisposableStack();
    const server = opened.use(await NatsServer.start(storeDir === undefined ? {} : { storeDir }));
    const nodes = opened.use(new NatsNodes(server));
    const both = [await nodes.start(), await nodes.start({ dataDir: join(root, name) })];
    return new LoadedPair(server, nodes, both, new Load(both, bytes), opened.move());
  }

  /** Both say that, and nothing else. */
  async say(...reasons: string[]): Promise<void> {
    const says = async (node: StartedNode) => (await node.status()).reasons.join() === reasons.join();
    await Promise.all(this.both.map((node) => eventually(() => says(node), 30_000)));
  }

  /** Ends the load. @param refused the only codes with which posts may have been refused */
  async holdsAll(...refused: string[]): Promise<void> {
    expect((await this.load.stop()).filter((code) => !refused.includes(code))).toEqual([]);
    await this.load.isHeldBy([...this.both, await this.nodes.start()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.opened[Symbol.asyncDispose]();
  }
}

describe.skipIf(natsMissing)(
  "under posts nothing that was acknowledged is lost",
  { timeout: 150_000, concurrent: true },
  () => {
    test("when the server is killed and started again six times in a row", async () => {
      await using pair = await LoadedPair.start("killed");
      const { load, server } = pair;
      for (let round = 1; round <= 6; round++) {
        await load.more(30);
        await server.stop("SIGKILL");
        await pair.say("natsAway");
        await server.restart();
        await pair.say();
      }
      await load.more(30);
      await pair.holdsAll("natsAway");
    });

    test("when the stream is deleted, and when it is purged", async () => {
      await using pair = await LoadedPair.start("deleted");
      const { load, nodes } = pair;
      await load.more(50);
      await nodes.manage((jsm) => jsm.streams.delete(nodes.stream));
      await load.more(50);
      await nodes.manage((jsm) => jsm.streams.purge(nodes.stream));
      await load.more(50);
      await pair.holdsAll("natsAway");
    });

    test("when the server comes back with what it had a while ago", async () => {
      await using pair = await LoadedPair.start("rolled back");
      const { load, server } = pair;
      await load.more(50);
      await server.stop("SIGTERM");
      await cp(server.storeDir, join(root, "backup"), { recursive: true });
      await server.restart();
      await load.more(50);
      await server.wipe();
      await pair.say("natsAway");
      await cp(join(root, "backup"), server.storeDir, { recursive: true });
      await server.restart();
      await pair.say();
      await load.more(50);
      await pair.holdsAll("natsAway");
    });

    test("when the disk of the server is full, is freed, and the server is started again", async (context) => {
      const disk = SmallDisk.mount(40 * 1_048_576);
      if (typeof disk === "string") return context.skip(disk);
      await using _unmounts = disk;
      disk.fill(36 * 1_048_576);
      await using pair = await LoadedPair.start("full", {
        bytes: 20_000,
        storeDir: join(disk.path, "store"),
      });
      const { both, load, server } = pair;
      // A server that cannot write stops to answer (2.9 does), or says that it is full.
      await eventually(async () => {
        const told = await Promise.all(both.map((node) => node.status()));
        return told.every(({ reasons }) => reasons.includes("natsAway") || reasons.includes("natsFull"));
      }, 60_000);
      disk.free();
      await server.stop("SIGKILL");
      await server.restart();
      await pair.say();
      await load.more(50);
      await pair.holdsAll("natsAway", "natsFull");
    });
  },
);
