import { expect, it } from "vitest";
import { WriteTurn } from "../../src/hub/connection.js";
import { HUB_LIMITS } from "../../src/hub/machine/limits.js";

const BATCH = HUB_LIMITS.turnWriteBytesMax / 4;

/** Writes its batches while the turn lasts, as a connection does. */
function writer(turn: WriteTurn, name: string, batches: number, log: string[]) {
  const resume = (): void => {
    for (; batches > 0 && turn.admits(self); batches -= 1) {
      turn.wrote(BATCH);
      log.push(name);
    }
  };
  const self = { resume };
  return self;
}

it("a turn ends after its share of bytes, and writers go on in the order in which they had to wait", () => {
  const turn = new WriteTurn();
  const log: string[] = [];
  for (const [name, batches] of [
    ["a", 3],
    ["b", 6],
    ["c", 1],
    ["d", 2],
  ] as const) {
    writer(turn, name, batches, log).resume();
  }
  const turns = [log.splice(0).join("")];
  while (turn.hasWaiting && turns.length < 10) {
    turn.begin();
    turns.push(log.splice(0).join(""));
  }
  expect(turns).toEqual(["aaab", "bbbb", "cddb"]);
});
