import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../../src/core/limits.js";
import { FrameReceiver, FrameSender } from "../../../../src/node/cluster/nats/frame-pipe.js";
import { nodeId } from "../../../../src/node/cluster/nats/identity.js";
import { Names } from "../../../../src/node/cluster/nats/names.js";
import { Progress } from "../../../../src/node/cluster/nats/progress.js";
import { decodeMessage, encodeMessage, type LinkMessage } from "../../../../src/node/cluster/nats/wire.js";

describe("a node's id", () => {
  test("is the one that libp2p makes of the same key", async () => {
    const { generateKeyPairFromSeed } = await import("@libp2p/crypto/keys");
    const { peerIdFromPrivateKey } = await import("@libp2p/peer-id");
    for (const fill of [0, 1, 127, 255]) {
      const seed = new Uint8Array(32).fill(fill);
      const key = await generateKeyPairFromSeed("Ed25519", seed);
      expect(nodeId(seed)).toBe(peerIdFromPrivateKey(key).toString());
    }
    expect(nodeId()).not.toBe(nodeId());
  });
});

describe("names", () => {
  test("of different clusters never match each other's subjects", () => {
    const clusters = ["a", "a-b", "b", "default", "1", "-", "x".repeat(63)];
    const subjects = clusters.flatMap((cluster) => {
      const names = new Names(cluster);
      return [names.itemsOf("id"), names.hereOf("s"), names.to("s", "t")];
    });
    for (const cluster of clusters) {
      const { items, here, stream } = new Names(cluster);
      expect(stream).toMatch(/^[\w-]+$/);
      for (const pattern of [items, here]) {
        const matches = new RegExp(`^${pattern.replaceAll(".", "\\.").replace("*", "[^.]+")}$`);
        expect(subjects.filter((subject) => matches.test(subject))).toHaveLength(1);
      }
    }
    expect(new Set(clusters.map((cluster) => new Names(cluster).stream)).size).toBe(clusters.length);
  });
});

describe("the position", () => {
  const fresh = (position?: string) => Progress.of("2026-01-01", position);

  test("stands behind the last message up to which all were taken", () => {
    const progress = fresh();
    for (const sequence of [1, 2, 3, 4]) expect(progress.received(sequence, sequence - 1)).toBe(true);
    progress.settled(3);
    progress.taken(1);
    expect(progress.position).toBe("2026-01-01/1");
    expect(progress.open).toBe(3);
    progress.taken(2);
    expect(progress.position).toBe("2026-01-01/3");
    for (const sequence of [1, 2, 4]) progress.settled(sequence);
    expect([progress.position, progress.open]).toEqual(["2026-01-01/4", 0]);
  });

  test("goes on from an earlier run of the same stream, and from the start of another", () => {
    expect(fresh("2026-01-01/17").sequence).toBe(17);
    expect(fresh("2025-12-31/17").sequence).toBe(0);
    for (const garbage of ["", "17", "2026-01-01/", "2026-01-01/x", "2026-01-01/-1"])
      expect(fresh(garbage).sequence).toBe(0);
  });

  test("passes over what has expired, however much", () => {
    const progress = fresh("2026-01-01/5");
    expect(progress.received(2_000_000_000, 5)).toBe(true);
    progress.settled(2_000_000_000);
    expect(progress.sequence).toBe(2_000_000_000);
    expect(progress.received(2_000_000_001, 2_000_000_000)).toBe(true);
    expect(progress.received(2_000_000_005, 2_000_000_001)).toBe(true);
    progress.settled(2_000_000_005);
    expect(progress.sequence).toBe(2_000_000_000);
    progress.settled(2_000_000_001);
    expect(progress.sequence).toBe(2_000_000_005);
  });

  test("a message that comes again is known", () => {
    const progress = fresh();
    expect([progress.received(1, 0), progress.received(2, 1)]).toEqual([true, true]);
    progress.settled(1);
    expect([progress.received(1, 0), progress.received(2, 1)]).toEqual([false, false]);
  });

  test("whatever the order, it is the longest stretch that was taken", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(Array.from({ length: 30 }, (_, n) => n + 1)), (order) => {
        const progress = fresh();
        for (let sequence = 1; sequence <= 30; sequence++) progress.received(sequence, sequence - 1);
        for (const sequence of order) progress.taken(sequence);
        const taken = new Set(order);
        let last = 0;
        while (taken.has(last + 1)) last++;
        expect(progress.sequence).toBe(last);
      }),
    );
  });
});

