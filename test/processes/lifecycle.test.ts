import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { connectToNode } from "../../src/node/client.js";
import { eventually } from "../fixtures/eventually.js";
import { loopbackFlags, NodeProcess, processesAgree } from "../fixtures/node-process.js";

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

test("a node that stops has left within 1.5 s, with exit code 0, and what it said last is kept", {
  timeout: 60_000,
}, async () => {
  const flags = flagsOfOneCluster();
  await using a = await NodeProcess.start({ flags });
  await using b = await NodeProcess.start({ flags });
  await connectedTo(a, 1);
  await connectedTo(b, 1);
  await b.post({ id: "last-words", raw: "goodbye" });
  b.child.kill("SIGTERM");
  await eventually(async () => (await a.peerState(b.id)) === "left", 1_500);
  expect(await b.stop()).toBe(0);
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

test("20,000 single posts over three nodes: every accepted one on every node", {
  timeout: 120_000,
}, async () => {
  const POSTS = 20_000;
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
