import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Ledger } from "../../../../src/hub/simulate/protocol/ledger.js";

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

describe("a ledger", () => {
  it("counts what was lost, came twice and came late, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(MESSAGES - 1)), (sequences) => {
        const ledger = new Ledger(3, MESSAGES);
        const fresh = sequences.filter((sequence) => ledger.delivered(1, sequence)).length;
        const none = { skipped: 0, duplicated: 0, outOfOrder: 0, corrupt: 0 };
        expect({ ...none, ...ledger.faults().get(1) }).toEqual({ ...none, ...slowly(sequences) });
        expect(ledger.next[1]).toBe(Math.max(-1, ...sequences) + 1);
        expect(fresh).toBe(new Set(sequences).size);
        expect([ledger.next[0], ledger.next[2]]).toEqual([0, 0]);
      }),
      { numRuns: 500 },
    );
  });

  it("finds nothing wrong with all messages in order", () => {
    const ledger = new Ledger(2, MESSAGES);
    for (let sequence = 0; sequence < MESSAGES; sequence += 1) {
      for (const sender of [0, 1]) expect(ledger.delivered(sender, sequence)).toBe(true);
    }
    expect(ledger.faults().size).toBe(0);
  });

  it("notices what a client gets of its own, unless it should", () => {
    const ledger = new Ledger(2, MESSAGES, 1);
    expect([ledger.delivered(1, 0), ledger.delivered(0, 0)]).toEqual([false, true]);
    expect(ledger.faults().get(1)).toMatchObject({ corrupt: 1 });
    expect(new Ledger(2, MESSAGES).delivered(1, 0)).toBe(true);
  });

  it("takes a sender or number that the run does not have as corrupt", () => {
    const ledger = new Ledger(2, MESSAGES);
    expect([ledger.delivered(2, 0), ledger.delivered(0, MESSAGES)]).toEqual([false, false]);
    ledger.corrupt(1);
    ledger.corrupt(4_000_000_000);
    const corrupt = [...ledger.faults()].map(([sender, faults]) => [sender, faults.corrupt]);
    expect(corrupt.toSorted()).toEqual([
      [-1, 2],
      [0, 1],
      [1, 1],
    ]);
  });
});
