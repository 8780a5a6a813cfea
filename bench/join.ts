// How soon does a node that joins have everything, and what does it cost the one that gives? And: what do nodes that hold
// the same exchange while nothing happens? All on the loopback interface.
// npm run build && node bench/join.ts [items] [bytes of raw]           one `broadcast start` with items, another joins
// npm run build && node bench/join.ts library [items] [bytes of raw]   the same in programs that embed a node
// npm run build && node bench/join.ts idle [items] [nodes] [seconds]   nodes with equal items, at rest
// Read: wanted are 100,000 items of 256 B within 3 s of connecting, the giver's memory rising by less than 50 MB
// meanwhile, and less than 2 KiB/s for each of 10 idle nodes.
// In a program that embeds a node what the giver rises by is garbage: posting has grown V8's young generation to 128 MiB,
// and nothing is collected until it is full. The command keeps it small (src/runtime/heap.ts), as a program can do itself.
const { CommandNode } = (await import(
  new URL("command-node.ts", import.meta.url).href
)) as typeof import("./command-node.js");
const { DrivenNode } = (await import(
  new URL("driven-node.ts", import.meta.url).href
)) as typeof import("./driven-node.js");
type Driven = Awaited<ReturnType<typeof DrivenNode.start>>;

const MEBIBYTE = 1_048_576;
const nodes: Driven[] = [];
const start = async (peers: readonly string[] = []): Promise<Driven> => {
  const node = await DrivenNode.start({
    cluster: `bench-${process.pid}`,
    mdns: false,
    p2p: { hosts: ["127.0.0.1"] },
    peers,
  });
  nodes.push(node);
  return node;
};
try {
  const [what, ...rest] = process.argv.slice(2);
  const named = what === "idle" || what === "library";
  const numbers = (named ? rest : [what ?? "", ...rest]).filter(Boolean).map(Number);
  if (what === "idle") await idle(numbers[0] ?? 100_000, numbers[1] ?? 10, numbers[2] ?? 60);
  else if (what === "library") await joinLibrary(numbers[0] ?? 100_000, numbers[1] ?? 256);
  else await join(numbers[0] ?? 100_000, numbers[1] ?? 256);
} finally {
  for (const node of nodes) node.stop();
}

async function join(items: number, bytes: number): Promise<void> {
  const giver = await CommandNode.start();
  let joiner: Awaited<ReturnType<typeof CommandNode.start>> | undefined;
  try {
    const raw = "x".repeat(bytes);
    const drafts = Array.from({ length: items }, (_, n) => ({ id: `item-${n}`, raw }));
    for await (const { status } of giver.api.postMany(drafts))
      if (status !== "accepted") throw new Error(`an item was ${status}`);
    await pause(3_000);
    const before = giver.residentBytes;
    let most = before;
    joiner = await CommandNode.start(["--peer", giver.peerAddresses[0]!]);
    let connectedAtMs = 0;
    for (;;) {
      most = Math.max(most, giver.residentBytes);
      connectedAtMs ||= (await joiner.api.peers()).find(({ state }) => state === "connected")?.sinceMs ?? 0;
      if ((await joiner.api.status()).items === items) break;
      await pause(50);
    }
    const tookMs = Date.now() - connectedAtMs;
    const rise = (most - before) / MEBIBYTE;
    console.log(
      `${items} items of ${bytes} B between two commands: all after ${(tookMs / 1_000).toFixed(2)} s; ` +
        `the giver rose by ${rise.toFixed(0)} MiB to ${(most / MEBIBYTE).toFixed(0)} MiB`,
    );
    process.exitCode = tookMs <= 3_000 && rise < 50 ? 0 : 1;
  } finally {
    await joiner?.stop();
    await giver.stop();
  }
}

async function joinLibrary(items: number, bytes: number): Promise<void> {
  const giver = await start();
  await giver.post("item", items, bytes);
  const given = await giver.watchMemory();
  const { status, memory } = given;
  const joiner = await start([status.peerAddresses[0]!]);
  let connectedAtMs = 0;
  const startedCpuMs = (await joiner.look()).cpuMs;
  for (;;) {
    const { peers, status: own } = await joiner.look();
    connectedAtMs ||= peers.find(({ state }) => state === "connected")?.sinceMs ?? 0;
    if (own.items === items) break;
    await pause(50);
  }
  const tookMs = Date.now() - connectedAtMs;
  const after = await giver.look();
  const { cpuMs } = await joiner.look();
  const rise = (after.residentMax - memory.rss) / MEBIBYTE;
  console.log(
    `${items} items of ${bytes} B between two programs: all after ${(tookMs / 1_000).toFixed(2)} s; ` +
      `the giver rose by ${rise.toFixed(0)} MiB to ${(after.residentMax / MEBIBYTE).toFixed(0)} MiB ` +
      `and sent ${(after.status.sync.bytesSent / MEBIBYTE).toFixed(1)} MiB; ` +
      `CPU meanwhile: giver ${((after.cpuMs - given.cpuMs) / 1_000).toFixed(1)} s, joiner ${((cpuMs - startedCpuMs) / 1_000).toFixed(1)} s`,
  );
  process.exitCode = tookMs <= 3_000 && rise < 50 ? 0 : 1;
}

async function idle(items: number, count: number, seconds: number): Promise<void> {
  const first = await start();
  await first.post("item", items, 256);
  const { status } = await first.look();
  for (let n = 1; n < count; n++) await start([status.peerAddresses[0]!]);
  const settled = async () => {
    const looks = await Promise.all(nodes.map((node) => node.look()));
    return looks.every(
      ({ status: own, peers }) =>
        own.items === items && peers.filter(({ agreement }) => agreement === "agrees").length === count - 1,
    );
  };
  while (!(await settled())) await pause(500);
  const before = await Promise.all(nodes.map((node) => node.look()));
  await pause(seconds * 1_000);
  const after = await Promise.all(nodes.map((node) => node.look()));
  const perSecond = (pick: (look: (typeof after)[number]) => number) =>
    after.reduce((sum, look, index) => sum + pick(look) - pick(before[index]!), 0) / count / seconds;
  const frames = perSecond(({ status: own }) => own.sync.bytesSent + own.sync.bytesReceived);
  console.log(
    `${count} nodes with ${items} equal items, ${seconds} s: ${(frames / 1024).toFixed(2)} KiB/s a node, both ways; ` +
      `${perSecond(({ status: own }) => own.sync.rounds * 60).toFixed(1)} rounds a minute; ` +
      `CPU ${(perSecond(({ cpuMs }) => cpuMs) / 10).toFixed(2)} % of a core`,
  );
  process.exitCode = frames <= 2_048 ? 0 : 1;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
