import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import type { HelloFrame } from "../../../src/node/protocol/frames.js";
import { wholeItem } from "../../../src/node/protocol/held/held-item.js";
import { Desk, frames, itemOf, makeReplica, NOW, only, outcomes } from "./replica-kit.js";

const reasons = (effects: Parameters<typeof frames>[0]) =>
  only(effects, "disconnect").map(({ reason }) => reason);
const stateOf = (desk: Desk, peer = "peer") => desk.replica.peers.get(peer)?.state;

describe("peers that meet", () => {
  it("greet first, and say what they hold", () => {
    const desk = new Desk();
    const sent = only(desk.tell({ type: "peerUp", peer: "peer", address: "a" }), "send");
    expect(sent.map(({ frame }) => frame.t)).toEqual(["hello", "summary"]);
    expect(sent[0]!.frame).toMatchObject({ cluster: "test", nowMs: NOW, starting: true });
  });

  it.each<[Partial<HelloFrame>, string]>([
    [{ v: 2 }, "versionDiffers"],
    [{ cluster: "other" }, "clusterDiffers"],
    [{ retentionMs: 1_000 }, "retentionDiffers"],
  ])("part when %j", (hello, reason) => {
    const desk = new Desk();
    expect(reasons(desk.meet("peer", hello))).toEqual([reason]);
    expect(stateOf(desk)).toBe("lost");
    expect(desk.hear({ t: "ping", atMs: 1 }), "whoever was cut off is not heard").toEqual([]);
  });

  it.each([
    ["says anything before its hello", (desk: Desk) => desk.hear({ t: "ping", atMs: 1 })],
    ["says hello twice", (desk: Desk) => [...desk.meet(), ...desk.hear(desk.hello())]],
    [
      "sends what is no frame",
      (desk: Desk) => [...desk.meet(), ...desk.tell({ type: "garbled", peer: "peer" })],
    ],
  ])("part when one %s", (_, says) => {
    const desk = new Desk();
    desk.tell({ type: "peerUp", peer: "peer", address: "a" });
    expect(reasons(says(desk))).toContain("badFrame");
  });

  it("are told of the others, and dial those they do not know", () => {
    const desk = new Desk();
    desk.meet("one");
    const peers = frames(desk.meet("two"), "peers", "two");
    expect(peers).toEqual([{ t: "peers", peers: [{ id: "one", addresses: ["address of one"] }] }]);
    const told = ["me", "one", "three"].map((id) => ({ id, addresses: [`address of ${id}`] }));
    expect(desk.hear({ t: "peers", peers: told }, "two")).toEqual([
      { type: "dial", peer: "three", addresses: ["address of three"] },
    ]);
  });

  it("hear of a new name", () => {
    const desk = new Desk();
    desk.meet();
    expect(frames(desk.tell({ type: "renamed" }), "renamed")).toEqual([{ t: "renamed", name: "me" }]);
    desk.hear({ t: "renamed", name: "peer (2)" });
    expect(desk.replica.peers.get("peer")!.hello!.name).toBe("peer (2)");
  });
});

describe("a peer that goes", () => {
  it("has left when it said goodbye, and is not dialled any more", () => {
    const desk = new Desk();
    desk.meet();
    desk.hear({ t: "bye" });
    const effects = desk.tell({ type: "peerDown", peer: "peer", reason: "closed" });
    expect(effects.map(({ type }) => type)).toEqual(["forget", "notify"]);
    expect(desk.replica.peers.get("peer")).toMatchObject({ state: "left", reason: "said goodbye" });
  });

  it("is lost when it did not", () => {
    const desk = new Desk();
    desk.meet();
    const effects = desk.tell({ type: "peerDown", peer: "peer", reason: "reset" });
    expect(effects.map(({ type }) => type)).toEqual(["notify"]);
    expect(desk.replica.peers.get("peer")).toMatchObject({ state: "lost", reason: "reset" });
  });

  it("is listed for a while, then forgotten", () => {
    const desk = new Desk();
    desk.meet();
    desk.tell({ type: "peerDown", peer: "peer", reason: "reset" });
    desk.pass(LIMITS.departedPeerMs);
    expect(stateOf(desk)).toBe("lost");
    desk.pass(1_000);
    expect(stateOf(desk)).toBeUndefined();
  });

  it("is taken back when it comes again", () => {
    const desk = new Desk();
    desk.meet();
    desk.tell({ type: "peerDown", peer: "peer", reason: "reset" });
    desk.meet();
    expect(stateOf(desk)).toBe("connected");
  });

  it("hears goodbye from a node that stops", () => {
    const desk = new Desk();
    desk.meet("one");
    desk.meet("two");
    const effects = desk.tell({ type: "stopped" });
    expect(["one", "two"].map((peer) => frames(effects, "bye", peer).length)).toEqual([1, 1]);
  });
});

