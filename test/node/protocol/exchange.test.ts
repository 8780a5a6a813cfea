import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeBatch } from "../../../src/node/protocol/batch.js";
import { packDigests, unpackDigests } from "../../../src/node/protocol/frames.js";
import { encodedLength, type Item } from "../../../src/node/protocol/item.js";
import { Desk, frames, itemOf, itemsOf, makeReplica, OPEN_POLICY, only } from "./replica-kit.js";

const have = (...items: Item[]) => ({ t: "have", digests: digestsOf(items) }) as const;
const want = (...items: Item[]) => ({ t: "want", digests: digestsOf(items) }) as const;
const digestsOf = (items: readonly Item[]) => packDigests(items.map(({ digest }) => digest));

/** What a node asks for, frame by frame. */
const asked = (effects: Parameters<typeof frames>[0], peer?: string) =>
  frames(effects, "want", peer).map(({ digests }) => unpackDigests(digests));
const reasons = (effects: Parameters<typeof frames>[0]) =>
  only(effects, "disconnect").map(({ reason }) => reason);

/** A node with a peer. */
function met(...options: Parameters<typeof makeReplica>): Desk {
  const desk = new Desk(makeReplica(...options));
  desk.meet();
  return desk;
}

describe("what a peer offers", () => {
  it("is asked for, unless it is held, pending or wanted already", () => {
    const desk = met();
    desk.meet("other");
    const [held, pending, wanted, unknown] = itemsOf(4);
    desk.hold(held!);
    desk.gossip(pending!);
    desk.hear(have(wanted!), "other");
    expect(asked(desk.hear(have(held!, pending!, wanted!, unknown!)))).toEqual([[unknown!.digest]]);
  });

  it("is asked for in frames of bounded length, a bounded number at a time", () => {
    const desk = met();
    const items = itemsOf(LIMITS.digestsPerFrameMax * (LIMITS.wantsInFlight + 2));
    const offers = Array.from({ length: LIMITS.wantsInFlight + 2 }, (_, index) =>
      have(...items.slice(index * LIMITS.digestsPerFrameMax, (index + 1) * LIMITS.digestsPerFrameMax)),
    );
    expect(offers.flatMap((offer) => asked(desk.hear(offer)))).toHaveLength(LIMITS.wantsInFlight);
    const first = items.slice(0, LIMITS.digestsPerFrameMax);
    expect(asked(desk.receive(first.length, first))).toEqual([
      items
        .slice(LIMITS.wantsInFlight * LIMITS.digestsPerFrameMax)
        .slice(0, LIMITS.digestsPerFrameMax)
        .map(({ digest }) => digest),
    ]);
  });

  it("beyond the bound of wants is left to a later round", () => {
    const desk = met();
    desk.replica.wants.add(
      "other",
      Array.from({ length: LIMITS.wantsMax }, (_, index) => index.toString(16).padStart(64, "0")),
    );
    expect(asked(desk.hear(have(itemOf("one too many"))))).toEqual([]);
    expect(desk.replica.wants.size).toBe(LIMITS.wantsMax);
  });

  it("is asked of another when the first is lost", () => {
    const desk = met();
    desk.meet("other");
    const item = itemOf("a");
    desk.hear(have(item));
    expect(asked(desk.hear(have(item), "other"), "other")).toEqual([]);
    const effects = desk.tell({ type: "peerDown", peer: "peer", reason: "cut" });
    expect(frames(effects, "reconcile", "other")).toHaveLength(1);
    expect(asked(desk.hear(have(item), "other"), "other")).toEqual([[item.digest]]);
  });
});

describe("an answer", () => {
  it("brings items that are held once they are durable", () => {
    const desk = met();
    const items = itemsOf(3);
    desk.hear(have(...items));
    const [commit] = only(desk.receive(3, items), "commit");
    expect(commit!.add).toEqual(items);
    const effects = desk.committed(commit!.commit);
    expect(desk.replica.holdings.size).toBe(3);
    expect(only(effects, "publish"), "what came by reconciliation is not gossiped").toEqual([]);
    expect(only(effects, "notify")[0]!.changes).toHaveLength(3);
  });

  it("may cover more than it carries: the rest is gone, and not asked for again", () => {
    const desk = met();
    const items = itemsOf(3);
    desk.hear(have(...items));
    const effects = desk.receive(3, items.slice(0, 1));
    expect(reasons(effects)).toEqual([]);
    expect(asked(effects)).toEqual([]);
    expect(desk.replica.wants.size).toBe(0);
  });

  it("may cover less than was asked for: the rest is asked for again", () => {
    const desk = met();
    const items = itemsOf(3);
    desk.hear(have(...items));
    expect(asked(desk.receive(1, items.slice(0, 1)))).toEqual([items.slice(1).map(({ digest }) => digest)]);
  });

  it("that came by gossip meanwhile changes nothing", () => {
    const desk = met();
    const item = itemOf("a");
    desk.hear(have(item));
    desk.hold(item);
    expect(desk.receive(1, [item])).toEqual([]);
  });

  const [a, b] = itemsOf(2);
  it.each<[string, number, readonly Item[]]>([
    ["covers nothing", 0, []],
    ["covers more than was asked for", 3, [a!]],
    ["has an item that is not covered", 1, [b!]],
    ["has an item that nobody wanted", 2, [itemOf("x")]],
    ["has an item twice", 2, [a!, a!]],
  ])("that %s costs the peer its connection", (_, served, items) => {
    const desk = met();
    desk.hear(have(a!, b!));
    expect(reasons(desk.receive(served, items))).toEqual(["unwantedItem"]);
    expect(desk.replica.wants.size).toBe(0);
  });

  it("to nothing costs the peer its connection", () => {
    expect(reasons(met().receive(1, [a!]))).toEqual(["unwantedItem"]);
  });

  it("with an invalid item costs the peer its connection, and nothing of it is taken", () => {
    const desk = met();
    desk.hear(have(a!, b!));
    const effects = desk.tell({ type: "itemsReceived", peer: "peer", served: 2, items: [a!], invalid: 1 });
    expect(reasons(effects)).toEqual(["invalidItem"]);
    expect(only(effects, "commit")).toEqual([]);
  });

  it("that does not come costs the peer its connection, but not its score", () => {
    const desk = met();
    desk.hear(have(a!));
    const alive = () => desk.hear({ t: "bye" });
    expect(reasons(desk.pass(LIMITS.answerTimeoutMs, alive))).toEqual([]);
    expect(reasons(desk.pass(1_000, alive))).toEqual(["answerOverdue"]);
  });
});

