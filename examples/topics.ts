// What happens to one topic of many: a node inside of the program gets alerts and news, and somebody follows the alerts.
// Ends when it has seen all that it waits for.
//
//   node examples/topics.ts
import { idUnder, startNode, topicOf } from "hubcast";

const node = await startNode({ mdns: false, p2p: { hosts: ["127.0.0.1"] } });
const enough = new AbortController();
try {
  await node.post({ id: idUnder("alerts/disk", "db1"), raw: "90 % full" });
  await node.post({ id: idUnder("news"), raw: "cake in the kitchen" });
  for await (const { id, raw } of node.list({ topic: "alerts" })) console.log(`there already: ${id}: ${raw}`);

  let left = 3;
  for await (const event of node.events({ topic: "alerts", sinceMs: 0, signal: enough.signal })) {
    if (event.type === "caught-up") await postMore();
    if (event.type !== "item") continue;
    console.log(`${topicOf(event.item.id)}: ${event.item.raw}`);
    if (--left === 0) enough.abort();
  }
} finally {
  await node.close();
}

async function postMore(): Promise<void> {
  await node.post({ id: idUnder("alerts/disk"), raw: "full" });
  await node.post({ id: idUnder("news"), raw: "no cake left" });
  await node.post({ id: idUnder("alerts/net/uplink"), raw: "down" });
}
