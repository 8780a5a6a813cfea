// The cost of a link between two nodes. Two processes on the loopback interface, libp2p as it comes, one stream.
// node bench/links.ts [encryption...]   names of packages under @libp2p that are installed; default noise
// Read: CPU us is the time of processor of one message on each side, kernel included. `busy`: each message in a turn of its
// own, and the next at once. `sparse`: one in a millisecond, so each wakes both processes. `bulk`: as fast as it goes. A
// handshake is from dial to the open stream, in processes that are warm. docs/decisions/0011 has a run.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause, setImmediate as turn } from "node:timers/promises";
import type { Libp2p, Stream } from "@libp2p/interface";
import { preSharedKey } from "@libp2p/pnet";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p, type Libp2pOptions } from "libp2p";

interface Setting {
  readonly encryption: string;
  readonly hasClusterKey: boolean;
}
type Pace = "busy" | "sparse" | "bulk";
type Order =
  | {
      readonly do: "messages";
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
  readonly encryption: string;
  readonly "cluster key": string;
  readonly what: string;
  readonly "CPU us, dialler": number;
  readonly "CPU us, other": number;
  readonly us: number;
}

const PROTOCOL = "/bench/1";
const SWARM_KEY = Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${"ab".repeat(32)}`);

const MESSAGES = [
  ["busy", 300, 5_000],
  ["busy", 5_000, 4_000],
  ["busy", 60_000, 1_000],
  ["sparse", 300, 1_000],
  ["sparse", 5_000, 1_000],
  ["sparse", 60_000, 1_000],
  ["bulk", 60_000, 2_000],
] as const;
const HANDSHAKES = 50;

if (process.send) await serve(JSON.parse(process.argv[2]!) as Setting);
else {
  const encryptions = process.argv.slice(2);
  const rows: Row[] = [];
  for (const encryption of encryptions.length > 0 ? encryptions : ["noise"]) {
    for (const hasClusterKey of [false, true]) rows.push(...(await measure({ encryption, hasClusterKey })));
  }
  console.table(rows);
}

async function measure(setting: Setting): Promise<Row[]> {
  const children = [start(setting), start(setting)] as const;
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
      encryption: setting.encryption,
      "cluster key": setting.hasClusterKey ? "yes" : "no",
      what,
      "CPU us, dialler": each(dialled!),
      "CPU us, other": each(answered!),
      us: each(tookMs),
    });
  };
  try {
    const { address } = await ask(other, { do: "address" });
    for (const [pace, bytes, count] of MESSAGES) {
      await row(`${bytes} B, ${pace}`, count, { do: "messages", address, bytes, count, pace });
    }
    await row("handshake", HANDSHAKES, { do: "handshakes", address, count: HANDSHAKES });
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
  return rows;
}

function start(setting: Setting): ChildProcess {
  return fork(import.meta.filename, [JSON.stringify(setting)]);
}

async function ask(child: ChildProcess, order: Order): Promise<Answer> {
  child.send(order);
  const [answer] = (await once(child, "message")) as [Answer];
  return answer;
}

/** Answers one order after the other. */
async function serve({ encryption, hasClusterKey }: Setting): Promise<void> {
  const libp2p = await createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    transports: [tcp()],
    connectionEncrypters: [await encrypter(encryption)],
    streamMuxers: [yamux({ enableKeepAlive: false })],
    ...(hasClusterKey && { connectionProtector: preSharedKey({ psk: SWARM_KEY }) }),
    connectionManager: { inboundConnectionThreshold: 10_000 },
    connectionMonitor: { enabled: false },
  });
  await libp2p.handle(PROTOCOL, echoLast);
  process.on("message", async (order: Order) => {
    const startedMs = performance.now();
    if (order.do === "messages") await send(libp2p, order);
    if (order.do === "handshakes") await connectOften(libp2p, order.address, order.count);
    const { user, system } = process.cpuUsage();
    const address = String(libp2p.getMultiaddrs()[0]);
    process.send!({ address, cpuMs: (user + system) / 1_000, tookMs: performance.now() - startedMs });
  });
}

type Encrypter = NonNullable<Libp2pOptions["connectionEncrypters"]>[number];

async function encrypter(name: string): Promise<Encrypter> {
  const made = (await import(`@libp2p/${name}`)) as Record<string, () => Encrypter>;
  return made[name]!();
}

/** The first eight bytes say how many bytes come; one byte is the answer to all of them. */
function echoLast(stream: Stream): void {
  let wanted = -1;
  let got = 0;
  stream.addEventListener("message", ({ data }) => {
    if (wanted < 0) wanted = Number(Buffer.from(data.subarray(0, 8)).readBigUInt64BE());
    got += data.byteLength;
    if (got === wanted) stream.send(Buffer.of(1));
  });
}

async function send(
  libp2p: Libp2p,
  { address, bytes, count, pace }: Extract<Order, { do: "messages" }>,
): Promise<void> {
  const connection = await libp2p.dial(multiaddr(address));
  const stream = await connection.newStream(PROTOCOL);
  const answered = once(stream as never, "message");
  const first = Buffer.alloc(bytes, 7);
  first.writeBigUInt64BE(BigInt(bytes * count));
  const message = Buffer.alloc(bytes, 7);
  for (let sent = 0; sent < count; sent++) {
    const goesOn = stream.send(sent === 0 ? first : message);
    if (!goesOn) await stream.onDrain();
    if (pace === "busy") await turn();
    if (pace === "sparse") await pause(1);
  }
  await answered;
  await connection.close();
}

async function connectOften(libp2p: Libp2p, address: string, count: number): Promise<void> {
  for (let made = 0; made < count; made++) {
    const connection = await libp2p.dial(multiaddr(address));
    await connection.newStream(PROTOCOL);
    await connection.close();
  }
}
