// The effect of a wrong wall clock once it has stood for 10 minutes. Real nodes under libfaketime, all cells of docs/clocks.md
// where a clock is believed at last, at once. It takes 11 minutes and hardly any CPU.
// npm run build && node bench/clocks-believed.ts
// Read: each line says what a node reports and holds before and after; the exit code is 1 where that is not as docs/clocks.md says.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HubcastError } from "../build/src/core/errors.js";
import { CommandNode } from "./command-node.ts";

const { noFakeClock, WallClock } = (await import(
  new URL("../test/fixtures/wall-clock.ts", import.meta.url).href
)) as typeof import("../test/fixtures/wall-clock.js");
type WallClock = InstanceType<typeof WallClock>;

const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;
const ITEMS = 100;
const STANDS_MS = 600_000;

if (noFakeClock) {
  console.log(`cannot run: ${noFakeClock}`);
  process.exit(0);
}
const root = await mkdtemp(join(tmpdir(), "hubcast-believed-"));
const running: CommandNode[] = [];
let faults = 0;

/** A node with a data directory, and the clock of its machine. */
class Machine {
  node!: CommandNode;
  readonly name: string;
  readonly clock: WallClock;
  readonly seed: Machine | undefined;

  constructor(name: string, clock: WallClock, seed: Machine | undefined) {
    this.name = name;
    this.clock = clock;
    this.seed = seed;
  }

  async start(): Promise<void> {
    const flags = [
      ...["--name", this.name, "--cluster", this.name.split(".")[0]!, "--data-dir", join(root, this.name)],
      ...(this.seed ? ["--peer", this.seed.node.peerAddresses[0]!] : []),
    ];
    this.node = await CommandNode.start(flags, undefined, this.clock.env);
    running.push(this.node);
  }

  async restart(): Promise<void> {
    running.splice(running.indexOf(this.node), 1);
    await this.node.stop();
    await this.start();
  }

  async fill(): Promise<void> {
    const drafts = Array.from({ length: ITEMS }, (_, n) => ({ id: `item-${n}`, raw: `${n}` }));
    for await (const { status } of this.node.api.postMany(drafts))
      if (status !== "accepted") throw new Error(`${this.name}: ${status}`);
  }

  /** Reasons, items and the answer to a post: `clockSkew, 100 items, clockSkew`. A post that is taken is one item more. */
  async look(posts = true): Promise<string> {
    const { reasons, items } = await this.node.api.status();
    const answer = posts ? `, ${await this.#post()}` : "";
    return `${reasons.join(" ") || "well"}, ${items} items${answer}`;
  }

  async #post(): Promise<string> {
    try {
      return (await this.node.api.post({ raw: "any" })).status;
    } catch (error) {
      if (error instanceof HubcastError) return error.code;
      throw error;
    }
  }
}

async function cluster(name: string, offsets: readonly number[]): Promise<Machine[]> {
  const machines: Machine[] = [];
  for (const [index, offsetMs] of offsets.entries()) {
    const clock = new WallClock(root, `${name}.${index}`, offsetMs);
    const machine = new Machine(`${name}.${index}`, clock, machines[0]);
    machines.push(machine);
    await machine.start();
  }
  await settled(async () => {
    const peers = await Promise.all(machines.map(async ({ node }) => (await node.api.status()).peers));
    return peers.every((count) => count === machines.length - 1);
  });
  return machines;
}

async function settled(look: () => Promise<boolean>): Promise<void> {
  for (const endMs = performance.now() + 30_000; performance.now() < endMs; await pause(200))
    if (await look()) return;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function expectLook(what: string, machine: Machine, wanted: string, posts = true): Promise<void> {
  await settled(async () => (await machine.look(false)) === wanted.split(", ").slice(0, 2).join(", "));
  const is = await machine.look(posts);
  if (is !== wanted) faults++;
  console.log(
    `${is === wanted ? "ok   " : "WRONG"} ${what}: ${is}${is === wanted ? "" : `; wanted: ${wanted}`}`,
  );
}

try {
  const [alone] = await cluster("alone", [0]);
  const pair = await cluster("pair", [0, 0]);
  const three = await cluster("three", [0, 0, 0]);
  const [past] = await cluster("past", [-10 * YEAR]);
  const [future] = await cluster("future", [0]);
  for (const [first] of [[alone!], pair, three, [future!]]) await first!.fill();
  const pairHas = async () => (await pair[1]!.node.api.status()).items === ITEMS;
  const threeHave = async () => (await three[2]!.node.api.status()).items === ITEMS;
  await settled(async () => (await pairHas()) && (await threeHave()));
  future!.clock.set(25 * HOUR);
  await future!.restart();
  await expectLook("one node that starts 25 h ahead, at first", future!, "well, 0 items", false);
  for (const machine of [alone!, pair[0]!, three[0]!]) machine.clock.set(25 * HOUR);
  past!.clock.set(0);
  await expectLook("one node, 25 h ahead, at first", alone!, `clockJumped, ${ITEMS} items`, false);
  await expectLook("one of two, 25 h ahead, at first", pair[0]!, `clockJumped, ${ITEMS} items`, false);
  await expectLook("one of three, 25 h ahead, at first", three[0]!, `clockJumped, ${ITEMS} items`, false);
  await expectLook("set forward by ten years, at first", past!, "clockJumped, 0 items", false);
  await pause(STANDS_MS + 15_000);
  await expectLook("one node, 25 h ahead, after 10 min", alone!, "well, 0 items, accepted");
  await expectLook("one of two, after 10 min", pair[0]!, "clocksDiffer, 0 items", false);
  await expectLook("the other of the two", pair[1]!, `clocksDiffer, ${ITEMS} items`, false);
  await expectLook("one of three, after 10 min", three[0]!, `clockSkew, ${ITEMS} items, clockSkew`);
  await expectLook("another of the three", three[1]!, `well, ${ITEMS} items`, false);
  await expectLook("set forward by ten years, after 10 min", past!, "well, 0 items, accepted");
  const future10 = "one node that started 25 h ahead, set right after 10 min and started again";
  future!.clock.set(0);
  await future!.restart();
  await expectLook(future10, future!, "well, 0 items, accepted");
  pair[0]!.clock.set(0);
  await expectLook("one of two, set right", pair[0]!, `well, ${ITEMS} items`, false);
  three[0]!.clock.set(0);
  await expectLook("one of three, set right", three[0]!, `well, ${ITEMS} items, accepted`);
} finally {
  await Promise.all(running.map((node) => node.stop()));
  await rm(root, { recursive: true, force: true });
}
process.exitCode = faults > 0 ? 1 : 0;
