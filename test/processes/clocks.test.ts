import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import type { NodeStatus } from "../../src/node/broadcast.js";
import { eventually } from "../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../fixtures/nats-server.js";
import { NodeCrowd, NodeProcess } from "../fixtures/node-process.js";
import { RoguePeer } from "../fixtures/rogue-peer.js";
import { noFakeClock, WallClock } from "../fixtures/wall-clock.js";

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const YEAR = 365 * 24 * HOUR;
const ITEMS = 100;
/** Takes a moment; a machine that is busy otherwise needs longer. */
const DEADLINE_MS = 60_000;

const root = await mkdtemp(join(tmpdir(), "hubcast-clocks-"));

/** Nodes of one cluster, each with a wall clock and a data directory of its own. */
class Machines implements AsyncDisposable {
  readonly clocks: readonly WallClock[];
  readonly nodes: NodeProcess[] = [];
  readonly #crowd = new NodeCrowd();
  readonly cluster = `t-${randomUUID().slice(0, 13)}`;

  private constructor(
    readonly offsets: readonly number[],
    private readonly engine: string | undefined,
  ) {
    this.clocks = offsets.map((offsetMs, index) => new WallClock(root, `${this.cluster}-${index}`, offsetMs));
  }

  /** @param offsets how far each clock is ahead of true time, ms. @param engine other than the default */
  static async start(offsets: readonly number[], engine?: string): Promise<Machines> {
    const machines = new Machines(offsets, engine);
    await machines.start(0);
    await Promise.all(offsets.slice(1).map((_, index) => machines.start(index + 1)));
    await machines.#crowd.connected(DEADLINE_MS);
    return machines;
  }

  async start(index: number): Promise<void> {
    const seed = this.nodes.findLast((_, other) => other !== index);
    const node = await NodeProcess.start({
      env: this.clocks[index]!.env,
      flags: [
        ...["--port", "0", "--no-mdns", "--cluster", this.cluster],
        ...["--name", `node-${index}`, "--data-dir", join(root, `${this.cluster}-${index}`)],
        ...(this.engine ? ["--engine", this.engine] : ["--p2p-host", "127.0.0.1"]),
        ...(seed && !this.engine ? ["--peer", seed.peerAddresses[0]!] : []),
      ],
    });
    this.nodes[index] = node;
    this.#crowd.all[index] = node;
  }

  /** Restarts the first nodes, but not the last one, unless it is alone. @param offsetMs of their clocks */
  async restart(count: number, offsetMs: number): Promise<void> {
    await Promise.all(this.nodes.slice(0, count).map((node) => node.stop()));
    for (const clock of this.clocks.slice(0, count)) clock.set(offsetMs);
    await Promise.all(this.nodes.slice(0, count).map((_, index) => this.start(index)));
    await this.#crowd.connected(DEADLINE_MS);
  }

  async fill(index: number): Promise<void> {
    const lines = Array.from({ length: ITEMS }, (_, n) => JSON.stringify({ id: `item-${n}`, raw: `${n}` }));
    const answer = await this.nodes[index]!.call("/v1/items", {
      type: "application/x-ndjson",
      text: lines.join("\n"),
    });
    expect(await answer.text()).not.toContain("refused");
  }

  /** Waits until each node gives these reasons, and holds so many items. */
  async say(expected: readonly (readonly string[])[], items?: number): Promise<void> {
    let last: unknown;
    try {
      await eventually(async () => {
        const statuses = await Promise.all(this.nodes.map((node) => node.status()));
        last = statuses.map(({ reasons, items }) => ({ reasons, items }));
        return statuses.every(
          (status, index) =>
            sameWords(status, expected[index]!) && (items === undefined || status.items === items),
        );
      }, DEADLINE_MS);
    } catch {
      throw new Error(`expected ${JSON.stringify(expected)} and ${items} items, not ${JSON.stringify(last)}`);
    }
  }

  /** The answer of each to a post. */
  async posts(): Promise<readonly number[]> {
    const answers = await Promise.all(this.nodes.map((node) => node.post({ raw: "any" })));
    return answers.map(({ status }) => status);
  }

  get names(): readonly string[] {
    return this.nodes.map((_, index) => `node-${index}`);
  }

  /** Waits until a node names these members as those that have another time. */
  async name(index: number, names: readonly string[]): Promise<void> {
    await eventually(async () => {
      const peers = await this.nodes[index]!.peers();
      const apart = peers.filter(({ reasons = [] }) => reasons.includes("clocksDiffer"));
      expect(apart.map(({ name }) => name).sort()).toEqual(names);
      return true;
    }, DEADLINE_MS);
  }

  /** How many items each holds that are stamped ahead. */
  async ahead(): Promise<readonly number[]> {
    return (await Promise.all(this.nodes.map((node) => node.status()))).map(({ ahead }) => ahead);
  }

