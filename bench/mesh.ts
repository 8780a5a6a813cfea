// Does a mesh of many nodes on one address hold, and how soon does a message reach all of them?
// npm run build && node bench/mesh.ts [nodes] [seconds]
// Read: heard must be 100 % to the end. By default GossipSub punishes more than ten peers on one address, and a mesh
// falls apart only after some heartbeats: run at least 60 s. All nodes share one process, so the milliseconds
// include each other's work.
import { openLibp2pCluster } from "../dist/node/cluster/libp2p/index.js";

const nodeCount = Number(process.argv[2] ?? 20);
const seconds = Number(process.argv[3] ?? 65);
const PER_SECOND = 10;

let downs = 0;
let ups = 0;
const latenciesMs: number[] = [];
const nodes = await Promise.all(
  Array.from({ length: nodeCount }, () =>
    openLibp2pCluster({
      cluster: "bench",
      listen: { hosts: ["127.0.0.1"] },
      listener: {
        peerUp: () => void ups++,
        peerDown: () => void downs++,
        frame() {},
        gossip: ({ bytes, settle }) => {
          settle("accept");
          latenciesMs.push(performance.now() - Number(Buffer.from(bytes).toString().split(" ")[1]));
        },
      },
    }),
  ),
);
const startMs = performance.now();
for (const node of nodes) for (const other of nodes) node.dial(other);
while (ups < nodeCount * (nodeCount - 1) && performance.now() - startMs < 30_000) await pause(5);
console.log(`${nodeCount} nodes, all connected after ${(performance.now() - startMs).toFixed(0)} ms`);

for (let sent = 0; sent < seconds * PER_SECOND; sent++) {
  nodes[sent % nodeCount]!.publish(Buffer.from(`${sent} ${performance.now()}`));
  await pause(1_000 / PER_SECOND);
}
await pause(500);
latenciesMs.sort((left, right) => left - right);
const quantile = (part: number) => latenciesMs[Math.floor((latenciesMs.length - 1) * part)]!.toFixed(1);
const heard = latenciesMs.length / (seconds * PER_SECOND * (nodeCount - 1));
const scores = nodes.flatMap((node) => node.connections()).map(({ score }) => score);
console.log(
  `${seconds} s: heard ${(100 * heard).toFixed(2)} %, p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms, ` +
    `max ${quantile(1)} ms; connections lost ${downs}; lowest score ${Math.min(...scores)}`,
);
await Promise.all(nodes.map((node) => node.close()));
process.exitCode = heard === 1 && downs === 0 ? 0 : 1;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
