import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { eventually } from "../fixtures/eventually.js";
import { LineProcess } from "../fixtures/line-process.js";
import { loopbackFlags, NodeProcess } from "../fixtures/node-process.js";

const RUN = fileURLToPath(new URL("../../bin/run.js", import.meta.url));
const LOG = ["--log-format", "json", "--log-level", "trace"];

/** The messages of a log, in order. */
function messagesOf(log: string): readonly string[] {
  return log
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
}

test("the log of a node is JSON lines alone, and tells of links, rounds, requests, refusals and frames", async () => {
  const flags = [...loopbackFlags(`t-${randomUUID().slice(0, 13)}`), ...LOG];
  await using seed = await NodeProcess.start({ flags });
  await using node = await NodeProcess.start({ flags: [...flags, "--peer", seed.peerAddresses[0]!] });
  await eventually(async () => (await node.status()).peers === 1);
  await node.post({ raw: "hello" });
  const timestampMs = Date.now() - 48 * 3_600_000;
  await node.call("/v1/items", {
    type: "application/json",
    text: JSON.stringify({ id: "old", raw: "old", timestampMs }),
  });
  await eventually(async () => (await seed.status()).items === 1);
  expect(await node.stop()).toBe(0);
  expect(await seed.stop()).toBe(0);

  const messages = [...messagesOf(node.stderr), ...messagesOf(seed.stderr)];
  for (const one of [
    ...["dials a peer", "link opened", "link closed", "request", "post refused"],
    ...["sent reconcile", "received reconciled", "sent batch", "received batch", "stopped"],
  ])
    expect(messages).toContain(one);
  expect(messages).toContainEqual(expect.stringContaining("SIGTERM: stopping"));
  expect(messagesOf(node.stdout)).toHaveLength(1);
});

test("the log of a hub is JSON lines alone, stdout too, and tells of each client", async () => {
  const flags = ["--port", "0", "--no-mdns", ...LOG];
  // A line on stdout that is no JSON ends this test.
  await using hub = new LineProcess([process.execPath, RUN, "hub", "start", ...flags]);
  const { address } = await hub.line({ type: "ready" }, 30_000);
  await (await connectToHub(String(address))).close();
  await eventually(() => hub.stderr.includes("client closed"));
  hub.child.kill("SIGTERM");
  await eventually(() => hub.stderr.includes("stopped"));
  expect(messagesOf(hub.stderr)).toEqual(
    expect.arrayContaining(["client connects", "client closed", "stopped"]),
  );
});
