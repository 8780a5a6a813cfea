import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Histogram } from "../../../src/core/histogram.js";
import { DeliveryLog, prove } from "../../../src/hub/simulate/proof/proof.js";
import { rolesOf, Schedule, TimeSeries, verdict } from "../../../src/hub/simulate/proof/statistics.js";

describe("a schedule", () => {
  it("spreads the clients over the interval", () => {
    const schedule = new Schedule(4, 10, 1_000);
    expect([0, 1, 2, 3].map((client) => schedule.dueUs(client, 0))).toEqual([0, 250, 500, 750]);
    expect(schedule.dueUs(1, 3)).toBe(3_250);
  });

  it("counts as due what it says is due by then, and no more than there is", () => {
    const schedule = new Schedule(7, 5, 1_000);
    for (const client of [0, 3, 6]) {
      for (let sequence = 0; sequence < 5; sequence += 1) {
        const dueUs = schedule.dueUs(client, sequence);
        expect(schedule.dueCount(client, dueUs + 1)).toBe(sequence + 1);
        expect(schedule.dueCount(client, dueUs - 1)).toBe(sequence);
      }
      expect([schedule.dueCount(client, -50), schedule.dueCount(client, 1e9)]).toEqual([0, 5]);
    }
  });

  it("has everything due at once without an interval", () => {
    expect(new Schedule(2, 9, 0).dueCount(1, 0)).toBe(9);
  });
});

describe("roles", () => {
  it("leave two clients healthy and make at least one chaotic", () => {
    expect(rolesOf(3, 0)).toEqual(["healthy", "healthy", "healthy"]);
    expect(rolesOf(3, 0.01)).toEqual(["healthy", "healthy", "staller"]);
    expect(rolesOf(4, 0.9)).toEqual(["healthy", "healthy", "staller", "slowReader"]);
    expect(rolesOf(10, 0.5).slice(5)).toEqual([
      "staller",
      "slowReader",
      "halfOpen",
      "midFrameKiller",
      "staller",
    ]);
  });
});

describe("a proof", () => {
  const run = { clients: 3, healthy: 3, messages: 5, echoes: false };
  const next = (...rows: number[][]) => Uint32Array.from(rows.flat());
  const all = { sent: [5, 5, 5], faults: [], closed: [] };

  it("is given when every pair is complete, in one worker or several", () => {
    const whole = [{ ...all, next: next([0, 5, 5], [5, 0, 5], [5, 5, 0]) }];
    const parts = [
      { ...all, sent: [5], next: next([0, 5, 5]) },
      { ...all, sent: [5, 5], next: next([5, 0, 5], [5, 5, 0]) },
    ];
    for (const workers of [whole, parts]) {
      expect(prove(workers, run)).toMatchObject({
        delivered: true,
        pairs: 6,
        expected: 30,
        lost: 0,
        faulty: [],
      });
    }
  });

  it("names the pairs that miss something, worst first", () => {
    const pair = { skipped: 1, duplicated: 2, outOfOrder: 0, corrupt: 0 };
    const faults = [{ sender: 2, receiver: 1, ...pair }];
    const proof = prove([{ ...all, faults, next: next([0, 5, 5], [5, 0, 4], [4, 5, 0]) }], run);
    expect(proof).toMatchObject({ delivered: false, lost: 3, duplicated: 2, unsent: 0 });
    expect(proof.faulty.map(({ from, to, lost }) => [from, to, lost])).toEqual([
      [2, 1, 2],
      [0, 2, 1],
    ]);
  });

  it("does not take what was never sent for lost, but is not given either", () => {
    const proof = prove([{ ...all, sent: [5, 3, 5], next: next([0, 3, 5], [5, 0, 5], [5, 3, 0]) }], run);
    expect(proof).toMatchObject({ delivered: false, lost: 0, unsent: 2, faulty: [] });
  });
});

