import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { signItem } from "../../src/node/keys.js";
import { NO_BROWSER, TestBrowser } from "../fixtures/browser.js";
import { eventually } from "../fixtures/eventually.js";
import { freePort } from "../fixtures/free-port.js";
import { loopbackFlags, NodeCrowd, NodeProcess } from "../fixtures/node-process.js";
import { faintTexts, namelessControls } from "./legibility.js";

if (NO_BROWSER !== undefined) console.warn(`test/board is skipped: ${NO_BROWSER}`);

/** Pages come up in seconds, also where six others share the machine. */
const PATIENT = { timeout: 120_000 };
const PHONE = { viewport: { width: 360, height: 740 } };

describe.skipIf(NO_BROWSER !== undefined)("the board in Chromium", PATIENT, () => {
  const tag = randomUUID().slice(0, 8);
  const cluster = `board-${tag}`;
  /** No other test's: of two nodes of one name on a network, one is called otherwise. */
  const names = { kitchen: `kitchen-${tag}`, hall: `hall-${tag}`, attic: `attic-${tag}` };
  const crowd = new NodeCrowd();
  let browser: TestBrowser;
  let kitchen: NodeProcess;
  let hall: NodeProcess;
  /** It has a peer that never answers. */
  let lonely: NodeProcess;
  /** It asks for a token. */
  let closed: NodeProcess;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "hubcast-board-"));
    const tokens = join(directory, "tokens");
    await writeFile(tokens, "writer-secret post\nreader-secret read\n");
    const alone = ["--port", "0", "--p2p-host", "127.0.0.1", "--no-mdns"];
    const start = (...flags: string[]) => NodeProcess.start({ flags });
    [browser, kitchen, hall, lonely, closed] = await Promise.all([
      TestBrowser.start(),
      start(...loopbackFlags(cluster), "--name", names.kitchen),
      start(...loopbackFlags(cluster), "--name", names.hall),
      start(...alone, "--peer", "127.0.0.1:1"),
      start(...alone, "--token-file", tokens),
    ]);
    crowd.all.push(kitchen, hall);
    await crowd.connected();
  }, 120_000);

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await Promise.all([crowd, lonely, closed].map((each) => each?.[Symbol.asyncDispose]()));
  });

  afterEach(() => browser.closePages());

  test("what is posted on the page of one node is seen on that of another", async () => {
    const here = await browser.open(kitchen.url);
    const there = await browser.open(hall.url);
    await live(there);
    await here.getByLabel("Text to post").fill("doors open at nine");
    await here.getByLabel("Topic", { exact: true }).fill("house/doors");
    await here.getByRole("button", { name: "Post" }).click();

    const item = itemOf(there, "doors open at nine");
    await item.getByText("new", { exact: true }).waitFor();
    await item.getByRole("link", { name: "house/doors" }).waitFor();
    await here.getByText(/^Held by all 2 nodes after \d+ ms\.$/).waitFor();
    await there.getByRole("heading", { name: "Both nodes hold the same 1 item" }).waitFor();
    await there
      .getByRole("complementary", { name: /^Nodes/ })
      .getByText("agrees")
      .waitFor();

    expect(browser.faults).toEqual([]);
    const own = crowd.all.map(({ url }) => url);
    const requested = browser.requests.filter((url) => !url.startsWith("data:"));
    expect(requested.filter((url) => !own.includes(new URL(url).origin))).toEqual([]);
    expect(requested.length).toBeGreaterThan(10);
  });

  test("an item is shown whole, by keyboard, with its author and its holders", async () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const signed = signItem({ id: "shifts/monday", raw: "Ada has the early shift" }, privateKey);
    await kitchen.post(signed);
    const page = await browser.open(hall.url);
    await itemOf(page, "Ada has the early shift").getByText("✓ signed").waitFor();
    await page.getByRole("link", { name: "Ada has the early shift" }).focus();
    await page.keyboard.press("Enter");

    const dialog = page.getByRole("dialog", { name: "Item" });
    await dialog.getByText("✓ Signed by its author, verified by this node").waitFor();
    await dialog.getByText(signed.signature.slice(0, 72)).waitFor();
    await dialog
      .getByRole("listitem")
      .filter({ hasText: `${names.hall} holds it` })
      .waitFor();
    await dialog
      .getByRole("listitem")
      .filter({ hasText: `${names.kitchen} holds it` })
      .waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  });

  test("a topic filters what is there and what comes", async () => {
    await kitchen.post({ id: "alerts/disk/1", raw: "the disk is full" });
    await kitchen.post({ id: "lunch/1", raw: "at noon" });
    const page = await browser.open(hall.url);
    await itemOf(page, "at noon").waitFor();
    await page
      .getByRole("navigation", { name: "Topics" })
      .getByRole("link", { name: "alerts", exact: true })
      .click();
    await itemOf(page, "the disk is full").waitFor();
    await itemOf(page, "at noon").waitFor({ state: "detached" });
    await live(page);
    await kitchen.post({ id: "lunch/2", raw: "at one" });
    await kitchen.post({ id: "alerts/power", raw: "on battery" });
    await itemOf(page, "on battery").waitFor();
    expect(await itemOf(page, "at one").count()).toBe(0);
    // A post while a topic is chosen goes under it.
    await page.keyboard.press("Escape");
    await page.getByLabel("Text to post").fill("back on mains");
    await page.keyboard.press("Control+Enter");
    await itemOf(page, "back on mains").waitFor();
    expect(await kitchen.get<{ items: unknown[] }>("/v1/items?topic=alerts")).toMatchObject({
      items: [{}, {}, { raw: "back on mains" }],
    });
  });

  test("hostile texts stay texts, and keep inside of a phone", async () => {
    const markup = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`;
    const raw = `${markup}\n\u202eexe.gnp\u202c ${"n".repeat(5_000)} ${"z\u0301\u0302\u0303".repeat(400)}`;
    await kitchen.post({ id: `${markup}/\u202e${"w".repeat(120)}`, raw });
    const page = await browser.open(hall.url, PHONE);
    const item = itemOf(page, markup);
    await item.waitFor();
    expect(await sidewaysOf(page)).toBe(0);
    expect((await item.boundingBox())!.height).toBeLessThan(400);
    await item.getByRole("link").first().click();
    await page.getByRole("dialog").getByText(markup, { exact: false }).first().waitFor();
    await page.getByRole("dialog").getByText("verified by this node").waitFor();
    expect(await sidewaysOf(page)).toBe(0);
    expect(
      await page.evaluate(
        "[window.hit === undefined, document.querySelectorAll('#board script, #board img').length]",
      ),
    ).toEqual([true, 0]);
    // An override would turn the order of what follows; it is shown as a sign.
    expect(await page.evaluate("document.body.innerText.includes('\\u202e')")).toBe(false);
    expect(browser.faults).toEqual([]);
  });

  test.each(["light", "dark"] as const)(
    "all texts can be read and all controls have names: %s",
    async (colorScheme) => {
      const page = await browser.open(hall.url, { ...PHONE, colorScheme });
      await itemOf(page, "doors open at nine").waitFor();
      await page.getByLabel("Text to post").fill("not sent");
      expect(await page.evaluate(faintTexts)).toEqual([]);
      expect(await page.evaluate(namelessControls)).toEqual([]);
      await page.goto(`${hall.url}/#item=shifts%2Fmonday`);
      await page.getByText(`${names.kitchen} holds it`).waitFor();
      expect(await page.evaluate(faintTexts)).toEqual([]);
      expect(await sidewaysOf(page)).toBe(0);
      await page.goto(`${hall.url}/#item=not-there`);
      await page.getByText("This item is not there").waitFor();
      await faulted(browser, "404");
    },
  );

  test("a node that is killed and comes back: the page says so, and has what came meanwhile", async () => {
    const port = String(await freePort());
    const flags = [...loopbackFlags(cluster), "--name", names.attic].with(1, port);
    await using first = await NodeProcess.start({ flags });
    const page = await browser.open(first.url, { ...PHONE, colorScheme: "dark" });
    await itemOf(page, "doors open at nine").waitFor();
    await first.stop("SIGKILL");
    await page.getByRole("heading", { name: "The node does not answer" }).waitFor();
    await page.getByText(/^No connection to the node since .* may be out of date\./).waitFor();
    expect(await itemOf(page, "doors open at nine").count()).toBe(1);
    expect(await page.evaluate(faintTexts)).toEqual([]);
    await kitchen.post({ id: "meanwhile", raw: "posted while the attic was down" });

    await using second = await NodeProcess.start({ flags });
    await itemOf(page, "posted while the attic was down").getByText("new", { exact: true }).waitFor();
    await live(page);
    expect(second.url).toBe(first.url);
    await kitchen.post({ id: "after", raw: "posted after it was back" });
    await itemOf(page, "posted after it was back").waitFor();
    // Chromium's own message about a connection that ends.
    expect(browser.faults.splice(0).filter((fault) => !/net::ERR_|503/.test(fault))).toEqual([]);
  });

  test("a degraded node says why, and what to do", async () => {
    const page = await browser.open(lonely.url);
    await page.getByText("Nothing was posted yet.").waitFor();
    await eventually(async () => (await lonely.status()).details.length > 0, 30_000);
    const { details } = await lonely.status();
    await page.getByRole("status").filter({ hasText: details[0]!.advice }).waitFor();
    expect(await page.evaluate(faintTexts)).toEqual([]);
  });

  describe("of a node with tokens", () => {
    test("it asks for one, says that one is wrong, and shows no item before", async () => {
      const page = await browser.open(closed.url);
      await page.getByRole("heading", { name: "This node asks for a token" }).waitFor();
      expect(await page.evaluate(faintTexts)).toEqual([]);
      expect(await page.evaluate(namelessControls)).toEqual([]);
      await show(page, "not – a token");
      await page.getByRole("alert").filter({ hasText: "A token has no blanks" }).waitFor();
      await show(page, "a-guess");
      await page.getByRole("alert").filter({ hasText: "The node does not know this token." }).waitFor();
      expect(await page.evaluate(faintTexts)).toEqual([]);
      await faulted(browser, "401");
      await show(page, "writer-secret");
      await page.getByLabel("Text to post").fill("known to who has a token");
      await page.keyboard.press("Control+Enter");
      await itemOf(page, "known to who has a token").waitFor();
      await page.reload();
      await itemOf(page, "known to who has a token").waitFor();
      await page.getByRole("button", { name: "Forget the token" }).click();
      await page.getByRole("heading", { name: "This node asks for a token" }).waitFor();
      expect(await itemOf(page, "known").count()).toBe(0);
      expect(browser.faults).toEqual([]);
      expect(browser.requests.filter((url) => url.includes("secret"))).toEqual([]);
    });

    test("one that may only read has no place to post", async () => {
      const page = await browser.open(closed.url);
      await show(page, "reader-secret");
      await live(page);
      await itemOf(page, "known to who has a token").waitFor();
      expect(await page.getByLabel("Text to post").count()).toBe(0);
      expect(await page.getByRole("button", { name: "Post" }).count()).toBe(0);
      expect(browser.faults).toEqual([]);
    });
  });

  test("after many items the page holds no more of them than before", async () => {
    const page = await browser.open(kitchen.url);
    await live(page);
    await postMany(kitchen, "first", 1_500);
    await itemOf(page, "the last of first").waitFor();
    const before = await page.locator("*").count();
    expect(await page.getByText(/^The newest 400 of [\d,]+ are shown;/).count()).toBe(1);
    await postMany(kitchen, "second", 1_500);
    await itemOf(page, "the last of second").waitFor();
    expect(await page.locator("*").count()).toBeLessThan(before * 1.1);
    expect(
      await page
        .getByRole("listitem")
        .filter({ hasText: /first|second/ })
        .count(),
    ).toBe(400);
    expect(browser.faults).toEqual([]);
  });
});

