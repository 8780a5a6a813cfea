import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { startNode } from "../src/index.js";
import { eventually } from "./fixtures/eventually.js";

/** Generous: a busy machine takes seconds to start a node. */
const DEADLINE_MS = 30_000;
const DIRECTORY = fileURLToPath(new URL("../examples/", import.meta.url));

/** A running example, on the loopback interface and in a cluster of its own. */
class Example implements AsyncDisposable {
  printed = "";
  readonly child: ChildProcess;

  constructor(file: string, env: Record<string, string>, args: readonly string[] = []) {
    this.child = spawn(process.execPath, [`${DIRECTORY}${file}`, ...args], {
      env: { PATH: process.env.PATH, HUBCAST_MDNS_INTERFACE: "127.0.0.1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 2 * DEADLINE_MS,
      killSignal: "SIGKILL",
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.printed += text;
      });
    }
  }

  async says(pattern: RegExp): Promise<void> {
    await eventually(() => {
      if (!pattern.test(this.printed)) throw new Error(`no ${pattern} in: ${this.printed}`);
      return true;
    }, DEADLINE_MS);
  }

  /** Waits for its end. @returns exit code */
  async ended(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, "close");
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended();
  }
}

describe("examples", { timeout: 3 * DEADLINE_MS }, () => {
  it("are all tested here", () => {
    expect(readdirSync(DIRECTORY).sort()).toEqual([
      "README.md",
      "embedded-node.ts",
      "hub-and-clients.ts",
      "topics.ts",
      "two-nodes.ts",
      "watch-and-post.ts",
    ]);
  });

  it("embedded-node: two find each other, and each prints what the other tells", async () => {
    const env = { HUBCAST_CLUSTER: `example-${randomBytes(3).toString("hex")}` };
    await using one = new Example("embedded-node.ts", env);
    await using two = new Example("embedded-node.ts", env);
    await one.says(new RegExp(`process ${two.child.pid} on .* is up\n`));
    await two.says(new RegExp(`process ${one.child.pid} on .* is up\n`));
    two.child.kill("SIGINT");
    expect(await two.ended()).toBe(0);
    await one.says(/ is left\n/);
    one.child.kill("SIGINT");
    expect(await one.ended()).toBe(0);
  });

  it("hub-and-clients: one hears what the other sends, to its group and to it alone", async () => {
    await using example = new Example("hub-and-clients.ts", {});
    expect([await example.ended(), example.printed]).toEqual([
      0,
      "reached 1 client\nto a group: open\nto desk alone: hello, desk\n",
    ]);
  });

  it("watch-and-post: sees its own item", async () => {
    const options = { cluster: "example", mdns: false, p2p: { hosts: ["127.0.0.1"] } };
    await using second = await startNode({ ...options, name: "second" });
    await using first = await startNode({ ...options, peers: second.peerAddresses, http: { port: 0 } });
    await eventually(async () => (await first.status()).peers === 1);
    await using example = new Example("watch-and-post.ts", { HUBCAST_URL: first.url! }, ["doors open"]);
    expect([await example.ended(), example.printed]).toEqual([
      0,
      expect.stringMatching(/^posted: \S+\nheld by second after [\d.]+ ms\nseen: doors open\n$/),
    ]);
  });

  it("topics.ts", async () => {
    await using example = new Example("topics.ts", {});
    expect([await example.ended(), example.printed]).toEqual([
      0,
      [
        "there already: alerts/disk/db1: 90 % full",
        "alerts/disk: 90 % full",
        "alerts/disk: full",
        "alerts/net/uplink: down",
        "",
      ].join("\n"),
    ]);
  });

  it("two-nodes: one reads what the other was told", async () => {
    await using example = new Example("two-nodes.ts", {});
    expect([await example.ended(), example.printed]).toEqual([
      0,
      [
        "held by second",
        "second reads: 21.5",
        "the same again: held",
        "another raw: conflict",
        "fingerprints are equal: true",
        "",
      ].join("\n"),
    ]);
  });
});
