import { mkdtempSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { readTrustFile } from "../../src/cli/start-flags.js";
import { LineBlocks } from "../../src/core/buffers.js";
import { HubcastError } from "../../src/core/errors.js";
import { fromWire, type WirePacket } from "../../src/discovery/packet.js";
import { decodeTxt } from "../../src/discovery/records.js";
import { decodeHubFrame } from "../../src/hub/machine/frames.js";
import { FrameReader, FrameTooLarge } from "../../src/node/cluster/libp2p/frame-stream.js";
import { BulkBatch } from "../../src/node/http/bulk.js";
import { ReconcileError } from "../../src/node/negentropy/message.js";
import { respond } from "../../src/node/negentropy/respond.js";
import { CELL_WORDS, Sketch } from "../../src/node/negentropy/sketch.js";
import { decodeAnswer, encodeAnswer } from "../../src/node/negentropy/sketch-message.js";
import { EventStreamParser } from "../../src/node/remote/events.js";
import { decodeBatch, encodeBatch, ItemDecodeError } from "../../src/node/replica/item.js";
import { decodeCursor } from "../../src/node/replica/item-set/bound.js";
import { ItemSet } from "../../src/node/replica/item-set/item-set.js";
import { decodeRecord } from "../../src/node/replica/member.js";
import { decodeFrame, decodeQuestion, FrameDecodeError } from "../../src/node/replica/wire.js";
import { VirtualLink } from "../discovery/virtual-link.js";
import { makeItem } from "../node/replica/item-set/make-item.js";

/**
 * Everything that reads bytes from others. Each takes any bytes: it returns, or refuses them in its own words. What it
 * took must be what was sent. Anything else thrown is a fault.
 */
export const DECODERS: Readonly<Record<string, (bytes: Buffer) => void | Promise<void>>> = {
  batch(bytes) {
    const items = unless(ItemDecodeError, () => decodeBatch(bytes));
    // One encoding for each item: otherwise two nodes would have two digests for one.
    if (items) expect(encodeBatch(items).equals(bytes)).toBe(true);
  },

  frame(bytes) {
    const frame = unless(FrameDecodeError, () => decodeFrame(bytes));
    if (frame) expect(frame.t).toBeTypeOf("string");
  },

  question(bytes) {
    const question = unless(FrameDecodeError, () => decodeQuestion(bytes));
    if (question) expect(question.t).toBeTypeOf("string");
  },

  record(bytes) {
    const record = decodeRecord(bytes);
    // The signature stands over these very bytes.
    if (record) expect(bytes.equals(record.bytes)).toBe(true);
  },

  peerStream(bytes) {
    unless(FrameTooLarge, () =>
      new FrameReader(1_000).push(bytes, (frame) => DECODERS.frame!(Buffer.from(frame))),
    );
  },

  reconcile(bytes) {
    const answer = unless(ReconcileError, () => respond(SET, bytes));
    if (answer) expect(answer.length).toBeLessThan(100_000);
  },

  sketchAsk(bytes) {
    const answer = unless(ReconcileError, () => respond(SET, bytes, { sketch: SKETCH }));
    if (answer) expect(answer.length).toBeLessThan(131_072);
  },

  sketchAnswer(bytes) {
    const answer = unless(ReconcileError, () => decodeAnswer(bytes));
    if (!answer) return;
    const cellCount = answer.cells.length / CELL_WORDS;
    expect(encodeAnswer(new Sketch(answer.cells), cellCount, answer.fingerprint)).toHaveLength(bytes.length);
    expect(SKETCH.differences(answer.cells)?.theirs.length ?? 0).toBeLessThanOrEqual(cellCount);
  },

  hubFrame(bytes) {
    unless(RangeError, () => decodeHubFrame(bytes));
  },

  mdns(bytes) {
    let packet: WirePacket;
    try {
      packet = dnsPacket.decode(bytes);
    } catch {
      // multicast-dns leaves out what its decoder throws at.
      return;
    }
    const read = fromWire(packet);
    if (!read) return;
    const lan = new VirtualLink();
    lan.browse();
    lan.inject(read);
    lan.run(1_000);
    expect(lan.sent.length).toBeLessThan(50);
  },

  txt(bytes) {
    const strings = [bytes, bytes.subarray(bytes.length >> 1)];
    for (const value of Object.values(decodeTxt(strings))) expect(value).toBeTypeOf("string");
  },

  bulkBody(bytes) {
    const lines = new LineBlocks(500);
    const middle = bytes.length >> 1;
    const chunks = [lines.push(bytes.subarray(0, middle)), lines.push(bytes.subarray(middle)), lines.end()];
    for (const chunk of chunks) {
      const batch = new BulkBatch(chunk);
      const outcomes = batch.drafts.map(({ id = "" }) => ({ id, status: "accepted" }) as const);
      const answers = batch.answer(outcomes).split("\n").filter(Boolean);
      expect(answers.length).toBe(batch.lineCount);
      for (const answer of answers) JSON.parse(answer);
    }
  },

  cursor(bytes) {
    unless(HubcastError, () => decodeCursor(bytes.toString()));
  },

  async trustFile(bytes) {
    writeFileSync(TRUST_FILE, bytes);
    try {
      const keys = await readTrustFile(TRUST_FILE);
      expect(keys.length).toBeGreaterThan(0);
      for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
    } catch (error) {
      if (!(error instanceof HubcastError)) throw error;
      expect(error.code).toBe("usage");
      // It goes to a terminal, and into logs.
      expect(error.message.length).toBeLessThan(300);
    }
  },

  eventStream(bytes) {
    const text = bytes.toString();
    const whole = eventsIn([text]);
    const middle = text.length >> 1;
    expect(eventsIn([text.slice(0, middle), text.slice(middle)])).toEqual(whole);
  },
};

const SET = new ItemSet(Array.from({ length: 50 }, (_, serial) => makeItem(serial, serial)));
const SKETCH = new Sketch();
const TRUST_FILE = join(mkdtempSync(join(tmpdir(), "hubcast-fuzz-")), "trusted");
// Of multicast-dns, which is what decodes packets before we see them.
const dnsPacket = createRequire(createRequire(import.meta.url).resolve("multicast-dns"))("dns-packet") as {
  decode(bytes: Buffer): WirePacket;
};

function eventsIn(chunks: readonly string[]): unknown {
  const reader = new EventStreamParser(new URL("http://127.0.0.1"));
  const events: unknown[] = [];
  for (const chunk of chunks) {
    const read = unless(HubcastError, () => reader.push(chunk));
    if (!read) return "refused";
    events.push(...read);
  }
  return [events, reader.refusal?.code];
}

/** Its result; `undefined` when it refuses in these words. */
function unless<Result>(
  refusal: abstract new (...args: never[]) => Error,
  decode: () => Result,
): Result | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof refusal) return undefined;
    throw error;
  }
}
