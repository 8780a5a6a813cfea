import { describe, expect, it } from "vitest";
import { eventually } from "../fixtures/eventually.js";
import { nodeStatus } from "../fixtures/node-answers.js";
import { Cli, hubcast } from "./cli.js";
import { fakeNode } from "./fake-node.js";

const STATUS = nodeStatus({ items: 3 });
const AGREEING = {
  id: "n2",
  name: "hall",
  address: "/ip4/127.0.0.1/tcp/4001",
  state: "connected",
  linked: true,
  sinceMs: 0,
  summary: { items: 3, fingerprint: "0f", fingerprintSinceMs: 0, ageMs: 10 },
  agreement: "agrees",
};
const DIFFERING = {
  ...AGREEING,
  id: "n3",
  name: "attic",
  agreement: "differs",
  summary: { items: 1, fingerprint: "0a", fingerprintSinceMs: 0, ageMs: 10 },
  difference: { sinceMs: Date.now() - 5_000, itemsHere: 3 },
};

/** A node that knows these peers; its second peer agrees from that look on. */
function node(peers: readonly object[], agreesFromLook = Number.POSITIVE_INFINITY) {
  let looks = 0;
  return fakeNode(({ path }) => {
    if (path !== "/v1/peers") return { body: STATUS };
    return {
      body: ++looks >= agreesFromLook ? peers.map((peer) => ({ ...peer, agreement: "agrees" })) : peers,
    };
  });
}

describe("broadcast check", () => {
  it("says who agrees, and exits with 0", async () => {
    await using server = await node([AGREEING]);
    const { stdout, stderr, code } = await hubcast(["broadcast", "check", "--url", server.url]);
    expect([stdout, stderr, code]).toEqual(["kitchen  holds 3 items\nhall     agrees\n", "", 0]);
  });

  it("says who differs, in how many items and since when, and exits with 6", async () => {
    await using server = await node([AGREEING, DIFFERING]);
    const { stdout, stderr, code } = await hubcast(["broadcast", "check", "--url", server.url]);
    expect(stdout).toMatch(
      /^attic +differs for \d+\.\d s: it holds 1 item, here are 3, so they differ in 2 or more$/m,
    );
    expect(stderr).toMatch(/^error: hold another set than kitchen: attic\n/);
    expect(stderr).toContain("--timeout 10s");
    expect(code).toBe(6);
  });

  it("exits with 6 also when nobody reads the answer", async () => {
    await using server = await node([AGREEING, DIFFERING]);
    const check = new Cli(["broadcast", "check", "--url", server.url]);
    check.hangUp();
    expect((await check.ended()).code).toBe(6);
  });

  it("waits for agreement as long as it may", async () => {
    await using server = await node([AGREEING, DIFFERING], 3);
    const { stderr, code } = await hubcast(["broadcast", "check", "--timeout", "10s", "--url", server.url]);
    expect([stderr, code]).toEqual(["waiting: hold another set than kitchen: attic\n", 0]);
  });

  it("gives up at the deadline", async () => {
    await using server = await node([DIFFERING]);
    const { code } = await hubcast(["broadcast", "check", "-q", "--timeout", "300ms", "--url", server.url]);
    expect(code).toBe(6);
    expect(server.calls.filter(({ path }) => path === "/v1/peers").length).toBeGreaterThan(1);
  });

  it("prints one document with --json, also when they differ", async () => {
    await using server = await node([AGREEING, DIFFERING]);
    const { stdout, code } = await hubcast(["broadcast", "check", "--json", "--url", server.url]);
    expect(JSON.parse(stdout)).toMatchObject({
      agreed: false,
      name: "kitchen",
      peers: [
        { name: "hall", verdict: "agrees" },
        { name: "attic", verdict: "differs", items: 1, itemsHere: 3 },
      ],
      error: { code: "disagreement", exitCode: 6 },
    });
    expect(code).toBe(6);
  });

  it("says that a node without peers has nothing to compare", async () => {
    await using server = await node([]);
    const { stderr, code } = await hubcast(["broadcast", "check", "--url", server.url]);
    expect([stderr, code]).toEqual(["it has no peers: nothing to compare\n", 0]);
  });
});

