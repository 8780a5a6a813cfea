import { HubcastError } from "../../core/errors.js";
import { formatDuration } from "../../core/units.js";
import type { SimulationReport } from "../../hub/simulate/index.js";
import { faultLine, reportLines } from "../hub-simulation.js";
import { type Output, painted, table } from "../output.js";
import { type Child, deadlineIn, ItemArrivals, type NodeProcess, Stage } from "./stage.js";

/** Each step takes a second or so, the first start on a busy machine some more; one that takes this long has failed. */
const STEP_DEADLINE_MS = 30_000;

/** A request to a node that just died fails before this process learns of the death, which is the cause to report. */
const FAULT_MS = 100;

export interface DemoOptions {
  /** Path of bin/run.js. */
  readonly program: string;
  readonly output: Output;
  /** Aborts the demo, with an `interrupted` error as its reason. */
  readonly signal: AbortSignal;
}

export interface DemoReport {
  readonly cluster: string;
  readonly tookMs: number;
  readonly steps: readonly {
    readonly step: number;
    readonly title: string;
    readonly tookMs: number;
    readonly figures: Figures;
  }[];
}

/**
 * Plays the demo. However it ends, no process that it started is left.
 * @throws demoFailed when a step does not come true, and the reason of `signal`
 */
export async function runDemo({ program, output, signal }: DemoOptions): Promise<DemoReport> {
  const startedAtMs = performance.now();
  await using stage = new Stage(program, output);
  output.text(`Real processes on 127.0.0.1, in a cluster of their own: ${stage.cluster}.`);
  if (stage.typed !== "hubcast") output.text(`In the commands below, hubcast stands for: ${stage.typed}`);
  const interrupted = whenAborted(signal);
  const steps = [];
  for (const [index, step] of STEPS.entries()) {
    output.text("");
    output.text([painted("bold", `${index + 1}. ${step.title}`)]);
    const stepAtMs = performance.now();
    const figures = await play(step, index + 1, stage, interrupted);
    steps.push({
      step: index + 1,
      title: step.title,
      tookMs: Math.round(performance.now() - stepAtMs),
      figures,
    });
  }
  const tookMs = Math.round(performance.now() - startedAtMs);
  output.text("");
  output.text([painted("green", `All ${steps.length} steps came true`), ` in ${formatDuration(tookMs)}.`]);
  return { cluster: stage.cluster, tookMs, steps };
}

async function play(step: Step, number: number, stage: Stage, interrupted: Promise<never>): Promise<Figures> {
  using deadline = deadlineIn(
    STEP_DEADLINE_MS,
    () => `not within ${formatDuration(STEP_DEADLINE_MS)}${stage.hope()}`,
  );
  try {
    return await Promise.race([step.run(stage), stage.faulted, deadline.passed, interrupted]);
  } catch (error) {
    if (error instanceof HubcastError && error.code === "interrupted") throw error;
    const cause = (await stage.faultWithin(FAULT_MS)) ?? error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HubcastError("demoFailed", `step ${number} failed (${step.title}): ${why}`, {
      suggestions: [...stage.lastWords(), "Run hubcast demo --verbose to see all that the nodes say."],
      cause,
    });
  }
}

/** Rejects with the reason of the signal when it aborts. */
function whenAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  return aborted;
}

/** One step of the demo. It throws when its claim does not come true. */
export interface Step {
  readonly title: string;
  /** @returns what was measured, for `--json` */
  run(stage: Stage): Promise<Figures>;
}

export type Figures = Readonly<Record<string, unknown>>;

/** The item that the demo posts with the CLI, and lists in later steps. */
const FIRST_ITEM = { id: "notice-1", raw: "doors open at nine" };

/** How many more it posts through the library, to measure. */
const MORE_ITEMS = 20;

const NODE_COUNT = 3;

