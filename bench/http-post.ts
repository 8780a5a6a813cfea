// How many single posts a second the HTTP API takes, beside a fastify route that only parses the same JSON.
// npm run build && node bench/http-post.ts [seconds per run]        (needs wrk: apt-get install wrk)
// Read: the ratio must stay above 0.5. Servers and load run in three processes; runs alternate.
import { execFileSync, fork } from "node:child_process";
import { hash } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { fastify } from "fastify";
import { openHttpApi } from "../dist/node/http/index.js";
import { withDigest } from "../dist/node/protocol/item.js";
import type { NodeService } from "../dist/node/service.js";

const RAW = "announcement ".repeat(20).slice(0, 256);
const WRK_SCRIPT = `
local count = 0
local head = '{"id":"'
local tail = '","raw":"${RAW}","signature":"${hash("md5", RAW)}"}'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, head .. count .. tail)
end
`;

const [role, seconds = "2"] =
  process.argv[2] === "api" || process.argv[2] === "bare" ? [process.argv[2]] : ["", process.argv[2]];
if (role === "api") await serveApi();
else if (role === "bare") await serveBare();
else await compare(Number(seconds));

async function compare(secondsPerRun: number): Promise<void> {
  const script = `/tmp/hubcast-http-post-${process.pid}.lua`;
  writeFileSync(script, WRK_SCRIPT);
  const rates: Record<string, number[]> = { api: [], bare: [] };
  const cpuUsPerPost: Record<string, number[]> = { api: [], bare: [] };
  for (const name of Array.from({ length: 8 }, (_, run) => (run % 2 === 0 ? "bare" : "api"))) {
    const server = fork(import.meta.filename, [name]);
    const [url] = (await once(server, "message")) as [string];
    const load = (seconds: number) =>
      execFileSync("wrk", ["-t1", "-c64", `-d${seconds}s`, "-s", script, `${url}/v1/items`], {
        encoding: "utf8",
      });
    // Compiled code first: a cold server is another question.
    load(2);
    server.send("begin");
    const output = load(secondsPerRun);
    rates[name]!.push(Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]));
    server.send("cpu");
    const [cpuUs] = (await once(server, "message")) as [number];
    cpuUsPerPost[name]!.push(Math.round((10 * cpuUs) / Number(/(\d+) requests in/.exec(output)?.[1])) / 10);
    if (/Non-2xx/.test(output)) console.log(output);
    server.kill();
    await once(server, "exit");
  }
  const best = (name: string) => Math.max(...rates[name]!);
  console.log("posts/s", rates, "CPU us per post", cpuUsPerPost);
  const least = (name: string) => Math.min(...cpuUsPerPost[name]!);
  console.log(`ratio of the best rates: ${(best("api") / best("bare")).toFixed(2)}`);
  console.log(`ratio of the least CPU: ${(least("bare") / least("api")).toFixed(2)}`);
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
  const service = {
    async post({ id, raw, signature }: { id: string; raw: string; signature: string }) {
      if (hash("md5", raw) !== signature) throw new Error("bad signature");
      const item = withDigest({ id, raw, signature, timestampMs: Date.now() });
      held.set(id, item);
      return { id, digest: item.digest, timestampMs: item.timestampMs, status: "accepted" };
    },
  } as unknown as NodeService;
  const api = await openHttpApi({ service, port: 0 });
  await announce(api.url);
}

async function announce(url: string): Promise<void> {
  process.send!(url);
  await once(process, "message");
  const before = process.cpuUsage();
  await once(process, "message");
  const { user, system } = process.cpuUsage(before);
  process.send!(user + system);
}
