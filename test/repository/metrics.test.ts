import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { startHub } from "../../src/hub/index.js";
import { startNode } from "../../src/node/index.js";
import { eventually } from "../fixtures/eventually.js";
import { ROOT } from "./architecture.js";

interface Metric {
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
}

const markdown = readFileSync(join(ROOT, "docs", "metrics.md"), "utf8");
let node = "";
let nodeLater = "";
let hub = "";

beforeAll(async () => {
  await using started = await startNode({ http: { port: 0 }, mdns: false, p2p: { hosts: ["127.0.0.1"] } });
  await using other = await startNode({
    mdns: false,
    p2p: { hosts: ["127.0.0.1"] },
    peers: [...started.peerAddresses],
  });
  await eventually(async () => (await other.status()).peers === 1 && (await started.peers())[0]?.roundTripMs);
  await fetch(`${started.url}/v1/items/absent`);
  node = await (await fetch(`${started.url}/metrics`)).text();
  await started.post({ raw: "posted here" }, { wait: 1 });
  await started.post({ raw: "posted there" });
  await other.post({ raw: "delivered here" }, { wait: 1 });
  nodeLater = await (await fetch(`${started.url}/metrics`)).text();
  const hubStarted = await startHub({ port: 0, monitorPort: 0 });
  try {
    // Not even a frame: a connection that ends, so that there is a reason to show.
    const { port } = hubStarted;
    await fetch(`http://127.0.0.1:${port}/`).catch(() => {});
    await eventually(async () => Object.keys(hubStarted.stats().closed).length > 0);
    hub = await (await fetch(`${hubStarted.monitorUrl}/metrics`)).text();
  } finally {
    await hubStarted.close();
  }
});

describe("docs/metrics.md", () => {
  it("has every metric of a node and a hub, and no other, with its type, labels and meaning", () => {
    const shown = { ...measured(node), ...measured(hub) };
    expect(Object.keys(shown).length).toBeGreaterThan(30);
    expect(documented()).toEqual(shown);
  });

  it("has histograms that count what was posted, waited for and delivered since the first scrape", () => {
    const countOf = (text: string, name: string) =>
      Number(new RegExp(`^${name}_count (\\d+)$`, "m").exec(text)?.[1]);
    const names = ["hubcast_post_seconds", "hubcast_receipt_seconds", "hubcast_delivery_seconds"];
    expect(names.map((name) => countOf(node, name))).toEqual([0, 0, 0]);
    expect(names.map((name) => countOf(nodeLater, name))).toEqual([2, 1, 1]);
    expect(nodeLater).toMatch(/^hubcast_post_seconds_bucket\{le="10"\} 2$/m);
  });

  it("names only metrics of the process that are there", () => {
    const named = [...markdown.matchAll(/`((?:process|nodejs)_\w+[a-z])`/g)].map((match) => match[1]!);
    expect(named.length).toBeGreaterThan(3);
    for (const name of named) expect(node).toContain(`# TYPE ${name} `);
  });
});

describe("docs/grafana.json", () => {
  it("uses metrics that are there, and every panel has one", () => {
    const { panels } = JSON.parse(readFileSync(join(ROOT, "docs", "grafana.json"), "utf8")) as {
      panels: { title: string; type: string; targets?: { expr: string }[] }[];
    };
    const drawn = panels.filter(({ type }) => type !== "row");
    expect(drawn.length).toBeGreaterThan(10);
    for (const { title, targets = [] } of drawn) {
      const names = targets.flatMap(({ expr }) => expr.match(/\b(?:hubcast|process|nodejs)_\w+/g) ?? []);
      expect(names.length, title).toBeGreaterThan(0);
      for (const name of names)
        expect(node + hub, title).toContain(`# TYPE ${name.replace(/_bucket$/, "")} `);
    }
  });
});

const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
describe.skipIf(!hasPromtool)("promtool test rules (Debian's package prometheus)", () => {
  it("items apart is of one cluster, and counts no other", () => {
    const [, expression] = /^\| nodes of a cluster hold different numbers of items \| `(.+)` for/m.exec(
      markdown,
    )!;
    const series = [
      ...[
        ["one", "a", 5],
        ["one", "b", 5],
        ["two", "c", 9],
        ["two", "d", 7],
      ].flatMap(([cluster, instance, items]) => [
        { series: `hubcast_items{instance="${instance}"}`, values: `${items}` },
        { series: `hubcast_node_info{instance="${instance}", cluster="${cluster}"}`, values: "1" },
      ]),
    ];
    const expected = [{ labels: '{cluster="two"}', value: 2 }];
    const tests = [
      {
        input_series: series,
        promql_expr_test: [{ expr: expression, eval_time: "0m", exp_samples: expected }],
      },
    ];
    const directory = mkdtempSync(join(tmpdir(), "hubcast-rules-"));
    const file = join(directory, "test.yml");
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ rule_files: [], tests }));
    const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", file], { encoding: "utf8" });
    expect([status, stdout + stderr]).toEqual([0, expect.stringContaining("SUCCESS")]);
  });
});

describe.skipIf(!hasPromtool)("promtool check metrics (Debian's package prometheus)", () => {
  it.each([
    ["a node", () => node],
    ["a hub", () => hub],
  ])("finds nothing wrong with those of %s", (_name, text) => {
    const { status, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text() });
    expect([status, stderr.toString()]).toEqual([0, ""]);
  });
});

/** Metrics of ours in Prometheus text. */
function measured(text: string): Record<string, Metric> {
  const types = [...text.matchAll(/^# TYPE (hubcast_\w+) (\w+)$/gm)];
  return Object.fromEntries(
    types.map(([, name, type]) => {
      const help = new RegExp(`^# HELP ${name} (.*)$`, "m").exec(text)?.[1] ?? "";
      const sample = new RegExp(`^${name}\\{(.*)\\} `, "m").exec(text)?.[1] ?? "";
      const labels = [...sample.matchAll(/(\w+)="/g)].map((match) => match[1]!);
      return [name!, { type: type!, help, labels }];
    }),
  );
}

/** Rows of the tables: | `name` | type | labels | meaning | */
function documented(): Record<string, Metric> {
  const rows = [...markdown.matchAll(/^\| `(hubcast_\w+)` \| (\w+) \| (.+?) \| (.+?) \|$/gm)];
  return Object.fromEntries(
    rows.map(([, name, type, labels, help]) => [
      name!,
      { type: type!, help: help!, labels: labels === "-" ? [] : labels!.split(", ") },
    ]),
  );
}
