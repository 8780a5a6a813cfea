import { createHash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import { Cli } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { freePort } from "../fixtures/free-port.js";
import { loopbackFlags, NodeProcess } from "../fixtures/node-process.js";

/** `EXEC_KILLS=full npx vitest run test/processes/exec-kills.test.ts` is the one that counts, of some minutes. */
const SCALE =
  process.env.EXEC_KILLS === "full"
    ? { items: 10_000, watcherKills: 20, nodeKills: 5, deadlineMs: 1_800_000 }
    : { items: 150, watcherKills: 4, nodeKills: 2, deadlineMs: 120_000 };

/** One line an item: which run of the watcher, the item, and what was on standard input. */
const COMMAND = 'h=$(sha256sum); echo "$RUN $HUBCAST_TIMESTAMP_MS $HUBCAST_DIGEST $h" >> "$D/runs"';

const PIECES = [
  "\n",
  "'",
  '"',
  "$(touch $D/owned)",
  "`touch $D/owned`",
  "\\",
  ";",
  "&",
  "ü🎈",
  "\r\n",
  "\t",
  "%s",
];

function rawOf(index: number): string {
  if (index % 100 === 99) return `${index} `.padEnd(1_000_000, "0123456789\n");
  return `${index} ${PIECES[index % PIECES.length]!.repeat(1 + (index % 5))}`;
}

interface Run {
  readonly run: number;
  readonly timestampMs: number;
  readonly digest: string;
  readonly rawHash: string;
}

test.each([1, 3])(
  "each item runs at least once, in order, over kills of the watcher and of the node, with --jobs %s",
  { timeout: SCALE.deadlineMs },
  async (jobs) => {
    const { items, watcherKills, nodeKills, deadlineMs } = SCALE;
    const root = await mkdtemp(join(tmpdir(), "hubcast-exec-kills-"));
    const port = await freePort();
    const flags = [...loopbackFlags(`t-${randomUUID().slice(0, 13)}`), "--data-dir", join(root, "data")];
    const startNode = () => NodeProcess.start({ flags: flags.with(1, String(port)) });
    let node = await startNode();
    const runs = (): readonly Run[] => linesOf(join(root, "runs")).map(runOf);

    // As a supervisor does it: whenever it has ended, it is started again.
    const watchers: Cli[] = [];
    let isOver = false;
    const watch = async () => {
      while (!isOver) {
        const args = ["--url", node.url, "--state", join(root, "state"), "--jobs", String(jobs)];
        const env = { D: root, RUN: String(watchers.length) };
        const cli = new Cli(["broadcast", "watch", "--exec", COMMAND, ...args], { env, deadlineMs });
        watchers.push(cli);
        await cli.ended();
      }
    };
    const watching = watch();
    try {
      await eventually(() => watchers[0]?.stderr.includes("the command runs for each item"), 30_000);
      const rawHashes = new Map<string, string>();
      const posting = (async () => {
        for (let index = 0; index < items; index++) {
          const draft = { id: `t/${index} $(touch owned) "'`, raw: rawOf(index) };
          const digest = await eventually(async () => {
            await using client = await connectToNode(node.url);
            return (await client.post(draft)).digest;
          }, 60_000);
          rawHashes.set(digest, createHash("sha256").update(draft.raw).digest("hex"));
        }
      })();
      const kills = watcherKills + nodeKills;
      for (let kill = 1; kill <= kills; kill++) {
        const enough = (items * kill) / (kills + 1);
        await eventually(() => runs().length >= enough, deadlineMs);
        if (kill % Math.ceil(kills / nodeKills) === 1) {
          await node.stop("SIGKILL");
          node = await startNode();
        } else {
          const started = watchers.length;
          watchers.at(-1)!.kill("SIGKILL");
          await eventually(() => watchers.length > started, 30_000);
        }
      }
      await posting;
      const done = () => new Set(runs().map(({ digest }) => digest));
      await eventually(() => done().size === items, deadlineMs);
      isOver = true;
      watchers.at(-1)!.kill("SIGTERM");
      await watching;

      const all = runs();
      expect(all.map(({ digest, rawHash }) => [digest, rawHash])).toEqual(
        all.map(({ digest }) => [digest, rawHashes.get(digest)]),
      );
      expect(done()).toEqual(new Set(rawHashes.keys()));
      expect(linesOf(join(root, "owned"))).toEqual([]);
      const deaths = watchers.length - 1;
      expect(deaths).toBeGreaterThanOrEqual(watcherKills);
      expect(all.length - items).toBeLessThanOrEqual(jobs * deaths);
      if (jobs === 1) {
        for (let run = 0; run < watchers.length; run++) {
          const times = all.filter((each) => each.run === run).map(({ timestampMs }) => timestampMs);
          expect(times).toEqual(times.toSorted((a, b) => a - b));
        }
      }
      console.info(`${all.length - items} repeats in ${deaths} deaths of the watcher`);
    } finally {
      isOver = true;
      watchers.at(-1)?.kill("SIGKILL");
      await watching;
      await node.stop("SIGKILL");
    }
  },
);

function linesOf(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").split("\n").slice(0, -1);
  } catch {
    return [];
  }
}

function runOf(line: string): Run {
  const [run, timestampMs, digest, rawHash] = line.split(/ +/) as [string, string, string, string];
  return { run: Number(run), timestampMs: Number(timestampMs), digest, rawHash };
}
