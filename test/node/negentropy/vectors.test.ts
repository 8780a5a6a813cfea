import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { respond } from "../../../src/node/negentropy/respond.js";
import { Round } from "../../../src/node/negentropy/round.js";
import { ItemSet } from "../../../src/node/replica/item-set/item-set.js";

type Pair = [timestampMs: number, digest: string];
interface Vector {
  name: string;
  sinceMs?: number;
  initiator: Pair[];
  responder: Pair[];
  fingerprints: { initiator: string; responder: string };
  messages: string[];
  have: string[];
  need: string[];
}

const file = new URL("../../vectors/reconcile.json", import.meta.url);
const { rounds } = JSON.parse(readFileSync(file, "utf8")) as { rounds: Vector[] };

test.each(rounds)("test vector: $name", ({ sinceMs = 0, messages, ...vector }) => {
  const [left, right] = [makeSet(vector.initiator), makeSet(vector.responder)];
  expect(left.fingerprint().fingerprint).toBe(vector.fingerprints.initiator);
  expect(right.fingerprint().fingerprint).toBe(vector.fingerprints.responder);

  const round = new Round(left, { sinceMs });
  const have: string[] = [];
  const need: string[] = [];
  let next: Uint8Array | undefined = round.open();
  for (const [index, message] of messages.entries()) {
    expect(Buffer.from(next!).toString("hex")).toBe(message);
    if (index % 2 === 0) {
      next = respond(right, next!);
    } else {
      const step = round.take(next!);
      have.push(...step.have);
      need.push(...step.need);
      next = step.reply;
    }
  }
  expect(next).toBeUndefined();
  expect(have.sort()).toEqual(vector.have);
  expect(need.sort()).toEqual(vector.need);
});

test("there are test vectors", () => expect(rounds.length).toBeGreaterThan(5));

function makeSet(pairs: Pair[]): ItemSet {
  return new ItemSet(
    pairs.map(([timestampMs, digest]) => ({ id: digest, raw: "-", signature: "-", timestampMs, digest })),
  );
}
