import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import { eventually } from "../fixtures/eventually.js";
import { loopbackFlags, NodeCrowd, NodeProcess, processesAgree } from "../fixtures/node-process.js";

const flagsOfOneCluster = () => loopbackFlags(`t-${randomUUID().slice(0, 13)}`);
const connectedTo = (node: NodeProcess, count: number) =>
  eventually(async () => (await node.status()).peers === count, 15_000);

test("a killed node is lost within 5 s; its items stay, and a newcomer gets them", {
  timeout: 60_000,
}, async () => {
  const flags = flagsOfOneCluster();
  await using victim = await NodeProcess.start({ flags });
  await using a = await NodeProcess.start({ flags });
  await using b = await NodeProcess.start({ flags });
  await Promise.all([victim, a, b].map((node) => connectedTo(node, 2)));
  for (let n = 0; n < 20; n++)
    expect((await victim.post({ id: `n${n}`, raw: `news ${n}` })).status).toBe(201);
  await processesAgree([victim, a, b], 20);
  await victim.stop("SIGKILL");
  await eventually(async () => (await a.peerState(victim.id)) === "lost", 5_000);
  await using newcomer = await NodeProcess.start({ flags });
  await processesAgree([a, b, newcomer], 20);
});

test("of 10 nodes one that is killed is lost within 5 s, and one that stops has left, in the rosters of all others", {
  timeout: 240_000,
}, async () => {
  const flags = flagsOfOneCluster();
  await using nodes = new NodeCrowd();
  for (let n = 0; n < 10; n++) nodes.all.push(await NodeProcess.start({ flags }));
  await nodes.connected(60_000);
  const [killed, stopped] = nodes.all.splice(3, 2) as [NodeProcess, NodeProcess];
  const others = nodes.all;
  try {
    const shows = (id: string, state: string, deadlineMs: number) =>
      Promise.all(
        others.map((node) => eventually(async () => (await node.peerState(id)) === state, deadlineMs)),
      );
    await killed.stop("SIGKILL");
    await shows(killed.id, "lost", 5_000);
    expect(await stopped.stop()).toBe(0);
    await shows(stopped.id, "left", 5_000);
    expect(await Promise.all(others.map(async (node) => (await node.status()).members))).toEqual(
      others.map(() => 8),
    );
  } finally {
    await stopped.stop("SIGKILL");
  }
});

test("a node that stops has left within 1.5 s, with exit code 0, and what it said last is kept", {
  timeout: 60_000,
}, async () => {
  const flags = flagsOfOneCluster();
  await using a = await NodeProcess.start({ flags });
  await using b = await NodeProcess.start({ flags });
  await connectedTo(a, 1);
  await connectedTo(b, 1);
  await b.post({ id: "last-words", raw: "goodbye" });
  const stopped = b.stop();
  await eventually(async () => (await a.peerState(b.id)) === "left", 1_500);
  expect(await stopped).toBe(0);
  expect((await a.status()).items).toBe(1);
});

test("a node frozen for 5 s and continued is not lost for good", { timeout: 60_000 }, async () => {
  const flags = flagsOfOneCluster();
  await using a = await NodeProcess.start({ flags });
  await using b = await NodeProcess.start({ flags });
  await connectedTo(a, 1);
  await connectedTo(b, 1);
  b.child.kill("SIGSTOP");
  await eventually(async () => (await a.peerState(b.id)) === "lost", 6_000);
  await a.post({ id: "missed", raw: "while you were away" });
  b.child.kill("SIGCONT");
  await eventually(async () => (await a.peerState(b.id)) === "connected", 10_000);
  await processesAgree([a, b], 1);
});

