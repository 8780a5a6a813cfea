// Membership of many nodes that all know one --peer: when all know all, whether a post of each reaches all, when killed ones
// are lost in every roster, at rest and under load, and whether anybody living is called lost.
// npm run build && node bench/members.ts [nodes] [killed at a time] [seconds of load] [posts a second]
// Read: wanted are 5 s for those killed at rest, 10 s under load, and nobody living called lost once all have joined. Nodes
// are real ones on loopback, in a few processes; the killed ones die with theirs, by SIGKILL. A loss is counted from the
// kill to the last roster. All nodes share this machine, where each hears from each: the cost grows with the square of
// their number.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import type { StartedNode } from "../src/node/index.js";

/** Processes of those that nobody kills. */
const PROCESSES = 2;
const CLUSTER = `bench-${process.pid}`;

interface Look {
  /** Least and most that any node of the process says. */
  readonly members: readonly [number, number];
  readonly items: readonly [number, number];
  readonly links: readonly [number, number];
  /** Ids that some node of the process has called lost since it was told to post. */
  readonly lost: readonly string[];
  readonly cpuMs: number;
  readonly residentBytes: number;
}

interface Host {
  readonly child: ChildProcess;
  readonly ids: readonly string[];
  readonly address: string;
}

const now = () => performance.timeOrigin + performance.now();
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
const [what, ...rest] = process.argv.slice(2);
if (what === "host") await serve(rest);
else await measure(...([what, ...rest].filter(Boolean).map(Number) as []));

async function measure(count = 101, killed = 20, loadSeconds = 60, perSecond = 20): Promise<void> {
  const hosts: Host[] = [];
  let asked = 0;
  const start = async (nodes: number, peer?: string) => {
    const child = fork(import.meta.filename, ["host", String(nodes), CLUSTER, ...(peer ? [peer] : [])]);
    child.setMaxListeners(0);
    const [{ ids, address }] = (await once(child, "message")) as [Host];
    const host = { child, ids, address };
    hosts.push(host);
    return host;
  };
  const ask = async ({ child }: Host, order: object): Promise<Look> => {
    const question = ++asked;
    child.send({ question, ...order });
    return await new Promise((resolve) => {
      const hear = (answer: Look & { question?: number }) => {
        if (answer.question !== question) return;
        child.off("message", hear);
        resolve(answer);
      };
      child.on("message", hear);
    });
  };
  const looks = () => Promise.all(hosts.map((host) => ask(host, { do: "look" })));
  const alive = () => hosts.flatMap(({ ids }) => ids);
  const until = async (holds: (all: readonly Look[]) => boolean, deadlineMs = 300_000) => {
    const beganMs = now();
    for (let last = await looks(); !holds(last); last = await looks()) {
      if (now() - beganMs > deadlineMs) {
        console.log(
          `not within ${seconds(deadlineMs)}: ${JSON.stringify(last.map(({ lost: _, ...look }) => look))}`,
        );
        process.exitCode = 1;
        break;
      }
      await pause(100);
    }
    return now() - beganMs;
  };
  const areKnown = (all: readonly Look[]) =>
    all.every(({ members }) => members[0] === alive().length && members[1] === alive().length);
  const kill = async (gone: Host): Promise<number> => {
    hosts.splice(hosts.indexOf(gone), 1);
    const atMs = now();
    gone.child.kill("SIGKILL");
    const told = await Promise.all(hosts.map((host) => ask(host, { do: "awaitLost", ids: gone.ids })));
    return Math.max(...told.map((answer) => (answer as unknown as { atMs: number }).atMs)) - atMs;
  };
  const falselyLost = async () => {
    const living = new Set(alive());
    return (await looks()).flatMap(({ lost }) => lost).filter((id) => living.has(id)).length;
  };
  try {
    const beganMs = now();
    const { address } = await start(1);
    const others = count - 1 - 2 * killed;
    const sizes = Array.from({ length: PROCESSES }, (_, n) => Math.floor((others + n) / PROCESSES));
    const [first, second] = await Promise.all([killed, killed, ...sizes].map((size) => start(size, address)));
    console.log(`${count} nodes listen after ${seconds(now() - beganMs)}`);
    console.log(`all rosters are full ${seconds(await until(areKnown))} later`);
    const whileJoining = await falselyLost();
    await Promise.all(hosts.map((host) => ask(host, { do: "postEach" })));
    const everywhere = (items: number) => (all: readonly Look[]) =>
      all.every((look) => look.items[0] === items);
    console.log(`a post of each node is on all ${seconds(await until(everywhere(count)))} after the last`);
    const settled = await looks();
    const links = settled.flatMap((look) => look.links);
    const resident = settled.reduce((sum, look) => sum + look.residentBytes, 0) / count / 1_048_576;
    console.log(
      `links of a node: ${Math.min(...links)} to ${Math.max(...links)}; ${resident.toFixed(0)} MiB a node`,
    );
    const idle = await cpuOf(10_000);
    console.log(`at rest ${((100 * idle) / count).toFixed(2)} % of a core a node`);
    console.log(`killed ${killed} at rest: lost in every roster after ${seconds(await kill(first!))}`);
    await until(areKnown);

    const loadMs = now();
    const stop = new AbortController();
    const load = postWhile(stop.signal);
    await pause(5_000);
    console.log(`killed ${killed} under load: lost in every roster after ${seconds(await kill(second!))}`);
    while (now() - loadMs < loadSeconds * 1_000) await pause(1_000);
    stop.abort();
    const posted = await load;
    console.log(
      `${posted} posts in ${seconds(now() - loadMs)} of load; on all ${seconds(await until(everywhere(count + posted)))} later`,
    );
    console.log(
      `living members called lost by any node: ${await falselyLost()}; while all joined: ${whileJoining}`,
    );
  } finally {
    for (const { child } of hosts) child.kill("SIGKILL");
  }

  /** @returns cores that all nodes use */
  async function cpuOf(lengthMs: number): Promise<number> {
    const sum = async () => (await looks()).reduce((total, { cpuMs }) => total + cpuMs, 0);
    const [before, beganMs] = [await sum(), now()];
    await pause(lengthMs);
    return ((await sum()) - before) / (now() - beganMs);
  }

  /** Posts at nodes of all living processes in turn. @returns how many */
  async function postWhile(signal: AbortSignal): Promise<number> {
    let posted = 0;
    for (let dueMs = now(); !signal.aborted; dueMs += 1_000 / perSecond) {
      await pause(Math.max(0, dueMs - now()));
      await ask(hosts[posted % hosts.length]!, { do: "post", id: `load-${posted}` });
      posted++;
    }
    return posted;
  }
}

