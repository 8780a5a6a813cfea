import { describe, expect, it } from "vitest";
import { nodeStatus } from "../fixtures/node-answers.js";
import { Cli, hubcast } from "./cli.js";
import { type Answer, type FakeNode, fakeNode } from "./fake-node.js";

const NOW_MS = Date.now();
const STATUS = nodeStatus();
const ITEMS = [
  { id: "a", raw: "doors open\nat nine", signature: "sha256:00", timestampMs: NOW_MS - 1000, digest: "00" },
  { id: "b", raw: "\u001b[31mred", signature: "sha256:00", timestampMs: NOW_MS, digest: "01" },
];
const PEERS = [
  {
    id: "n2",
    name: "hall",
    address: "/ip4/127.0.0.1/tcp/4001",
    state: "connected",
    linked: true,
    sinceMs: NOW_MS - 65_000,
    roundTripMs: 0.4,
    summary: { items: 3, fingerprint: "0f", fingerprintSinceMs: 0, ageMs: 10 },
    agreement: "agrees",
  },
  {
    id: "n3",
    name: "attic",
    address: "/ip4/127.0.0.1/tcp/4002",
    state: "lost",
    linked: false,
    sinceMs: NOW_MS,
    reason: "silent for 5 s",
    summary: { items: 2, fingerprint: "0e", fingerprintSinceMs: 0, ageMs: 60_000 },
    agreement: "unknown",
  },
];

function node(answers: Readonly<Record<string, Answer>>): Promise<FakeNode> {
  return fakeNode(({ path }) => answers[path] ?? { body: STATUS });
}