test.skipIf(process.platform !== "linux")(
  "a node that may open few files takes fewer connections, says so, counts whom it turns away, and serves the others",
  async () => {
    const under = ["sh", "-c", 'ulimit -n 120; exec "$@"', "sh"];
    await using node = await NodeProcess.start({
      under,
      flags: [...flagsOfOneCluster(), "--log-format", "json"],
    });
    const [, most] = /takes (\d+) HTTP connections, not 20000: raise the limit of open files/.exec(
      node.stderr,
    )!;
    await using remote = await connectToNode(node.url);
    await remote.status();
    const connectMany = (port: number) => {
      const sockets = Array.from({ length: 150 }, () => connect(port, "127.0.0.1"));
      let turnedAway = 0;
      for (const socket of sockets) socket.on("error", () => {}).once("close", () => turnedAway++);
      return { sockets, turnedAway: () => turnedAway };
    };
    const least = 150 + 1 - Number(most);
    const clients = connectMany(Number(new URL(node.url).port));
    await eventually(() => clients.turnedAway() >= least);
    const peers = connectMany(Number(/\/tcp\/(\d+)/.exec(node.peerAddresses[0]!)![1]));
    await eventually(() => peers.turnedAway() >= 100);
    expect(readdirSync(`/proc/${node.child.pid}/fd`).length).toBeLessThan(120 - 8);
    expect((await remote.post({ raw: "still here" })).status).toBe("accepted");
    for (const socket of [...clients.sockets, ...peers.sockets]) socket.destroy();
    const counted = await eventually(async () => {
      const metrics = await (await fetch(`${node.url}/metrics`)).text();
      return /^hubcast_http_refusals_total\{code="tooManyConnections"\} (\d+)$/m.exec(metrics)?.[1];
    });
    expect(Number(counted)).toBeGreaterThanOrEqual(least);
    expect(Number(counted)).toBeLessThanOrEqual(150);
    expect(node.stderr).toContain("too many HTTP connections");
  },
);

test("5,000 single posts over three nodes: every accepted one on every node", {
  timeout: 60_000,
}, async () => {
  const POSTS = 5_000;
  const flags = flagsOfOneCluster();
  await using a = await NodeProcess.start({ flags });
  await using b = await NodeProcess.start({ flags });
  await using c = await NodeProcess.start({ flags });
  const nodes = [a, b, c];
  await Promise.all(nodes.map((node) => connectedTo(node, 2)));
  const clients = await Promise.all(nodes.map((node) => connectToNode(node.url)));
  let next = 0;
  let accepted = 0;
  const worker = async () => {
    for (let n = next++; n < POSTS; n = next++) {
      const { status } = await clients[n % 3]!.post({ id: `burst-${n}`, raw: `payload ${n}` });
      if (status === "accepted") accepted++;
    }
  };
  await Promise.all(Array.from({ length: 48 }, worker));
  expect(accepted).toBe(POSTS);
  await Promise.all(clients.map((client) => client.close()));
  await processesAgree(nodes, POSTS);
  for (const node of nodes) {
    const listed = await fetch(new URL("/v1/items", node.url), {
      headers: { accept: "application/x-ndjson" },
    });
    const ids = (await listed.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).id as string);
    expect(ids.length).toBe(POSTS);
    expect(new Set(ids).size).toBe(POSTS);
  }
});

test.each([
  "a node in memory",
  "a node with a disk, callers and multicast DNS",
  "two linked nodes",
  "a hub and its client",
])(
  "%s that is closed keeps no timer, so that its program ends at once",
  { timeout: 60_000 },
  async (what) => {
    const directory = mkdtempSync(join(tmpdir(), "hubcast-closed-"));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--input-type=module", "-e", CLOSES, what],
      {
        cwd: directory,
      },
    );
    expect(stdout).toBe("no timer\n");
  },
);

/** Opens what is named, uses it and closes it, and looks for timers that hold up the end. What is closed may take some turns of the loop. */
const CLOSES = `
const { startNode, startHub, connectToHub, connectToNode } = await import(${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)});
const quiet = { mdns: false, p2p: { hosts: ["127.0.0.1"] } };
const cases = {
  "a node in memory": async () => {
    const node = await startNode(quiet);
    await node.post({ raw: "x" });
    await node.close();
  },
  "a node with a disk, callers and multicast DNS": async () => {
    const node = await startNode({ ...quiet, mdns: { interfaces: ["127.0.0.1"] }, dataDir: "data", http: { port: 0 } });
    const remote = await connectToNode(node.url);
    await remote.post({ raw: "x" });
    await remote.close();
    await node.close();
  },
  "two linked nodes": async () => {
    const one = await startNode(quiet);
    const other = await startNode({ ...quiet, peers: [one.peerAddresses[0]] });
    while ((await one.peers()).length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await Promise.all([one.close(), other.close()]);
  },
  "a hub and its client": async () => {
    const hub = await startHub({ port: 0 });
    const client = await connectToHub(hub.address);
    await client.close();
    await hub.close();
  },
};
await cases[process.argv[1]]();
const hasTimer = () => process.getActiveResourcesInfo().includes("Timeout");
for (let turn = 0; turn < 2_000 && hasTimer(); turn++) await new Promise(setImmediate);
console.log(hasTimer() ? process.getActiveResourcesInfo() : "no timer");
`;
