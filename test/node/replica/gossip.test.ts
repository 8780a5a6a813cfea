import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { decodeBatch, encodeBatch, encodedLength, type Item } from "../../../src/node/replica/item.js";
import { memberHash } from "../../../src/node/replica/member.js";
import { type BatchFrame, batchFrame, encodeQuestion, payloadOf } from "../../../src/node/replica/wire.js";
import {
  Driver,
  frames,
  itemOf,
  itemsOf,
  linkOf,
  makeReplica,
  NOW,
  only,
  reasons,
  recordOf,
} from "./replica-kit.js";

type Effects = Parameters<typeof frames>[0];

/** Ids of a few batches, as announcements carry them. */
const idsOf = (...batches: BatchFrame[]) => Buffer.from(batches.map(({ id }) => id).join(""), "hex");
const batchOf = (...items: Item[]) => batchFrame("items", encodeBatch(items));
/** Frames that bring items to a peer. */
const pushed = (effects: Effects, peer: string) =>
  frames(effects, "batch", peer).filter(({ kind }) => kind === "items");
const announced = (effects: Effects, peer: string) =>
  frames(effects, "announce", peer).flatMap(
    ({ ids }) => Buffer.from(ids).toString("hex").match(/.{32}/g) ?? [],
  );

/** A node that has links with these peers, in a cluster so large that nobody knows the whole tree: it is learned. */
function linked(...peers: string[]): Driver {
  const driver = new Driver(makeReplica({ rosterMembersMax: 8 }));
  for (const peer of peers) driver.meet(peer);
  driver.records(
    Array.from({ length: 100 }, (_, index) => recordOf(`far ${index}`)),
    peers[0]!,
  );
  publishOwn(driver, peers);
  return driver;
}

/** A node in a cluster of nobody but these peers, all of whom it has links with. */
function meshed(peers: readonly string[], driver = new Driver()): Driver {
  for (const peer of peers) driver.meet(peer);
  publishOwn(driver, peers);
  return driver;
}

/** A node whose peers "a", "b" and "c" are linked with each other: not all of its links are in the tree. */
function chained(): Driver {
  const peers = ["a", "b", "c"];
  // Not the root of the tree, which is the member with the smallest hash.
  const self = Array.from({ length: 20 }, (_, index) => `me ${index}`).find((id) =>
    peers.some((peer) => memberHash(peer) < memberHash(id)),
  )!;
  const driver = new Driver(makeReplica({ id: self }));
  for (const peer of peers) driver.meet(peer);
  const linksOf = (id: string) => new Set([self, ...peers].filter((each) => each !== id).map(memberHash));
  const fields = { incarnation: NOW + 1 };
  driver.records(
    peers.map((id) => recordOf(id, { ...fields, links: linksOf(id) })),
    "a",
  );
  publishOwn(driver, peers);
  return driver;
}

/** Lets a node say that its links have changed, so that it gossips nothing more by itself. */
function publishOwn(driver: Driver, peers: readonly string[]): void {
  driver.pass(300, () => peers.map((peer) => driver.ping(peer)));
}

/** Posts an item and makes it durable. @returns what that leads to */
function posted(driver: Driver, ...items: Item[]): Effects {
  return driver.committed(only(driver.post(...items), "commit")[0]!.commit);
}

/** A peer gossips items, and they become durable here. */
function received(driver: Driver, items: readonly Item[], peer: string): Effects {
  const effects = driver.gossip(items, peer);
  return [...effects, ...only(effects, "commit").flatMap(({ commit }) => driver.committed(commit))];
}

/** A second copy of a batch by a link makes it lazy. */
function makeLazy(driver: Driver, peer: string): void {
  driver.hear({ t: "prune" }, peer);
}

