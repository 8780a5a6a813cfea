// A node as its command starts it, watched from outside; for the benchmarks beside it, not to be run by itself.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connectToNode, type RemoteNode } from "../dist/node/client.js";

/** What the command prints, as far as it is needed here. */
interface Ready {
  readonly url: string;
  readonly id: string;
  readonly peerAddresses: readonly string[];
}

export class CommandNode {
  readonly api: RemoteNode;
  readonly id: string;
  readonly peerAddresses: readonly string[];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, api: RemoteNode, ready: Ready) {
    this.#child = child;
    this.api = api;
    this.id = ready.id;
    this.peerAddresses = ready.peerAddresses;
  }

  /** `broadcast start` on loopback, without mDNS. */
  static async start(flags: readonly string[] = []): Promise<CommandNode> {
    const args = ["bin/run.js", "broadcast", "start", "--port", "0", "--no-mdns", "--json", ...flags];
    const child = spawn(process.execPath, [...args, "--p2p-host", "127.0.0.1"], {
      cwd: new URL("../", import.meta.url),
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [line] = (await once(createInterface(child.stdout), "line")) as [string];
    const ready = JSON.parse(line) as Ready;
    return new CommandNode(child, await connectToNode(ready.url), ready);
  }

  /** Linux. */
  get residentBytes(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return 1_024 * Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
  }

  async stop(): Promise<void> {
    await this.api.close();
    this.#child.kill();
    await once(this.#child, "exit");
  }
}
