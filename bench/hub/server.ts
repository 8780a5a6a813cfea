// Servers under test, each in a process of its own on a free port, and what the kernel says they use.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { HubGauge, HubLoad } from "../../src/hub/simulate/processes.js";
import { freePort } from "../../test/fixtures/free-port.ts";

export const SERVER_NAMES = ["hubcast", "nats-server", "redis-server", "mosquitto"] as const;
export type ServerName = (typeof SERVER_NAMES)[number];

export interface Server {
  readonly port: number;
  readonly gauge: HubGauge;
  /** Module of the load generator that speaks its protocol; absent for the hub. */
  readonly wireUrl?: string;
  readonly echoes: boolean;
  stop(): Promise<void>;
}

interface Recipe {
  readonly args: (port: number, directory: string, lines: string) => string[];
  readonly wire: string;
  readonly echoes: boolean;
}

const NATS_LINES = 'max_payload: 2MB\nmax_pending: 1GB\nwrite_deadline: "60s"';

/** As the ecosystem runs them, with limits so high that nobody is dropped: a drop costs nothing and would win. */
const RECIPES: Readonly<Record<Exclude<ServerName, "hubcast">, Recipe>> = {
  "nats-server": {
    args: (port, directory, lines) => ["-c", file(directory, `listen: "127.0.0.1:${port}"\n${lines}\n`)],
    wire: "./nats-wire.ts",
    echoes: false,
  },
  "redis-server": {
    args: (port) => [
      ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
      ...["--maxclients", "12000", "--client-output-buffer-limit", "pubsub 0 0 0"],
    ],
    wire: "./redis-wire.ts",
    echoes: true,
  },
  mosquitto: {
    args: (port, directory) => [
      "-c",
      file(
        directory,
        `listener ${port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\nlog_type error\n`,
      ),
    ],
    wire: "./mqtt-wire.ts",
    echoes: true,
  },
};

export function isInstalled(name: ServerName): boolean {
  if (name === "hubcast") return true;
  const places = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return places.some((place) => spawnable(join(place, name)));
}

/** @param settings lines of configuration for nats-server; for ours options of `startHub`, and where a CPU profile goes */
export async function startServer(
  name: ServerName,
  settings: {
    readonly config?: (directory: string) => string;
    readonly hub?: object;
    readonly profile?: string | undefined;
  } = {},
): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), "bench-hub-"));
  const recipe = name === "hubcast" ? undefined : RECIPES[name];
  const port = await freePort();
  const child = recipe
    ? spawn(name, recipe.args(port, directory, settings.config?.(directory) ?? NATS_LINES), {
        stdio: "ignore",
        env: { ...process.env, PATH: `${process.env.PATH}${delimiter}/usr/sbin` },
      })
    : spawn(
        process.execPath,
        [
          ...(settings.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${settings.profile}`]),
          new URL("./hub-server.ts", import.meta.url).pathname,
          JSON.stringify({ port, clientsMax: 12_000, ...settings.hub }),
        ],
        { stdio: ["ignore", "ignore", "inherit"] },
      );
  const lost = once(child, "exit").then(([code, signal]) => {
    throw new Error(`${name} ended: ${signal ?? code}`);
  });
  lost.catch(() => {});
  await Promise.race([untilListening(port), lost]);
  return {
    port,
    gauge: new ProcGauge(child.pid!, lost),
    ...(recipe && { wireUrl: new URL(recipe.wire, import.meta.url).href }),
    echoes: recipe?.echoes ?? false,
    stop: async () => {
      await end(child, settings.profile === undefined ? "SIGKILL" : "SIGTERM");
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Reads /proc: the same account for every server. */
class ProcGauge implements HubGauge {
  readonly lost: Promise<never>;
  readonly #pid: number;

  constructor(pid: number, lost: Promise<never>) {
    this.#pid = pid;
    this.lost = lost;
  }

  get load(): HubLoad {
    const cpuUs = threadsNs(this.#pid) / 1_000;
    const status = readFileSync(`/proc/${this.#pid}/status`, "utf8");
    const bytes = (field: string): number =>
      Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
    return {
      cpuUs,
      // How busy its event loop is cannot be seen from outside; the time of processor is what there is.
      activeMs: cpuUs / 1_000,
      wallMs: performance.now(),
      rssBytes: bytes("VmRSS"),
      rssPeakBytes: bytes("VmHWM"),
      budgetPeakBytes: 0,
      closed: {},
    };
  }

  async freshLoad(): Promise<HubLoad> {
    return this.load;
  }
}

/** Time of processor of all threads, to the nanosecond; /proc/PID/stat counts in hundredths of a second. */
function threadsNs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + schedstatNs(`/proc/${pid}/task/${thread}/schedstat`), 0);
}

function schedstatNs(path: string): number {
  try {
    return Number(readFileSync(path, "utf8").split(" ")[0]);
  } catch {
    return 0; // The thread has just ended.
  }
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const socket = connect({ port, host: "127.0.0.1" });
    const answered = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
    socket.destroy();
    if (answered) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens on port ${port}`);
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

function file(directory: string, text: string): string {
  const path = join(directory, "server.conf");
  writeFileSync(path, text);
  return path;
}

function spawnable(path: string): boolean {
  try {
    return readFileSync(path).length > 0;
  } catch {
    return false;
  }
}