describe("what sessions say to each other", () => {
  const number = fc.integer({ min: 0, max: 0xffff_ffff });
  const message: fc.Arbitrary<LinkMessage> = fc.oneof(
    fc.record({ type: fc.constant("here"), id: fc.string() }),
    fc.record({ type: fc.constant("offer"), link: number, id: fc.string() }),
    fc.record({ type: fc.constant("accept"), link: number }),
    fc.record({
      type: fc.constant("piece"),
      link: number,
      number,
      isLast: fc.boolean(),
      bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    }),
    fc.record({ type: fc.constant("credit"), link: number, taken: number }),
    fc.record({ type: fc.constant("end"), link: number, reason: fc.string() }),
  ) as fc.Arbitrary<LinkMessage>;

  test("comes back as it was", () => {
    fc.assert(
      fc.property(message, (said) => {
        expect(decodeMessage(encodeMessage(said))).toEqual(said);
      }),
    );
  });

  test("cut or wrong, it is nothing, and never an error", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => void decodeMessage(bytes)));
    expect(decodeMessage(new Uint8Array())).toBeUndefined();
    expect(decodeMessage(Uint8Array.of(0, 1, 2, 3, 4, 5))).toBeUndefined();
    expect(decodeMessage(Uint8Array.of(99, 1, 2, 3, 4, 5))).toBeUndefined();
  });
});

describe("frames in pieces", () => {
  function pipe() {
    const sent: { number: number; isLast: boolean; bytes: Uint8Array }[] = [];
    const frames: Uint8Array[] = [];
    const credits: number[] = [];
    const sender = new FrameSender((piece) => sent.push(piece));
    const receiver = new FrameReceiver(
      (frame) => frames.push(frame),
      (taken) => credits.push(taken),
    );
    return { sent, frames, credits, sender, receiver };
  }

  test("no more than the window is under way, and all of it comes, in order", () => {
    const { sent, frames, credits, sender, receiver } = pipe();
    const sizes = [0, 1, 65_536, 65_537, 1_000_000, 0, 3];
    for (const [index, size] of sizes.entries()) sender.add(Buffer.alloc(size, index));
    let waiting = sender.queuedBytes;
    expect(waiting).toBeGreaterThan(1_131_077);
    while (sent.length > 0) {
      expect(sent.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(
        LIMITS.natsWindowBytes + 65_536,
      );
      for (const piece of sent.splice(0)) expect(receiver.take(piece)).toBeUndefined();
      for (const taken of credits.splice(0)) expect(sender.credit(taken)).toBe(true);
      expect(sender.queuedBytes).toBeLessThan(waiting);
      waiting = sender.queuedBytes;
    }
    expect(frames.map(({ length }) => length)).toEqual(sizes);
    expect(frames.every((frame, index) => frame.every((byte) => byte === index))).toBe(true);
    receiver.close();
  });

  test("a piece that is missing, and a frame that is too long, end it", () => {
    const { receiver } = pipe();
    const piece = { isLast: true, bytes: Buffer.from("x") };
    expect(receiver.take({ ...piece, number: 1 })).toBeUndefined();
    expect(receiver.take({ ...piece, number: 3 })).toMatch(/lost/);
    const long = pipe().receiver;
    const bytes = Buffer.alloc(LIMITS.peerFrameBytesMax);
    expect(long.take({ isLast: false, bytes, number: 1 })).toBeUndefined();
    expect(long.take({ isLast: false, bytes: Buffer.alloc(1), number: 2 })).toMatch(/too long/);
    receiver.close();
    long.close();
  });

  test("credit for what was never sent is refused", () => {
    const { sender } = pipe();
    sender.add(Buffer.from("x"));
    expect(sender.credit(2)).toBe(false);
    expect(sender.credit(1)).toBe(true);
    expect(sender.credit(0)).toBe(true);
  });
});
