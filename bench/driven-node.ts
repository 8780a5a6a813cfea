// A node in a process of its own, told over IPC what to do; for the benchmarks beside it, not to be run by itself.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { NodeStatus, Peer } from "../src/node/broadcast.js";
import type { NodeOptions } from "../src/node/index.js";

type Order =
  | { readonly do: "post"; readonly prefix: string; readonly count: number; readonly bytes: number }
  | { readonly do: "look"; readonly sinceMs: number }
  | { readonly do: "watchMemory" };

export interface Look {
  readonly status: NodeStatus;
  readonly peers: readonly Peer[];
  readonly memory: NodeJS.MemoryUsage;
  /** Highest resident bytes since `watchMemory`. */
  readonly residentMax: number;
  readonly cpuMs: number;
}

export class DrivenNode {
  readonly #child: ChildProcess;
  #question = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param under words in front of the command, such as `ip netns exec NAME` */
  static async start(options: NodeOptions, under: readonly string[] = []): Promise<DrivenNode> {
    const flags = ["--expose-gc", import.meta.filename, "node", JSON.stringify(options)];
    const [program, ...args] = [...under, process.execPath, ...flags];
    const child = spawn(program!, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    await Promise.race([
      once(child, "message"),
      once(child, "exit").then(() => Promise.reject(new Error("a node ended at its start"))),
    ]);
    return new DrivenNode(child);
  }

  /** Resolves when all are accepted. @param bytes of each raw */
  async post(prefix: string, count: number, bytes: number): Promise<void> {
    await this.#ask({ do: "post", prefix, count, bytes });
  }

  look(sinceMs = 0): Promise<Look> {
    return this.#ask({ do: "look", sinceMs });
  }

  /** Collects garbage, and notes the highest resident size from then on. */
  watchMemory(): Promise<Look> {
    return this.#ask({ do: "watchMemory" });
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }

  async #ask(order: Order): Promise<Look> {
    const question = ++this.#question;
    this.#child.send({ question, ...order });
    for (;;) {
      const [answer] = (await once(this.#child, "message")) as [Look & { question: number }];
      if (answer.question === question) return answer;
    }
  }
}

if (process.argv[1] === import.meta.filename && process.argv[2] === "node") await serve();

async function serve(): Promise<void> {
  const { startNode } = (await import(
    new URL("../build/src/node/index.js", import.meta.url).href
  )) as typeof import("../src/node/index.js");
  const node = await startNode(JSON.parse(process.argv[3]!) as NodeOptions);
  let residentMax = 0;
  const look = async (sinceMs: number): Promise<Look> => {
    const { user, system } = process.cpuUsage();
    return {
      status: await node.status({ sinceMs }),
      peers: await node.peers(),
      memory: process.memoryUsage(),
      residentMax,
      cpuMs: (user + system) / 1_000,
    };
  };
  process.on("message", async (order: Order & { question: number }) => {
    switch (order.do) {
      case "post": {
        const raw = "x".repeat(order.bytes);
        for (let start = 0; start < order.count; start += 1_000) {
          const ids = Array.from({ length: Math.min(1_000, order.count - start) }, (_, n) => start + n);
          await Promise.all(ids.map((n) => node.post({ id: `${order.prefix}-${n}`, raw })));
        }
        break;
      }
      case "watchMemory": {
        globalThis.gc?.();
        residentMax = process.memoryUsage.rss();
        setInterval(() => {
          residentMax = Math.max(residentMax, process.memoryUsage.rss());
        }, 50).unref();
        break;
      }
      case "look":
        break;
    }
    process.send!({ question: order.question, ...(await look("sinceMs" in order ? order.sinceMs : 0)) });
  });
  process.on("disconnect", () => process.exit());
  process.send!({ question: 0 });
}
