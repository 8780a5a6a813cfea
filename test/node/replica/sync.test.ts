import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { wholeItem } from "../../../src/node/replica/held/held-item.js";
import { Driver, frames, itemOf, makeReplica, NOW, only, outcomes, reasons } from "./replica-kit.js";

describe("two that link", () => {
  it("say what they hold", () => {
    const driver = new Driver();
    driver.hold(itemOf("a"));
    expect(frames(driver.meet(), "summary")).toMatchObject([{ count: 1 }]);
  });

  describe("and keep items for different times", () => {
    const met = () => {
      const driver = new Driver();
      driver.hold(itemOf("a"));
      return { driver, effects: driver.meet("peer", {}, { retentionMs: 1_000 }) };
    };

    it("stay linked, and know each other", () => {
      const { driver, effects } = met();
      expect(reasons(effects)).toEqual([]);
      expect(driver.replica.links.with("peer")).toBeDefined();
      expect(driver.replica.roster.get("peer")).toMatchObject({
        state: "alive",
        record: { retentionMs: 1_000 },
      });
    });

    it("exchange no items, and do not say what they hold", () => {
      const { driver, effects } = met();
      const posted = driver.committed(only(driver.post(itemOf("b")), "commit")[0]!.commit);
      const digests = Buffer.from(itemOf("a").digest, "hex");
      const all = [
        ...effects,
        ...posted,
        ...driver.hear({ t: "want", digests }),
        ...driver.hear({ t: "have", digests: Buffer.from(itemOf("x").digest, "hex") }),
        ...driver.hear({ t: "reconcile", round: 1, message: Uint8Array.of(0x61) }),
        ...driver.hear({ t: "summary", ...makeReplica().summarise(NOW) }),
        ...driver.pass(60_000, () => driver.ping()),
      ];
      const kinds = new Set(only(all, "send").map(({ frame }) => frame.t));
      for (const type of ["summary", "items", "want", "have", "reconcile", "reconciled"] as const)
        expect(kinds).not.toContain(type);
      const batches = frames(all, "batch").map(({ kind }) => kind);
      expect(batches).not.toContain("items");
      expect(reasons(all)).toEqual([]);
    });

    it("wait for nothing before they are ready", () => {
      expect(met().driver.replica.starting).toBe(false);
    });
  });
});

describe("a node", () => {
  it("is ready when it has found nobody for a while", () => {
    const driver = new Driver();
    driver.pass(LIMITS.aloneAfterMs - 1);
    expect(driver.replica.starting).toBe(true);
    driver.pass(1_000);
    expect(driver.replica.starting).toBe(false);
  });

  it("waits longer for a peer that it is about to meet, and that is far away", () => {
    const driver = new Driver();
    driver.connect("far");
    driver.pass(LIMITS.aloneAfterMs + 1_000);
    expect(driver.replica.starting).toBe(true);
    driver.lose("far");
    driver.pass(1_000);
    expect(driver.replica.starting).toBe(false);
  });

  it("is not ready as soon as it has lost the peer that it fetched from", () => {
    const driver = new Driver();
    driver.meet("one");
    driver.hear({ t: "have", digests: Buffer.from(itemOf("a").digest, "hex") }, "one");
    driver.pass(LIMITS.aloneAfterMs, () => driver.ping("one"));
    driver.lose("one");
    driver.pass(LIMITS.aloneAfterMs - 1);
    expect(driver.replica.starting).toBe(true);
    // It is dialled again, for as long as a dial may take.
    driver.pass(LIMITS.peerHandshakeMsMax + 1_000);
    expect(driver.replica.starting).toBe(false);
  });

  it("with peers is ready when it has what they have", () => {
    const driver = new Driver();
    driver.meet("one");
    driver.meet("two");
    const item = itemOf("a");
    const digests = Buffer.from(item.digest, "hex");
    driver.hear({ t: "have", digests }, "one");
    driver.hear({ t: "roundDone", round: 1 }, "two");
    expect(driver.replica.starting, "what one owes is not here yet").toBe(true);
    driver.receive(1, [item], "one");
    driver.hear({ t: "roundDone", round: 1 }, "one");
    expect(driver.replica.starting).toBe(false);
  });
});

describe("the time of an item", () => {
  const skew = LIMITS.clockSkewMsMax;
  it.each([
    ["posted far ahead", "post", skew + 1, "timestampOff"],
    ["posted far behind", "post", -skew - 1, "timestampOff"],
    ["posted just within", "post", -skew, "accepted"],
    ["posted after its expiry", "post", -LIMITS.retentionMs, "itemExpired"],
    ["of a peer, far ahead", "gossip", skew + 1, "refused"],
    ["of a peer, old but retained", "gossip", -LIMITS.retentionMs + 1, "accepted"],
    ["of a peer, expired", "gossip", -LIMITS.retentionMs, "refused"],
  ] as const)("%s: %s by %d ms is %s", (_, way, offsetMs, expected) => {
    const driver = new Driver();
    const item = itemOf("a", undefined, NOW + offsetMs);
    driver.meet();
    const effects = way === "post" ? driver.post(item) : driver.gossip([item]);
    const [commit] = only(effects, "commit");
    if (expected === "accepted") expect(commit!.add).toEqual([item]);
    else if (way === "post") expect(outcomes(effects)).toEqual([expected]);
    else expect([driver.replica.figures.refused, only(effects, "commit")]).toEqual([1, []]);
  });

  it("ends it at the instant of its expiry, and subscribers are told", () => {
    const driver = new Driver(makeReplica({ retentionMs: 10_000 }));
    const item = itemOf("a");
    driver.hold(item);
    expect(only(driver.pass(9_999), "notify")).toEqual([]);
    const effects = driver.pass(1);
    const told = only(effects, "notify")[0]!.changes.map(({ type, ...of }) => ({
      type,
      ...("item" in of && { item: wholeItem(of.item) }),
    }));
    expect(told).toEqual([{ type: "expired", item }]);
    const { add, remove } = only(effects, "commit")[0]!;
    expect([add, remove.map(wholeItem)]).toEqual([[], [item]]);
    driver.meet();
    expect(only(driver.gossip([item]), "commit"), "it is not taken back").toEqual([]);
  });

  it("ends many in steps, each at once", () => {
    const driver = new Driver(makeReplica({ retentionMs: 10_000 }));
    driver.hold(...Array.from({ length: 2_500 }, (_, index) => itemOf(`${index}`)));
    const removed = only(driver.pass(10_000), "commit").map(({ remove }) => remove.length);
    expect(removed).toEqual([1_000, 1_000, 500]);
  });
});
