// Memory of a node, as it is started by its command: at rest, and what items that are posted to it in bulk add.
// npm run build && node bench/memory.ts [items] [bytes of each raw] [sha256|md5]        (Linux: it reads /proc)
// Read: at rest under 150 MB resident, 100,000 items of 256 B add under 100 MB; 1,000,000 of 200 B under 700 MB in all.
import { hash } from "node:crypto";

const { CommandNode } = (await import(
  new URL("command-node.ts", import.meta.url).href
)) as typeof import("./command-node.js");
const [count = 100_000, bytes = 256] = process.argv.slice(2, 4).map(Number);
const scheme = process.argv[4] ?? "sha256";
const node = await CommandNode.start();
try {
  await pause(5_000);
  const atRest = node.residentBytes;
  let accepted = 0;
  for await (const { status } of node.api.postMany(drafts())) if (status === "accepted") accepted++;
  await pause(1_000);
  console.log(`${accepted} items of ${bytes} B with ${scheme}: ${mb(atRest)} MB resident at rest`);
  console.log(`${mb(node.residentBytes)} MB with them: they add ${mb(node.residentBytes - atRest)} MB`);
} finally {
  await node.stop();
}

function* drafts() {
  const text = "announcement ".repeat(Math.ceil(bytes / 13));
  for (let index = 0; index < count; index++) {
    const raw = `${index} ${text}`.slice(0, bytes);
    yield { id: `item-${index}`, raw, ...(scheme === "md5" && { signature: hash("md5", raw) }) };
  }
}

function mb(size: number): string {
  return (size / 1_000_000).toFixed(0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
