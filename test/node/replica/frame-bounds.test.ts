import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import {
  BATCH_ID_BYTES,
  batchFrame,
  decodeFrame,
  encodeFrame,
  encodeQuestion,
  type Frame,
  HELD_BYTES,
  type Question,
} from "../../../src/node/replica/wire.js";
import { Driver, frames, makeReplica, NOW, recordOf } from "./replica-kit.js";

// A frame that a node makes of the frames of others must be one that the next node takes: else a liar, or mere size, has it
// punished.

test("answers of many that meet at one node leave it in frames that the asker takes", () => {
  const driver = new Driver();
  driver.meet("asker");
  driver.meet("near");
  const question: Question = { t: "held", asker: "asker", number: 1, digests: randomBytes(32) };
  const batch = batchFrame("question", encodeQuestion(question));
  driver.hear(batch, "asker");
  driver.tell({ type: "batchVerified", batch: batch.id, content: { kind: "question", question } });
  const none = new Uint8Array();
  const held = randomBytes(HELD_BYTES * LIMITS.answersPerFrameMax);
  const answers: Frame & { t: "answers" } = {
    ...{ t: "answers", question: Buffer.from(batch.id, "hex"), held, refused: held, counts: none },
  };
  const effects = [1, 2, 3].flatMap(() => driver.hear(answers, "near"));
  const sent = frames([...effects, ...driver.pass(100)], "answers", "asker");
  for (const frame of sent) takenByOthers(frame);
  const bytesOf = (field: "held" | "refused") => sent.reduce((sum, frame) => sum + frame[field].length, 0);
  expect([bytesOf("held"), bytesOf("refused")]).toEqual([3 * held.length, 3 * held.length]);
});

test("the digest of a roster at its limit, the node itself included, is one that others take", () => {
  const { roster } = makeReplica();
  for (let n = 0; n < LIMITS.rosterMembersMax; n++) roster.hear(recordOf(`member-${n}`), NOW);
  takenByOthers({ t: "roster", members: roster.entries(recordOf("me"), NOW), part: false });
});

test("a batch that one peer announces again and again is asked for once", () => {
  const driver = new Driver();
  driver.meet();
  const announce = { t: "announce", ids: randomBytes(BATCH_ID_BYTES) } as const;
  for (let n = 0; n < 100; n++) driver.hear(announce);
  expect(frames(driver.pass(2_000), "graft")).toHaveLength(1);
});

function takenByOthers(frame: Frame): void {
  const bytes = encodeFrame(frame);
  expect(bytes.length).toBeLessThanOrEqual(LIMITS.peerFrameBytesMax);
  expect(() => decodeFrame(bytes)).not.toThrow();
}