describe("a batch of this node's own", () => {
  it("is pushed on every link that is eager, as links are from the start", () => {
    const driver = linked("a", "b");
    const item = itemOf("x");
    const effects = posted(driver, item);
    for (const peer of ["a", "b"])
      expect(
        pushed(effects, peer)
          .map(payloadOf)
          .map((bytes) => decodeBatch(bytes)),
      ).toEqual([[item]]);
  });

  it("is only announced on links that are not, a moment later and together with others", () => {
    const driver = linked("a", "b");
    makeLazy(driver, "b");
    const batches = [];
    for (const item of itemsOf(3)) {
      const effects = posted(driver, item);
      batches.push(...pushed(effects, "a"));
      expect([pushed(effects, "b"), announced(effects, "b")]).toEqual([[], []]);
      driver.nowMs += LIMITS.batchDelayMs;
    }
    const effects = driver.pass(300);
    expect(announced(effects, "b")).toEqual(batches.map(({ id }) => id));
    expect(frames(effects, "announce", "b")).toHaveLength(1);
    expect(announced(effects, "a")).toEqual([]);
  });

  it("is pushed to all where all members are linked with each other", () => {
    const driver = meshed(["a", "b"]);
    makeLazy(driver, "b");
    expect(pushed(posted(driver, itemOf("x")), "b")).toHaveLength(1);
  });

  it("is announced where much waits to be sent already, also in a full mesh", () => {
    const driver = meshed(["a", "b"]);
    driver.tell({ type: "queued", link: linkOf("b"), isLong: true });
    const effects = posted(driver, itemOf("x"));
    const [batch] = pushed(effects, "a");
    expect(pushed(effects, "b")).toEqual([]);
    expect(announced(driver.pass(300), "b")).toEqual([batch!.id]);
    driver.tell({ type: "queued", link: linkOf("b"), isLong: false });
    expect(pushed(posted(driver, itemOf("y")), "b")).toHaveLength(1);
  });

  it("goes to nobody who keeps items for another time, not even as an announcement", () => {
    const driver = new Driver();
    driver.meet("a");
    driver.meet("b", {}, { retentionMs: 1_000 });
    const effects = [...posted(driver, itemOf("x")), ...driver.pass(300)];
    expect([pushed(effects, "a").length, pushed(effects, "b"), announced(effects, "b")]).toEqual([1, [], []]);
  });
});

describe("items that are posted", () => {
  it("go out at once when the node was idle", () => {
    const driver = linked("a");
    expect(pushed(posted(driver, itemOf("x")), "a")).toHaveLength(1);
    driver.nowMs += LIMITS.batchDelayMs;
    expect(pushed(posted(driver, itemOf("y")), "a")).toHaveLength(1);
  });

  it("are gathered for 2 ms under load, in order", () => {
    const driver = linked("a");
    const [first, ...rest] = itemsOf(4);
    expect(pushed(posted(driver, first!), "a")).toHaveLength(1);
    for (const item of rest) expect(pushed(posted(driver, item), "a")).toEqual([]);
    expect(driver.replica.wakeAtMs).toBe(driver.nowMs + 2);
    const batches = pushed(driver.pass(2), "a");
    expect(batches.map(payloadOf).map((bytes) => decodeBatch(bytes))).toEqual([rest]);
  });

  it("fill no batch over 64 KiB, but for one that is larger alone", () => {
    const driver = linked("a");
    const raw = "x".repeat(10_000);
    const items = Array.from({ length: 20 }, (_, index) => itemOf(`${index}`, `${index} ${raw}`));
    const large = itemOf("large", "x".repeat(200_000));
    const effects = posted(driver, ...items, large);
    const batches = [...pushed(effects, "a"), ...pushed(driver.pass(10), "a")]
      .map(payloadOf)
      .map((bytes) => decodeBatch(bytes));
    expect(batches.flat().map(({ id }) => id)).toEqual([...items, large].map(({ id }) => id));
    const sizes = batches.map((batch) => batch.reduce((sum, item) => sum + encodedLength(item), 0));
    expect(sizes.at(-1)).toBe(encodedLength(large));
    for (const size of sizes.slice(0, -1)) expect(size).toBeLessThanOrEqual(65_536);
    expect(batches).toHaveLength(5);
  });

  it("make no batch when nobody would hear it", () => {
    const driver = new Driver();
    posted(driver, itemOf("x"));
    expect(driver.replica.gossipFigures).toMatchObject({ batchesSent: 0, itemsSent: 0 });
  });

  it("that still wait go out when the node stops, before its goodbye", () => {
    const driver = linked("a");
    posted(driver, itemOf("x"));
    posted(driver, itemOf("y"));
    const sent = only(driver.tell({ type: "stopped" }), "send").filter(({ link }) => link === linkOf("a"));
    expect(sent.map(({ frame }) => frame.t)).toEqual(["batch", "records"]);
  });
});