const startThree: Step = {
  title: "Start three nodes, and let them find each other by multicast DNS",

  async run(stage: Stage) {
    const startedAtMs = Date.now();
    const numbers = Array.from({ length: NODE_COUNT }, (_, index) => index + 1);
    // All at once, as after a power cut; no node knows an address of another.
    const nodes = await Promise.all(numbers.map((number) => stage.startNode(number)));
    const listeningMs = Date.now() - startedAtMs;
    stage.nodes.sort((one, other) => one.number - other.number);
    for (const node of nodes) stage.show(node.command);
    const connectedAtMs = await stage.until("every node is connected to both others", () =>
      allConnected(nodes),
    );
    const connectedMs = connectedAtMs - startedAtMs;
    for (const node of nodes) {
      const peers = (await node.peersThatAre("connected")).sort();
      stage.say(`node ${node.number}: process ${node.pid}, ${node.url}, connected to ${peers.join(" and ")}`);
    }
    stage.say(
      `${formatDuration(connectedMs)} after the three processes were started, each was connected to both others.`,
    );
    return { nodes: nodes.map(({ name, pid, url }) => ({ name, pid, url })), listeningMs, connectedMs };
  },
};

/** @returns when the last connection came up, as the nodes have noted it; epoch ms */
async function allConnected(nodes: readonly NodeProcess[]): Promise<number | undefined> {
  const lists = await Promise.all(nodes.map((node) => node.asked.peers()));
  const peers = lists.flat().filter(({ state, name }) => state === "connected" && name !== "");
  if (peers.length < nodes.length * (nodes.length - 1)) return undefined;
  return Math.max(...peers.map(({ sinceMs }) => sinceMs));
}

const postAnItem: Step = {
  title: "Post an item to node 1",

  async run(stage: Stage) {
    const [first, second, third] = stage.nodes;
    using atSecond = await ItemArrivals.of(second!);
    using atThird = await ItemArrivals.of(third!);
    const { id, raw } = FIRST_ITEM;
    await stage.run("broadcast", "post", raw, "--id", id, "--url", first!.url);
    const [two, three] = await Promise.all([atSecond.arrived(id), atThird.arrived(id)]);
    // Two processes of one machine, with clocks of 1 ms resolution.
    const visibleMs = [two, three].map(({ atMs, item }) => atMs - item.timestampMs);
    stage.say(
      `Visible on node 2 after ${formatDuration(visibleMs[0]!)} and on node 3 after ${formatDuration(visibleMs[1]!)}:`,
    );
    stage.say("from the instant that node 1 stamped it until a subscriber of the other node had its event.");
    return { id, visibleMs };
  },
};

const listElsewhere: Step = {
  title: "List it from nodes 2 and 3",

  async run(stage: Stage) {
    for (const node of stage.nodes.slice(1)) await listFrom(stage, node);
    return {};
  },
};

/** Lists the first item with the CLI. @throws when the node does not show it */
async function listFrom(stage: Stage, node: NodeProcess): Promise<void> {
  const { id, raw } = FIRST_ITEM;
  // Oldest first.
  const listed = await stage.run("broadcast", "list", "--limit", "1", "--url", node.url);
  if (!listed.includes(id) || !listed.includes(raw))
    throw new Error(`node ${node.number} does not list ${id}`);
}

const measurePosts: Step = {
  title: `Post ${MORE_ITEMS} more to node 1, one after the other, and measure each`,

  async run(stage: Stage) {
    const [first, second, third] = stage.nodes;
    using atSecond = await ItemArrivals.of(second!);
    using atThird = await ItemArrivals.of(third!);
    const visibleMs: number[] = [];
    for (let number = 1; number <= MORE_ITEMS; number++) {
      const id = `measured-${number}`;
      const sentAt = performance.now();
      const posted = first!.asked.post({ id, raw: `item ${number} of ${MORE_ITEMS}` });
      const [two, three] = await Promise.all([atSecond.arrived(id), atThird.arrived(id), posted]);
      visibleMs.push(Math.max(two.at, three.at) - sentAt);
    }
    visibleMs.sort((a, b) => a - b);
    const medianMs = (visibleMs[MORE_ITEMS / 2 - 1]! + visibleMs[MORE_ITEMS / 2]!) / 2;
    const slowestMs = visibleMs.at(-1)!;
    stage.say(
      `Visible on both others: median ${formatDuration(medianMs)}, slowest ${formatDuration(slowestMs)}:`,
    );
    stage.say(
      "from sending the HTTP request to node 1 until subscribers of nodes 2 and 3 both had the event.",
    );
    return { posts: MORE_ITEMS, medianMs: rounded(medianMs), slowestMs: rounded(slowestMs) };
  },
};

