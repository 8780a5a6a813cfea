// Server CPU per delivery, all to all, side by side with nats-server where it is installed.
// npm run build && node bench/hub-fanout.ts [case...] [--only hub|nats|bare] [--repeat N] [--prof DIR]
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Load } from "./hub-load.ts";

interface Case {
  readonly clients: number;
  readonly messages: number;
  readonly size: number;
  readonly lists: "same" | "different";
}

const CASES: Readonly<Record<string, Case>> = {
  "128B": { clients: 100, messages: 400, size: 128, lists: "same" },
  "1KiB": { clients: 100, messages: 200, size: 1_024, lists: "same" },
  "10KiB": { clients: 100, messages: 100, size: 10_240, lists: "same" },
  "different-128B": { clients: 100, messages: 400, size: 128, lists: "different" },
  large: { clients: 255, messages: 4, size: 1_024_000, lists: "same" },
};
const WORKERS = 2;
const TICKS_PER_S = 100;
let started = 0;

const args = process.argv.slice(2);
const option = (name: string): string | undefined =>
  args.includes(name) ? args.splice(args.indexOf(name), 2)[1] : undefined;
const only = option("--only");
const repeat = Number(option("--repeat") ?? 1);
const prof = option("--prof");
const messages = option("--messages");
const names = args.length > 0 ? args : ["128B", "1KiB", "10KiB", "different-128B"];

for (const name of names) {
  const figures: Record<string, number> = {};
  for (const protocol of ["hub", "nats", "bare"] as const) {
    // A bare loop shows the limit of what one process can copy; for small messages it would show calls.
    const chosenByDefault = (protocol === "bare") === (name === "large") || protocol === "hub";
    if (only === undefined ? !chosenByDefault : only !== protocol) continue;
    for (let round = 0; round < repeat; round += 1) {
      const chosen = { ...CASES[name]!, ...(messages ? { messages: Number(messages) } : {}) };
      const result = await run(protocol, chosen);
      figures[protocol] = Math.min(figures[protocol] ?? Number.POSITIVE_INFINITY, result.cpuUs);
      console.log(
        `${name.padEnd(15)} ${protocol.padEnd(5)} ${result.cpuUs.toFixed(3)} us CPU/delivery  ` +
          `${Math.round(result.perSecond / 1000)} k deliveries/s  ${(result.mbPerSecond / 1000).toFixed(2)} GB/s  ` +
          `peak ${result.peakMb} MB  ${result.seconds.toFixed(2)} s`,
      );
    }
  }
  if (figures.hub && figures.nats)
    console.log(`${name.padEnd(15)} ratio ${(figures.hub / figures.nats).toFixed(2)}`);
}

async function run(protocol: "hub" | "nats" | "bare", chosen: Case) {
  const { server, port } = await start(protocol, chosen);
  const workers: ChildProcess[] = [];
  // A run that fails ends the program: nothing is left behind.
  process.once("exit", () => server.kill("SIGKILL"));
  const ids: number[] = [];
  for (let index = 0; index < WORKERS; index += 1) {
    const clients = Math.floor((chosen.clients + index) / WORKERS);
    const load: Load = { ...chosen, protocol, port, clients, clientsTotal: chosen.clients };
    const worker = fork(new URL("./hub-load.ts", import.meta.url), [JSON.stringify(load)]);
    workers.push(worker);
    const [message] = (await once(worker, "message")) as [{ ready: number[] }];
    ids.push(...message.ready);
  }
  const cpuBefore = cpuSeconds(server.pid!);
  const startedAt = performance.now();
  let peakKb = 0;
  const watch = setInterval(() => {
    peakKb = Math.max(peakKb, rssKb(server.pid!));
  }, 50);
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise<void>((resolve, reject) => {
          worker.on(
            "message",
            (message: { started?: boolean; done?: boolean; error?: string; lost?: number }) => {
              if (message.started) begun(server, protocol);
              else if (message.done) resolve();
              else if (message.error !== undefined || message.lost !== undefined)
                reject(new Error(JSON.stringify(message)));
            },
          );
          worker.send({ ids });
        }),
    ),
  );
  clearInterval(watch);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpuS = cpuSeconds(server.pid!) - cpuBefore;
  for (const worker of workers) worker.kill("SIGKILL");
  server.kill("SIGTERM");
  await once(server, "exit");
  const deliveries = chosen.clients * (chosen.clients - 1) * chosen.messages;
  return {
    seconds,
    cpuUs: (cpuS * 1e6) / deliveries,
    perSecond: deliveries / seconds,
    mbPerSecond: (deliveries * chosen.size) / seconds / 1e6,
    peakMb: Math.round(peakKb / 1024),
  };
}

/** A bare loop writes when all workers count. */
function begun(server: ChildProcess, protocol: string): void {
  started += 1;
  if (started % WORKERS === 0 && protocol === "bare") server.kill("SIGUSR2");
}

async function start(protocol: "hub" | "nats" | "bare", chosen: Case) {
  if (protocol === "nats") return await startNats();
  if (protocol === "hub") return await startHub();
  const { clients, messages, size } = chosen;
  const loop = JSON.stringify({ clients, writes: (clients - 1) * messages, size });
  const path = new URL("./hub-bare.ts", import.meta.url).pathname;
  const server = spawn(process.execPath, [path, loop], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(server.stdout!, "data")) as [Buffer];
  return { server, port: Number(line.toString()) };
}

async function startHub(): Promise<{ server: ChildProcess; port: number }> {
  const flags = prof === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${prof}`];
  const server = spawn(process.execPath, [...flags, new URL("./hub-server.ts", import.meta.url).pathname], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(server.stdout!, "data")) as [Buffer];
  return { server, port: Number(line.toString()) };
}

async function startNats(): Promise<{ server: ChildProcess; port: number }> {
  const port = await freePort();
  const config = join(mkdtempSync(join(tmpdir(), "hub-fanout-")), "nats.conf");
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\nmax_payload: 2MB\nmax_pending: 1GB\nwrite_deadline: "60s"\n`,
  );
  const server = spawn("nats-server", ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  while (!((await once(server.stderr!, "data")) as [Buffer])[0].toString().includes("Server is ready"));
  return { server, port };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** User and system time of a process so far. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

function rssKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
}
