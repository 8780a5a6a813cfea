import { randomUUID } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectToHub } from "../../src/hub/client/index.js";
import { startHub } from "../../src/hub/index.js";
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
    expect(peers.stdout).toMatch(
      new RegExp(`bert +connected .* 1 +agrees .*nats://127.0.0.1:${server.port}`),
    );
    const status = await hubcast(["broadcast", "status", "--url", a.url, "--json"]);
    expect(JSON.parse(status.stdout)).toMatchObject({ engine: "nats", peers: 1, peerAddresses: [] });
    const top = await hubcast(["top", "--once", "--url", a.url, "--mdns-interface", "127.0.0.1"]);
    expect(top.stdout).toMatch(/node anna ready, 1 item, set agrees, 1 peer/);
    const discovered = await hubcast(["discover", "--json", "--mdns-interface", "127.0.0.1"]);
    expect(discovered.stdout.split("\n").find((line) => line.includes('"anna"'))).toContain(a.url);
  });

  test("one that is killed is lost, one that stops has left", async () => {
    const flags = flagsOfOneCluster();
    await using victim = await NodeProcess.start({ flags });
    await using leaver = await NodeProcess.start({ flags });
    await using a = await NodeProcess.start({ flags });
    await connectedTo(a, 2);
    for (let n = 0; n < 20; n++)
      expect((await victim.post({ id: `n${n}`, raw: `news ${n}` })).status).toBe(201);
    await processesAgree([victim, leaver, a], 20);
    leaver.child.kill("SIGTERM");
    await eventually(async () => (await a.peerState(leaver.id)) === "left");
    await eventually(() => leaver.child.exitCode === 0);
    await victim.stop("SIGKILL");
    // Within 5 s where the machine has room; bench/nats-many.ts measures it.
    await eventually(async () => (await a.peerState(victim.id)) === "lost", 15_000);
    await using newcomer = await NodeProcess.start({ flags });
    await processesAgree([a, newcomer], 20);
  });

  test("one that was frozen is taken back", async () => {
    const flags = flagsOfOneCluster();
    await using a = await NodeProcess.start({ flags });
    await using b = await NodeProcess.start({ flags });
    await connectedTo(a, 1);
    b.child.kill("SIGSTOP");
    await eventually(async () => (await a.peerState(b.id)) === "lost", 15_000);
    await a.post({ id: "missed", raw: "while you were away" });
    b.child.kill("SIGCONT");
    await eventually(async () => (await a.peerState(b.id)) === "connected", 15_000);
    await processesAgree([a, b], 1);
  });

  test("one that is killed again and again while it reads has everything in the end, with nobody to ask", async () => {
    const ITEMS = 40_000;
    const flags = flagsOfOneCluster();
    const dataDir = mkdtempSync(join(tmpdir(), "hubcast-nats-killed-"));
    await using author = await NodeProcess.start({ flags });
    const lines = Array.from({ length: ITEMS }, (_, n) => JSON.stringify({ id: `n${n}`, raw: `news ${n}` }));
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
    expect(await idle.status()).toMatchObject({ items: ITEMS, gossip: { batchesReceived: 0 } });
  });

  test("nothing that people choose makes a subject of its own: names, topics, ids, groups", async () => {
    const cluster = `t-${randomUUID().slice(0, 13)}`;
    const watcher = await connect({ servers: `127.0.0.1:${server.port}` });
    const subjects = new Set<string>();
    watcher.subscribe(">", { callback: (_error, { subject }) => void subjects.add(subject) });
    await watcher.flush();
    // Each would be a wildcard, another's subject, or more tokens, if it were part of one.
    const chosen = ["zzz.>", "zzz.*", "zzz $JS.API.>", "hubcast.nodes.1.zzz.items.x"];
    const flags = ["--port", "0", "--mdns-interface", "127.0.0.1", "--engine", server.url];
    await using node = await NodeProcess.start({
      flags: [...flags, "--cluster", cluster, "--name", chosen[0]!],
    });
    for (const id of chosen) expect((await node.post({ id: `${id}/${id}`, raw: id })).status).toBe(201);
    await using hub = await startHub({ port: 0, engine: server.url, name: chosen[0]! });
    await using other = await startHub({ port: 0, engine: server.url, name: chosen[1]! });
    await using client = await connectToHub(hub.address, { name: chosen[1]! });
    await using listener = await connectToHub(other.address, { name: chosen[2]! });
    for (const group of chosen) {
      await listener.join(group);
      await eventually(async () => (await client.join(group)) === 2);
      expect(await client.sendToGroup(group, group, { receipt: true })).toMatchObject({ reached: 1 });
    }
    await watcher.drain();
    const ours = [...subjects].filter((subject) => /^(hubcast|\$KV)\./.test(subject));
    expect(ours.length).toBeGreaterThan(4);
    expect([...subjects].filter((subject) => subject.includes("zzz"))).toEqual([]);
    const id = "[A-Za-z0-9]+";
    const known = new RegExp(
      [
        `^hubcast\\.nodes\\.1\\.${cluster}\\.(items|members|news|question)\\.${id}$`,
        `^\\$KV\\.hubcast-nodes-${cluster}\\.(leader|member\\.${id})$`,
        `^hubcast\\.hub\\.1\\.(all|to\\.[0-9a-f]{16})$`,
        "^\\$KV\\.hubcast_hub\\.next_id$",
      ].join("|"),
    );
    // Other tests of this file have clusters of their own.
    const strange = ours.filter((subject) => !known.test(subject));
    expect(strange.filter((subject) => !/hubcast[.-]nodes[.-](1\.)?t-/.test(subject))).toEqual([]);
    for (const name of ["a.b", "a.>", "*", "a b", "A", ""]) {
      const refused = await hubcast(["broadcast", "start", ...flags, "--cluster", name]);
      expect([name, refused.code]).toEqual([name, 2]);
    }
  });

  test("without a server a node starts, says so, and is not ready", async () => {
    const flags = ["--engine", "nats://127.0.0.1:1", "--port", "0", "--mdns-interface", "127.0.0.1"];
    await using node = await NodeProcess.start({ flags });
    expect(await node.status()).toMatchObject({
      state: "degraded",
      reasons: ["natsAway"],
      details: [{ message: expect.stringContaining("no NATS server answers at 127.0.0.1:1") }],
    });
    expect((await node.call("/readyz")).status).toBe(503);
    expect((await node.post({ raw: "hello" })).status).toBe(503);
    const peers = await hubcast(["broadcast", "check", "--url", node.url]);
    expect([peers.code, peers.stderr + peers.stdout]).toEqual([6, expect.stringContaining("127.0.0.1:1")]);
  });
});
