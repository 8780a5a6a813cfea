import { describe, expect, it } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { LinkBudget } from "../../../src/node/replica/links.js";
import { packDigests } from "../../../src/node/replica/wire.js";
import { Driver, itemsOf, linkOf, makeReplica, NOW, only, reasons, recordOf } from "./replica-kit.js";

describe("the budget of a link", () => {
  it("allows a burst, and then so much a second", () => {
    const budget = new LinkBudget(NOW);
    expect(budget.charge(LIMITS.linkWorkBurst, NOW)).toBe(false);
    expect(budget.charge(1, NOW)).toBe(true);
    expect(budget.charge(LIMITS.linkWorkPerSecond - 1, NOW + 1_000)).toBe(false);
    expect(budget.charge(1, NOW + 1_000)).toBe(true);
  });

  it("counts frames besides their bytes", () => {
    const budget = new LinkBudget(NOW);
    for (let frame = 0; frame < LIMITS.linkFramesBurst; frame++) expect(budget.charge(0, NOW)).toBe(false);
    expect(budget.charge(0, NOW)).toBe(true);
    expect(budget.freeAtMs).toBeGreaterThan(NOW);
  });

  it("saves no more than a burst, however long a link is quiet", () => {
    const budget = new LinkBudget(NOW);
    expect(budget.charge(0, NOW + 3_600_000)).toBe(false);
    expect(budget.charge(LIMITS.linkWorkBurst + 1, NOW + 3_600_000)).toBe(true);
  });

  it("says when a link that is over it has earned its way back", () => {
    const budget = new LinkBudget(NOW);
    budget.charge(LIMITS.linkWorkBurst + LIMITS.linkWorkPerSecond, NOW);
    expect(budget.freeAtMs).toBe(NOW + 1_000);
  });

  it("feels pressure while the link is held, and forgets it half as fast", () => {
    const budget = new LinkBudget(NOW);
    budget.isHeldUp = true;
    budget.elapse(LIMITS.linkPatienceMs);
    expect(budget.isPressing).toBe(false);
    budget.elapse(1);
    expect(budget.isPressing).toBe(true);
    budget.isHeldUp = false;
    budget.elapse(2);
    expect(budget.isPressing).toBe(false);
  });

  it("gains nothing from a clock that is set back", () => {
    const budget = new LinkBudget(NOW);
    budget.charge(LIMITS.linkWorkBurst, NOW);
    expect(budget.charge(1, NOW - 3_600_000)).toBe(true);
  });
});

const makeDriver = () => new Driver(makeReplica({ syncIntervalMs: 1e12 }));
const holds = (effects: Parameters<typeof only>[0]) =>
  only(effects, "holdUp").map(({ isHeldUp }) => isHeldUp);
/** A digest of nothing that is held. */
const unknown = Buffer.alloc(32, 7);

type Frame = Parameters<Driver["hear"]>[0];

/** Hears a frame until the link is held. @returns how often, at most so many times */
function until(driver: Driver, frame: () => Frame, most: number): number {
  for (let count = 1; count <= most; count++) if (holds(driver.hear(frame())).includes(true)) return count;
  return most + 1;
}