describe("a batch that comes", () => {
  it("is verified once, however often it comes", () => {
    const driver = linked("a", "b");
    const frame = batchOf(itemOf("x"));
    const before = { ...driver.replica.gossipFigures };
    expect(only(driver.hear(frame, "a"), "verify")).toMatchObject([{ frame: { id: frame.id } }]);
    expect(only(driver.hear(frame, "b"), "verify")).toEqual([]);
    expect(driver.replica.gossipFigures).toMatchObject({
      batchesReceived: before.batchesReceived + 1,
      copiesReceived: before.copiesReceived + 2,
    });
  });

  it("is passed on as it came, to all but its sender, and only once it is durable", () => {
    const driver = linked("a", "b", "c");
    makeLazy(driver, "c");
    const items = itemsOf(3);
    const effects = driver.gossip(items, "a");
    expect([pushed(effects, "b"), announced(driver.pass(300), "c")]).toEqual([[], []]);
    const after = driver.committed(only(effects, "commit")[0]!.commit);
    const [passedOn] = pushed(after, "b");
    expect(Buffer.from(passedOn!.bytes)).toEqual(Buffer.from(batchOf(...items).bytes));
    expect(pushed(after, "a")).toEqual([]);
    expect(announced(driver.pass(300), "c")).toEqual([passedOn!.id]);
  });

  it("waits for items of it that are on their way to the disk already", () => {
    const driver = linked("a", "b");
    const item = itemOf("x");
    const { commit } = only(driver.post(item), "commit")[0]!;
    expect(pushed(driver.gossip([item], "a"), "b")).toEqual([]);
    expect(pushed(driver.committed(commit), "b").map(({ id }) => id)).toContain(batchOf(item).id);
  });

  it("is passed on where the policy keeps nothing of it", () => {
    const policy = { text: "nothing", refusalOf: () => "refusedByPolicy" as const };
    const driver = meshed(["a", "b"], new Driver(makeReplica({ policy })));
    const effects = driver.gossip([itemOf("x")], "a");
    expect(only(effects, "commit")).toEqual([]);
    expect(pushed(effects, "b")).toHaveLength(1);
  });

  it("is passed on where there is no room for it", () => {
    const driver = meshed(["a", "b"], new Driver(makeReplica({ itemsMax: 1 })));
    driver.hold(itemOf("full"));
    expect(pushed(driver.gossip([itemOf("x")], "a"), "b")).toHaveLength(1);
  });

  it("is passed on when its commit failed here", () => {
    const driver = linked("a", "b");
    const { commit } = only(driver.gossip([itemOf("x")], "a"), "commit")[0]!;
    expect(pushed(driver.tell({ type: "commitFailed", commit }), "b")).toHaveLength(1);
  });

  it.each([
    ["young, is passed on: others may lack it", 9_000, 1],
    ["older than 10 s, is not", 11_000, 0],
  ])("all of which is held already, %s", (_, ageMs, count) => {
    const driver = linked("a", "b");
    const item = itemOf("x", undefined, NOW - ageMs);
    driver.hold(item);
    expect(pushed(driver.gossip([item], "a"), "b")).toHaveLength(count);
  });

  it("that breaks a rule goes no further, and costs its sender the link", () => {
    const driver = linked("a", "b");
    const frame = batchOf(itemOf("x"));
    driver.hear(frame, "a");
    const effects = driver.tell({ type: "batchRejected", batch: frame.id, overloaded: false });
    expect(reasons(effects)).toEqual(["invalidItem"]);
    expect(frames(effects, "batch", "b").filter(({ id }) => id === frame.id)).toEqual([]);
    expect(driver.replica.admits("a", driver.nowMs), "it is punished").toBe(false);
  });

  it("that nobody looked at, because too much waits, costs nobody anything", () => {
    const driver = linked("a", "b");
    const frame = batchOf(itemOf("x"));
    driver.hear(frame, "a");
    expect(driver.tell({ type: "batchRejected", batch: frame.id, overloaded: true })).toEqual([]);
  });
});

