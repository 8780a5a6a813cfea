import { hash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { VERSION } from "../../../src/node/negentropy/message.js";
import { CELLS_MAX, Sketch } from "../../../src/node/negentropy/sketch.js";
import { encodeAsk } from "../../../src/node/negentropy/sketch-message.js";
import type { Replica } from "../../../src/node/replica/replica.js";
import { packDigests } from "../../../src/node/replica/wire.js";
import { Lan } from "./lan.js";
import { Driver, frames, itemOf, itemsOf, makeReplica, reasons } from "./replica-kit.js";

const opened = (effects: ReturnType<Replica["handle"]>, peer?: string) => frames(effects, "reconcile", peer);

/** The summary of a replica that holds the same as this one. */
function summaryOf(replica: Replica, nowMs: number) {
  return { t: "summary", ...replica.summarise(nowMs) } as const;
}

const digestText = (text: string) => hash("sha256", text);

describe("two that meet", () => {
  it("hold the same afterwards, whoever had what", () => {
    const lan = new Lan(2);
    lan.post(0, ...itemsOf(50, "left"));
    lan.post(1, ...itemsOf(70, "right"));
    lan.settle();
    lan.connect(0, 1);
    lan.settle();
    expect(lan.replicas.map(({ holdings }) => holdings.size)).toEqual([120, 120]);
    expect(
      lan.replicas.map(({ figures }) => figures.rounds),
      "the smaller id initiates",
    ).toEqual([1, 0]);
    expect(lan.replicas.map(({ starting }) => starting)).toEqual([false, false]);
  });

  it("need one small frame each way when nothing differs", () => {
    const lan = new Lan(2);
    for (const index of [0, 1]) lan.post(index, ...itemsOf(500));
    lan.settle();
    lan.connect(0, 1);
    lan.settle();
    expect(lan.replicas.map(({ figures }) => figures.itemsSentBySync)).toEqual([0, 0]);
    expect(lan.replicas[0]!.figures.rounds).toBe(1);
  });

  it("find few differences of many items by a sketch, and say what it cost", () => {
    const lan = new Lan(2);
    const both = itemsOf(3_000);
    lan.post(0, ...both, ...itemsOf(60, "left"));
    lan.post(1, ...itemsOf(40, "right"), ...both);
    lan.settle();
    lan.connect(0, 1);
    lan.settle();
    const [leader, other] = lan.replicas.map(({ figures }) => figures);
    expect(lan.replicas.map(({ holdings }) => holdings.size)).toEqual([3_100, 3_100]);
    expect(leader).toMatchObject({ rounds: 1, roundsBySketch: 1, sketchesFailed: 0 });
    expect(leader!.lastRound).toMatchObject({ means: "sketch", trips: 2, differences: 100 });
    expect(leader!.lastRound!.bytes).toBeLessThan(10_000);
    expect(other!.lastRound).toBeUndefined();
  });

  it("find them by a sketch that lost what has been removed, too", () => {
    const lan = new Lan(2);
    const before = lan.nowMs - LIMITS.retentionMs;
    for (const index of [0, 1])
      lan.post(index, ...itemsOf(3_000), ...itemsOf(300, `expiring ${index}`, before + 4_000));
    lan.settle();
    lan.live(10_000);
    expect(lan.replicas.map(({ holdings }) => holdings.size)).toEqual([3_000, 3_000]);
    lan.post(0, ...itemsOf(50, "left"));
    lan.settle();
    lan.connect(0, 1);
    lan.settle();
    expect(lan.replicas[0]!.figures).toMatchObject({ roundsBySketch: 1, sketchesFailed: 0 });
    expect(lan.replicas[1]!.holdings.size).toBe(3_050);
  });

  it("are led by the one that is starting", () => {
    const driver = new Driver(makeReplica({ id: "z" }));
    driver.meet("a", { starting: false });
    expect(opened(driver.hear(summaryOf(makeReplica(), driver.nowMs), "a"), "a")).toHaveLength(1);
    const settled = new Driver(makeReplica({ id: "a" }));
    settled.pass(LIMITS.aloneAfterMs + 1_000);
    settled.meet("z", { starting: true });
    expect(opened(settled.hear(summaryOf(makeReplica(), settled.nowMs), "z"), "z")).toEqual([]);
  });

  it("move more than one frame of items, in order, while posts go on", () => {
    const lan = new Lan(2);
    lan.post(0, ...itemsOf(5_000));
    lan.settle();
    lan.connect(0, 1);
    for (let step = 0, next = lan.pending(); next.length > 0; next = lan.pending()) {
      next[step % next.length]!();
      if (step < 20) lan.post(step % 2, itemOf(`meanwhile ${step++}`));
    }
    lan.live(30_000);
    expect(lan.replicas.map(({ holdings }) => holdings.size)).toEqual([5_020, 5_020]);
    expect(lan.disconnects).toEqual([]);
  });
});

describe("later on", () => {
  it("a round runs about every interval, with one peer", () => {
    const driver = new Driver(makeReplica({ syncIntervalMs: 2_000 }));
    driver.meet("one");
    driver.meet("two");
    const answer = () => {
      for (const peer of ["one", "two"]) {
        driver.ping(peer);
        // An answer of nothing but the version: nothing differs.
        for (let round = 1; round < 40; round++)
          driver.hear({ t: "reconciled", round, message: Uint8Array.of(0x61) }, peer);
      }
    };
    const effects = driver.pass(60_000, answer);
    const rounds = ["one", "two"].map((peer) => opened(effects, peer).length);
    expect(rounds[0]! + rounds[1]!).toBeGreaterThan(20);
    expect(rounds[0]! + rounds[1]!).toBeLessThan(42);
    expect(Math.min(...rounds)).toBeGreaterThan(3);
  });

  it("what gossip lost is found when summaries differ, within seconds", () => {
    const lan = new Lan(2);
    lan.connect(0, 1);
    lan.settle();
    lan.loseGossip();
    lan.post(1, itemOf("lost"));
    lan.live(5_000);
    expect(lan.replicas[0]!.holdings.size).toBe(1);
  });

  it("peers that lose all gossip for minutes blame nobody for the many rounds they need", () => {
    const lan = new Lan(2);
    lan.connect(0, 1);
    lan.settle();
    lan.loseGossip();
    for (let step = 0; step < 300; step++) {
      lan.post(1, itemOf(`${step}`, undefined, lan.nowMs));
      lan.live(500);
    }
    expect(lan.disconnects).toEqual([]);
    lan.live(5_000);
    expect(lan.replicas[0]!.holdings.size).toBe(300);
  });

  it("a summary that begins to differ by policy is answered with one's own, so that both see it", () => {
    const driver = new Driver(makeReplica({ id: "a" }));
    driver.meet("b", {}, { policy: "signed only" });
    const told = (replica: Replica) =>
      frames(driver.hear(summaryOf(replica, driver.nowMs), "b"), "summary", "b").length;
    const [same, other] = [makeReplica(), makeReplica()];
    other.load([itemOf("x", undefined, driver.nowMs - 60_000)]);
    expect([same, other, other, same, other].map(told)).toEqual([0, 1, 0, 0, 1]);
  });

  it("summaries that differ by policy lead to no round", () => {
    const driver = new Driver(makeReplica({ id: "a" }));
    driver.meet("b", {}, { policy: "signed only" });
    const other = makeReplica();
    other.load([itemOf("x", undefined, driver.nowMs - 60_000)]);
    driver.hear(summaryOf(other, driver.nowMs), "b");
    driver.hear({ t: "reconciled", round: 1, message: Uint8Array.of(0x61) }, "b");
    driver.nowMs += 5_000;
    expect(opened(driver.hear(summaryOf(other, driver.nowMs), "b"), "b")).toEqual([]);
    driver.meet("c");
    driver.hear(summaryOf(other, driver.nowMs), "c");
    driver.hear({ t: "reconciled", round: 2, message: Uint8Array.of(0x61) }, "c");
    driver.nowMs += 5_000;
    expect(opened(driver.hear(summaryOf(other, driver.nowMs), "c"), "c"), "but of one policy").toHaveLength(
      1,
    );
  });
});

describe("a peer that asks for sketches without end", () => {
  it("is read no more once its work is used up, and cut for too many in one round", () => {
    const driver = new Driver();
    driver.replica.load(itemsOf(300));
    driver.meet();
    const message = encodeAsk(new Sketch(), CELLS_MAX);
    const effects = Array.from({ length: LIMITS.roundMessagesMax + 1 }, (_, index) =>
      driver.hear({ t: "reconcile", round: index < 300 ? 1 : 2, message }),
    ).flat();
    const asks = (LIMITS.linkWorkBurst / LIMITS.reconcileBytesMax) | 0;
    expect(asks).toBeLessThan(300);
    expect(driver.replica.figures.linksHeld).toBe(1);
    expect(reasons(effects)).toEqual([]);
  });
});

describe("a peer that breaks the rules of rounds is cut off", () => {
  const fingerprintOfNothing = () => {
    const driver = new Driver(makeReplica({ id: "a" }));
    driver.meet("b");
    return opened(driver.hear(summaryOf(makeReplica(), driver.nowMs), "b"), "b")[0]!.message;
  };

  it("for a range that cannot be read", () => {
    const driver = new Driver();
    driver.meet();
    expect(reasons(driver.hear({ t: "reconcile", round: 1, message: Uint8Array.of(0x61, 0xff) }))).toEqual([
      "badRange",
    ]);
  });

  it("for an answer that cannot be read", () => {
    const driver = new Driver(makeReplica({ id: "a" }));
    driver.meet("b");
    const [first] = opened(driver.hear(summaryOf(makeReplica(), driver.nowMs), "b"), "b");
    const message = Uint8Array.of(0x61, 0xff);
    expect(reasons(driver.hear({ t: "reconciled", round: first!.round, message }, "b"))).toEqual([
      "badRange",
    ]);
    expect(driver.replica.figures.roundsFailed).toBe(1);
  });

  it("for a round without an end", () => {
    const driver = new Driver();
    driver.meet();
    const message = fingerprintOfNothing();
    for (let count = 0; count < LIMITS.roundMessagesMax; count++)
      expect(reasons(driver.hear({ t: "reconcile", round: 1, message }))).toEqual([]);
    expect(reasons(driver.hear({ t: "reconcile", round: 1, message }))).toEqual(["endlessRound"]);
  });

  it("for too many rounds in a minute", () => {
    const driver = new Driver();
    driver.meet();
    const message = fingerprintOfNothing();
    for (let round = 1; round <= LIMITS.roundsPerPeerMinuteMax; round++)
      expect(reasons(driver.hear({ t: "reconcile", round, message }))).toEqual([]);
    const round = LIMITS.roundsPerPeerMinuteMax + 1;
    expect(reasons(driver.hear({ t: "reconcile", round, message }))).toEqual(["tooManyRounds"]);
  });

  it("for no answer, after a while", () => {
    const driver = new Driver(makeReplica({ id: "a" }));
    driver.meet("b");
    driver.hear(summaryOf(makeReplica(), driver.nowMs), "b");
    const effects = driver.pass(LIMITS.answerTimeoutMs + 1_000, () => driver.ping("b"));
    expect(reasons(effects)).toEqual(["answerOverdue"]);
  });

  it("but not for an answer to a round given up meanwhile", () => {
    const driver = new Driver();
    driver.meet();
    expect(driver.hear({ t: "reconciled", round: 99, message: Uint8Array.of(0xff) })).toEqual([]);
  });
});

describe("a peer that keeps a node waiting", () => {
  const met = () => {
    const driver = new Driver(makeReplica({ id: "a" }));
    driver.hold(...itemsOf(3));
    driver.meet("slow");
    driver.meet("other");
    expect(opened(driver.hear(summaryOf(makeReplica(), driver.nowMs), "slow"), "slow")).toHaveLength(1);
    return driver;
  };
  const ping = (driver: Driver) => () => {
    driver.ping("slow");
    driver.ping("other");
  };

  it("with its answer to a round delays the rounds with others by seconds", () => {
    const driver = met();
    driver.hear(summaryOf(makeReplica(), driver.nowMs), "other");
    expect(opened(driver.pass(4_000, ping(driver)), "other")).toEqual([]);
    const effects = driver.pass(2_000, ping(driver));
    expect(opened(effects, "other")).toHaveLength(1);
    expect(reasons(driver.pass(LIMITS.answerTimeoutMs, ping(driver)))).toEqual([
      "answerOverdue",
      "answerOverdue",
    ]);
  });

  it("with items that it has offered delays them by seconds, too", () => {
    const driver = met();
    const offer = (from: number) =>
      packDigests(
        Array.from({ length: LIMITS.digestsPerFrameMax }, (_, index) => digestText(`${from + index}`)),
      );
    for (let frame = 0; frame < 8; frame++)
      driver.hear({ t: "have", digests: offer(frame * LIMITS.digestsPerFrameMax) }, "slow");
    driver.hear({ t: "reconciled", round: 1, message: Uint8Array.of(VERSION) }, "slow");
    driver.hear(summaryOf(makeReplica(), driver.nowMs), "other");
    const found: number[] = [];
    for (let seconds = 1; seconds <= 8; seconds++) {
      const effects = driver.pass(1_000, ping(driver));
      if (opened(effects, "other").length > 0) found.push(seconds);
      // One digest of many, each second, and no item.
      driver.receive(1, [], "slow");
    }
    expect(found).toEqual([3]);
  });
});
