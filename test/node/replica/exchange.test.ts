import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeBatch, encodedLength, type Item } from "../../../src/node/replica/item.js";
import { packDigests, unpackDigests } from "../../../src/node/replica/wire.js";
import { Driver, frames, itemOf, itemsOf, makeReplica, only, reasons } from "./replica-kit.js";

const have = (...items: Item[]) => ({ t: "have", digests: digestsOf(items) }) as const;
const want = (...items: Item[]) => ({ t: "want", digests: digestsOf(items) }) as const;
const digestsOf = (items: readonly Item[]) => packDigests(items.map(({ digest }) => digest));

/** The items that a node asks for, frame by frame. */
const asked = (effects: Parameters<typeof frames>[0], peer?: string) =>
  frames(effects, "want", peer).map(({ digests }) => unpackDigests(digests));

/** A node with a peer. */
function met(...options: Parameters<typeof makeReplica>): Driver {
  const driver = new Driver(makeReplica(...options));
  driver.meet();
  return driver;
}

describe("what a peer offers", () => {
  it("is asked for, unless it is held, pending or wanted already", () => {
    const driver = met();
    driver.meet("other");
    const [held, pending, wanted, unknown] = itemsOf(4);
    driver.hold(held!);
    driver.gossip([pending!]);
    driver.hear(have(wanted!), "other");
    expect(asked(driver.hear(have(held!, pending!, wanted!, unknown!)))).toEqual([[unknown!.digest]]);
  });

  it("is asked for in frames of bounded length, a bounded number at a time", () => {
    const driver = met();
    const items = itemsOf(LIMITS.digestsPerFrameMax);
    const lists = asked(driver.hear(have(...items)));
    expect(lists).toHaveLength(LIMITS.wantsInFlight);
    const first = items.slice(0, lists[0]!.length);
    const [next] = asked(driver.receive(first.length, first));
    expect([...lists.flat(), ...next!]).toEqual(
      items.slice(0, lists.flat().length + next!.length).map(({ digest }) => digest),
    );
  });

  it("beyond the bound of wants is left to a later round", () => {
    const driver = met();
    driver.replica.wants.add(
      "peer",
      Array.from({ length: LIMITS.wantsMax }, (_, index) => index.toString(16).padStart(64, "0")),
      driver.nowMs,
    );
    const more = itemOf("one too many");
    expect(asked(driver.hear(have(more))).flat()).not.toContain(more.digest);
    expect(driver.replica.wants.size).toBe(LIMITS.wantsMax);
  });

  it("is asked of another when the first is lost", () => {
    const driver = met();
    driver.meet("other");
    const item = itemOf("a");
    driver.hear(have(item));
    expect(asked(driver.hear(have(item), "other"), "other")).toEqual([]);
    const effects = driver.lose();
    expect(frames(effects, "reconcile", "other")).toHaveLength(1);
    expect(asked(driver.hear(have(item), "other"), "other")).toEqual([[item.digest]]);
  });
});

