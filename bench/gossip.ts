// What gossip costs: one sender, two receivers in processes of their own, on 127.0.0.1.
// npm run build && node bench/gossip.ts [messages] [bytes]
// Read: CPU per message counts both the kernel's and ours; the sender encrypts and writes each message twice. The
// baseline is the same traffic over two bare TCP sockets, in the same run, to tell a slow machine from slow code.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { openLibp2pCluster } from "../dist/node/cluster/libp2p/index.js";

const RECEIVERS = 2;
/** Bytes that may wait for a receiver before the sender pauses. */
const WINDOW_BYTES = 8_000_000;
const count = Number(process.argv[2] ?? 3_000);
const bytes = Number(process.argv[3] ?? 65_536);

if (process.send) await receive(process.argv[4]!);
else {
  await runBare();
  await runGossip();
}

async function runGossip(): Promise<void> {
  let peersUp = 0;
  const startedMs = performance.now();
  const sender = await openLibp2pCluster({
    cluster: "bench",
    listen: { hosts: ["127.0.0.1"] },
    listener: {
      peerUp: () => void peersUp++,
      peerDown() {},
      frame() {},
      gossip: ({ settle }) => settle("accept"),
    },
  });
  const startMs = performance.now() - startedMs;
  const receivers = Array.from({ length: RECEIVERS }, () => spawn("gossip"));
  const results = receivers.map((receiver) => once(receiver, "message"));
  for (const receiver of receivers) receiver.send(sender.addresses[0]!);
  while (peersUp < RECEIVERS) await tick();
  const measured = measure();
  const message = Buffer.alloc(bytes, "x");
  for (let index = 0; index < count; index++) {
    message.writeUInt32BE(index);
    sender.publish(Buffer.from(message));
    while (sender.connections().some(({ queuedBytes }) => queuedBytes > WINDOW_BYTES)) await pause();
    if (index % 8 === 0) await tick();
  }
  print(
    "gossip",
    measured,
    (await Promise.all(results)).map(([cpuUs]) => cpuUs as number),
  );
  console.log(`start ${startMs.toFixed(0)} ms; messages skipped: ${sender.gossipFigures.unsent}`);
  await sender.close();
}

async function runBare(): Promise<void> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const receivers = Array.from({ length: RECEIVERS }, () => spawn("bare"));
  const results = receivers.map((receiver) => once(receiver, "message"));
  for (const receiver of receivers) receiver.send(String((server.address() as { port: number }).port));
  while (sockets.length < RECEIVERS) await tick();
  const measured = measure();
  const message = Buffer.alloc(bytes, "x");
  for (let index = 0; index < count; index++) {
    for (const socket of sockets) socket.write(message);
    while (sockets.some(({ writableLength }) => writableLength > WINDOW_BYTES)) await pause();
    if (index % 8 === 0) await tick();
  }
  print(
    "bare TCP",
    measured,
    (await Promise.all(results)).map(([cpuUs]) => cpuUs as number),
  );
  for (const socket of sockets) socket.destroy();
  server.close();
}

/** In a receiver's process: reports its CPU between the first and the last message. */
async function receive(kind: string): Promise<void> {
  const [where] = (await once(process, "message")) as [string];
  let received = 0;
  let cpu = process.cpuUsage();
  const took = (amount: number, wanted: number) => {
    if (received === 0) cpu = process.cpuUsage();
    received += amount;
    if (received < wanted) return;
    const { user, system } = process.cpuUsage(cpu);
    process.send!(user + system, () => process.exit());
  };
  if (kind === "bare") {
    connect(Number(where), "127.0.0.1").on("data", (chunk) => took(chunk.length, count * bytes));
    return;
  }
  const cluster = await openLibp2pCluster({
    cluster: "bench",
    listen: { hosts: ["127.0.0.1"] },
    listener: {
      peerUp() {},
      peerDown() {},
      frame() {},
      gossip: ({ settle }) => {
        settle("accept");
        took(1, count);
      },
    },
  });
  cluster.dial({ addresses: [where] });
}

function spawn(kind: string): ChildProcess {
  return fork(import.meta.filename, [String(count), String(bytes), kind]);
}

function measure(): () => { ms: number; cpuUs: number } {
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    return { ms: performance.now() - startMs, cpuUs: user + system };
  };
}

function print(what: string, measured: () => { ms: number; cpuUs: number }, receiversUs: number[]): void {
  const { ms, cpuUs } = measured();
  const receiverUs = receiversUs.reduce((sum, one) => sum + one, 0) / receiversUs.length;
  console.log(
    `${what}: ${count} x ${bytes} B to ${RECEIVERS} in ${ms.toFixed(0)} ms = ` +
      `${((count * bytes) / ms / 1_000).toFixed(0)} MB/s to each; CPU a message: ` +
      `sender ${(cpuUs / count).toFixed(0)} us, receiver ${(receiverUs / count).toFixed(0)} us`,
  );
}

/** Long enough not to measure the waiting. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
