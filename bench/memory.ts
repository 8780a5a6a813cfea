// Memory of a node, as it is started by its command: at rest, and what items that are posted to it in bulk add.
// npm run build && node bench/memory.ts [items] [bytes of each raw] [sha256|md5]        (Linux: it reads /proc)
// Read: at rest under 150 MB resident, 100,000 items of 256 B add under 100 MB; 1,000,000 of 200 B under 700 MB in all.
import { spawn } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connectToNode } from "../dist/node/client.js";

const [count = 100_000, bytes = 256] = process.argv.slice(2, 4).map(Number);
const scheme = process.argv[4] ?? "sha256";
const args = ["bin/run.js", "broadcast", "start", "--port", "0", "--no-mdns", "--json"];
const child = spawn(process.execPath, args, {
  cwd: new URL("../", import.meta.url),
  stdio: ["ignore", "pipe", "ignore"],
});
try {
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const node = await connectToNode((JSON.parse(line) as { url: string }).url);
  await pause(1_500);
  const atRest = resident();
  let accepted = 0;
  for await (const { status } of node.postMany(drafts())) if (status === "accepted") accepted++;
  await pause(1_000);
  console.log(`${accepted} items of ${bytes} B with ${scheme}: ${mb(atRest)} MB resident at rest`);
  console.log(`${mb(resident())} MB with them: they add ${mb(resident() - atRest)} MB`);
  await node.close();
} finally {
  child.kill();
}

function* drafts() {
  const text = "announcement ".repeat(Math.ceil(bytes / 13));
  for (let index = 0; index < count; index++) {
    const raw = `${index} ${text}`.slice(0, bytes);
    yield { id: `item-${index}`, raw, ...(scheme === "md5" && { signature: hash("md5", raw) }) };
  }
}

function resident(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1]) * 1024;
}

function mb(size: number): string {
  return (size / 1_000_000).toFixed(0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
