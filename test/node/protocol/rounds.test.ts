import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import type { Replica } from "../../../src/node/protocol/replica.js";
import { Lan } from "./lan.js";
import { Desk, frames, itemOf, itemsOf, makeReplica, only } from "./replica-kit.js";

const reasons = (effects: Parameters<typeof frames>[0]) =>
  only(effects, "disconnect").map(({ reason }) => reason);
const opened = (effects: ReturnType<Replica["handle"]>, peer?: string) => frames(effects, "reconcile", peer);

/** A replica of that name which holds some items, and says what it would say to us. */
function summaryOf(replica: Replica, nowMs: number) {
  const [summary] = frames(replica.handle({ type: "peerUp", peer: "peer", address: "" }, nowMs), "summary");
  return summary!;
}

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
      "the smaller id leads",
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

  it("are led by the one that is starting", () => {
    const desk = new Desk(makeReplica({ id: "z" }));
    desk.meet("a", { starting: false });
    expect(opened(desk.hear(summaryOf(makeReplica(), desk.nowMs), "a"), "a")).toHaveLength(1);
    const settled = new Desk(makeReplica({ id: "a" }));
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
    const desk = new Desk(makeReplica({ syncIntervalMs: 2_000 }));
    desk.meet("one");
    desk.meet("two");
    const answer = () => {
      for (const peer of ["one", "two"]) {
        desk.hear({ t: "ping", atMs: 1 }, peer);
        // An answer of nothing but the version: nothing differs.
        for (let round = 1; round < 40; round++)
          desk.hear({ t: "reconciled", round, message: Uint8Array.of(0x61) }, peer);
      }
    };
    const effects = desk.pass(60_000, answer);
    const rounds = ["one", "two"].map((peer) => opened(effects, peer).length);
    expect(rounds[0]! + rounds[1]!).toBeGreaterThan(20);
    expect(rounds[0]! + rounds[1]!).toBeLessThan(42);
    expect(Math.min(...rounds)).toBeGreaterThan(3);
  });

  it("what gossip lost is found when summaries differ, within seconds", () => {
    const lan = new Lan(2);
    lan.connect(0, 1);
    lan.settle();
    lan.post(1, itemOf("lost"));
    for (let second = 0; second < 5; second++) {
      while (lan.replicas[1]!.holdings.size === 0) lan.pending()[0]!();
      lan.loseGossip();
      lan.pass(1_000);
      lan.settle();
    }
    expect(lan.replicas[0]!.holdings.size).toBe(1);
  });

  it("peers that lose all gossip for minutes blame nobody for the many rounds they need", () => {
    const lan = new Lan(2);
    lan.connect(0, 1);
    lan.settle();
    for (let step = 0; step < 300; step++) {
      lan.post(1, itemOf(`${step}`, undefined, lan.nowMs));
      lan.loseGossip();
      lan.settle();
      lan.loseGossip();
      lan.pass(500);
      lan.settle();
    }
    expect(lan.disconnects).toEqual([]);
    lan.live(5_000);
    expect(lan.replicas[0]!.holdings.size).toBe(300);
  });

  it("a summary that begins to differ by policy is answered with one's own, so that both see it", () => {
    const desk = new Desk(makeReplica({ id: "a" }));
    desk.meet("b", { policy: "signed only" });
    const told = (replica: Replica) =>
      desk
        .hear(summaryOf(replica, desk.nowMs), "b")
        .filter((effect) => effect.type === "send" && effect.frame.t === "summary").length;
    const [same, other] = [makeReplica(), makeReplica()];
    other.load([itemOf("x", undefined, desk.nowMs - 60_000)]);
    expect([same, other, other, same, other].map(told)).toEqual([0, 1, 0, 0, 1]);
  });

  it("summaries that differ by policy lead to no round", () => {
    const desk = new Desk(makeReplica({ id: "a" }));
    desk.meet("b", { policy: "signed only" });
    const other = makeReplica();
    other.load([itemOf("x", undefined, desk.nowMs - 60_000)]);
    desk.hear(summaryOf(other, desk.nowMs), "b");
    desk.hear({ t: "reconciled", round: 1, message: Uint8Array.of(0x61) }, "b");
    desk.nowMs += 5_000;
    expect(opened(desk.hear(summaryOf(other, desk.nowMs), "b"), "b")).toEqual([]);
    desk.meet("c");
    desk.hear(summaryOf(other, desk.nowMs), "c");
    desk.hear({ t: "reconciled", round: 2, message: Uint8Array.of(0x61) }, "c");
    desk.nowMs += 5_000;
    expect(opened(desk.hear(summaryOf(other, desk.nowMs), "c"), "c"), "but of one policy").toHaveLength(1);
  });
});

describe("a peer that breaks the rules of rounds is cut off", () => {
  const fingerprintOfNothing = () => {
    const desk = new Desk(makeReplica({ id: "a" }));
    desk.meet("b");
    return opened(desk.hear(summaryOf(makeReplica(), desk.nowMs), "b"), "b")[0]!.message;
  };

  it("for a range that cannot be read", () => {
    const desk = new Desk();
    desk.meet();
    expect(reasons(desk.hear({ t: "reconcile", round: 1, message: Uint8Array.of(0x61, 0xff) }))).toEqual([
      "badRange",
    ]);
  });

  it("for an answer that cannot be read", () => {
    const desk = new Desk(makeReplica({ id: "a" }));
    desk.meet("b");
    const [first] = opened(desk.hear(summaryOf(makeReplica(), desk.nowMs), "b"), "b");
    const message = Uint8Array.of(0x61, 0xff);
    expect(reasons(desk.hear({ t: "reconciled", round: first!.round, message }, "b"))).toEqual(["badRange"]);
    expect(desk.replica.figures.roundsFailed).toBe(1);
  });

  it("for a round without an end", () => {
    const desk = new Desk();
    desk.meet();
    const message = fingerprintOfNothing();
    for (let count = 0; count < LIMITS.roundMessagesMax; count++)
      expect(reasons(desk.hear({ t: "reconcile", round: 1, message }))).toEqual([]);
    expect(reasons(desk.hear({ t: "reconcile", round: 1, message }))).toEqual(["endlessRound"]);
  });

  it("for too many rounds in a minute", () => {
    const desk = new Desk();
    desk.meet();
    const message = fingerprintOfNothing();
    for (let round = 1; round <= LIMITS.roundsPerPeerMinuteMax; round++)
      expect(reasons(desk.hear({ t: "reconcile", round, message }))).toEqual([]);
    const round = LIMITS.roundsPerPeerMinuteMax + 1;
    expect(reasons(desk.hear({ t: "reconcile", round, message }))).toEqual(["tooManyRounds"]);
  });

  it("for no answer, after a while", () => {
    const desk = new Desk(makeReplica({ id: "a" }));
    desk.meet("b");
    desk.hear(summaryOf(makeReplica(), desk.nowMs), "b");
    const effects = desk.pass(LIMITS.answerTimeoutMs + 1_000, () => desk.hear({ t: "ping", atMs: 1 }, "b"));
    expect(reasons(effects)).toEqual(["answerOverdue"]);
  });

  it("but not for an answer to a round given up meanwhile", () => {
    const desk = new Desk();
    desk.meet();
    expect(desk.hear({ t: "reconciled", round: 99, message: Uint8Array.of(0xff) })).toEqual([]);
  });
});
