// The knowledge that nodes gain of a closed cluster that they are not let into: with another cluster key, with none, and with the
// right key but on no list of allowed peers. All three at once, found by multicast DNS and dialling by address, watched
// by their own status for 30 seconds while the members post.
// npm run build && node bench/closed.ts [SECONDS]
// Read: every column of an outsider is 0, and the program ends with 0; anything else ends it with 1.
import { randomBytes } from "node:crypto";
import { startNode } from "../build/src/node/index.js";

const seconds = Number(process.argv[2] ?? 30);
const cluster = `closed-${randomBytes(4).toString("hex")}`;
const clusterKey = randomBytes(32);
const LOOPBACK = { cluster, mdns: { interfaces: ["127.0.0.1"] }, p2p: { hosts: ["127.0.0.1"] } };

const first = await startNode({ ...LOOPBACK, clusterKey });
const second = await startNode({
  ...LOOPBACK,
  clusterKey,
  allowPeers: [first.id],
  peers: [first.peerAddresses[0]!],
});
// It has the key, so the first would let it in; it reaches only the second, which has a list.
const third = await startNode({ ...LOOPBACK, clusterKey, allowPeers: [second.id] });
const addresses = [second, third].map(({ peerAddresses }) => peerAddresses[0]!);
const outsiders = new Map([
  [
    "another key",
    await startNode({
      ...LOOPBACK,
      clusterKey: randomBytes(32),
      peers: [...addresses, first.peerAddresses[0]!],
    }),
  ],
  ["no key", await startNode({ ...LOOPBACK, peers: [...addresses, first.peerAddresses[0]!] })],
  ["not on the list", await startNode({ ...LOOPBACK, mdns: false, clusterKey, peers: addresses })],
]);

let learnt = 0;
const endMs = Date.now() + seconds * 1_000;
while (Date.now() < endMs) {
  await Promise.all([first, second].map((member) => member.post({ raw: `for members, ${Date.now()}` })));
  await new Promise((resolve) => setTimeout(resolve, 250));
}
for (const [name, node] of outsiders) {
  const { items, bytes, peers, sync, gossip } = await node.status();
  const figures = {
    ...{ items, bytes, peers, known: (await node.peers()).length },
    ...{ frameBytes: sync.bytesReceived, gossip: gossip.batchesReceived },
  };
  learnt += Object.values(figures).reduce((sum, figure) => sum + figure, 0);
  console.log(`${name}: ${JSON.stringify(figures)} after ${seconds} s`);
}
const { items, peers } = await second.status();
console.log(`the members: ${items} items, ${peers} peers`);
await Promise.all([first, second, third, ...outsiders.values()].map((node) => node.close()));
process.exitCode = learnt === 0 && items > 0 ? 0 : 1;