describe("a link is held", () => {
  it.each<[string, () => Frame, number]>([
    ["pings", () => ({ t: "ping", atMs: 1, roster: "0".repeat(16) }), LIMITS.linkFramesBurst + 1],
    ["pongs", () => ({ t: "pong", atMs: 1, nowMs: 1 }), LIMITS.linkFramesBurst + 1],
    ["prunes", () => ({ t: "prune" }), LIMITS.linkFramesBurst + 1],
    ["wants of what is gone", () => ({ t: "want", digests: unknown }), 128],
    [
      "announcements",
      () => ({ t: "announce", ids: Buffer.alloc(16 * LIMITS.announcedMax, 1) }),
      // 128,000 ids to look up.
      LIMITS.linkWorkBurst / (16 * 16 * LIMITS.announcedMax) + 1,
    ],
    [
      "offers of what is not there",
      () => ({ t: "have", digests: Buffer.alloc(32 * LIMITS.digestsPerFrameMax, 1) }),
      LIMITS.linkWorkBurst / (4 * 32 * LIMITS.digestsPerFrameMax) + 1,
    ],
    ["digests of rosters", () => ({ t: "roster", members: Buffer.alloc(14 * 1_000), part: false }), 150],
    [
      "answers to nothing",
      () => ({
        ...{ t: "answers", question: unknown.subarray(0, 16), held: Buffer.alloc(10 * 10_000) },
        ...{ refused: new Uint8Array(), counts: new Uint8Array() },
      }),
      LIMITS.linkWorkBurst / 100_000 + 1,
    ],
  ])("whose peer sends %s without end", (_, frame, most) => {
    const driver = makeDriver();
    driver.meet();
    expect(until(driver, frame, most)).toBeLessThanOrEqual(most);
    expect(driver.replica.figures.linksHeld).toBe(1);
    expect(holds(driver.hear(frame())), "it is held once").toEqual([]);
  });

  it("whose peer asks for all records again and again", () => {
    const driver = makeDriver();
    driver.meet();
    const addresses = Array.from({ length: 16 }, (_, index) => `${index}`.padEnd(200, "x"));
    driver.records(Array.from({ length: 500 }, (_, index) => recordOf(`far ${index}`, { addresses })));
    const ask = (): Frame => ({ t: "roster", members: new Uint8Array(), part: false });
    expect(until(driver, ask, 11), "3.4 MB each").toBeLessThanOrEqual(11);
  });

  it("whose peer sends records, each of which has a signature to verify", () => {
    const driver = makeDriver();
    driver.meet();
    const record = recordOf("ghost", {
      addresses: Array.from({ length: 32 }, (_, n) => `/ip4/10.0.0.${n}/tcp/1`),
    });
    const records = Array(LIMITS.recordsPerFrameMax).fill(record);
    const bytes = records.length * record.bytes.length;
    const verified = (hear: () => ReturnType<typeof driver.tell>) => {
      let count = 0;
      while (count < 20_000 && !holds(hear()).includes(true)) count += records.length;
      return count;
    };
    const want = new Uint8Array();
    // Of some 1 KB each: a second's work.
    expect(
      verified(() =>
        driver.tell({ type: "recordsReceived", link: linkOf("peer"), records, lost: want, want, bytes }),
      ),
    ).toBeLessThan(5_000);
  });

  it("whose peer sends rounds of reconciliation of many ranges", () => {
    const driver = makeDriver();
    driver.meet();
    const range = Uint8Array.of(0x01, 0x00, 0x00);
    const message = Buffer.concat([Uint8Array.of(0x61), ...Array.from({ length: 10_000 }, () => range)]);
    expect(until(driver, () => ({ t: "reconcile", round: 1, message }), 60)).toBeLessThanOrEqual(60);
  });

  it("for all kinds of frames together", () => {
    const driver = makeDriver();
    driver.meet();
    for (let count = 0; count < 64; count++) driver.hear({ t: "want", digests: unknown });
    const digest = () => ({ t: "roster", members: Buffer.alloc(14 * 1_000), part: false }) as const;
    expect(until(driver, digest, 150)).toBeLessThan(80);
  });

  it("and not the links of others", () => {
    const driver = makeDriver();
    driver.meet("flood");
    driver.meet("peer");
    for (let count = 0; count < 20_000; count++) driver.hear({ t: "prune" }, "flood");
    expect([..."ab"].flatMap(() => holds(driver.ping("peer")))).toEqual([]);
  });
});

describe("a link that is held", () => {
  const flood = (driver: Driver) => {
    for (let count = 0; count <= LIMITS.linkFramesBurst; count++) driver.hear({ t: "prune" });
  };

  it("is read again when it has earned its way back, and is not given up for its silence meanwhile", () => {
    const driver = makeDriver();
    driver.meet();
    flood(driver);
    const effects = driver.pass(200);
    expect(only(effects, "holdUp")).toEqual([{ type: "holdUp", link: linkOf("peer"), isHeldUp: false }]);
    expect(reasons(driver.pass(1_000))).toEqual([]);
  });

  it("is cut when its peer presses against the budget for longer than 4 s, and not punished", () => {
    const driver = makeDriver();
    driver.meet();
    let cutAfterMs = 0;
    for (let step = 0; step < 100 && cutAfterMs === 0; step++) {
      // The peer takes twice of any room there is.
      for (let count = 0; count < LIMITS.linkFramesPerSecond / 5; count++) driver.hear({ t: "prune" });
      if (step === 0) flood(driver);
      if (reasons(driver.pass(100)).includes("overBudget")) cutAfterMs = driver.nowMs - NOW;
    }
    expect(cutAfterMs).toBeGreaterThan(LIMITS.linkPatienceMs - 500);
    expect(cutAfterMs).toBeLessThanOrEqual(5_000);
    expect(driver.replica.admits("peer", driver.nowMs)).toBe(true);
  });

  it("is not cut for a join: so many items in a row stay within what a link may ask", () => {
    const driver = makeDriver();
    const items = itemsOf(1_000);
    driver.hold(...items);
    driver.meet();
    const digests = packDigests(items.map(({ digest }) => digest));
    // 100 answers of 1,000 items, in the 3 s that a join of 100,000 may take.
    const effects = Array.from({ length: 100 }, () => [
      ...driver.hear({ t: "want", digests }),
      ...driver.pass(30, () => driver.ping()),
    ]).flat();
    expect([holds(effects), reasons(effects)]).toEqual([[], []]);
  });
});