describe("signs of life", () => {
  it("are asked of the silent, and the answer tells round trip and clock", () => {
    const desk = new Desk();
    desk.meet();
    const [ping] = frames(desk.pass(LIMITS.heartbeatMs), "ping");
    desk.nowMs += 40;
    desk.hear({ t: "pong", atMs: ping!.atMs, nowMs: desk.nowMs + 5_000 });
    expect(desk.replica.peers.get("peer")).toMatchObject({ roundTripMs: 40, clockOffsetMs: 5_020 });
  });

  it("are given", () => {
    const desk = new Desk();
    desk.meet();
    expect(frames(desk.hear({ t: "ping", atMs: 7 }), "pong")).toEqual([{ t: "pong", atMs: 7, nowMs: NOW }]);
  });

  it.each([
    ["from the future", NOW + 1],
    ["from long ago", NOW - LIMITS.answerTimeoutMs - 1],
  ])("%s say nothing", (_, atMs) => {
    const desk = new Desk();
    desk.meet();
    desk.hear({ t: "pong", atMs, nowMs: 0 });
    expect(desk.replica.peers.get("peer")!.roundTripMs).toBeUndefined();
  });

  it("that fail to come cost the connection within 5 s", () => {
    const desk = new Desk();
    desk.meet();
    const effects = desk.pass(5_000);
    expect(reasons(effects)).toEqual(["heartbeatLost"]);
    expect(stateOf(desk)).toBe("lost");
  });

  it("keep a peer that has nothing else to say", () => {
    const desk = new Desk();
    desk.meet();
    expect(reasons(desk.pass(14_000, () => desk.hear({ t: "ping", atMs: 1 })))).toEqual([]);
  });

  it("are asked for anew by a node that slept itself, before it gives anybody up", () => {
    const desk = new Desk();
    desk.meet();
    desk.pass(1_000, () => desk.hear({ t: "ping", atMs: 1 }));
    desk.nowMs += 30_000;
    const effects = desk.tell({ type: "woke" });
    expect(reasons(effects)).toEqual([]);
    expect(frames(effects, "ping")).toHaveLength(1);
    expect(reasons(desk.pass(5_000)), "but not for ever").toEqual(["heartbeatLost"]);
  });

  it("go on when the clock was set back", () => {
    const desk = new Desk();
    desk.meet();
    desk.pass(1_000, () => desk.hear({ t: "ping", atMs: 1 }));
    desk.nowMs -= 3_600_000;
    desk.tell({ type: "woke" });
    expect(desk.replica.wakeAtMs - desk.nowMs).toBeLessThan(1_000);
    expect(reasons(desk.pass(6_000))).toEqual(["heartbeatLost"]);
  });
});