describe("the tree", () => {
  it("that cannot be computed prunes no link: batches that come by other ways would miss it", () => {
    const driver = linked("a", "b");
    received(driver, [itemOf("x")], "a");
    expect(frames(driver.hear(batchOf(itemOf("x")), "b"), "prune", "b")).toEqual([]);
    expect(pushed(received(driver, [itemOf("z")], "b"), "a")).toHaveLength(1);
  });

  it("that is computed from the links of all keeps its links, and has no others", () => {
    const driver = chained();
    const effects = driver.gossip([itemOf("x")], "b");
    const after = driver.committed(only(effects, "commit")[0]!.commit);
    const inTree = ["a", "b", "c"].filter((peer) => driver.replica.links.with(peer)!.isInTree);
    expect(inTree.length).toBeLessThan(3);
    for (const peer of ["a", "c"]) expect(pushed(after, peer)).toHaveLength(inTree.includes(peer) ? 1 : 0);
    for (const peer of inTree) makeLazy(driver, peer);
    const next = received(driver, [itemOf("y")], "b");
    for (const peer of ["a", "c"]) expect(pushed(next, peer)).toHaveLength(inTree.includes(peer) ? 1 : 0);
  });

  it("gets a link back on which a batch is asked for", () => {
    const driver = linked("a", "b");
    makeLazy(driver, "b");
    const [batch] = pushed(posted(driver, itemOf("x")), "a");
    expect(pushed(driver.hear({ t: "graft", id: idsOf(batch!) }, "b"), "b")).toHaveLength(1);
    driver.nowMs += 10;
    expect(pushed(posted(driver, itemOf("y")), "b")).toHaveLength(1);
  });
});

describe("a batch that was announced", () => {
  const missed = batchOf(itemOf("missed"));

  it("is not asked for when it comes soon", () => {
    const driver = linked("a", "b");
    driver.hear({ t: "announce", ids: idsOf(missed) }, "b");
    driver.pass(100);
    driver.hear(missed, "a");
    expect(frames(driver.pass(2_000), "graft", "b")).toEqual([]);
  });

  it("and stays away is asked for after the repair delay", () => {
    const driver = linked("a", "b");
    driver.hear({ t: "announce", ids: idsOf(missed) }, "b");
    expect(frames(driver.pass(149), "graft", "b")).toEqual([]);
    expect(frames(driver.pass(1), "graft", "b")).toEqual([{ t: "graft", id: idsOf(missed) }]);
    expect(driver.replica.gossipFigures.repairs).toBe(1);
  });

  it("is asked for later where commits take long", () => {
    const driver = linked("a", "b");
    for (let index = 0; index < 50; index++) {
      const effects = driver.gossip([itemOf(`${index}`)], "a");
      driver.nowMs += 100;
      driver.ping("a");
      driver.ping("b");
      driver.committed(only(effects, "commit")[0]!.commit);
    }
    driver.hear({ t: "announce", ids: idsOf(missed) }, "b");
    expect(frames(driver.pass(350), "graft", "b")).toEqual([]);
    expect(frames(driver.pass(60), "graft", "b")).toHaveLength(1);
  });

  it("is asked for later where batches come long after their announcement", () => {
    const driver = linked("a", "b");
    for (let index = 0; index < 50; index++) {
      const batch = batchOf(itemOf(`${index}`));
      driver.hear({ t: "announce", ids: idsOf(batch) }, "b");
      driver.pass(100, () => ["a", "b"].map((peer) => driver.ping(peer)));
      driver.hear(batch, "a");
    }
    driver.hear({ t: "announce", ids: idsOf(missed) }, "b");
    expect(frames(driver.pass(290), "graft", "b")).toEqual([]);
    expect(frames(driver.pass(20), "graft", "b")).toHaveLength(1);
  });

  it("is asked of the next who announced it when the first cannot give it", () => {
    const driver = linked("a", "b", "c");
    for (const peer of ["a", "b", "c"]) driver.hear({ t: "announce", ids: idsOf(missed) }, peer);
    expect(frames(driver.pass(150), "graft", "a")).toHaveLength(1);
    const effects = driver.hear({ t: "gone", id: idsOf(missed) }, "a");
    expect([frames(effects, "graft", "b").length, frames(effects, "graft", "c").length]).toEqual([1, 0]);
    expect(frames(driver.hear({ t: "gone", id: idsOf(missed) }, "b"), "graft", "c")).toHaveLength(1);
    expect(driver.hear({ t: "gone", id: idsOf(missed) }, "c"), "then reconciliation brings it").toEqual([]);
  });

  it("is asked of each who announced it once, however often it did", () => {
    const driver = linked("a", "b");
    for (let times = 0; times < 3; times++) driver.hear({ t: "announce", ids: idsOf(missed, missed) }, "a");
    expect(frames(driver.pass(150), "graft", "a")).toHaveLength(1);
    expect(driver.hear({ t: "gone", id: idsOf(missed) }, "a")).toEqual([]);
  });

  it("is asked of the next, too, when the first does not answer, and of nobody whose link is gone", () => {
    const driver = linked("a", "b", "c");
    for (const peer of ["a", "b", "c"]) driver.hear({ t: "announce", ids: idsOf(missed) }, peer);
    driver.lose("b");
    expect(frames(driver.pass(150), "graft", "a")).toHaveLength(1);
    expect(frames(driver.pass(150), "graft", "c")).toHaveLength(1);
  });
});

