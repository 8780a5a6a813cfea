// Many nodes on one NATS server of this machine: what they cost it at rest, and how long it takes until all know something.
// npm run build && node bench/nats-many.ts [counts, such as 10,20,40,80,160] [nats-server program]
// Read: messages a second that clients put into the server, of 20 s at rest, by its own count (/varz, in_msgs); wanted are 3 for
// each node at most, and a figure that doubles with the nodes. A join, a goodbye and a kill count until every node lists it;
// wanted are 5 s. The leader is the one that the key in the bucket names. A post with --wait all and a `peers` that asks all
// afresh must be complete, and are wanted within 1 s. Up to 20 nodes share a process, which the figures of large counts show.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type StartedNode, startNode } from "../build/src/node/index.js";

const PORT = 20_000 + (process.pid % 20_000);
const ENGINE = process.env.ENGINE ?? `nats://127.0.0.1:${PORT}`;
const PER_PROCESS = 20;
const REST_MS = 20_000;
const now = () => performance.timeOrigin + performance.now();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function measure(counts: readonly number[], program: string): Promise<void> {
  console.log(
    "nodes | all met s | in msgs/s | each | out msgs/s | server CPU % | join s | goodbye s | kill s | leader killed s | peers fresh ms | wait all ms",
  );
  for (const count of counts) await measureOne(count, program);
}

async function measureOne(count: number, program: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "hubcast-bench-nats-"));
  const args = ["-js", "-sd", dir, "-a", "127.0.0.1", "-p", String(PORT), "-m", String(PORT + 1)];
  const server = spawn(program, args, { stdio: "ignore" });
  const children: ChildProcess[] = [];
  try {
    await until(async () => (await fetch(`http://127.0.0.1:${PORT + 1}/healthz`)).ok);
    const beginMs = now();
    const groups: Group[] = [];
    const start = async (size: number) => {
      const group = await Group.start(size);
      children.push(group.child);
      groups.push(group);
      return group;
    };
    // Two of one node each, to be killed, and the rest.
    const victims = [await start(1), await start(1)];
    for (let left = count - 2; left > 0; left -= PER_PROCESS) await start(Math.min(PER_PROCESS, left));
    const allSee = (alive: number) =>
      until(async () => {
        const seen = await Promise.all(groups.map((group) => group.ask({ ask: "peers" })));
        if (process.env.DEBUG)
          console.log(alive, seen.map(({ least, most }) => `${least}-${most}`).join(" "));
        return seen.every(({ least, most }) => least === alive - 1 && most === alive - 1);
      });
    await allSee(count);
    const metMs = now() - beginMs;
    await pause(3_000);
    const before = await varz();
    const beforeMs = now();
    await pause(REST_MS);
    const after = await varz();
    const seconds = (now() - beforeMs) / 1_000;
    const inRate = (after.in_msgs - before.in_msgs) / seconds;
    const outRate = (after.out_msgs - before.out_msgs) / seconds;
    const asker = groups[2]!;
    const fresh = await asker.ask({ ask: "fresh" });
    const post = await asker.ask({ ask: "post" });
    const timed = async (act: () => unknown, alive: number) => {
      const atMs = now();
      await act();
      await allSee(alive);
      return (now() - atMs) / 1_000;
    };
    const drop = (group: Group, signal: NodeJS.Signals) => {
      groups.splice(groups.indexOf(group), 1);
      group.child.kill(signal);
    };
    const joinS = await timed(() => start(1), count + 1);
    const [joined] = groups.slice(-1);
    const goodbyeS = await timed(() => {
      groups.pop();
      joined!.child.send({ ask: "close" });
    }, count);
    const killS = await timed(() => drop(victims[1]!, "SIGKILL"), count - 1);
    // The first node to come was elected, and nothing has gone since.
    const leaderS = await timed(() => drop(victims[0]!, "SIGKILL"), count - 2);
    console.log(
      [
        ...[
          count,
          (metMs / 1_000).toFixed(1),
          inRate.toFixed(0),
          (inRate / count).toFixed(2),
          outRate.toFixed(0),
        ],
        ...[after.cpu, joinS.toFixed(1), goodbyeS.toFixed(1), killS.toFixed(1), leaderS.toFixed(1)],
        `${fresh.ms.toFixed(0)} (${fresh.agree} of ${count - 1} agree)`,
        `${post.ms.toFixed(0)} (${post.holders} of ${post.of})`,
      ].join(" | "),
    );
  } finally {
    for (const child of [...children, server]) child.kill("SIGKILL");
    await once(server, "exit");
    rmSync(dir, { recursive: true, force: true });
  }
}

async function varz(): Promise<{ in_msgs: number; out_msgs: number; cpu: number }> {
  return (await (await fetch(`http://127.0.0.1:${PORT + 1}/varz`)).json()) as Awaited<
    ReturnType<typeof varz>
  >;
}

/** Nodes of one process. */
class Group {
  readonly child: ChildProcess;
  #last = 0;

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  static async start(size: number): Promise<Group> {
    const child = fork(import.meta.filename, ["nodes", String(size)], { env: { ...process.env, ENGINE } });
    await once(child, "message");
    return new Group(child);
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers of a process of this very file
  async ask(question: object): Promise<any> {
    const number = ++this.#last;
    return await new Promise((resolve) => {
      const heard = (answer: { number: number }) => {
        if (answer.number !== number) return;
        this.child.off("message", heard);
        resolve(answer);
      };
      this.child.on("message", heard);
      this.child.send({ ...question, number });
    });
  }
}

async function nodes(size: number): Promise<void> {
  const all: StartedNode[] = [];
  for (let n = 0; n < size; n++) all.push(await startNode({ cluster: "bench", engine: ENGINE, mdns: false }));
  process.on("message", async ({ ask, number }: { ask: string; number: number }) => {
    const beginMs = now();
    switch (ask) {
      case "peers": {
        const counts = await Promise.all(all.map(async (one) => (await one.status()).peers));
        process.send!({ number, least: Math.min(...counts), most: Math.max(...counts) });
        break;
      }
      case "fresh": {
        const peers = await all[0]!.peers({ fresh: true });
        const ms = now() - beginMs;
        process.send!({ number, ms, agree: peers.filter(({ agreement }) => agreement === "agrees").length });
        break;
      }
      case "post": {
        const { receipt } = await all[0]!.post({ raw: `news ${beginMs}` }, { wait: "all" });
        process.send!({ number, ms: now() - beginMs, holders: receipt!.holders.length, of: receipt!.of });
        break;
      }
      case "close":
        await Promise.all(all.map((one) => one.close()));
        process.exit(0);
    }
  });
  process.send!("ready");
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 120_000;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > endMs) throw new Error("not reached within 120 s");
    await pause(process.env.DEBUG ? 1000 : 50);
  }
}

if (process.argv[2] === "nodes") await nodes(Number(process.argv[3]));
else
  await measure(
    (process.argv[2] ?? "10,20,40,80,160").split(",").map(Number),
    process.argv[3] ?? "nats-server",
  );