describe("a full node", () => {
  it("asks for nothing", () => {
    const desk = met({ itemsMax: 1 });
    desk.hold(itemOf("full"));
    expect(desk.hear(have(itemOf("a")))).toEqual([]);
  });

  it("takes the answers to what it asked for before, and asks for no more", () => {
    const desk = met({ itemsMax: 2 });
    const items = itemsOf(LIMITS.digestsPerFrameMax + 10);
    const head = items.slice(0, LIMITS.digestsPerFrameMax);
    const tail = items.slice(LIMITS.digestsPerFrameMax);
    desk.hear(have(...head));
    desk.hear(have(...tail));
    expect(reasons(desk.receive(5, head.slice(0, 5))), "the first answer fills it").toEqual([]);
    const effects = desk.receive(10, tail);
    expect(reasons(effects), "the second was under way").toEqual([]);
    expect(asked(effects)).toEqual([]);
    expect(desk.replica.wants.size).toBe(0);
  });

  it("does not fetch again and again what is just too large for the room that is left", () => {
    const [small, large] = [itemOf("s", "x"), itemOf("l", "x".repeat(1_000))];
    const desk = met({ itemBytesMax: encodedLength(small) + encodedLength(large) - 1, retentionMs: 60_000 });
    desk.hold(small);
    desk.hear(have(large));
    desk.receive(1, [large]);
    expect(desk.replica.isFull()).toBe(true);
    expect(asked(desk.hear(have(large)))).toEqual([]);
    desk.pass(60_000, () => desk.hear({ t: "bye" }));
    expect(desk.replica.isFull(), "what expires makes room").toBe(false);
  });
});

describe("a refusal by policy", () => {
  const policy = { text: "only b", accepts: ({ id }: Item) => id === "b" };

  it("is remembered: the item is not fetched again", () => {
    const desk = met({ policy });
    const [a, b] = [itemOf("a"), itemOf("b")];
    desk.hear(have(a, b));
    expect(only(desk.receive(2, [a, b]), "commit")[0]!.add).toEqual([b]);
    expect(desk.replica.figures.refused).toBe(1);
    expect(asked(desk.hear(have(a)))).toEqual([]);
  });

  it("is forgotten when the item would have expired", () => {
    const desk = met({ policy, retentionMs: 10_000 });
    const a = itemOf("a");
    desk.gossip(a);
    expect(desk.replica.knows(a.digest)).toBe(true);
    desk.pass(11_000);
    expect(desk.replica.knows(a.digest)).toBe(false);
  });

  it("does not touch what others accept", () => {
    expect(OPEN_POLICY.accepts()).toBe(true);
  });
});

describe("what a peer wants", () => {
  it("is given in its order, as far as it is held", () => {
    const desk = met();
    const [a, b, gone] = itemsOf(3);
    desk.hold(a!, b!);
    const [answer] = frames(desk.hear(want(b!, gone!, a!)), "items");
    expect(answer!.served).toBe(3);
    expect(decodeBatch(answer!.batch)).toEqual([b, a]);
  });

  it("is not given before it is durable", () => {
    const desk = met();
    const a = itemOf("a");
    desk.post(a);
    const [answer] = frames(desk.hear(want(a)), "items");
    expect([answer!.served, decodeBatch(answer!.batch)]).toEqual([1, []]);
  });

  it("is cut off where an answer gets too long, behind one item at least", () => {
    const desk = met();
    const large = [0, 1, 2].map((index) =>
      itemOf(`${index}`, "x".repeat(LIMITS.itemsPerAnswerBytes / 2 - 200)),
    );
    const huge = itemOf("huge", "x".repeat(LIMITS.itemsPerAnswerBytes * 2));
    desk.hold(...large, huge);
    expect(frames(desk.hear(want(...large)), "items")[0]!.served).toBe(2);
    expect(frames(desk.hear(want(huge, large[0]!)), "items")[0]!.served).toBe(1);
  });
});
