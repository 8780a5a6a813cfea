import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { Mark, PROCESSES_ARE_VISIBLE } from "../fixtures/marked-processes.js";
import { Cli, type CliOptions } from "./cli.js";

/** Generous: ten nodes start at once, perhaps on a busy machine. */
const DEADLINE_MS = 90_000;
const BROKEN = fileURLToPath(new URL("../fixtures/node-2-breaks.cjs", import.meta.url));

interface Report {
  readonly cluster: string;
  readonly steps: readonly { readonly title: string; readonly figures: Record<string, unknown> }[];
}

function demo(mark: Mark, args: readonly string[] = [], { env }: CliOptions = {}): Cli {
  return new Cli(["demo", ...args], { env: { ...mark.env, ...env }, deadlineMs: DEADLINE_MS });
}

describe.runIf(PROCESSES_ARE_VISIBLE)("demo", { timeout: DEADLINE_MS }, () => {
  it("shows nodes that meet, share, lose one, take one in, and agree, and a hub; twice at once, without meeting", async () => {
    const mark = new Mark();
    const [story, figures] = await Promise.all([demo(mark).ended(), demo(mark, ["--json"]).ended()]);
    expect(story).toMatchObject({ stderr: "", code: 0 });
    expect(figures).toMatchObject({ stderr: "", code: 0 });
    expect(mark.processes()).toEqual([]);

    const { stdout } = story;
    expect([...stdout.matchAll(/^(\d)\. /gm)].map((match) => match[1])).toEqual([..."123456789"]);
    expect(stdout).toMatch(/\$ hubcast broadcast post "doors open at nine" --id notice-1 --url http:/);
    // From nodes 2 and 3, from both again when node 1 is dead, and from node 4.
    expect(stdout.match(/^ {3}\d{4}-\S+ \S+ {2}notice-1 {2}doors open at nine$/gm)).toHaveLength(5);
    expect(stdout).toMatch(/Visible on node 2 after \d+ ms and on node 3 after \d+ ms/);
    expect(stdout).toMatch(/\$ kill -9 \d+\n/);
    expect(stdout).toMatch(/^ {3}demo-\w+-1 +lost /m);
    expect(new Set(stdout.match(/\b[0-9a-f]{32}$/gm)).size).toBe(1);
    expect(stdout).toMatch(/\$ hubcast hub simulate --addr 127\.0\.0\.1:\d+ -c 20 /);
    expect(stdout).toMatch(/^ {3}38,000 deliveries in .*, [\d,]+ deliveries\/s: /m);
    expect(stdout).toMatch(/^ {3}Latency p50 .*, p99 /m);
    expect(stdout).toMatch(
      /^ {3}delivered: all 38,000 messages of 380 pairs arrived once, in order, unchanged$/m,
    );
    expect(stdout).toMatch(/\nAll 9 steps came true in .*\n$/);

    const report = JSON.parse(figures.stdout) as Report;
    expect(report.steps).toHaveLength(9);
    expect(report.steps[3]!.figures).toMatchObject({
      posts: 20,
      medianMs: expect.any(Number),
      slowestMs: expect.any(Number),
    });
    expect(report.steps[6]!.figures.items).toEqual([21, 21, 21]);
    expect(report.steps[7]!.figures).toMatchObject({
      ...{ clients: 20, deliveries: 38_000, delivered: true, expected: 38_000 },
      ...{ lost: 0, duplicated: 0, outOfOrder: 0, corrupt: 0 },
      deliveriesPerSecond: expect.any(Number),
      p50Ms: expect.any(Number),
      p99Ms: expect.any(Number),
    });
    expect(stdout).not.toContain(report.cluster);
  });

  it("takes nothing from what its user has set for hubcast", async () => {
    const mark = new Mark();
    const env = { HUBCAST_HOST: "192.0.2.1", HUBCAST_NO_MDNS: "1", HUBCAST_TOKEN: "secret" };
    const cli = demo(mark, [], { env });
    await cli.says(/connected to both others/);
    cli.kill("SIGINT");
    expect((await cli.ended()).code).toBe(130);
  });

  it("says which step failed when a node cannot be started", async () => {
    const mark = new Mark();
    const cli = demo(mark, [], { env: { NODE_OPTIONS: `--require ${BROKEN}` } });
    const { stdout, stderr, code } = await cli.ended();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: step 1 failed \(Start three nodes.*broadcast start .*exit code 9\n/);
    expect(stderr).toContain("the runtime is broken");
    expect(stdout).not.toMatch(/^2\./m);
    expect(mark.processes()).toEqual([]);
  });

  it("says which step failed when a node dies in the middle", async () => {
    const mark = new Mark();
    const cli = demo(mark);
    await cli.says(/node 3: process \d+/);
    process.kill(Number(/node 3: process (\d+)/.exec(cli.stdout)![1]), "SIGKILL");
    const { stderr, code } = await cli.ended();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: step [1-3] failed \(.*\): node 3 ended \(SIGKILL\)\n/);
    expect(mark.processes()).toEqual([]);
  });

  it("says so when the hub dies under its clients, and leaves none of them", async () => {
    const mark = new Mark();
    const cli = demo(mark);
    await cli.says(/\$ hubcast hub simulate /);
    process.kill(Number(/hub: process (\d+)/.exec(cli.stdout)![1]), "SIGKILL");
    const { stderr, code } = await cli.ended();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: step 8 failed \(.*\): the hub ended \(SIGKILL\)\n/);
    expect(mark.processes()).toEqual([]);
  });

  it("leaves nothing behind when it is stopped while the clients send", async () => {
    const mark = new Mark();
    const cli = demo(mark);
    await cli.says(/\$ hubcast hub simulate /);
    // Three nodes, the demo, the hub, and the clients with their workers.
    await eventually(() => mark.processes().length >= 7);
    cli.kill("SIGTERM");
    expect(await cli.ended()).toMatchObject({ code: 130, signal: null });
    expect(mark.processes()).toEqual([]);
  });

  it("answers a failure with one document when asked for JSON", async () => {
    const cli = demo(new Mark(), ["--json"], { env: { NODE_OPTIONS: `--require ${BROKEN}` } });
    const { stdout, code } = await cli.ended();
    expect(JSON.parse(stdout).error).toMatchObject({ code: "demoFailed", exitCode: 1 });
    expect(code).toBe(1);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("leaves nothing behind after %s", async (signal) => {
    const mark = new Mark();
    const cli = demo(mark);
    await cli.says(/^1\. /m);
    await eventually(() => mark.processes().length === 4);
    cli.kill(signal);
    expect(await cli.ended()).toMatchObject({ code: 130, signal: null });
    expect(mark.processes()).toEqual([]);
  });

  it("leaves nothing behind when it is killed", async () => {
    const mark = new Mark();
    const cli = demo(mark);
    await cli.says(/^2\. /m);
    cli.kill("SIGKILL");
    await cli.ended();
    await eventually(() => mark.processes().length === 0);
  });
});