  /** The output of `broadcast check` on a node where something differs. */
  async check(index: number): Promise<string> {
    const args = [RUN, "broadcast", "check", "--url", this.nodes[index]!.url];
    const { code, stdout, stderr } = await promisify(execFile)(process.execPath, args).then(
      (output) => ({ code: 0, ...output }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
    expect([code, stdout, stderr]).toEqual([6, stdout, stderr]);
    return stdout + stderr;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#crowd[Symbol.asyncDispose]();
  }
}

function sameWords({ reasons }: NodeStatus, expected: readonly string[]): boolean {
  return reasons.length === expected.length && expected.every((word) => reasons.includes(word as never));
}

/** The same for all but the first nodes. */
function first(count: number, of: number, reasons: readonly string[], others: readonly string[] = []) {
  return Array.from({ length: of }, (_, index) => (index < count ? reasons : others));
}

/** The first nodes give these reasons, refuse posts where a majority contradicts them, and are named by the last node. */
async function areWrong(machines: Machines, wrong: number, reasons: readonly string[]): Promise<void> {
  const count = machines.nodes.length;
  await machines.say(first(count === 2 ? 2 : wrong, count, reasons));
  const refused = count > 2 ? wrong : 0;
  expect(await machines.posts()).toEqual(machines.nodes.map((_, index) => (index < refused ? 503 : 201)));
  if (count === 1) return;
  await machines.name(count - 1, machines.names.slice(0, wrong));
  expect(await machines.check(count - 1)).toContain("node-0");
}

/** How many of so many clocks are wrong: less than half, where there are more than two. */
const SIZES = [
  [1, 1],
  [2, 1],
  [3, 1],
  [5, 2],
] as const;

const skipped = noFakeClock ? ` (skipped: ${noFakeClock})` : "";

describe.skipIf(noFakeClock)(`wrong clocks${skipped}`, { timeout: 5 * DEADLINE_MS }, () => {
  test.each(SIZES)(
    "of %d nodes, %d ahead by 25 h: nothing is lost, and they go on when set right",
    async (count, wrong) => {
      await using machines = await Machines.start(Array.from({ length: count }, () => 0));
      await machines.fill(count - 1);
      await machines.say(first(0, count, []), ITEMS);

      // Ahead while they run: held, whatever the others say.
      for (const clock of machines.clocks.slice(0, wrong)) clock.set(25 * HOUR);
      await machines.say(first(wrong, count, ["clockJumped"]), ITEMS);
      expect(await machines.posts()).toEqual(machines.nodes.map(() => 201));
      const held = ITEMS + count;
      await machines.say(first(wrong, count, ["clockJumped"]), held);
      for (const clock of machines.clocks.slice(0, wrong)) clock.set(0);
      await machines.say(first(0, count, []), held);

      // Ahead from their start on: what is on their disks is hidden, unless others contradict the clock that says so.
      await machines.restart(wrong, 25 * HOUR);
      const nodes = machines.nodes.slice(0, wrong);
      if (count === 1) {
        await machines.say([[]], 0);
      } else if (count === 2) {
        await machines.say(first(2, count, ["clocksDiffer"]));
        expect((await nodes[0]!.status()).items).toBe(0);
        expect(await machines.posts()).toEqual([201, 201]);
      } else {
        await machines.say(first(wrong, count, ["clockSkew"]), held);
        expect(await machines.posts()).toEqual(machines.nodes.map((_, index) => (index < wrong ? 503 : 201)));
      }

      // Set right: others confirm it at once; alone it is a jump like any other, and a restart finds all again.
      for (const clock of machines.clocks.slice(0, wrong)) clock.set(0);
      if (count === 1) {
        await machines.say([["clockJumped"]], 0);
        await machines.restart(1, 0);
        await machines.say([[]], held);
      } else if (count === 2) {
        // The item that node-0 stamped meanwhile is ahead by 25 h. node-1 reports it, too.
        await machines.say([["itemsAhead"], ["itemsAhead"]]);
        await eventually(async () => {
          const statuses = await Promise.all(machines.nodes.map((node) => node.status()));
          expect(statuses.map(({ ahead, items }) => [ahead, items])).toEqual([
            [1, held + 2],
            [0, held + 1],
          ]);
          return true;
        }, DEADLINE_MS);
        for (const index of [0, 1])
          expect(await machines.check(index)).toContain("itemsAhead: node-0 holds 1 item stamped ahead");
      } else await machines.say(first(0, count, []), held + count - wrong);
    },
  );

  test.each(SIZES)(
    "of %d nodes, %d that start in 2016: they go on when set forward",
    async (count, wrong) => {
      await using machines = await Machines.start(
        Array.from({ length: count }, (_, index) => (index < wrong ? -10 * YEAR : 0)),
      );
      const expected = count === 1 ? [] : count === 2 ? ["clocksDiffer"] : ["clockSkew"];
      await areWrong(machines, wrong, expected);
      for (const clock of machines.clocks.slice(0, wrong)) clock.set(0);
      // Alone it waits for 10 min; test/node/replica/clock.test.ts lets them pass.
      await machines.say(first(count === 1 ? 1 : 0, count, ["clockJumped"]));
      expect(await machines.posts()).toEqual(machines.nodes.map(() => 201));
    },
  );

  test.each(SIZES)("of %d nodes, %d ahead by 10 min: nothing is lost", async (count, wrong) => {
    await using machines = await Machines.start(Array.from({ length: count }, () => 0));
    await machines.fill(count - 1);
    await machines.say(first(0, count, []), ITEMS);

    for (const clock of machines.clocks.slice(0, wrong)) clock.set(10 * MINUTE);
    await machines.say(first(wrong, count, ["clockJumped"]), ITEMS);
    for (const clock of machines.clocks.slice(0, wrong)) clock.set(0);
    await machines.say(first(0, count, []), ITEMS);

    // From their start on.
    await machines.restart(wrong, 10 * MINUTE);
    if (count === 1) await machines.say([[]], ITEMS);
    else if (count === 2) await machines.say(first(2, count, ["clocksDiffer"]), ITEMS);
    else await machines.say(first(wrong, count, ["clockSkew"]), ITEMS);
    const refused = count > 2 ? wrong : 0;
    expect(await machines.posts()).toEqual(machines.nodes.map((_, index) => (index < refused ? 503 : 201)));

    // Set right. What the first node stamped meanwhile, and nobody contradicted, is ahead for another 8 min.
    for (const clock of machines.clocks.slice(0, wrong)) clock.set(0);
    if (count === 1) {
      await machines.say([["clockJumped"]], ITEMS + 1);
      await machines.restart(1, 0);
    }
    if (count > 2) await machines.say(first(0, count, []), ITEMS + count - wrong);
    else await machines.say(first(count, count, ["itemsAhead"]));
    expect(await machines.ahead()).toEqual(
      machines.nodes.map((_, index) => (index === 0 && count < 3 ? 1 : 0)),
    );
  });

  test.each([
    [2, 1],
    [3, 1],
    [5, 2],
  ])("of %d members, %d that lie about the time: the honest ones take posts", async (count, liars) => {
    await using machines = await Machines.start(Array.from({ length: count - liars }, () => 0));
    const rogues: RoguePeer[] = [];
    try {
      // An id each time: one that has two links with a cluster would be a member like any other to both.
      for (const { peerAddresses } of machines.nodes)
        for (let liar = 0; liar < liars; liar++)
          rogues.push(
            await RoguePeer.meet(peerAddresses[0]!, machines.cluster, { nowMs: Date.now() + 10 * MINUTE }),
          );
      await machines.say(machines.nodes.map(() => (count === 2 ? ["clocksDiffer"] : [])));
      expect(await machines.posts()).toEqual(machines.nodes.map(() => 201));
      for (const index of machines.nodes.keys()) {
        await machines.name(
          index,
          Array.from({ length: liars }, () => "rogue"),
        );
        expect(await machines.check(index)).toContain("rogue");
      }
    } finally {
      await Promise.all(rogues.map((rogue) => rogue[Symbol.asyncDispose]()));
    }
  });

  test.skipIf(natsMissing).each([
    [1, 1],
    [2, 1],
    [3, 1],
    [5, 2],
  ])("of %d nodes on NATS, %d ahead by 1 h: the same", async (count, wrong) => {
    await using server = await NatsServer.start();
    const offsets = Array.from({ length: count }, (_, index) => (index < wrong ? HOUR : 0));
    await using machines = await Machines.start(offsets, server.url);
    const expected = count === 1 ? [] : count === 2 ? ["clocksDiffer"] : ["clockSkew"];
    await areWrong(machines, wrong, expected);
    for (const clock of machines.clocks.slice(0, wrong)) clock.set(0);
    if (count === 1) await machines.say([["clockJumped"]]);
    else await machines.say(first(count, count, count === 2 ? ["itemsAhead"] : []));
    expect(await machines.posts()).toEqual(machines.nodes.map(() => 201));
  });

  test("of 3 nodes, 2 ahead alike: the right one is outvoted, and keeps what it has", async () => {
    await using machines = await Machines.start([HOUR, HOUR, 0]);
    await machines.say([[], [], ["clockSkew"]]);
    expect(await machines.posts()).toEqual([201, 201, 503]);
  });
});
