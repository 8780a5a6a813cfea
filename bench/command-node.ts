// A node as its command starts it, watched from outside; for the benchmarks beside it, not to be run by itself.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connectToNode, type RemoteNode } from "../build/src/node/client.js";

/** The output of the command, as far as it is needed here. */
interface Ready {
  readonly url: string;
  readonly id: string;
  readonly peerAddresses: readonly string[];
}

export class CommandNode {
  readonly api: RemoteNode;
  readonly url: string;
  readonly id: string;
  readonly peerAddresses: readonly string[];
  logLines = 0;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, api: RemoteNode, ready: Ready) {
    this.#child = child;
    this.api = api;
    this.url = ready.url;
    this.id = ready.id;
    this.peerAddresses = ready.peerAddresses;
  }

  /** `broadcast start` on loopback, without mDNS. @param token that the node asks for. @param env beside that of the benchmark */
  static async start(
    flags: readonly string[] = [],
    token?: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<CommandNode> {
    const args = ["bin/run.js", "broadcast", "start", "--port", "0", "--no-mdns", "--json", ...flags];
    // Before Node: a priority, or a profiler.
    const under = process.env.NODE_UNDER?.split(" ") ?? [];
    const [program, ...rest] = [...under, process.execPath, ...args, "--p2p-host", "127.0.0.1"];
    const child = spawn(program!, rest, {
      cwd: new URL("../", import.meta.url),
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env, ...(token !== undefined && { HUBCAST_TOKEN: token }) },
    });
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const ready = JSON.parse(line) as Ready;
    const api = await connectToNode(ready.url, { ...(token !== undefined && { token }) });
    const node = new CommandNode(child, api, ready);
    child.stderr.on("data", (chunk: Buffer) => {
      for (const byte of chunk) if (byte === 10) node.logLines += 1;
    });
    return node;
  }

  /** Linux. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return 1_024 * Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
  }

  /** Time of processor since its start, with the kernel's for it. Linux, which counts in 10 ms. */
  get cpuMs(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    return 10 * (Number(fields[11]) + Number(fields[12]));
  }

  async stop(): Promise<void> {
    await this.api.close();
    this.#child.kill();
    await once(this.#child, "exit");
  }
}
