import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../../src/hub/index.js";
import { eventually } from "../fixtures/eventually.js";
import { nodeStatus } from "../fixtures/node-answers.js";
import { loopbackFlags, NodeProcess } from "../fixtures/node-process.js";
import { Cli, hubcast } from "./cli.js";
import { fakeNode } from "./fake-node.js";

const cluster = `live-${randomBytes(4).toString("hex")}`;
/** The first event of a subscriber. */
const CAUGHT_UP = 'event: caught-up\ndata: {"type":"caught-up","eventId":"1-0"}\n\n';
const env = { HUBCAST_MDNS_INTERFACE: "127.0.0.1", HUBCAST_HUB_MDNS_INTERFACE: "127.0.0.1" };
let nodes: NodeProcess[];
let hub: Hub;

beforeAll(async () => {
  const start = (name: string) =>
    NodeProcess.start({ flags: [...loopbackFlags(cluster), "--name", `${cluster}-${name}`] });
  nodes = [await start("a"), await start("b")];
  hub = await startHub({
    port: 0,
    monitorPort: 0,
    name: `${cluster}-hub`,
    mdns: { interfaces: ["127.0.0.1"] },
  });
  await eventually(async () => (await nodes[0]!.status()).peers === 1);
});
afterAll(async () => {
  await hub?.close();
  for (const node of nodes ?? []) await node[Symbol.asyncDispose]();
});

function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("discover", () => {
  it("shows nodes and hubs with address, cluster, version and round trip", async () => {
    const { stdout, code } = await hubcast(["discover", "--json"], { env });
    const ours = lines(stdout).filter(({ name }) => String(name).startsWith(cluster));
    expect(code).toBe(0);
    expect(ours).toHaveLength(3);
    expect(ours.find(({ name }) => name === `${cluster}-a`)).toMatchObject({
      type: "node",
      id: nodes[0]!.id,
      cluster,
      version: expect.stringMatching(/^\d+\./),
      url: nodes[0]!.url,
      roundTripMs: expect.any(Number),
    });
    expect(ours.find(({ type }) => type === "hub")).toMatchObject({
      addresses: [hub.address],
      monitorUrl: hub.monitorUrl,
    });
  });

  it("--watch says who comes and goes, until Ctrl-C", async () => {
    const watch = new Cli(["discover", "--watch"], { env });
    await watch.says(new RegExp(`node  ${cluster}-b`));
    const third = await NodeProcess.start({
      flags: [...loopbackFlags(cluster), "--name", `${cluster}-c`],
    });
    await watch.says(new RegExp(`node  ${cluster}-c`));
    await third.stop();
    await watch.says(new RegExp(`node ${cluster}-c is gone`));
    watch.kill("SIGINT");
    expect((await watch.ended()).code).toBe(130);
  });

  it("names the interfaces when that one does not exist", async () => {
    const { stderr, code } = await hubcast(["discover", "--mdns-interface", "nowhere0"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('no interface "nowhere0"')]);
  });
});

