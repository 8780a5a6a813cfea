// A client of a node that runs elsewhere: it watches, posts, waits until every node holds the item, and ends when
// it has seen its own item come by.
//
//   node bin/run.js broadcast start           in one terminal
//   node examples/watch-and-post.ts "doors open at nine"
//
// HUBCAST_URL says where the node is.
import { connectToNode } from "hubcast";

const [raw = "hello"] = process.argv.slice(2);
const node = await connectToNode(process.env.HUBCAST_URL ?? "http://127.0.0.1:8080");
const enough = new AbortController();
try {
  let postedId: string | undefined;
  for await (const event of node.events({ sinceMs: Date.now(), signal: enough.signal })) {
    // The node counts us among its subscribers: from here on nothing is missed.
    if (event.type === "caught-up") postedId = await post();
    if (event.type === "item" && event.item.id === postedId) {
      console.log(`seen: ${event.item.raw}`);
      enough.abort();
    }
  }
} finally {
  await node.close();
}

async function post(): Promise<string> {
  const { id, receipt } = await node.post({ raw }, { wait: "all", timeoutMs: 2_000 });
  console.log(`posted: ${id}`);
  for (const { name, afterMs } of receipt?.holders ?? []) console.log(`held by ${name} after ${afterMs} ms`);
  for (const { name } of receipt?.missing ?? []) console.log(`not yet held by ${name}`);
  return id;
}