/** COUNT CLUSTER [PEER] */
async function serve([count, cluster, peer]: readonly string[]): Promise<void> {
  const { startNode } = (await import(
    new URL("../build/src/node/index.js", import.meta.url).href
  )) as typeof import("../src/node/index.js");
  const nodes: StartedNode[] = [];
  /** By id, the nodes that call it lost now. */
  const lost = new Map<string, Set<number>>();
  const everLost = new Set<string>();
  const note = (id: string, index: number, isLost: boolean) => {
    if (!lost.has(id)) lost.set(id, new Set());
    if (isLost) everLost.add(id);
    if (isLost) lost.get(id)!.add(index);
    else lost.get(id)!.delete(index);
  };
  for (let index = 0; index < Number(count); index++) {
    const node = await startNode({
      ...{ cluster: cluster!, mdns: false, p2p: { hosts: ["127.0.0.1"] } },
      ...(peer !== undefined && { peers: [peer] }),
    });
    nodes.push(node);
    void (async () => {
      for await (const event of node.events())
        if (event.type === "peer") note(event.peer.id, index, event.peer.state === "lost");
    })();
  }
  const range = (values: readonly number[]): [number, number] => [Math.min(...values), Math.max(...values)];
  process.on(
    "message",
    async (order: { question: number; do: string; id: string; ids: readonly string[] }) => {
      if (order.do === "post")
        await nodes[order.question % nodes.length]!.post({ id: order.id, raw: order.id });
      if (order.do === "postEach") {
        everLost.clear();
        await Promise.all(nodes.map((node) => node.post({ raw: `from ${node.id}` })));
      }
      if (order.do === "awaitLost")
        while (order.ids.some((id) => (lost.get(id)?.size ?? 0) < nodes.length)) await pause(20);
      const atMs = now();
      const statuses = await Promise.all(nodes.map((node) => node.status()));
      const { user, system } = process.cpuUsage();
      const look: Look = {
        members: range(statuses.map(({ members }) => members)),
        items: range(statuses.map(({ items }) => items)),
        links: range(statuses.map(({ links }) => links)),
        lost: [...everLost],
        cpuMs: (user + system) / 1_000,
        residentBytes: process.memoryUsage.rss(),
      };
      process.send!({ question: order.question, atMs, ...look });
    },
  );
  process.on("disconnect", () => process.exit());
  process.send!({ ids: nodes.map(({ id }) => id), address: nodes[0]!.peerAddresses[0] });
}