describe("top off a terminal", () => {
  it("--once --json is one snapshot, with the figures of nodes and hubs", async () => {
    const urls = nodes.flatMap(({ url }) => ["--url", url]);
    const { stdout, code } = await hubcast(["top", "--once", "--json", ...urls], { env });
    const [snapshot] = lines(stdout) as { nodes: object[]; hubs: { name: string }[] }[];
    expect(code).toBe(0);
    // Another test's node has left; its peers remember it for a while.
    expect(snapshot!.nodes.filter((row) => "url" in row)).toHaveLength(2);
    expect(snapshot!.nodes[0]).toMatchObject({
      name: `${cluster}-a`,
      state: "ready",
      agreement: "agrees",
      peers: 1,
      rssBytes: expect.any(Number),
      eventLoopDelayMs: expect.any(Number),
    });
    expect(snapshot!.hubs.find(({ name }) => name === `${cluster}-hub`)).toMatchObject({
      state: "ready",
      clients: 0,
      evicted: 0,
    });
  });

  it("one node answers for its peers", async () => {
    const { stdout } = await hubcast(["top", "--once", "--json", "--url", nodes[0]!.url], { env });
    const [snapshot] = lines(stdout) as { nodes: object[] }[];
    expect(snapshot!.nodes).toContainEqual(
      expect.objectContaining({ name: `${cluster}-b`, state: "connected", agreement: "agrees", items: 0 }),
    );
  });

  it("is a line a second for each, and ends when nobody reads", async () => {
    const top = new Cli(["top", "--url", nodes[0]!.url], { env: { ...env, CI: "1" } });
    await top.says(new RegExp(`node ${cluster}-a ready, 0 items.*\n[^]*node ${cluster}-a ready`));
    expect(top.stdout).not.toContain("\u001b");
    top.hangUp();
    expect((await top.ended()).signal).toBeNull();
  });

  it("says of a server that it is no node, and of one that it does not answer", async () => {
    const urls = ["--url", hub.monitorUrl!, "--url", "http://127.0.0.1:1"];
    const { stdout, stderr, code } = await hubcast(["top", "--once", ...urls], { env });
    expect(stdout).toMatch(/ notHubcast \(what answers at .* is not a hubcast node/);
    expect(stdout).toMatch(/ unreachable \(no node answers at http:\/\/127.0.0.1:1 /);
    expect([code, stderr]).toEqual([3, expect.stringContaining("error:")]);
  });

  it("says so in one document with --json", async () => {
    const words = ["top", "--once", "--json", "--url", "http://127.0.0.1:1"];
    const { stdout, code } = await hubcast(words, { env });
    expect(JSON.parse(stdout)).toMatchObject({ type: "snapshot", error: { code: "unreachable" } });
    expect(code).toBe(3);
  });

  it("takes the address of a hub's monitoring without its scheme", async () => {
    const { host } = new URL(hub.monitorUrl!);
    const { stdout } = await hubcast(["top", "--once", "--json", "--hub", host], { env });
    expect(JSON.parse(stdout).hubs).toContainEqual(expect.objectContaining({ address: host }));
  });

  it("shows a node again that comes back", async () => {
    const third = await NodeProcess.start({ flags: loopbackFlags(`${cluster}-x`) });
    const top = new Cli(["top", "--json", "--url", third.url], { env });
    const state = () => {
      const last = lines(top.stdout.slice(0, top.stdout.lastIndexOf("\n"))).at(-1);
      return (last as { nodes: { state: string }[] } | undefined)?.nodes[0]?.state;
    };
    await top.says(/\n/);
    await third.stop("SIGKILL");
    await eventually(() => state() === "unreachable");
    const flags = loopbackFlags(`${cluster}-x`).with(1, new URL(third.url).port);
    await using _back = await NodeProcess.start({ flags });
    await eventually(() => ["starting", "ready"].includes(state()!));
    top.kill("SIGTERM");
    await top.ended();
  });
});

it("top --once --json lists the newest items, with what proves them", async () => {
  await using node = await NodeProcess.start({ flags: loopbackFlags(`${cluster}-items`) });
  const { stdout: id } = await hubcast(["broadcast", "post", "hello", "--url", node.url]);
  const { stdout } = await hubcast(["top", "--once", "--json", "--url", node.url], { env });
  const [{ items }] = lines(stdout) as [{ items: object[] }];
  expect(items).toEqual([
    expect.objectContaining({
      id: id.trim(),
      raw: "hello",
      signature: expect.stringMatching(/^sha256:/),
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    }),
  ]);
});

it("top --once --json waits for a list that a busy node reads slowly", async () => {
  const item = { id: "1", raw: "hello", signature: "sha256:00", timestampMs: Date.now(), digest: "00" };
  const listed = JSON.stringify({ items: [item] });
  await using node = await fakeNode(({ path }) => {
    if (path === "/v1/peers") return { body: [] };
    if (path === "/v1/events") return { type: "text/event-stream", body: CAUGHT_UP, stream: () => {} };
    if (path === "/v1/items") return { stream: (response) => setTimeout(() => response.end(listed), 300) };
    return { body: nodeStatus() };
  });
  const { stdout } = await hubcast(["top", "--once", "--json", "--url", node.url], { env });
  expect(lines(stdout)).toEqual([expect.objectContaining({ items: [item] })]);
});

describe("doctor", () => {
  it("finds that all is well, or says what to do", async () => {
    const { stdout } = await hubcast(["doctor", "--json"], { env });
    const { findings } = JSON.parse(stdout) as { findings: { text: string; verdict: string }[] };
    const ours = findings.filter(({ text }) => text.includes(`node ${cluster}`));
    expect(ours.map(({ verdict }) => verdict)).toEqual(["ok", "ok"]);
    expect(findings).toContainEqual({
      check: "multicast",
      verdict: "ok",
      text: "multicast comes back on lo",
    });
  });

  it("says what listens at an address: a node, a hub, where nodes connect, or something else", async () => {
    const peer = (await nodes[0]!.status()).peerAddresses[0]!;
    const other = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
    await once(other, "listening");
    const otherAddress = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    try {
      const probes = [nodes[0]!.url, hub.address, peer, otherAddress].map((address) =>
        hubcast(["doctor", address]),
      );
      const [node, relay, port, nothing] = await Promise.all(probes);
      expect(node).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(`HTTP API of node ${cluster}-a`),
      });
      expect(relay).toMatchObject({ code: 0, stdout: expect.stringContaining(`it is hub ${cluster}-hub`) });
      expect(port).toMatchObject({
        code: 0,
        stdout: expect.stringContaining("where nodes connect to a node"),
      });
      expect(nothing).toMatchObject({ code: 3, stdout: expect.stringContaining("no node and no hub") });
    } finally {
      other.close();
    }
  });

  it.each([
    [
      "where nothing listens",
      "127.0.0.1:1",
      3,
      /problem +127.0.0.1:1 takes no connection \(connection refused\)\n/,
    ],
    ["of no machine", "none.invalid:80", 3, /problem +none.invalid has no address: /],
  ])("says why nothing is reached at an address %s", async (_, address, code, said) => {
    const byUrl = await hubcast(["doctor", "--url", address]);
    expect(byUrl.stdout).toMatch(said);
    const probe = await hubcast(["doctor", address]);
    expect(probe).toMatchObject({ code, stdout: expect.stringMatching(said) });
  });

  it("refuses what is no address", async () => {
    const probe = await hubcast(["doctor", "kitchen"]);
    expect(probe).toMatchObject({ code: 2, stderr: expect.stringContaining("Write HOST:PORT") });
  });
});
