// A hub and two of its clients in one process: a message to a group with a receipt, and one to a single client.
//
//   node examples/hub-and-clients.ts
import { connectToHub, startHub } from "hubcast";

await using hub = await startHub({ port: 0, mdns: false });
await using desk = await connectToHub(hub.address, { name: "desk" });
await using door = await connectToHub(hub.address, { name: "door" });

await desk.join("news");
const receipt = await door.sendToGroup("news", "open", { receipt: true });
console.log(`reached ${receipt?.reached} client`);
const [peer] = await door.roster();
await door.relay([peer!.id], `hello, ${peer!.name}`);

let count = 0;
for await (const { to, payload } of desk.messages()) {
  console.log(`${to === "you" ? "to desk alone" : "to a group"}: ${payload}`);
  if (++count === 2) break;
}