describe("an answer", () => {
  it("brings items that are held once they are durable", () => {
    const driver = met();
    const items = itemsOf(3);
    driver.hear(have(...items));
    const [commit] = only(driver.receive(3, items), "commit");
    expect(commit!.add).toEqual(items);
    const effects = driver.committed(commit!.commit);
    expect(driver.replica.holdings.size).toBe(3);
    expect(frames(effects, "batch"), "what came by reconciliation is not gossiped").toEqual([]);
    expect(only(effects, "notify")[0]!.changes).toHaveLength(3);
  });

  it("may cover more than it carries: the rest is gone, and not asked for again", () => {
    const driver = met();
    const items = itemsOf(3);
    driver.hear(have(...items));
    const effects = driver.receive(3, items.slice(0, 1));
    expect(reasons(effects)).toEqual([]);
    expect(asked(effects)).toEqual([]);
    expect(driver.replica.wants.size).toBe(0);
  });

  it("may cover less than was asked for: the rest is asked for again", () => {
    const driver = met();
    const items = itemsOf(3);
    driver.hear(have(...items));
    expect(asked(driver.receive(1, items.slice(0, 1)))).toEqual([items.slice(1).map(({ digest }) => digest)]);
  });

  it("that came by gossip meanwhile changes nothing", () => {
    const driver = met();
    const item = itemOf("a");
    driver.hear(have(item));
    driver.hold(item);
    expect(driver.receive(1, [item])).toEqual([]);
  });

  const [a, b] = itemsOf(2);
  it.each<[string, number, readonly Item[]]>([
    ["covers nothing", 0, []],
    ["covers more than was asked for", 3, [a!]],
    ["has an item that is not covered", 1, [b!]],
    ["has an item that nobody wanted", 2, [itemOf("x")]],
    ["has an item twice", 2, [a!, a!]],
  ])("that %s costs the peer its connection", (_, served, items) => {
    const driver = met();
    driver.hear(have(a!, b!));
    expect(reasons(driver.receive(served, items))).toEqual(["unwantedItem"]);
    expect(driver.replica.wants.size).toBe(0);
  });

  it("to nothing costs the peer its connection", () => {
    expect(reasons(met().receive(1, [a!]))).toEqual(["unwantedItem"]);
  });

  it("with an invalid item costs the peer its connection, and nothing of it is taken", () => {
    const driver = met();
    driver.hear(have(a!, b!));
    const effects = driver.receive(2, [a!], "peer", 1);
    expect(reasons(effects)).toEqual(["invalidItem"]);
    expect(only(effects, "commit")).toEqual([]);
  });

  it("that does not come costs the peer its connection", () => {
    const driver = met();
    driver.hear(have(a!));
    const alive = () => driver.ping();
    expect(reasons(driver.pass(LIMITS.answerTimeoutMs, alive))).toEqual([]);
    expect(reasons(driver.pass(1_000, alive))).toEqual(["answerOverdue"]);
  });

  it.each<[string, (driver: Driver) => void, number]>([
    ["this node is woken late", () => {}, 1_000],
    [
      "the peer is slow with its answers to pings",
      (driver) => driver.hear({ t: "pong", atMs: driver.nowMs - 2_000, nowMs: driver.nowMs }),
      0,
    ],
  ])("that does not come in time is waited for while %s, but not for ever", (_, hears, lateMs) => {
    const driver = met();
    driver.hear(have(a!));
    const ended: [atMs: number, reason: string][] = [];
    for (const startMs = driver.nowMs; driver.nowMs < startMs + 100_000; driver.nowMs += 250 + lateMs) {
      driver.ping();
      hears(driver);
      for (const reason of reasons(driver.tell({ type: "woke" })))
        ended.push([driver.nowMs - startMs, reason]);
    }
    expect(ended.map(([, reason]) => reason)).toEqual(["answerOverdue"]);
    expect(ended[0]![0]).toBeGreaterThan(30_000);
    expect(ended[0]![0]).toBeLessThan(50_000);
  });
});

describe("a full node", () => {
  it("asks for nothing", () => {
    const driver = met({ itemsMax: 1 });
    driver.hold(itemOf("full"));
    expect(driver.hear(have(itemOf("a")))).toEqual([]);
  });

  it("takes the answers to what it asked for before, and asks for no more", () => {
    const driver = met({ itemsMax: 2 });
    const items = itemsOf(20);
    const head = items.slice(0, 10);
    const tail = items.slice(10);
    driver.hear(have(...head));
    driver.hear(have(...tail));
    expect(reasons(driver.receive(5, head.slice(0, 5))), "the first answer fills it").toEqual([]);
    const effects = driver.receive(10, tail);
    expect(reasons(effects), "the second was under way").toEqual([]);
    expect(asked(effects)).toEqual([]);
    expect(driver.replica.wants.size).toBe(0);
  });

  it("does not fetch again and again what is just too large for the room that is left", () => {
    const [small, large] = [itemOf("s", "x"), itemOf("l", "x".repeat(1_000))];
    const driver = met({
      itemBytesMax: encodedLength(small) + encodedLength(large) - 1,
      retentionMs: 60_000,
    });
    driver.hold(small);
    driver.hear(have(large));
    driver.receive(1, [large]);
    expect(driver.replica.isFull()).toBe(true);
    expect(asked(driver.hear(have(large)))).toEqual([]);
    driver.pass(60_000, () => driver.ping());
    expect(driver.replica.isFull(), "what expires makes room").toBe(false);
  });
});

