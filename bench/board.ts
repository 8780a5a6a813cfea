// How long after a click on one node's page an item is on the screen of another's, and what a page keeps of 100,000 items.
// npm run build && node bench/board.ts [items]        (needs chromium: apt-get install chromium)
// Read: p99 must stay under 100 ms. Heap and elements must be level from the second line on, not grow with the items.
import { setTimeout as delay } from "node:timers/promises";
import type { Page } from "playwright-core";
import { NO_BROWSER, TestBrowser } from "../test/fixtures/browser.ts";
import { CommandNode } from "./command-node.ts";

const POSTS = 100;
const LINES = 5;
if (NO_BROWSER !== undefined) throw new Error(NO_BROWSER);
const items = Number(process.argv[2] ?? 100_000);

const kitchen = await CommandNode.start();
const hall = await CommandNode.start(["--peer", kitchen.peerAddresses[0]!]);
const browser = await TestBrowser.start();
try {
  const here = await browser.open(kitchen.url);
  const there = await browser.open(hall.url);
  for (const page of [here, there]) await page.getByText("live", { exact: true }).waitFor();
  await there.getByRole("heading", { name: /^Both nodes/ }).waitFor();
  await latency(here, there);
  await memory(there);
} finally {
  await browser[Symbol.asyncDispose]();
  await Promise.all([kitchen.stop(), hall.stop()]);
}

/** Both pages read the clock of this machine. */
async function latency(here: Page, there: Page): Promise<void> {
  await there.evaluate(`
    window.seen = {};
    new MutationObserver(() => {
      const text = document.querySelector(".row-text")?.textContent;
      window.seen[text] ??= Date.now();
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  `);
  await here.evaluate("addEventListener('submit', () => { window.clickedAtMs = Date.now(); }, true)");
  const passed: number[] = [];
  for (let n = 0; n < POSTS; n++) {
    const text = `item ${n}`;
    await here.getByLabel("Text to post").fill(text);
    await here.getByRole("button", { name: "Post" }).click();
    await there.locator(".lead .row-text", { hasText: text }).waitFor();
    const clickedAtMs = await here.evaluate<number>("window.clickedAtMs");
    passed.push((await there.evaluate<number>(`window.seen[${JSON.stringify(text)}]`)) - clickedAtMs);
    await here.getByText(/^Held by/).waitFor();
  }
  passed.sort((a, b) => a - b);
  const at = (part: number) => passed[Math.ceil(part * passed.length) - 1];
  console.log(`posted on one page, seen on another: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
}

async function memory(page: Page): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  for (let line = 0; line <= LINES; line++) {
    if (line > 0) await postMany(line, items / LINES);
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devtools.send("Runtime.getHeapUsage");
    const elements = await page.locator("*").count();
    console.log(
      `${String((line * items) / LINES).padStart(9)} items: heap ${(usedSize / 1e6).toFixed(1)} MB, ${elements} elements`,
    );
  }

  async function postMany(round: number, count: number): Promise<void> {
    const texts = Array.from({ length: count }, (_, n) => `round ${round}, ${n} ${"x".repeat(200)}`);
    const lines = [...texts, `the last of round ${round}`].map((raw) => JSON.stringify({ raw })).join("\n");
    const headers = { "content-type": "application/x-ndjson" };
    await (await fetch(`${kitchen.url}/v1/items`, { method: "POST", headers, body: lines })).text();
    await page.getByText(`the last of round ${round}`).first().waitFor({ timeout: 120_000 });
    await delay(1_000);
  }
}
