import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NO_BROWSER, TestBrowser } from "../fixtures/browser.js";
import { loopbackFlags, NodeCrowd, NodeProcess } from "../fixtures/node-process.js";

if (NO_BROWSER !== undefined) console.warn(`test/board is skipped: ${NO_BROWSER}`);

/** Pages come up in seconds, also where six others share the machine. */
const PATIENT = { timeout: 120_000 };

describe.skipIf(NO_BROWSER !== undefined)("the board in Chromium", PATIENT, () => {
  let browser: TestBrowser;
  const crowd = new NodeCrowd();

  beforeAll(async () => {
    const cluster = `board-${randomUUID()}`;
    browser = await TestBrowser.start();
    for (const name of ["kitchen", "hall"])
      crowd.all.push(await NodeProcess.start({ flags: [...loopbackFlags(cluster), "--name", name] }));
    await crowd.connected();
  }, 120_000);

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await crowd[Symbol.asyncDispose]();
  });

  test("what is posted on the page of one node is seen on that of another", async () => {
    const [kitchen, hall] = crowd.all as [NodeProcess, NodeProcess];
    const here = await browser.open(kitchen.url);
    const there = await browser.open(hall.url);
    await there.getByText("live", { exact: true }).waitFor();
    await here.getByLabel("Text to post").fill("doors open at nine");
    await here.getByLabel("Topic", { exact: true }).fill("house/doors");
    await here.getByRole("button", { name: "Post" }).click();

    const item = there.getByRole("listitem").filter({ hasText: "doors open at nine" });
    await item.waitFor();
    expect(await item.getByRole("link", { name: "house/doors" }).count()).toBe(1);
    await here.getByText(/^Held by all 2 nodes after \d+ ms\.$/).waitFor();
    await there.getByRole("heading", { name: "Both nodes hold the same 1 item" }).waitFor();
    expect(browser.faults).toEqual([]);
    const own = crowd.all.map(({ url }) => url);
    expect(
      browser.requests.filter((url) => !url.startsWith("data:") && !own.includes(new URL(url).origin)),
    ).toEqual([]);
  });
});
