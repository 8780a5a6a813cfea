import { randomUUID } from "node:crypto";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import { Cli } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { freePort } from "../fixtures/free-port.js";
import { NodeProcess, processesAgree } from "../fixtures/node-process.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-watch-"));

test.each([
  ["with --data-dir, killed", true, "SIGKILL"],
  ["with --data-dir, stopped", true, "SIGTERM"],
  ["in memory, killed, and filled again by a peer", false, "SIGKILL"],
] as const)(
  "watch and events() survive a restart of the node: %s",
  { timeout: 60_000 },
  async (_how, onDisk, signal) => {
    const flags = [
      ...["--port", String(await freePort()), "--p2p-host", "127.0.0.1", "--mdns-interface", "127.0.0.1"],
      ...["--cluster", `t-${randomUUID().slice(0, 13)}`],
    ];
    const start = (dir: string) =>
      NodeProcess.start({ flags: onDisk ? [...flags, "--data-dir", join(root, `${dir}-${signal}`)] : flags });
    await using other = await NodeProcess.start({ flags: flags.with(1, "0") });
    await using first = await start("node");
    await eventually(async () => (await first.status()).peers === 1);
    await first.post({ id: "before", raw: "x" });

    const watch = new Cli(["broadcast", "watch", "--json", "--url", first.url], { deadlineMs: 60_000 });
    await using client = await connectToNode(first.url);
    const stop = new AbortController();
    const told: string[] = [];
    const following = (async () => {
      for await (const event of client.events({ sinceMs: 0, signal: stop.signal }))
        if (event.type === "item") told.push(event.item.id);
    })();
    await eventually(() => told.includes("before"));
    // Posted until it is told: from then on the watcher is a subscriber.
    const warm: string[] = [];
    await eventually(async () => {
      warm.push(`warm-${warm.length}`);
      await first.post({ id: warm.at(-1)!, raw: "x" });
      return watch.stdout.includes("warm-");
    });
    await first.post({ id: "one", raw: "x" });
    await eventually(() => told.includes("one") && watch.stdout.includes('"one"'));
    await processesAgree([first, other], (await first.status()).items);

    await first.stop(signal);
    await other.post({ id: "while away", raw: "x" });
    await using second = await start("node");
    await eventually(async () => (await second.status()).items === (await other.status()).items, 20_000);
    await second.post({ id: "after", raw: "x" });

    await eventually(() => told.includes("after") && watch.stdout.includes('"after"'), 20_000);
    await eventually(() => told.includes("while away") && watch.stdout.includes('"while away"'));
    stop.abort();
    await following;
    watch.kill("SIGINT");
    const { stdout, stderr, code } = await watch.ended();
    const watched = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
      .filter(({ type }) => type === "item")
      .map(({ item }) => item.id as string);
    expect(told.toSorted()).toEqual([...warm, "before", "one", "while away", "after"].toSorted());
    expect(new Set(watched).size).toBe(watched.length);
    expect(watched).not.toContain("before");
    expect(watched).toEqual(expect.arrayContaining(["one", "while away", "after"]));
    expect(stderr).toMatch(/; connecting again\n(.*\n)*connected again\n/);
    expect(code).toBe(130);
  },
);
