// A program with a node inside. It tells the others that it is there, and prints what they tell, until Ctrl-C.
//
//   node examples/embedded-node.ts            in one terminal, and again in another
//
// HUBCAST_CLUSTER and HUBCAST_MDNS_INTERFACE choose who meets whom, as they do for `hubcast broadcast start`.
import { hostname } from "node:os";
import { startNode } from "hubcast";

const { HUBCAST_CLUSTER: cluster = "examples", HUBCAST_MDNS_INTERFACE: place } = process.env;
const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
process.once("SIGTERM", () => stopping.abort());

const node = await startNode({
  cluster,
  // One interface, for peers and for discovery; without it all that are up.
  ...(place && { p2p: { hosts: [place] }, mdns: { interfaces: [place] } }),
});
try {
  console.log(`${node.name} is up, in cluster ${cluster}`);
  await node.post({ raw: `process ${process.pid} on ${hostname()} is up` });
  // What is there already comes first, then what happens from now on.
  for await (const event of node.events({ sinceMs: 0, signal: stopping.signal })) {
    if (event.type === "item") console.log(event.item.raw);
    if (event.type === "peer") console.log(`${event.peer.name} is ${event.peer.state}`);
  }
} finally {
  // Says goodbye to the peers, and gives back every socket.
  await node.close();
}