function rounded(lengthMs: number): number {
  return Math.round(lengthMs * 100) / 100;
}

const killTheFirst: Step = {
  title: "Kill node 1, which took the posts; the others go on",

  async run(stage: Stage) {
    const first = stage.nodes[0]!;
    stage.release(first);
    stage.show(`kill -9 ${first.pid}`);
    const killedAtMs = Date.now();
    const { how } = await first.end("SIGKILL");
    if (how !== "SIGKILL") throw new Error(`node 1 ended by itself before it was killed: ${how}`);
    const lostMs: number[] = [];
    for (const node of stage.nodes) {
      const lostAtMs = await stage.until(`node ${node.number} shows node 1 as lost`, () =>
        lostAt(node, first),
      );
      lostMs.push(lostAtMs - killedAtMs);
    }
    stage.say(
      `Shown as lost by node 2 after ${formatDuration(lostMs[0]!)}, by node 3 after ${formatDuration(lostMs[1]!)}.`,
    );
    // Peers exchange summaries once a second; until then the table shows the state before the posts.
    for (const node of stage.nodes) {
      await stage.until(`node ${node.number} hears that the others hold the same`, () => agrees(node));
    }
    await stage.run("broadcast", "peers", "--url", stage.nodes[0]!.url);
    for (const node of stage.nodes) await listFrom(stage, node);
    return { killed: first.pid, lostMs };
  },
};

/** @returns when `node` noted that `gone` is lost, epoch ms */
async function lostAt(node: NodeProcess, gone: NodeProcess): Promise<number | undefined> {
  const peers = await node.asked.peers();
  return peers.find(({ id, state }) => id === gone.id && state === "lost")?.sinceMs;
}

async function agrees(node: NodeProcess): Promise<true | undefined> {
  const [{ items }, peers] = await Promise.all([node.asked.status(), node.asked.peers()]);
  const connected = peers.filter(({ state }) => state === "connected");
  const equal = connected.every(
    ({ agreement, summary }) => agreement === "agrees" && summary?.items === items,
  );
  return equal || undefined;
}

const startLate: Step = {
  title: "Start a fourth node, which catches up",

  async run(stage: Stage) {
    const { items } = await stage.nodes[0]!.asked.status();
    const startedAt = performance.now();
    const node = await stage.startNode(4);
    const listeningAt = performance.now();
    stage.show(node.command);
    await stage.until(`node 4 holds all ${items} items`, async () => {
      const status = await node.asked.status();
      return status.items === items && status.peers === 2 ? status : undefined;
    });
    const caughtUpAt = performance.now();
    stage.say(
      `node 4: process ${node.pid}, ${node.url}; it held all ${items} items ${formatDuration(caughtUpAt - listeningAt)} after it listened,`,
    );
    stage.say(`${formatDuration(caughtUpAt - startedAt)} after its process was started.`);
    await listFrom(stage, node);
    return {
      pid: node.pid,
      items,
      listeningMs: Math.round(listeningAt - startedAt),
      caughtUpMs: Math.round(caughtUpAt - startedAt),
    };
  },
};

const compareFingerprints: Step = {
  title: "Compare the fingerprints of all running nodes, from one common start on",

  async run(stage: Stage) {
    const since = new Date(stage.sinceMs).toISOString();
    for (const { url } of stage.nodes) stage.show(`curl -s '${url}/v1/status?since=${since}'`);
    const states = await Promise.all(
      stage.nodes.map((node) => node.asked.status({ sinceMs: stage.sinceMs })),
    );
    const rows = states.map(({ name, items, peers, fingerprint }) => [
      name,
      `${items}`,
      `${peers}`,
      fingerprint,
    ]);
    stage.say(table(["node", "items", "peers", "fingerprint"], rows).join("\n"));
    const different = new Set(states.map(({ fingerprint }) => fingerprint));
    if (different.size !== 1) throw new Error(`there are ${different.size} different fingerprints`);
    stage.say("All equal: they hold the same set.");
    return { since, fingerprint: states[0]!.fingerprint, items: states.map(({ items }) => items) };
  },
};

