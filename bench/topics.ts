// The cost of a list of a topic at the node, whatever else is held, and what topics add to its memory: with every item in
// one of few topics, and with every item under eight topics that no other has.
// npm run build && node bench/topics.ts [ITEMS]                                       (Linux: it reads /proc)
// Read: 10 of 100,000 in under 5 ms, over HTTP and back.
const { CommandNode } = (await import(
  new URL("command-node.ts", import.meta.url).href
)) as typeof import("./command-node.js");
const count = Number(process.argv[2] ?? 100_000);
const WANTED = 10;
const ROUNDS = 200;

const NAMES: readonly (readonly [string, (index: number) => string])[] = [
  ["no topics", (index) => `item-${index}`],
  ["20 topics", (index) => `logs/host-${index % 20}/${index}`],
  ["8 topics of its own for each", (index) => `${index}/a/b/c/d/e/f/g/x`],
];

type Node = Awaited<ReturnType<typeof CommandNode.start>>;

for (const [what, idOf] of NAMES) {
  const node = await CommandNode.start();
  try {
    await pause(1_500);
    const atRest = node.residentBytes;
    await post(node, idOf);
    await pause(1_000);
    const added = (node.residentBytes - atRest) / 1_000_000;
    const one = idOf(count / 2).split("/")[0]!;
    const filters = ["rare", "none", ...(one.startsWith("item") ? [] : [`${one}&limit=${WANTED}`])];
    const times = [];
    for (const filter of filters) times.push(`${filter}: ${await medianMs(node, `topic=${filter}`)} ms`);
    times.push(`limit=${WANTED}: ${await medianMs(node, `limit=${WANTED}`)} ms`);
    console.log(
      `${count} items, ${what}: ${added.toFixed(0)} MB; GET /v1/items?topic=... ${times.join(", ")}`,
    );
  } finally {
    await node.stop();
  }
}

/** Everything, and 10 items of the topic `rare` spread over all of it. */
async function post(node: Node, idOf: (index: number) => string): Promise<void> {
  function* drafts() {
    for (let index = 0; index < count; index++) {
      yield { id: idOf(index), raw: `announcement ${index}` };
      if (index % (count / WANTED) === 0) yield { id: `rare/${index}`, raw: `announcement ${index}` };
    }
  }
  for await (const { id, status } of node.api.postMany(drafts()))
    if (status !== "accepted") throw new Error(`${id} was not accepted: ${status}`);
}

async function medianMs(node: Node, query: string): Promise<string> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const beganMs = performance.now();
    const answer = await fetch(`${node.api.url}/v1/items?${query}`);
    await answer.text();
    times.push(performance.now() - beganMs);
  }
  return times.sort((a, b) => a - b)[ROUNDS / 2]!.toFixed(2);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
