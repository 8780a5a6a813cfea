// How soon does a cluster agree after a partition? Nodes on machines (network namespaces) in two rooms; the cable is
// pulled until each side has given up the other, both sides post, the cable is put back. Needs root.
// npm run build && node bench/partition.ts [nodes on each side] [posts on each side] [seconds apart]
// Read: wanted are all nodes equal within 10 s of the cable's return, with 10 nodes and 10,000 posts on each side.
// "met" is when every node is connected to every other again; a machine with few cores spends most of it in handshakes.

const { Lan, whyNoLan } = (await import(
  new URL("../test/fixtures/lan.ts", import.meta.url).href
)) as typeof import("../test/fixtures/lan.js");
const { DrivenNode } = (await import(
  new URL("driven-node.ts", import.meta.url).href
)) as typeof import("./driven-node.js");
const perSide = Number(process.argv[2] ?? 10);
const posts = Number(process.argv[3] ?? 10_000);
const secondsApart = Number(process.argv[4] ?? 15);
const reason = whyNoLan();
if (reason) {
  console.log(`cannot run: ${reason}`);
  process.exit(0);
}

await using lan = await Lan.open(perSide, perSide);
const nodes: Awaited<ReturnType<typeof DrivenNode.start>>[] = [];
try {
  for (const { under } of lan.machines) nodes.push(await DrivenNode.start({ cluster: "bench" }, under));
  const met = async (count: number) => {
    const looks = await Promise.all(nodes.map((node) => node.look()));
    return looks.every(({ status }) => status.peers === count);
  };
  await until(() => met(2 * perSide - 1), 60_000, "all nodes meet");
  await lan.cut();
  await until(() => met(perSide - 1), 60_000, "each side gives up the other");
  await Promise.all([nodes[0]!.post("left", posts, 200), nodes[perSide]!.post("right", posts, 200)]);
  await pause(secondsApart * 1_000);
  const before = await Promise.all(nodes.map((node) => node.look()));
  console.log(`apart: items ${Math.min(...before.map(({ status }) => status.items))} on each node at least`);

  await lan.heal();
  const healedMs = performance.now();
  const atMs = { met: 0, items: 0, equal: 0 };
  await until(
    async () => {
      const looks = await Promise.all(nodes.map((node) => node.look()));
      const sinceMs = performance.now() - healedMs;
      if (looks.every(({ status }) => status.peers === 2 * perSide - 1)) atMs.met ||= sinceMs;
      if (looks.every(({ status }) => status.items === 2 * posts)) atMs.items ||= sinceMs;
      if (new Set(looks.map(({ status }) => status.fingerprint)).size === 1) atMs.equal ||= sinceMs;
      return atMs.items > 0 && atMs.equal > 0;
    },
    60_000,
    "all nodes hold the same",
  );
  await until(() => met(2 * perSide - 1), 60_000, "all nodes meet again");
  atMs.met ||= performance.now() - healedMs;
  const after = await Promise.all(nodes.map((node) => node.look()));
  const sum = (pick: (look: (typeof after)[number]) => number) =>
    after.reduce((total, look, index) => total + pick(look) - pick(before[index]!), 0);
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
  console.log(
    `${perSide} + ${perSide} nodes, ${posts} posts on each side: equal after ${seconds(atMs.equal)}, ` +
      `all met after ${seconds(atMs.met)}\n` +
      `sync sent ${(sum(({ status }) => status.sync.bytesSent) / 1e6).toFixed(1)} MB, ` +
      `${sum(({ status }) => status.sync.itemsSent)} items (${2 * perSide * posts} needed), ` +
      `${sum(({ status }) => status.sync.rounds)} rounds; CPU ${seconds(sum(({ cpuMs }) => cpuMs))} of all nodes`,
  );
  process.exitCode = atMs.equal <= 10_000 ? 0 : 1;
} finally {
  for (const node of nodes) node.stop();
}

async function until(look: () => Promise<boolean>, deadlineMs: number, what: string): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await look())) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await pause(100);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
