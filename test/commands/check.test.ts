import { describe, expect, it } from "vitest";
import { FakeService } from "../fixtures/fake-service.js";
import { hubcast } from "./cli.js";
import { fakeNode } from "./fake-node.js";

const STATUS = { ...new FakeService().status(), name: "kitchen", id: "n1", items: 3 };
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