describe("broadcast list", () => {
  it("prints a line an item, with nothing in it that could steer the terminal", async () => {
    await using server = await node({ "/v1/items": { body: { items: ITEMS } } });
    const { stdout, stderr, code } = await hubcast(["broadcast", "list", "--url", server.url]);
    const time = "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d";
    expect(stdout).toMatch(new RegExp(`^${time}  a  doors open …\n${time}  b  ␛\\[31mred\n$`));
    expect([stderr, code]).toEqual(["", 0]);
  });

  it("prints an object a line with --json, type first", async () => {
    await using server = await node({ "/v1/items": { body: { items: ITEMS } } });
    const { stdout } = await hubcast(["broadcast", "list", "--json", "--url", server.url]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual(ITEMS.map((item) => ({ type: "item", ...item })));
    expect(lines[0]).toMatch(/^\{"type":"item"/);
  });

  it("asks for what the flags say", async () => {
    await using server = await node({ "/v1/items": { body: { items: [] } } });
    await hubcast([
      "broadcast",
      "list",
      "--since",
      "1700000000000",
      "--until",
      "1h",
      "--limit",
      "7",
      "--url",
      server.url,
    ]);
    const { query } = server.calls.find(({ path }) => path === "/v1/items")!;
    expect(Date.parse(query.get("since")!) || Number(query.get("since"))).toBe(1_700_000_000_000);
    expect(query.has("until")).toBe(true);
    expect(query.get("limit")).toBe("7");
  });

  it("says on stderr that there is nothing, unless it is quiet", async () => {
    await using server = await node({ "/v1/items": { body: { items: [] } } });
    const args = ["broadcast", "list", "--url", server.url];
    expect(await hubcast(args)).toMatchObject({ stdout: "", stderr: "no items\n", code: 0 });
    expect(await hubcast([...args, "-q"])).toMatchObject({ stdout: "", stderr: "", code: 0 });
  });

  it("colours only where colours are wanted", async () => {
    await using server = await node({ "/v1/items": { body: { items: ITEMS } } });
    const args = ["broadcast", "list", "--url", server.url];
    const forced = await hubcast(args, { env: { FORCE_COLOR: "1" } });
    expect(forced.stdout).toContain("\x1b[");
    const forbidden = await hubcast(args, { env: { FORCE_COLOR: "1", NO_COLOR: "1" } });
    expect(forbidden.stdout).not.toContain("\x1b[");
  });
});

describe("broadcast peers", () => {
  it("shows who is connected, who is gone and why, and whether the sets agree", async () => {
    await using server = await node({ "/v1/peers": { body: PEERS } });
    const { stdout, code } = await hubcast(["broadcast", "peers", "--url", server.url]);
    expect(stdout).toMatch(/^NAME +STATE +FOR +ROUND TRIP +ITEMS +SET +AS OF +ADDRESS\n/);
    expect(stdout).toMatch(/hall +connected +1 min +0\.4 ms +3 +agrees +10 ms ago +\/ip4/);
    expect(stdout).toMatch(/attic +lost +.* +- +2 +unknown +1 min ago +\S+ \(silent for 5 s\)/);
    expect(code).toBe(0);
  });

  it("prints one document with --json", async () => {
    await using server = await node({ "/v1/peers": { body: PEERS } });
    const { stdout } = await hubcast(["broadcast", "peers", "--json", "--url", server.url]);
    expect(JSON.parse(stdout)).toEqual(PEERS);
  });
});

describe("broadcast watch", () => {
  const EVENTS = [
    { type: "item", eventId: "e-1", item: ITEMS[0] },
    { type: "caught-up", eventId: "e-1" },
    { type: "peer", eventId: "e-2", peer: PEERS[1] },
    { type: "replaced", eventId: "e-3", item: ITEMS[1], previous: ITEMS[0] },
  ];
  /** Server-sent events, as the node writes them; the answer stays open. */
  const stream: Answer = {
    type: "text/event-stream",
    body: EVENTS.map(
      (event) => `event: ${event.type}\nid: ${event.eventId}\ndata: ${JSON.stringify(event)}\n\n`,
    ).join(""),
    stream: () => {},
  };

  it("prints items on stdout and the rest on stderr", async () => {
    await using server = await node({ "/v1/events": stream });
    const cli = new Cli(["broadcast", "watch", "--since", "1h", "--url", server.url]);
    await cli.says(/replaces another/);
    cli.kill("SIGINT");
    const { stdout, stderr, code } = await cli.ended();
    expect(stdout).toMatch(/ a {2}doors open …\n.* b .*\(replaces another of that id\)\n$/);
    expect(stderr).toBe("caught up; watching, Ctrl-C ends\npeer attic lost (silent for 5 s)\n");
    expect(code).toBe(130);
  });

  it("prints an event a line with --json, type first", async () => {
    await using server = await node({ "/v1/events": stream });
    const cli = new Cli(["broadcast", "watch", "--json", "--since", "1h", "--url", server.url]);
    await cli.says(/"replaced".*\n/);
    cli.kill("SIGINT");
    const lines = (await cli.ended()).stdout.trimEnd().split("\n");
    expect(lines.slice(0, 4).map((line) => JSON.parse(line).type)).toEqual(EVENTS.map(({ type }) => type));
    for (const line of lines.slice(0, 4)) expect(line).toMatch(/^\{"type":/);
  });

  it("waits for a node that goes away, says so, and goes on when it is back", async () => {
    let connections = 0;
    const text = (event: object & { type: string; eventId?: string }) =>
      `event: ${event.type}\nid: ${event.eventId}\ndata: ${JSON.stringify(event)}\n\n`;
    const again = { type: "caught-up", eventId: "f-1" };
    await using server = await fakeNode(({ path }) => {
      if (path !== "/v1/events") return { body: STATUS };
      connections++;
      if (connections === 1) return { type: "text/event-stream", body: text(EVENTS[0]!) };
      const old = { type: "item", item: ITEMS[0] };
      const fresh = { type: "item", eventId: "f-2", item: { ...ITEMS[1], timestampMs: Date.now() } };
      return {
        type: "text/event-stream",
        body: text(old).replace(/^id.*\n/m, "") + text(again) + text(fresh),
        stream: () => {},
      };
    });
    const cli = new Cli(["broadcast", "watch", "--url", server.url]);
    await cli.says(/ b /);
    cli.kill("SIGINT");
    const { stdout, stderr } = await cli.ended();
    expect(stdout).toMatch(/^\S+ \S+ {2}a .*\n\S+ \S+ {2}b .*\n$/);
    expect(stderr).toMatch(/^\S+ ended the stream of events; connecting again\nconnected again\n$/);
  });

  it("ends with 3 when the node goes away, with --once", async () => {
    await using server = await node({ "/v1/events": { ...stream, stream: (response) => response.end() } });
    const { stderr, code } = await hubcast(["broadcast", "watch", "--once", "--url", server.url]);
    expect([code, stderr]).toEqual([3, expect.stringContaining("ended the stream of events")]);
  });

  it("ends in silence when its reader goes away", async () => {
    let more: NodeJS.Timeout | undefined;
    await using server = await node({
      "/v1/events": {
        ...stream,
        stream: (response) => {
          more = setInterval(
            () => response.write(`event: item\nid: e-9\ndata: ${JSON.stringify(EVENTS[0])}\n\n`),
            5,
          );
        },
      },
    });
    const cli = new Cli(["broadcast", "watch", "-q", "--url", server.url]);
    await cli.says(/doors/);
    cli.hangUp();
    const { stderr, code } = await cli.ended();
    clearInterval(more);
    expect([stderr, code]).toEqual(["", 0]);
  });
});
