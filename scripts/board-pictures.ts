// Makes docs/board-light.png and docs/board-dark.png, of three nodes that run while it does.
// npm run build && node scripts/board-pictures.ts        (needs chromium: apt-get install chromium)
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { signItem } from "../build/src/node/keys.js";
import { NO_BROWSER, TestBrowser } from "../test/fixtures/browser.ts";

if (NO_BROWSER !== undefined) throw new Error(NO_BROWSER);

/** Older than a moment can only be what its author stamped. */
const ITEMS: readonly { readonly topic?: string; readonly raw: string; readonly secondsAgo?: number }[] = [
  { topic: "deploy/site", raw: "site 4.2.0 is live on all machines", secondsAgo: 110 },
  {
    raw: "The lift is out of order until Thursday. Please take the stairs on the north side.",
    secondsAgo: 95,
  },
  { topic: "alerts/power", raw: "UPS in rack 2 runs on battery", secondsAgo: 62 },
  { topic: "alerts/power", raw: "UPS in rack 2 is back on mains", secondsAgo: 41 },
  { raw: "Lunch is at noon, in the kitchen" },
  { topic: "alerts/disk", raw: "Disk of attic is at 91 %" },
];
const LAST = "Doors open at nine";

const kitchen = await startNode("kitchen");
const nodes = [kitchen, ...(await Promise.all(["hall", "attic"].map((name) => startNode(name, kitchen))))];
const browser = await TestBrowser.start();
try {
  const { privateKey } = generateKeyPairSync("ed25519");
  for (const [n, { topic, raw, secondsAgo }] of ITEMS.entries()) {
    const id = `${topic === undefined ? "" : `${topic}/`}${randomUUID()}`;
    const signed =
      secondsAgo !== undefined &&
      signItem({ id, raw, timestampMs: Date.now() - secondsAgo * 1_000 }, privateKey);
    await post(nodes[n % nodes.length]!.url, signed || { id, raw });
  }
  await Promise.all((["light", "dark"] as const).map(picture));
} finally {
  await browser[Symbol.asyncDispose]();
  for (const { child } of nodes) child.kill();
}

async function picture(colorScheme: "light" | "dark"): Promise<void> {
  const page = await browser.open(nodes[0]!.url, {
    colorScheme,
    viewport: { width: 1180, height: 740 },
    deviceScaleFactor: 1.5,
  });
  await page.getByRole("heading", { name: /^All 3 nodes hold the same/ }).waitFor();
  await page.getByText("live", { exact: true }).waitFor();
  await delay(6_000);
  if (colorScheme === "light") await post(nodes[1]!.url, { raw: LAST });
  await page.getByRole("link", { name: LAST }).waitFor();
  // What has just come is marked for some seconds.
  await delay(3_500);
  await page.screenshot({ path: `docs/board-${colorScheme}.png` });
}

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
  readonly peerAddresses: readonly string[];
}

async function startNode(name: string, peer?: Started): Promise<Started> {
  const flags = [
    "--port",
    "0",
    "--p2p-host",
    "127.0.0.1",
    "--no-mdns",
    "--cluster",
    "office",
    "--name",
    name,
  ];
  const joining = peer ? ["--peer", peer.peerAddresses[0]!] : [];
  const child = spawn(
    process.execPath,
    ["bin/run.js", "broadcast", "start", "--json", ...flags, ...joining],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  const [line] = (await once(createInterface(child.stdout!), "line")) as [string];
  return { child, ...(JSON.parse(line) as Omit<Started, "child">) };
}

async function post(url: string, item: object): Promise<void> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/v1/items`, { method: "POST", headers, body: JSON.stringify(item) });
  if (!answer.ok) throw new Error(await answer.text());
}