describe("a batch that is asked for", () => {
  const graft = (driver: Driver, batch: BatchFrame, peer: string) =>
    driver.hear({ t: "graft", id: idsOf(batch) }, peer);

  it("is made again of what is held, byte for byte", () => {
    const driver = linked("a", "b");
    const items = itemsOf(5);
    const [own] = pushed(posted(driver, ...items), "a");
    received(
      driver,
      items.map(({ id }) => itemOf(`other ${id}`)),
      "a",
    );
    const foreign = batchOf(...items.map(({ id }) => itemOf(`other ${id}`)));
    for (const batch of [own!, foreign]) {
      const [again] = pushed(graft(driver, batch, "b"), "b");
      expect(again!.id).toBe(batch.id);
      expect(Buffer.from(again!.bytes)).toEqual(Buffer.from(batch.bytes));
    }
  });

  it("is given to a peer once, at the price of its bytes", () => {
    const driver = linked("a", "b");
    const items = Array.from({ length: 20 }, (_, index) => itemOf(`large ${index}`, "x".repeat(1_000_000)));
    for (const item of items) {
      received(driver, [item], "a");
      const batch = batchOf(item);
      expect(pushed(graft(driver, batch, "b"), "b")).toHaveLength(1);
      const again = graft(driver, batch, "b");
      expect([pushed(again, "b").length, frames(again, "gone", "b").length]).toEqual([0, 1]);
    }
    expect(driver.replica.links.with("b")!.budget.isHeldUp).toBe(true);
  });

  it("is gone when an item of it has expired", () => {
    const driver = meshed(["a", "b"], new Driver(makeReplica({ retentionMs: 10_000 })));
    const items = [itemOf("x", undefined, NOW - 9_000), itemOf("y")];
    const [batch] = pushed(posted(driver, ...items), "a");
    driver.pass(1_000);
    expect(graft(driver, batch!, "b")).toEqual([
      { type: "send", link: linkOf("b"), frame: { t: "gone", id: idsOf(batch!) } },
    ]);
  });

  it("is gone when it was never here, or where much waits to be sent already", () => {
    const driver = linked("a", "b");
    expect(frames(graft(driver, batchOf(itemOf("x")), "b"), "gone", "b")).toHaveLength(1);
    const [batch] = pushed(posted(driver, itemOf("y")), "a");
    driver.tell({ type: "queued", link: linkOf("b"), isLong: true });
    expect(frames(graft(driver, batch!, "b"), "gone", "b")).toHaveLength(1);
  });

  it("is gone when it was not verified: nothing is kept for it", () => {
    const driver = linked("a", "b");
    const frame = batchFrame("question", Buffer.alloc(LIMITS.peerFrameBytesMax / 2));
    driver.hear(frame, "a");
    driver.tell({ type: "batchRejected", batch: frame.id, overloaded: false });
    expect(frames(graft(driver, frame, "b"), "gone", "b")).toHaveLength(1);
  });

  it("is gone when too much came since: batches are kept by their bytes", () => {
    const driver = linked("a", "b");
    const [first] = pushed(posted(driver, itemOf("x")), "a");
    const digests = Buffer.alloc(32 * LIMITS.digestsPerFrameMax);
    const pose = (number: number) => {
      const question = { t: "held", asker: "a", number, digests } as const;
      const frame = batchFrame("question", encodeQuestion(question));
      driver.hear(frame, "a");
      driver.tell({ type: "batchVerified", batch: frame.id, content: { kind: "question", question } });
      return frame;
    };
    const count = Math.ceil(LIMITS.batchContentsBytesMax / digests.length);
    const [second, ...others] = Array.from({ length: count }, (_, number) => pose(number));
    expect(frames(graft(driver, first!, "b"), "gone", "b")).toHaveLength(1);
    expect(frames(graft(driver, second!, "b"), "gone", "b")).toHaveLength(1);
    for (const frame of others)
      expect(frames(graft(driver, frame, "b"), "batch", "b").map(({ id }) => id)).toEqual([frame.id]);
  });

  it("keeps of what was read with a question the question alone", () => {
    const driver = linked("a", "b");
    const question = { t: "held", asker: "a", number: 1, digests: Buffer.alloc(32) } as const;
    const { id, kind, bytes } = batchFrame("question", encodeQuestion(question));
    const read = Buffer.concat([bytes, Buffer.alloc(65_536)]);
    driver.hear({ t: "batch", id, kind, bytes: read.subarray(0, bytes.length) }, "a");
    driver.tell({ type: "batchVerified", batch: id, content: { kind: "question", question } });
    const [again] = frames(graft(driver, { t: "batch", id, kind, bytes }, "b"), "batch", "b");
    expect(Buffer.from(again!.bytes)).toEqual(Buffer.from(bytes));
    expect(again!.bytes.buffer.byteLength).toBe(bytes.length);
  });

  it("is gone after 30 s: a quiet node does not keep what nobody asks for", () => {
    const driver = linked("a", "b");
    const [batch] = pushed(posted(driver, itemOf("x")), "a");
    driver.lose("b");
    driver.pass(29_000);
    driver.meet("b");
    expect(frames(graft(driver, batch!, "b"), "batch", "b")).toHaveLength(1);
    driver.pass(3_000);
    expect(frames(graft(driver, batch!, "b"), "gone", "b")).toHaveLength(1);
  });

  it("counts once however often it comes", () => {
    const driver = linked("a", "b");
    const [kept] = pushed(posted(driver, itemOf("x")), "a");
    const large = batchFrame("question", Buffer.alloc(LIMITS.batchContentsBytesMax / 8));
    const question = { t: "held", asker: "a", number: 1, digests: Buffer.alloc(32) } as const;
    for (let round = 0; round < 9; round++) {
      driver.hear(large, "a");
      driver.tell({ type: "batchVerified", batch: large.id, content: { kind: "question", question } });
      // Its id is forgotten.
      for (let n = 0; n < LIMITS.batchesSeenMax; n++) {
        const other = batchFrame("question", Buffer.from(`${round} ${n}`));
        driver.hear(other, "a");
        driver.tell({ type: "batchRejected", batch: other.id, overloaded: true });
      }
    }
    expect(frames(graft(driver, kept!, "b"), "batch", "b").map(({ id }) => id)).toEqual([kept!.id]);
  });

  it("and is still on its way to the disk comes when it is durable", () => {
    const driver = linked("a", "b");
    makeLazy(driver, "b");
    const effects = driver.gossip([itemOf("x")], "a");
    expect(graft(driver, batchOf(itemOf("x")), "b")).toEqual([]);
    expect(pushed(driver.committed(only(effects, "commit")[0]!.commit), "b")).toHaveLength(1);
  });
});