function itemOf(page: Page, text: string) {
  return page.getByRole("listitem").filter({ hasText: text });
}

async function live(page: Page): Promise<void> {
  await page.getByText("live", { exact: true }).waitFor();
}

async function show(page: Page, token: string): Promise<void> {
  await page.getByLabel("Token", { exact: true }).fill(token);
  await page.getByRole("button", { name: "Open the board" }).click();
}

/** Waits for the line that Chromium itself writes of an answer, and forgets it. */
async function faulted({ faults }: TestBrowser, status: string): Promise<void> {
  await eventually(() => faults.length > 0, 30_000);
  expect(faults.splice(0)).toEqual([expect.stringContaining(`status of ${status} `)]);
}

/** How far the page can be moved to the side. */
async function sidewaysOf(page: Page): Promise<number> {
  return await page.evaluate(
    "(({ scrollWidth, clientWidth }) => Math.max(0, scrollWidth - clientWidth))(document.documentElement)",
  );
}

async function postMany(node: NodeProcess, name: string, count: number): Promise<void> {
  const raw = (n: number) => (n === count - 1 ? `the last of ${name}` : `${name} ${n}`);
  const lines = Array.from({ length: count }, (_, n) => JSON.stringify({ raw: raw(n) }));
  const answer = await node.call("/v1/items", { type: "application/x-ndjson", text: lines.join("\n") });
  await answer.text();
}