const CLIENTS = 20;

/** A second of load that a small machine keeps up with: at its limit, latencies would only show the queue. */
const LOAD = ["-c", `${CLIENTS}`, "-n", "100", "-i", "10ms", "--size", "1024"];

const relayAllToAll: Step = {
  title: `Start a hub, and let ${CLIENTS} clients send to all others`,

  async run(stage: Stage) {
    // Nothing has to find it.
    const hub = stage.spawn(["hub", "start", "--port", "0", "--no-mdns", "--json"]);
    const { address } = read<{ address: string }>(await hub.firstLine());
    stage.show(hub.command);
    stage.say(`hub: process ${hub.pid}, ${address}`);
    const clients = stage.spawn(["hub", "simulate", "--addr", address, ...LOAD, "--json"]);
    stage.show(clients.command);
    const report = await reportOf(clients, hub);
    for (const line of summary(report)) stage.say(line);
    const fault = faultLine(report);
    if (fault !== undefined) throw new Error(fault);
    stage.show(`kill ${hub.pid}`);
    hub.kill("SIGTERM");
    const { code, how } = await hub.ended;
    if (code !== 0) throw new Error(`no clean end of the hub: ${how}`);
    return { pid: hub.pid, address, ...figuresOf(report) };
  },
};

/** @throws when the clients could not send, or the hub ended before them */
async function reportOf(clients: Child, hub: Child): Promise<SimulationReport> {
  const fallen = hub.ended.then(({ how }) => Promise.reject(new Error(`the hub ended (${how})`)));
  const { stdout, how } = await Promise.race([clients.ended, fallen]);
  // Faulty delivery is an exit code of its own, and a report too.
  if (stdout === "") throw new Error(`${clients.command}: ${how}`);
  return read<SimulationReport>(stdout);
}

/** With --json, a failed command prints its error as JSON. */
function read<Document>(text: string): Document {
  const document = JSON.parse(text) as Document & { error?: { message: string } };
  if (document.error) throw new Error(document.error.message);
  return document;
}

function summary(report: SimulationReport): readonly string[] {
  const { intervalMs, received, seconds, deliveriesPerSecond, latency } = report;
  const { p50Ms, p99Ms } = latency.intended;
  const rate = `${count(deliveriesPerSecond)} deliveries/s`;
  const pace = `each client had one message to send every ${formatDuration(intervalMs)}`;
  return [
    `${count(received.messages)} deliveries in ${formatDuration(seconds * 1_000)}, ${rate}: ${pace}.`,
    `Latency p50 ${formatDuration(p50Ms)}, p99 ${formatDuration(p99Ms)}: from when a message was due until a client had it.`,
    ...reportLines(report, false),
  ];
}

function figuresOf(report: SimulationReport) {
  const { clients, received, seconds, deliveriesPerSecond, latency, proof } = report;
  const { p50Ms, p99Ms } = latency.intended;
  const { delivered, expected, lost, duplicated, outOfOrder, corrupt } = proof;
  return {
    ...{ clients, deliveries: received.messages, seconds, deliveriesPerSecond, p50Ms, p99Ms },
    ...{ delivered, expected, lost, duplicated, outOfOrder, corrupt },
  };
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

const stopAll: Step = {
  title: "Stop the nodes",

  async run(stage: Stage) {
    const nodes = [...stage.nodes];
    stage.show(`kill ${nodes.map(({ pid }) => pid).join(" ")}`);
    for (const node of nodes) stage.release(node);
    const endings = await Promise.all(nodes.map((node) => node.end("SIGTERM")));
    const unclean = nodes.filter((_node, index) => endings[index]!.code !== 0);
    if (unclean.length > 0)
      throw new Error(`no clean end: ${unclean.map(({ number }) => `node ${number}`).join(", ")}`);
    stage.say("Each said goodbye to its peers and ended with exit code 0.");
    return {};
  },
};

/** In this order. A step finds the nodes as the step before left them. */
const STEPS: readonly Step[] = [
  startThree,
  postAnItem,
  listElsewhere,
  measurePosts,
  killTheFirst,
  startLate,
  compareFingerprints,
  relayAllToAll,
  stopAll,
];