describe("a verdict", () => {
  const busy = (loop: number, cpu = loop) => ({ loop, cpu });
  it.each([
    ["hub", [busy(0.4)], busy(0.98), undefined],
    ["generator", [busy(0.4), busy(0.97)], busy(0.5), undefined],
    ["neither", [busy(0.2)], busy(0.3), 1.5, /schedule was kept/],
    ["hub", [busy(0.3)], undefined, 900],
    ["neither", [busy(0.3)], undefined, 2],
    ["neither", [busy(0.6)], busy(0.6), undefined, /nobody was busy/],
    ["neither", [busy(0.98, 0.3)], busy(0.6, 0.2), undefined],
    ["hub", [busy(0.5)], busy(0.8), 900, /missed: 40 %.*the hub had most to do/],
    ["generator", [busy(0.8)], busy(0.5), 900, /missed: 40 %.*a worker had most to do/],
    ["neither", [busy(0.85), busy(0.85), busy(0.85)], busy(0.85, 1.1), 900, /all processors of this machine/],
  ] as const)(
    "is %s with workers %j, hub %j and messages %s ms late",
    (bottleneck, workers, hub, lateMs, why = /./) => {
      const paced = lateMs === undefined ? undefined : { lateMs, kept: 0.4 };
      const said = verdict(workers, hub, paced, 4);
      expect(said.bottleneck).toBe(bottleneck);
      expect(said.why).toMatch(why);
    },
  );
});

describe("a timeline", () => {
  it("keeps every delivery however long the run is", () => {
    const timeline = new TimeSeries();
    const latency = new Histogram();
    latency.record(2_000);
    for (let report = 0; report < 10_000; report += 1) {
      timeline.add(report * 100, report * 100 + 100, { deliveries: 10, bytes: 100, latency });
    }
    const moments = timeline.moments();
    expect(moments.length).toBeLessThanOrEqual(240);
    expect(moments.reduce((sum, { deliveries }) => sum + deliveries, 0)).toBe(100_000);
    expect(moments[3]!.p50Ms).toBe(2);
  });

  it("spreads what came between two looks over the time between", () => {
    const timeline = new TimeSeries();
    timeline.add(50, 250, { deliveries: 100, bytes: 0, latency: new Histogram() });
    expect(timeline.moments().map(({ deliveries }) => deliveries)).toEqual([25, 50, 25]);
  });
});

const MESSAGES = 20;

/** The same account, kept the slow way. */
function slowly(sequences: readonly number[]): { skipped: number; duplicated: number; outOfOrder: number } {
  const seen = new Set<number>();
  let highest = -1;
  const account = { skipped: 0, duplicated: 0, outOfOrder: 0 };
  for (const sequence of sequences) {
    if (seen.has(sequence)) account.duplicated += 1;
    else if (sequence < highest) account.outOfOrder += 1;
    seen.add(sequence);
    highest = Math.max(highest, sequence);
  }
  for (let sequence = 0; sequence < highest; sequence += 1) if (!seen.has(sequence)) account.skipped += 1;
  return account;
}

describe("a log", () => {
  it("counts what was lost, came twice and came late, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(MESSAGES - 1)), (sequences) => {
        const log = new DeliveryLog(3, MESSAGES);
        const fresh = sequences.filter((sequence) => log.delivered(1, sequence)).length;
        const none = { skipped: 0, duplicated: 0, outOfOrder: 0, corrupt: 0 };
        expect({ ...none, ...log.faults().get(1) }).toEqual({ ...none, ...slowly(sequences) });
        expect(log.next[1]).toBe(Math.max(-1, ...sequences) + 1);
        expect(fresh).toBe(new Set(sequences).size);
        expect([log.next[0], log.next[2]]).toEqual([0, 0]);
      }),
      { numRuns: 500 },
    );
  });

  it("finds nothing wrong with all messages in order", () => {
    const log = new DeliveryLog(2, MESSAGES);
    for (let sequence = 0; sequence < MESSAGES; sequence += 1) {
      for (const sender of [0, 1]) expect(log.delivered(sender, sequence)).toBe(true);
    }
    expect(log.faults().size).toBe(0);
  });

  it("notices what a client gets of its own, unless it should", () => {
    const log = new DeliveryLog(2, MESSAGES, 1);
    expect([log.delivered(1, 0), log.delivered(0, 0)]).toEqual([false, true]);
    expect(log.faults().get(1)).toMatchObject({ corrupt: 1 });
    expect(new DeliveryLog(2, MESSAGES).delivered(1, 0)).toBe(true);
  });

  it("takes a sender or number that the run does not have as corrupt", () => {
    const log = new DeliveryLog(2, MESSAGES);
    expect([log.delivered(2, 0), log.delivered(0, MESSAGES)]).toEqual([false, false]);
    log.corrupt(1);
    log.corrupt(4_000_000_000);
    const corrupt = [...log.faults()].map(([sender, faults]) => [sender, faults.corrupt]);
    expect(corrupt.toSorted()).toEqual([
      [-1, 2],
      [0, 1],
      [1, 1],
    ]);
  });
});