describe("a node", () => {
  it("is ready when it has found nobody for a while", () => {
    const desk = new Desk();
    desk.pass(LIMITS.aloneAfterMs - 1);
    expect(desk.replica.starting).toBe(true);
    desk.pass(1_000);
    expect(desk.replica.starting).toBe(false);
  });

  it("with peers is ready when it has what they have", () => {
    const desk = new Desk();
    desk.meet("one");
    desk.meet("two");
    const item = itemOf("a");
    const digests = Buffer.from(item.digest, "hex");
    desk.hear({ t: "have", digests }, "one");
    desk.hear({ t: "roundDone", round: 1 }, "two");
    expect(desk.replica.starting, "what one owes is not here yet").toBe(true);
    desk.receive(1, [item], "one");
    desk.hear({ t: "roundDone", round: 1 }, "one");
    expect(desk.replica.starting).toBe(false);
  });

  it.each([
    ["one peer", [200_000]],
    ["most of its peers", [0, 200_000, 200_001]],
  ])("whose clock is off that of %s refuses posts", (_, offsets) => {
    const desk = new Desk();
    for (const offset of offsets) desk.meet(`peer ${offset}`, { nowMs: NOW + offset });
    expect(outcomes(desk.post(itemOf("a")))).toEqual(["clockSkew"]);
  });

  it("whose clock agrees with most takes them", () => {
    const desk = new Desk();
    for (const offset of [0, 1, -200_000]) desk.meet(`peer ${offset}`, { nowMs: NOW + offset });
    expect(only(desk.post(itemOf("a")), "commit")).toHaveLength(1);
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
    const desk = new Desk();
    const item = itemOf("a", undefined, NOW + offsetMs);
    const effects = way === "post" ? desk.post(item) : desk.gossip(item);
    const [commit] = only(effects, "commit");
    if (expected === "accepted") expect(commit!.add).toEqual([item]);
    else if (way === "post") expect(outcomes(effects)).toEqual([expected]);
    else expect([desk.replica.figures.refused, only(effects, "judge")[0]!.verdict]).toEqual([1, "ignore"]);
  });

  it("ends it at the instant of its expiry, and subscribers are told", () => {
    const desk = new Desk(makeReplica({ retentionMs: 10_000 }));
    const item = itemOf("a");
    desk.hold(item);
    expect(only(desk.pass(9_999), "notify")).toEqual([]);
    const effects = desk.pass(1);
    const told = only(effects, "notify")[0]!.changes.map(({ type, ...of }) => ({
      type,
      ...("item" in of && { item: wholeItem(of.item) }),
    }));
    expect(told).toEqual([{ type: "expired", item }]);
    const { add, remove } = only(effects, "commit")[0]!;
    expect([add, remove.map(wholeItem)]).toEqual([[], [item]]);
    expect(only(desk.gossip(item), "commit"), "it is not taken back").toEqual([]);
  });

  it("ends many in steps, each at once", () => {
    const desk = new Desk(makeReplica({ retentionMs: 10_000 }));
    desk.hold(...Array.from({ length: 2_500 }, (_, index) => itemOf(`${index}`)));
    const removed = only(desk.pass(10_000), "commit").map(({ remove }) => remove.length);
    expect(removed).toEqual([1_000, 1_000, 500]);
  });
});

describe("receipts", () => {
  const item = itemOf("a");
  const digest = Buffer.from(item.digest, "hex");

  it("are asked of every peer, and told on", () => {
    const desk = new Desk();
    desk.meet("one");
    desk.meet("two");
    const effects = desk.tell({ type: "receiptAsked", digest: item.digest });
    expect(["one", "two"].map((peer) => frames(effects, "confirm", peer).length)).toEqual([1, 1]);
    expect(desk.hear({ t: "confirmed", digest }, "two")).toEqual([
      { type: "confirmed", digest: item.digest, peer: "two" },
    ]);
  });

  it("are given for what is durable, at once", () => {
    const desk = new Desk();
    desk.meet();
    desk.hold(item);
    expect(frames(desk.hear({ t: "confirm", digest }), "confirmed")).toHaveLength(1);
  });

  it("are given for the rest once it is, and once only, however often they were asked for", () => {
    const desk = new Desk();
    desk.meet();
    for (let times = 0; times < 3; times++) expect(desk.hear({ t: "confirm", digest })).toEqual([]);
    const [commit] = only(desk.gossip(item), "commit");
    expect(frames(desk.committed(commit!.commit), "confirmed")).toHaveLength(1);
  });
});
