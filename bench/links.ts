// The cost of a link between two nodes. Two processes on the loopback interface, each with the engine of a node.
// npm run build && node bench/links.ts
// Read: CPU us is the time of processor of one frame on each side, kernel included. `busy`: each frame in a turn of its
// own, and the next at once. `sparse`: one in a millisecond, so each wakes both processes. `bulk`: as fast as it goes. A
// handshake is from dial to the link, in processes that are warm. docs/decisions/0011 has a run.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import { openLibp2pCluster } from "../build/src/node/cluster/libp2p/index.js";
import type { LinkEngine } from "../build/src/node/cluster/port.js";

type Pace = "busy" | "sparse" | "bulk";
type Order =
  | {
      readonly do: "frames";
      readonly address: string;
      readonly count: number;
      readonly bytes: number;
      readonly pace: Pace;
    }
  | { readonly do: "handshakes"; readonly address: string; readonly count: number }
  | { readonly do: "address" }
  | { readonly do: "cpu" };
interface Answer {
  readonly address: string;
  readonly cpuMs: number;
  readonly tookMs: number;
}
interface Row {
  readonly "cluster key": string;
  readonly what: string;
  readonly "CPU us, dialler": number;
  readonly "CPU us, other": number;
  readonly us: number;
}

const CLUSTER_KEY = Buffer.alloc(32, 0xab);
const FRAMES = [
  ["busy", 300, 5_000],
  ["busy", 5_000, 4_000],
  ["busy", 60_000, 1_000],
  ["sparse", 300, 1_000],
  ["sparse", 5_000, 1_000],
  ["sparse", 60_000, 1_000],
  ["bulk", 60_000, 2_000],
] as const;
const HANDSHAKES = 50;

if (process.send) await serve(process.argv[2] === "yes");
else console.table([...(await measure("no")), ...(await measure("yes"))]);

async function measure(hasClusterKey: string): Promise<Row[]> {
  const children = [0, 1].map(() => fork(import.meta.filename, [hasClusterKey])) as [
    ChildProcess,
    ChildProcess,
  ];
  const [dialler, other] = children;
  const rows: Row[] = [];
  const row = async (what: string, count: number, order: Order): Promise<void> => {
    // Once to get warm.
    await ask(dialler, order);
    const before = await Promise.all(children.map((child) => ask(child, { do: "cpu" })));
    const { tookMs } = await ask(dialler, order);
    const after = await Promise.all(children.map((child) => ask(child, { do: "cpu" })));
    const [dialled, answered] = after.map(({ cpuMs }, side) => cpuMs - before[side]!.cpuMs);
    const each = (ms: number) => Math.round((ms * 1_000) / count);
    rows.push({
      "cluster key": hasClusterKey,
      what,
      "CPU us, dialler": each(dialled!),
      "CPU us, other": each(answered!),
      us: each(tookMs),
    });
  };
  try {
    const { address } = await ask(other, { do: "address" });
    for (const [pace, bytes, count] of FRAMES) {
      await row(`${bytes} B, ${pace}`, count, { do: "frames", address, bytes, count, pace });
    }
    await row("handshake", HANDSHAKES, { do: "handshakes", address, count: HANDSHAKES });
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
  return rows;
}

async function ask(child: ChildProcess, order: Order): Promise<Answer> {
  child.send(order);
  const [answer] = (await once(child, "message")) as [Answer];
  return answer;
}

/** Answers one order after the other. */
async function serve(hasClusterKey: boolean): Promise<void> {
  let up: (link: number) => void = () => {};
  let echoed: () => void = () => {};
  let wanted = 0;
  /** A long queue of frames: to send more waits. */
  let isLong = false;
  const engine: LinkEngine = await openLibp2pCluster({
    cluster: "bench",
    listen: { hosts: ["127.0.0.1"] },
    ...(hasClusterKey && { clusterKey: CLUSTER_KEY }),
    listener: {
      admits: () => true,
      linkUp: ({ link }) => {
        wanted = 0;
        up(link);
      },
      linkDown() {},
      dialFailed(_, reason) {
        throw new Error(reason);
      },
      progressed() {},
      queued(_, long) {
        isLong = long;
      },
      // The first frame says how many come; one byte is the answer to all of them.
      frame(link, bytes) {
        if (bytes.length === 1) echoed();
        else if (wanted === 0) wanted = Buffer.from(bytes).readUInt32BE() - 1;
        else if (--wanted === 0) engine.send(link, Buffer.of(1));
      },
    },
  });
  const connect = (address: string) =>
    new Promise<number>((resolve) => {
      up = resolve;
      isLong = false;
      engine.dial({ attempt: 1, addresses: [address] });
    });
  const send = async ({ address, bytes, count, pace }: Extract<Order, { do: "frames" }>) => {
    const link = await connect(address);
    const answered = new Promise<void>((resolve) => {
      echoed = resolve;
    });
    const frame = Buffer.alloc(bytes, 7);
    const first = Buffer.alloc(bytes, 7);
    first.writeUInt32BE(count);
    for (let sent = 0; sent < count; sent++) {
      engine.send(link, sent === 0 ? first : frame);
      if (pace === "busy") await turn();
      else if (pace === "sparse") await pause(1);
      // `queued` is told between two microtasks.
      else await undefined;
      while (isLong) await turn();
    }
    await answered;
    engine.disconnect(link, "over");
  };
  process.on("message", async (order: Order) => {
    const startedMs = performance.now();
    if (order.do === "frames") await send(order);
    if (order.do === "handshakes")
      for (let made = 0; made < order.count; made++) engine.disconnect(await connect(order.address), "over");
    const { user, system } = process.cpuUsage();
    process.send!({
      address: engine.addresses[0]!,
      cpuMs: (user + system) / 1_000,
      tookMs: performance.now() - startedMs,
    } satisfies Answer);
  });
}
