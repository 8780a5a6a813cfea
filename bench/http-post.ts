// How many single posts a second one node takes, beside a fastify route that only parses the same JSON and answers,
// and beside the HTTP API alone over a service that only verifies and keeps.
// npm run build && node bench/http-post.ts [seconds per run]        (needs wrk: apt-get install wrk)
// Read: the node's ratio must stay above 0.5. Each server and the load are processes of their own; runs alternate. The
// CPU per post is the figure to trust on a machine that does other things.
import { execFileSync, fork } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { fastify } from "fastify";
import { openHttpApi, timingsOf } from "../build/src/node/http/index.js";
import type { ServedNode } from "../build/src/node/http/options.js";
import { startNode } from "../build/src/node/index.js";
import { withDigest } from "../build/src/node/replica/item.js";

const RAW = "announcement ".repeat(20).slice(0, 256);
const WRK_SCRIPT = `
local count = 0
function init(args) count = tonumber(args[1]) end
local head = '{"id":"'
local tail = '","raw":"${RAW}","signature":"${hash("md5", RAW)}"}'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, head .. count .. tail)
end
`;

const ROLES = { bare: serveBare, api: serveApi, node: serveNode };
type Role = keyof typeof ROLES;

const [first = "2"] = process.argv.slice(2);
if (first in ROLES) await ROLES[first as Role]();
else await compare(Number(first));

async function compare(secondsPerRun: number): Promise<void> {
  const script = `/tmp/hubcast-http-post-${process.pid}.lua`;
  writeFileSync(script, WRK_SCRIPT);
  const rates: Record<Role, number[]> = { bare: [], api: [], node: [] };
  const cpuUsPerPost: Record<Role, number[]> = { bare: [], api: [], node: [] };
  for (let run = 0; run < 4; run++) {
    for (const role of Object.keys(ROLES) as Role[]) {
      const server = fork(import.meta.filename, [role]);
      const [url] = (await once(server, "message")) as [string];
      const load = (seconds: number, start: number) =>
        execFileSync(
          "wrk",
          ["-t1", "-c64", `-d${seconds}s`, "-s", script, `${url}/v1/items`, "--", String(start)],
          {
            encoding: "utf8",
          },
        );
      // Compiled code first: a cold server is another question.
      load(2, 0);
      server.send("begin");
      const output = load(secondsPerRun, 10_000_000);
      const posts = Number(/(\d+) requests in/.exec(output)?.[1]);
      rates[role].push(Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]));
      server.send("cpu");
      const [cpuUs] = (await once(server, "message")) as [number];
      cpuUsPerPost[role].push(Math.round((10 * cpuUs) / posts) / 10);
      if (/Non-2xx/.test(output)) console.log(output);
      server.kill();
      await once(server, "exit");
    }
  }
  console.log("posts/s", rates, "CPU us per post", cpuUsPerPost);
  for (const role of ["api", "node"] as const) {
    const rate = Math.max(...rates[role]) / Math.max(...rates.bare);
    const cpu = Math.min(...cpuUsPerPost.bare) / Math.min(...cpuUsPerPost[role]);
    console.log(`${role}: ratio of the best rates ${rate.toFixed(2)}, of the least CPU ${cpu.toFixed(2)}`);
  }
}

async function serveBare(): Promise<void> {
  const app = fastify();
  app.post("/v1/items", (request, reply) => {
    const { id } = request.body as { id: string };
    reply.code(201).send({ id, status: "accepted" });
  });
  await announce(await app.listen({ port: 0, host: "127.0.0.1" }));
}

async function serveApi(): Promise<void> {
  const held = new Map<string, object>();
  const node = {
    timings: timingsOf(),
    async accept({ id, raw, signature }: { id: string; raw: string; signature: string }) {
      if (hash("md5", raw) !== signature) throw new Error("bad signature");
      const item = withDigest({ id, raw, signature, timestampMs: Date.now() });
      held.set(id, item);
      return { id, digest: item.digest, timestampMs: item.timestampMs, status: "accepted" };
    },
  } as unknown as ServedNode;
  const api = await openHttpApi({ node, port: 0 });
  await announce(api.url);
}

async function serveNode(): Promise<void> {
  const node = await startNode({ mdns: false, p2p: { hosts: ["127.0.0.1"] }, http: { port: 0 } });
  await announce(node.url!);
}

async function announce(url: string): Promise<void> {
  process.send!(url);
  await once(process, "message");
  const before = process.cpuUsage();
  await once(process, "message");
  const { user, system } = process.cpuUsage(before);
  process.send!(user + system);
}
