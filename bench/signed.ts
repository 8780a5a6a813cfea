// Single posts of signed items (ed25519), signed beforehand, to three nodes at once, until all three hold all; then the
// same with unsigned ones, run alternately.
// npm run build && node bench/signed.ts [items] [runs]
// Read: three nodes on two cores must take 2,000 signed posts a second between them where one core checks 5,600: 0.357 of
// what one core checks, a ratio that is printed for each run, with checks measured right before and after it. Each node
// checks every item once, so the bound is cores / (3 x the CPU of one check). Every node is a process of its own; posts go
// over kept-alive connections, one at a time on each, from this process.
import { type ChildProcess, fork } from "node:child_process";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import { connectToNode } from "../build/src/node/client.js";
import { startNode } from "../build/src/node/index.js";
import {
  authorSignature,
  Ed25519,
  integritySignature,
  proofOf,
} from "../build/src/node/replica/signature.js";

const NODES = 3;
const CONNECTIONS_PER_NODE = 16;
const RAW = "announcement ".repeat(20).slice(0, 240);
const WARM_UP = 9_000;
const DEADLINE_MS = 120_000;

const [first = "10000", second = "3"] = process.argv.slice(2);
if (first === "node") await serveNode(second);
else await compare(Number(first), Number(second));

async function compare(count: number, runs: number): Promise<void> {
  const { privateKey } = generateKeyPairSync("ed25519");
  let checkUs = checkTime(privateKey);
  const bound = (availableParallelism() * 1e6) / (NODES * checkUs);
  console.log(
    `one check takes ${checkUs.toFixed(0)} us here: ${bound.toFixed(0)} posts/s if nothing else cost anything`,
  );
  for (let run = 1; run <= runs; run++) {
    for (const key of [privateKey, undefined]) {
      const { posted, held, cpu } = await measure(count, key);
      const kind = key ? "signed" : "unsigned";
      const nextUs = checkTime(privateKey);
      const ratio = (count / held) * ((checkUs + nextUs) / 2e6);
      checkUs = nextUs;
      console.log(
        `run ${run}: ${kind}: ${(count / posted).toFixed(0)} posts/s answered, ${(count / held).toFixed(0)}/s until all hold all; CPU of the nodes ${cpu.map((ms) => ((ms * 1000) / count).toFixed(0)).join(", ")} us a post; ${ratio.toFixed(2)} of the checks of one core`,
      );
    }
  }
}

async function measure(count: number, key: KeyObject | undefined) {
  const children: ChildProcess[] = [];
  const start = async (peer: string) => {
    const child = fork(import.meta.filename, ["node", peer]);
    children.push(child);
    return ((await once(child, "message")) as [{ url: string; peer: string }])[0];
  };
  const { url, peer } = await start("");
  const urls = [url, ...(await Promise.all([start(peer), start(peer)])).map((node) => node.url)];
  const nodes = await Promise.all(urls.map((at) => connectToNode(at)));
  await until(async () =>
    (await Promise.all(nodes.map((n) => n.status()))).every((s) => s.peers === NODES - 1),
  );

  const load = async (items: readonly string[]) => {
    let next = 0;
    const take = () => items[next++];
    const connections = urls.flatMap((at) => new Array<URL>(CONNECTIONS_PER_NODE).fill(new URL(at)));
    await Promise.all(connections.map((at) => postAll(at, take)));
  };
  // Compiled code first: a cold node is another question.
  await load(Array.from({ length: WARM_UP }, (_, n) => request(`warm-${n}`, key)));
  const requests = Array.from({ length: count }, (_, n) => request(`item-${n}`, key));
  for (const child of children) child.send("cpu");
  const before = await cpuOf(children);
  const beginMs = performance.now();
  await load(requests);
  const posted = (performance.now() - beginMs) / 1000;
  await until(async () => {
    const { fingerprintSinceMs: sinceMs } = await nodes[0]!.status();
    const states = await Promise.all(nodes.map((node) => node.status({ sinceMs })));
    return states.every((s) => s.items === count + WARM_UP && s.fingerprint === states[0]!.fingerprint);
  });
  const held = (performance.now() - beginMs) / 1000;
  for (const child of children) child.send("cpu");
  const cpu = (await cpuOf(children)).map((ms, index) => ms - before[index]!);
  await Promise.all(nodes.map((node) => node.close()));
  await Promise.all(
    children.map((child) => {
      child.kill();
      return once(child, "exit");
    }),
  );
  return { posted, held, cpu };
}

function cpuOf(children: readonly ChildProcess[]): Promise<number[]> {
  return Promise.all(children.map(async (child) => ((await once(child, "message")) as [number])[0]));
}

function request(id: string, key: KeyObject | undefined): string {
  const fields = { id, raw: `${RAW}${id}`.padEnd(256, "."), timestampMs: Date.now() };
  const signature = key ? authorSignature(fields, key) : integritySignature(fields.raw);
  const body = JSON.stringify({ ...fields, signature });
  return `POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** One connection, one post at a time: an answer is whole when its last brace is there. */
async function postAll({ hostname, port }: URL, take: () => string | undefined): Promise<void> {
  const socket = connect(Number(port), hostname).setNoDelay().setEncoding("latin1");
  await once(socket, "connect");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on("error", reject);
  let answer = "";
  const post = () => {
    const text = take();
    if (text === undefined) {
      socket.end();
      resolve();
    } else socket.write(text);
  };
  socket.on("data", (text: string) => {
    answer += text;
    if (!answer.endsWith("}")) return;
    if (!answer.startsWith("HTTP/1.1 201")) reject(new Error(answer));
    answer = "";
    post();
  });
  post();
  await promise;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + DEADLINE_MS;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not reached within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function serveNode(peer: string): Promise<void> {
  const node = await startNode({
    cluster: "bench",
    mdns: false,
    p2p: { hosts: ["127.0.0.1"] },
    http: { port: 0 },
    peers: peer ? [peer] : [],
  });
  process.send!({ url: node.url!, peer: node.peerAddresses[0]! });
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send!((user + system) / 1000);
  });
}

function checkTime(key: KeyObject): number {
  const fields = { id: "item-1", raw: RAW, timestampMs: Date.now() };
  const item = { ...fields, signature: authorSignature(fields, key) };
  const ed25519 = new Ed25519();
  const proof = proofOf(item)!;
  const before = process.cpuUsage();
  for (let n = 0; n < 2_000; n++) if (!ed25519.accepts(proof)) throw new Error("a good signature is refused");
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 2_000;
}
