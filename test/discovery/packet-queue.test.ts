import { describe, expect, test } from "vitest";
import { PacketQueue } from "../../src/discovery/packet-queue.js";
import { PacketTurns } from "../../src/discovery/packet-turns.js";

const open = (loopback = false, dropped: string[] = []) =>
  new PacketQueue<number>(loopback, (sender) => dropped.push(sender));
/** Packets of cost 1, 10,000 a second, read as soon as they may be. @returns how many were read of each sender */
const read = (queue: PacketQueue<number>, count: number, senderOf: (n: number) => string, fromMs = 0) => {
  const taken = new Map<string, number>();
  for (let n = 0; n < count; n++) {
    const nowMs = fromMs + n / 10;
    queue.add(senderOf(n), n, 1, nowMs);
    for (let next = queue.take(nowMs); next; next = queue.take(nowMs))
      taken.set(next.sender, (taken.get(next.sender) ?? 0) + 1);
  }
  return taken;
};
const total = (taken: ReadonlyMap<string, number>) =>
  [...taken.values()].reduce((sum, count) => sum + count, 0);
const many = (n: number) => `10.0.${(n >> 8) & 255}.${n & 255}`;

describe("work for packets", () => {
  test("is bounded for each sender, and one that floods takes nothing from others", () => {
    const queue = open();
    // For 2 s.
    expect(total(read(queue, 20_000, () => "10.0.0.66"))).toBeLessThanOrEqual(1_000 + 2 * 200 + 1);
    expect(read(queue, 500, () => "10.0.0.7", 2_000).get("10.0.0.7")).toBe(500);
  });

  test("is bounded for the interface, however many senders there are", () => {
    const taken = read(open(), 20_000, many);
    expect(total(taken)).toBeLessThanOrEqual(2_000 + 2 * 1_000 + 1);
  });

  test("on loopback, where all senders have one address, is bounded as for an interface", () => {
    expect(total(read(open(true), 1_500, () => "127.0.0.1"))).toBe(1_500);
  });

  test("comes back", () => {
    const queue = open();
    read(queue, 20_000, () => "10.0.0.66");
    for (; queue.take(60_000); );
    expect(read(queue, 900, () => "10.0.0.66", 60_000).get("10.0.0.66")).toBe(900);
  });

  test("is said to come back when it does", () => {
    const queue = open(true);
    expect(queue.waitMs(0)).toBe(Number.POSITIVE_INFINITY);
    for (let n = 0; n < 2; n++) queue.add("127.0.0.1", n, 900, 0);
    expect(queue.waitMs(0)).toBe(0);
    expect(queue.take(0)?.packet).toBe(0);
    queue.charge("127.0.0.1", 1_500, 0);
    expect(queue.take(0)).toBeUndefined();
    const waitMs = queue.waitMs(0);
    expect(queue.take(waitMs - 2)).toBeUndefined();
    expect(queue.take(waitMs)?.packet).toBe(1);
  });
});

test("of packets that each set off much work, those left of a flood are not read for minutes after it", () => {
  const dropped: string[] = [];
  const queue = open(false, dropped);
  for (let n = 0; n < 900; n++) queue.add(many(n % 20), n, 2, 0);
  let takenCount = 0;
  for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
    for (let next = queue.take(nowMs); next; next = queue.take(nowMs)) {
      takenCount++;
      queue.charge(next.sender, 250, nowMs);
    }
  }
  // 2,000 at once, 1,000 a second, and one of each sender.
  expect(takenCount).toBeLessThanOrEqual((2_000 + 2.5 * 1_000) / 250 + 20);
  expect(takenCount + dropped.length).toBe(900);
});

test("one of whom nothing was read is read, however long that takes", () => {
  const queue = open(true);
  queue.add("127.0.0.1", 1, 1, 0);
  queue.charge("127.0.0.1", 10_000, 0);
  queue.add("127.0.0.2", 2, 1, 0);
  const taken: number[] = [];
  for (let nowMs = 0; nowMs < 20_000; nowMs += 100) {
    const next = queue.take(nowMs);
    if (next) taken.push(next.packet);
  }
  expect(taken).toContain(2);
});

describe("of 200 senders that flood", () => {
  const flood = (queue: PacketQueue<number>, fromMs: number, lengthMs: number) =>
    read(queue, lengthMs * 10, (n) => many(n % 200), fromMs);

  test("none keeps a newcomer waiting, nor one that says something each second", () => {
    const queue = open();
    flood(queue, 0, 10_000);
    for (let second = 10; second < 20; second++) {
      const nowMs = second * 1_000;
      queue.add("10.0.9.9", -second, 1, nowMs);
      const taken: number[] = [];
      // The interface takes so much in 3 ms.
      for (let ms = 0; ms < 3; ms++)
        for (let next = queue.take(nowMs + ms); next; next = queue.take(nowMs + ms)) taken.push(next.packet);
      expect(taken[0]).toBe(-second);
      flood(queue, nowMs + 3, 997);
    }
  });

  test("all have the same share", () => {
    const queue = open();
    const taken = [...flood(queue, 0, 20_000).values()];
    expect(taken).toHaveLength(200);
    expect(Math.max(...taken) - Math.min(...taken)).toBeLessThanOrEqual(16);
  });

  test("those lose a packet of whom most was read, where more waits than there is room for", () => {
    const dropped: string[] = [];
    const queue = open(false, dropped);
    flood(queue, 0, 2_000);
    dropped.length = 0;
    for (let n = 0; n < 10; n++) queue.add("10.0.9.9", n, 1, 2_000);
    expect(dropped).toHaveLength(10);
    expect(dropped).not.toContain("10.0.9.9");
    const taken: string[] = [];
    for (let ms = 2_000; taken.length < 10; ms++) {
      const next = queue.take(ms);
      if (next) taken.push(next.sender);
    }
    expect(new Set(taken)).toEqual(new Set(["10.0.9.9"]));
  });
});

test("packets that take long are read one in four turns of the event loop, whichever interface they came in through", async () => {
  const readAt: number[] = [];
  let turn = 0;
  const turns = new PacketTurns(
    ({ decode }) => decode(),
    () => {},
  );
  const decode = () => {
    readAt.push(turn);
    // Longer than a turn has.
    const endMs = performance.now() + 6;
    while (performance.now() < endMs);
  };
  turns.open({ name: "lo", loopback: true });
  turns.open({ name: "eth0", loopback: false });
  for (let n = 0; n < 20; n++)
    turns.add(n % 2 ? "lo" : "eth0", `192.168.1.${n}`, { bytes: Buffer.alloc(100), decode });
  for (; readAt.length < 20 && turn < 1_000; turn++) await new Promise(setImmediate);
  expect(readAt).toHaveLength(20);
  const between = readAt.slice(1).map((at, index) => at - readAt[index]!);
  expect(Math.min(...between)).toBeGreaterThanOrEqual(3);
});