describe("broadcast check --format nagios", () => {
  const LOST = { ...AGREEING, id: "n4", name: "a|b", state: "lost", agreement: "unknown", reason: "silent" };
  const nagios = (url: string, ...flags: string[]) =>
    hubcast(["broadcast", "check", "--format", "nagios", ...flags, "--url", url]);
  const failing = (status: number, code: string) =>
    fakeNode(() => ({ status, body: { type: "about:blank", code, detail: "no", suggestions: [] } }));

  it("exits with 0 when all agree, with performance data", async () => {
    await using server = await node([AGREEING]);
    const { stdout, stderr, code } = await nagios(server.url);
    const [first, ...more] = stdout.trimEnd().split("\n");
    expect(first).toMatch(
      new RegExp(
        "^HUBCAST OK: kitchen and 1 other hold the same 3 items \\| items=3;;;0 peers=1;;;0 agreeing=1;;;0 " +
          "differing=0;;0;0 differing_by_policy=0;0;;0 unknown=0;;;0 lost=0;0;;0 time=\\d+\\.\\d{3}s;;;0$",
      ),
    );
    expect(more).toEqual(["kitchen  holds 3 items", "hall     agrees"]);
    expect([stderr, code]).toEqual(["", 0]);
  });

  it("exits with 0 for a node that is alone, as check does", async () => {
    await using server = await node([]);
    const { stdout, code } = await nagios(server.url);
    expect(stdout).toMatch(/^HUBCAST OK: kitchen has no peers, and holds 3 items \| items=3;/);
    expect(code).toBe(0);
  });

  it("exits with 1 when one was lost, and no name of another passes for performance data", async () => {
    await using server = await node([AGREEING, LOST]);
    const { stdout, code } = await nagios(server.url);
    expect(stdout).toMatch(/^HUBCAST WARNING: were lost: a\/b \| items=3;.* lost=1;0;;0 /);
    expect(stdout.match(/\|/g)).toHaveLength(1);
    expect(code).toBe(1);
  });

  it("exits with 2 when sets differ, and waits as long as it may", async () => {
    await using server = await node([AGREEING, DIFFERING, LOST]);
    const { stdout, code } = await nagios(server.url);
    expect(stdout).toMatch(
      /^HUBCAST CRITICAL: hold another set than kitchen: attic; were lost.* differing=1;;0;0 /,
    );
    expect(code).toBe(2);
    await using later = await node([DIFFERING], 3);
    expect((await nagios(later.url, "--timeout", "10s")).code).toBe(0);
  });

  it.each([
    ["nodeFull", 2, "CRITICAL"],
    ["clocksDiffer", 1, "WARNING"],
  ])("of a node that is degraded by %s exits with %d", async (reason, exitCode, state) => {
    const details = [{ code: reason, message: "it is", advice: "Do something." }];
    const status = { ...STATUS, state: "degraded", reasons: [reason], details };
    await using server = await fakeNode(({ path }) => ({ body: path === "/v1/peers" ? [AGREEING] : status }));
    const { stdout, code } = await nagios(server.url);
    expect(stdout.startsWith(`HUBCAST ${state}: ${reason}: it is | `)).toBe(true);
    expect(stdout).toMatch(/\nDo something\.\n$/);
    expect(code).toBe(exitCode);
  });

  it("exits with 3 when the node cannot tell yet", async () => {
    const status = { ...STATUS, state: "starting" };
    await using server = await fakeNode(({ path }) => ({ body: path === "/v1/peers" ? [] : status }));
    const { stdout, code } = await nagios(server.url);
    expect(stdout).toMatch(/^HUBCAST UNKNOWN: kitchen is starting: .* \| items=3;/);
    expect(code).toBe(3);
  });

  it.each([
    ["that shuts down", () => failing(503, "stopping"), 2],
    ["that asks for a token", () => failing(401, "unauthorized"), 3],
    ["that is none", () => fakeNode(() => ({ body: "x", type: "text/plain" })), 2],
  ])("of a node %s says why", async (_what, open, exitCode) => {
    await using server = await open();
    const { stdout, stderr, code } = await nagios(server.url);
    expect(stdout).toMatch(exitCode === 2 ? /^HUBCAST CRITICAL: / : /^HUBCAST UNKNOWN: /);
    expect([stderr, code]).toEqual(["", exitCode]);
  });

  it("ends at Ctrl-C at once, though the node has not answered", async () => {
    await using server = await fakeNode(() => ({ stream: () => {} }));
    const words = ["broadcast", "check", "--format", "nagios", "--url", server.url];
    const check = new Cli(words, { deadlineMs: 5_000 });
    await eventually(() => server.calls.length > 0);
    check.kill("SIGINT");
    expect((await check.ended()).code).toBe(3);
  });

  it("exits with 2 when nothing answers, and with 3 when it is called wrongly", async () => {
    const [away, flag, value, both] = await Promise.all([
      nagios("http://127.0.0.1:1"),
      nagios("http://127.0.0.1:1", "--nope"),
      nagios("http://127.0.0.1:1", "--timeout", "soon"),
      nagios("http://127.0.0.1:1", "--json"),
    ]);
    expect([away.stdout, away.code]).toEqual([
      expect.stringMatching(/^HUBCAST CRITICAL: no node answers/),
      2,
    ]);
    expect([flag.stdout, flag.code]).toEqual([
      expect.stringMatching(/^HUBCAST UNKNOWN: unknown flag --nope\n/),
      3,
    ]);
    expect([value.stdout, value.code]).toEqual([expect.stringMatching(/^HUBCAST UNKNOWN: --timeout: /), 3]);
    expect([both.stdout, both.code]).toEqual([expect.stringMatching(/^HUBCAST UNKNOWN: .*--json/), 3]);
    expect(
      (await hubcast(["broadcast", "check", "--format", "nagois", "--url", "http://127.0.0.1:1"])).code,
    ).toBe(2);
  });
});
