import { describe, expect, it } from "vitest";
import { HUB_LIMITS } from "../../../src/hub/machine/limits.js";
import { Backing, FrameBuffers, MemoryBudget } from "../../../src/hub/machine/memory.js";
import { JoinBuffers, Outbox, Piece, Receipt } from "../../../src/hub/machine/outbox.js";

const { keptFrameBytesMin, keptFrameStepBytes, keptFramesBytesMax } = HUB_LIMITS;
const LARGE = 1_000_000;

describe("memory of large frames", () => {
  it("is used again when the last who held it lets go, not before", () => {
    const frames = new FrameBuffers(new MemoryBudget());
    const first = frames.take(LARGE);
    first.backing.hold(2);
    first.backing.release();
    first.backing.release();
    const second = frames.take(LARGE);
    expect(second.buffer.buffer).not.toBe(first.buffer.buffer);
    first.backing.release();
    const third = frames.take(LARGE - 1);
    expect(third.buffer.buffer).toBe(first.buffer.buffer);
    expect(third.buffer).toHaveLength(LARGE - 1);
    expect(frames.take(LARGE).buffer.buffer).not.toBe(first.buffer.buffer);
  });

  it("is not mixed up with that of other sizes", () => {
    const frames = new FrameBuffers(new MemoryBudget());
    const { buffer, backing } = frames.take(keptFrameStepBytes);
    backing.release();
    const larger = frames.take(keptFrameStepBytes + 1);
    expect(larger.buffer.buffer).not.toBe(buffer.buffer);
    expect(larger.buffer).toHaveLength(keptFrameStepBytes + 1);
  });

  it("counts whole while it is in use, and not while it waits", () => {
    const memory = new MemoryBudget();
    const frames = new FrameBuffers(memory);
    const { buffer, backing } = frames.take(LARGE);
    expect(memory.usedBytes).toBe(buffer.buffer.byteLength);
    expect(memory.usedBytes).toBeGreaterThanOrEqual(LARGE);
    backing.release();
    expect(memory.usedBytes).toBe(0);
    frames.take(LARGE).backing.release();
    expect(memory.usedBytes).toBe(0);
  });

  it("is kept up to a limit", () => {
    const frames = new FrameBuffers(new MemoryBudget());
    const taken = Array.from({ length: 2 * (keptFramesBytesMax / LARGE) }, () => frames.take(LARGE));
    const before = new Set(taken.map(({ buffer }) => buffer.buffer));
    for (const { backing } of taken) backing.release();
    const again = taken.map(() => frames.take(LARGE).buffer.buffer).filter((memory) => before.has(memory));
    const kept = again.length * again[0]!.byteLength;
    expect(kept).toBeLessThanOrEqual(keptFramesBytesMax);
    expect(kept).toBeGreaterThan(keptFramesBytesMax - 2 * LARGE);
  });

  it("is freed when none was asked for since the last look", () => {
    const frames = new FrameBuffers(new MemoryBudget());
    const { buffer, backing } = frames.take(LARGE);
    const { buffer: memory } = buffer;
    backing.release();
    frames.freeUnused();
    expect(memory.byteLength).toBeGreaterThan(0);
    frames.freeUnused();
    expect(memory.byteLength).toBe(0);
    expect(frames.take(LARGE).buffer.buffer.byteLength).toBeGreaterThanOrEqual(LARGE);
  });

  it("is not kept for small frames, nor by a client", () => {
    const small = new FrameBuffers(new MemoryBudget());
    const first = small.take(keptFrameBytesMin - 1);
    first.backing.release();
    expect(small.take(keptFrameBytesMin - 1).buffer.buffer).not.toBe(first.buffer.buffer);

    const clients = new FrameBuffers(new MemoryBudget(), false);
    const large = clients.take(LARGE);
    large.backing.release();
    expect(clients.take(LARGE).buffer.buffer).not.toBe(large.buffer.buffer);
  });
});

describe("memory of pieces that are joined for one write", () => {
  /** So many pieces of 1 KiB, written at once. */
  function written(count: number): ArrayBufferLike {
    const memory = new MemoryBudget();
    const outbox = new Outbox(1, memory, new JoinBuffers(memory));
    for (let n = 0; n < count; n += 1)
      outbox.push(new Piece(Buffer.alloc(1_024), 1, new Backing(1_024, memory)), 0);
    const [join] = outbox.take(0);
    expect(join).toHaveLength(1_024 * count);
    const { buffer } = join!;
    outbox.written(0, true);
    return buffer;
  }

  it("is freed at once, or kept for the next write", () => {
    expect(written(20)).toMatchObject({ detached: true });
    expect(written(200)).toMatchObject({ detached: false });
  });
});

it("a receipt takes more ids from another hub than the stack has room for", () => {
  const ids = Array.from({ length: 400_000 }, (_, index) => index);
  const completed: Receipt[] = [];
  const receipt = new Receipt(1, [], (receipt) => completed.push(receipt));
  receipt.expect(1);
  receipt.close();
  receipt.answered(0, ids, ids);
  expect(completed).toEqual([receipt]);
  expect([receipt.unknown.length, receipt.evicted.length]).toEqual([ids.length, ids.length]);
});