describe("a refusal for its time", () => {
  it("of an item stamped ahead lasts until it may be taken", () => {
    const driver = met();
    const ahead = itemOf("a", undefined, driver.nowMs + LIMITS.clockSkewMsMax + 60_000);
    driver.hear(have(ahead));
    driver.receive(1, [ahead]);
    expect(driver.replica.figures.refused).toBe(1);
    driver.nowMs += 59_999;
    expect(asked(driver.hear(have(ahead)))).toEqual([]);
    driver.nowMs += 1;
    expect(asked(driver.hear(have(ahead)))).toEqual([[ahead.digest]]);
    expect(only(driver.receive(1, [ahead]), "commit")).toMatchObject([{ add: [{ id: "a" }] }]);
  });

  it("of an expired item lasts while peers may hold it, and ends when the clock is set back", () => {
    const driver = met({ retentionMs: 60_000 });
    const expired = itemOf("a", undefined, driver.nowMs - 60_000);
    driver.hear(have(expired));
    driver.receive(1, [expired]);
    expect(asked(driver.hear(have(expired)))).toEqual([]);
    driver.tell({ type: "woke", wallMs: driver.nowMs - 1_000 });
    expect(asked(driver.hear(have(expired)))).toEqual([[expired.digest]]);
    expect(only(driver.receive(1, [expired]), "commit")).toMatchObject([{ add: [{ id: "a" }] }]);
  });
});

describe("a refusal by policy", () => {
  const policy = {
    text: "only b",
    refusalOf: ({ id }: Item) => (id === "b" ? undefined : ("refusedByPolicy" as const)),
  };

  it("is remembered: the item is not fetched again", () => {
    const driver = met({ policy });
    const [a, b] = [itemOf("a"), itemOf("b")];
    driver.hear(have(a, b));
    expect(only(driver.receive(2, [a, b]), "commit")[0]!.add).toEqual([b]);
    expect(driver.replica.figures.refused).toBe(1);
    expect(asked(driver.hear(have(a)))).toEqual([]);
  });

  it("is forgotten when the item would have expired", () => {
    const driver = met({ policy, retentionMs: 10_000 });
    const a = itemOf("a");
    driver.gossip([a]);
    expect(driver.replica.knows(a.digest)).toBe(true);
    driver.pass(11_000);
    expect(driver.replica.knows(a.digest)).toBe(false);
  });
});

describe("what a peer wants", () => {
  it("is given in its order, as far as it is held", () => {
    const driver = met();
    const [a, b, gone] = itemsOf(3);
    driver.hold(a!, b!);
    const [answer] = frames(driver.hear(want(b!, gone!, a!)), "items");
    expect(answer!.served).toBe(3);
    expect(decodeBatch(answer!.batch)).toEqual([b, a]);
  });

  it("is not given before it is durable", () => {
    const driver = met();
    const a = itemOf("a");
    driver.post(a);
    const [answer] = frames(driver.hear(want(a)), "items");
    expect([answer!.served, decodeBatch(answer!.batch)]).toEqual([1, []]);
  });

  it("is cut off where an answer gets too long, behind one item at least", () => {
    const driver = met();
    const large = [0, 1, 2].map((index) =>
      itemOf(`${index}`, "x".repeat(LIMITS.itemsPerAnswerBytes / 2 - 200)),
    );
    const huge = itemOf("huge", "x".repeat(LIMITS.itemsPerAnswerBytes * 2));
    driver.hold(...large, huge);
    expect(frames(driver.hear(want(...large)), "items")[0]!.served).toBe(2);
    expect(frames(driver.hear(want(huge, large[0]!)), "items")[0]!.served).toBe(1);
  });
});
