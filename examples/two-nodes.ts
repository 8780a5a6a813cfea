// Two nodes in one process that share facts, without multicast: the second is told where the first is. This is how
// a program tests what it does with a node, too.
//
//   node examples/two-nodes.ts
import { startNode } from "hubcast";

const options = { cluster: "two-nodes", mdns: false, p2p: { hosts: ["127.0.0.1"] } };
const first = await startNode({ ...options, name: "first" });
try {
  // Followed from here on, so that the meeting is not missed.
  const events = first.events();
  const second = await startNode({ ...options, name: "second", peers: first.peerAddresses });
  try {
    for await (const event of events) {
      if (event.type === "peer" && event.peer.state === "connected") break;
    }
    const { receipt } = await first.post({ id: "temperature", raw: "21.5" }, { wait: "all" });
    console.log(`held by ${receipt?.holders.map(({ name }) => name).join(", ")}`);
    console.log(`second reads: ${(await second.get("temperature"))?.raw}`);

    // An id is a fact for good: the same again changes nothing, another raw under it is refused.
    const again = await second.post({ id: "temperature", raw: "21.5" });
    console.log(`the same again: ${again.status}`);
    const other = await second.post({ id: "temperature", raw: "22.0" }).catch((error) => error.code);
    console.log(`another raw: ${other}`);

    const sinceMs = Date.now() - 60_000;
    const [one, two] = await Promise.all([first.status({ sinceMs }), second.status({ sinceMs })]);
    console.log(`fingerprints are equal: ${one.fingerprint === two.fingerprint}`);
  } finally {
    await second.close();
  }
} finally {
  await first.close();
}
