import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubcast } from "../commands/cli.js";
import { eventually } from "../fixtures/eventually.js";
import { NatsServer, natsMissing } from "../fixtures/nats-server.js";
import { NodeProcess, processesAgree } from "../fixtures/node-process.js";

describe.skipIf(natsMissing)("nodes as commands start them, on NATS", { timeout: 60_000 }, () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const flagsOfOneCluster = () => {
    const cluster = `t-${randomUUID().slice(0, 13)}`;
    return ["--engine", server.url, "--port", "0", "--mdns-interface", "127.0.0.1", "--cluster", cluster];
  };
  const connectedTo = (node: NodeProcess, count: number) =>
    eventually(async () => (await node.status()).peers === count, 15_000);

  test("post --wait all, list, check, peers, status, top and discover work as everywhere", async () => {
    const flags = flagsOfOneCluster();
    await using a = await NodeProcess.start({ flags: [...flags, "--name", "anna"] });
    await using b = await NodeProcess.start({ flags: [...flags, "--name", "bert"] });
    await connectedTo(a, 1);
    await connectedTo(b, 1);
    const posted = await hubcast([
      "broadcast",
      "post",
      "over NATS",
      "--url",
      a.url,
      "--wait",
      "all",
      "--json",
    ]);
    expect(posted.code).toBe(0);
    expect(JSON.parse(posted.stdout)).toMatchObject({
      receipt: { complete: true, holders: [{ name: "bert" }] },
    });
    const listed = await hubcast(["broadcast", "list", "--url", b.url]);
    expect(listed.stdout).toContain("over NATS");
    const checked = await hubcast(["broadcast", "check", "--url", b.url, "--timeout", "10s"]);
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringContaining("agrees")]);
    const peers = await hubcast(["broadcast", "peers", "--url", a.url]);
    expect(peers.stdout).toMatch(new RegExp(`bert +connected .*nats://127.0.0.1:${server.port}`));
    const status = await hubcast(["broadcast", "status", "--url", a.url, "--json"]);
    expect(JSON.parse(status.stdout)).toMatchObject({ engine: "nats", peers: 1, peerAddresses: [] });
    const top = await hubcast(["top", "--once", "--url", a.url, "--mdns-interface", "127.0.0.1"]);
    expect(top.stdout).toMatch(/node anna ready, 1 item, set agrees, 1 peer/);
    const discovered = await hubcast(["discover", "--json", "--mdns-interface", "127.0.0.1"]);
    expect(discovered.stdout.split("\n").find((line) => line.includes('"anna"'))).toContain(a.url);
  });

  test("one that is killed is lost within 5 s, one that stops has left at once", async () => {
    const flags = flagsOfOneCluster();
    await using victim = await NodeProcess.start({ flags });
    await using leaver = await NodeProcess.start({ flags });
    await using a = await NodeProcess.start({ flags });
    await connectedTo(a, 2);
    for (let n = 0; n < 20; n++)
      expect((await victim.post({ id: `n${n}`, raw: `news ${n}` })).status).toBe(201);
    await processesAgree([victim, leaver, a], 20);
    leaver.child.kill("SIGTERM");
    await eventually(async () => (await a.peerState(leaver.id)) === "left", 1_500);
    await eventually(() => leaver.child.exitCode === 0);
    await victim.stop("SIGKILL");
    await eventually(async () => (await a.peerState(victim.id)) === "lost", 5_000);
    await using newcomer = await NodeProcess.start({ flags });
    await processesAgree([a, newcomer], 20);
  });

  test("one that was frozen is taken back", async () => {
    const flags = flagsOfOneCluster();
    await using a = await NodeProcess.start({ flags });
    await using b = await NodeProcess.start({ flags });
    await connectedTo(a, 1);
    b.child.kill("SIGSTOP");
    await eventually(async () => (await a.peerState(b.id)) === "lost", 6_000);
    await a.post({ id: "missed", raw: "while you were away" });
    b.child.kill("SIGCONT");
    await eventually(async () => (await a.peerState(b.id)) === "connected", 15_000);
    await processesAgree([a, b], 1);
  });

  test("one that is killed again and again while it reads has everything in the end, with nobody to ask", async () => {
    const ITEMS = 40_000;
    const flags = flagsOfOneCluster();
    const dataDir = mkdtempSync(join(tmpdir(), "hubcast-nats-killed-"));
    try {
      await using author = await NodeProcess.start({ flags });
      const lines = Array.from({ length: ITEMS }, (_, n) =>
        JSON.stringify({ id: `n${n}`, raw: `news ${n}` }),
      );
      const posted = await author.call("/v1/items", { type: "application/x-ndjson", text: lines.join("\n") });
      expect((await posted.text()).match(/"accepted"/g)).toHaveLength(ITEMS);
      await author.stop();
      const withDisk = [...flags, "--data-dir", dataDir];
      for (const share of [0.1, 0.4, 0.7]) {
        await using reader = await NodeProcess.start({ flags: withDisk });
        await eventually(async () => (await reader.status()).items >= share * ITEMS, 20_000);
        await reader.stop("SIGKILL");
      }
      await using reader = await NodeProcess.start({ flags: withDisk });
      await eventually(async () => (await reader.status()).items === ITEMS, 20_000);
      await reader.stop();
      // Then it has nothing to read any more.
      await using idle = await NodeProcess.start({ flags: withDisk });
      await eventually(async () => (await idle.status()).state === "ready");
      expect(await idle.status()).toMatchObject({ items: ITEMS, gossip: { messagesReceived: 0 } });
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  test("without a server: exit code 3, and what to do", async () => {
    const { code, stderr } = await hubcast([
      "broadcast",
      "start",
      "--engine",
      "nats://127.0.0.1:1",
      "--port",
      "0",
    ]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/no NATS server answers at 127\.0\.0\.1:1[\s\S]*nats-server -js/);
  });
});
