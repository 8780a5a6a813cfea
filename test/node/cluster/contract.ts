import { afterEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import type { ClusterOptions, LinkEngine } from "../../../src/node/cluster/port.js";
import { type RecordedLink, Recorder, until } from "./recorder.js";

/** The engine as the suite needs it. */
export interface EngineUnderTest {
  open(options: ClusterOptions): Promise<LinkEngine>;
  /** Another node with the identity of one that still runs, as after a crash that its peers have not noticed. */
  openTwin(of: LinkEngine, options: ClusterOptions): Promise<LinkEngine>;
}

/** The behaviour of every engine of a cluster, as `port.ts` says. */
export function describeCluster(name: string, engine: EngineUnderTest): void {
  const opened: Recorder[] = [];
  let attempts = 0;

  async function open(cluster = "contract", openEngine = engine.open): Promise<Recorder> {
    const node = new Recorder();
    node.cluster = await openEngine({ cluster, listener: node });
    opened.push(node);
    return node;
  }

  function dial(from: Recorder, to: Recorder): number {
    from.cluster.dial({ attempt: ++attempts, addresses: to.cluster.addresses, peer: to.cluster.id });
    return attempts;
  }

  /** Links two nodes. @returns the link as either sees it */
  async function connect(from: Recorder, to: Recorder): Promise<[RecordedLink, RecordedLink]> {
    dial(from, to);
    await until("both are up", () => from.to(to) !== undefined && to.to(from) !== undefined);
    return [from.to(to)!, to.to(from)!];
  }

  async function openPair(cluster?: string) {
    const [left, right] = await Promise.all([open(cluster), open(cluster)]);
    const [toRight, toLeft] = await connect(left, right);
    return { left, right, toRight, toLeft };
  }

  afterEach(async () => {
    const nodes = opened.splice(0);
    await Promise.all(nodes.map(({ cluster }) => cluster.close()));
    expect(nodes.flatMap(({ faults }) => faults)).toEqual([]);
    expect(nodes.flatMap(({ up }) => up)).toEqual([]);
  });

  describe(`${name}: links`, () => {
    test("are up on both sides, with who is there, and down on both when one closes", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      expect([toRight.peer, toLeft.peer]).toEqual([right.cluster.id, left.cluster.id]);
      expect(toRight.address).toBeTruthy();
      expect(toLeft.address).toBeTruthy();
      await right.cluster.close();
      await until("down", () => left.up.length === 0);
      expect(toLeft.reason).toBe("this node is closing");
      expect(toRight.reason).toBeTruthy();
    });

    test("nodes of different clusters do not exchange frames", async () => {
      const { left } = await openPair("one");
      const { right, toLeft } = await openPair("two");
      expect(left.links).toHaveLength(1);
      expect(right.links).toEqual([toLeft]);
    });

    test("disconnect tells this side why, and the other that it is over", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      left.cluster.disconnect(toRight.link, "no heartbeat");
      await until("down", () => toRight.reason !== undefined && toLeft.reason !== undefined);
      expect(toRight.reason).toBe("no heartbeat");
      expect(right.links[0]).toBe(toLeft);
    });

    test("a peer that comes back before it was missed is met again", async () => {
      const { left, right, toLeft } = await openPair();
      const twin = await open("contract", (options) => engine.openTwin(left.cluster, options));
      expect(twin.cluster.id).toBe(left.cluster.id);
      dial(twin, right);
      await until("up again", () => twin.up.length === 1 && right.links.length === 2);
      const back = right.links[1]!;
      expect(back.peer).toBe(toLeft.peer);
      twin.cluster.send(twin.up[0]!.link, Buffer.from("back"));
      await until("it is heard", () => back.frames.length === 1);
    });
  });

  describe(`${name}: frames`, () => {
    test("arrive whole and in order, both ways, from one byte to the largest size", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      const sizes = [1, 2, 3, 4, 1_000, 65_535, 65_536, 65_537, 262_144, LIMITS.peerFrameBytesMax, 1, 5];
      const frames = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const frame of frames) {
        left.cluster.send(toRight.link, frame);
        right.cluster.send(toLeft.link, frame);
      }
      await until("all arrived", () =>
        [toRight, toLeft].every(({ frames: arrived }) => arrived.length === frames.length),
      );
      for (const { frames: arrived } of [toRight, toLeft]) {
        expect(arrived.every((frame, index) => frames[index]!.equals(frame))).toBe(true);
      }
    });

    test("of some length are told of as their bytes come", async () => {
      const { left, toRight, toLeft } = await openPair();
      left.cluster.send(toRight.link, Buffer.alloc(LIMITS.peerFrameBytesMax));
      await until("it arrived", () => toLeft.frames.length === 1);
      expect(toLeft.progress).toBeGreaterThan(1);
      left.cluster.send(toRight.link, Buffer.alloc(10));
      await until("the short one arrived", () => toLeft.frames.length === 2);
      expect(toLeft.progress).toBeLessThan(LIMITS.peerFrameBytesMax / 16_384);
    });

    test("of any number are queued, told while they are many, and lost by none", async () => {
      const { left, right, toRight } = await openPair();
      const count = 40_000;
      let expected = 0;
      right.onFrame = (_, frame) => {
        if (frame.readUInt32BE() !== expected++) right.faults.push("out of order");
      };
      for (let index = 0; index < count; index++) {
        const frame = Buffer.alloc(4 + (index % 1_000));
        frame.writeUInt32BE(index);
        left.cluster.send(toRight.link, frame);
      }
      await until("all arrived", () => expected === count);
      await until("the queue is short again", () => toRight.queued.at(-1) === false);
      expect(toRight.queued.slice(0, 2)).toEqual([true, false]);
    });

    test("past peerQueueBytesMax the link ends, where frames are small long before: each costs more than its bytes", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      right.cluster.holdUp(toLeft.link, true);
      const frame = Buffer.alloc(40);
      for (let sent = 0; sent < LIMITS.peerQueueBytesMax / 400; sent++)
        left.cluster.send(toRight.link, frame);
      await until("it is down", () => toRight.reason !== undefined);
      expect(toRight.reason).toContain("peerQueueBytesMax");
    });

    test("past peerQueueBytesMax the link ends", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      right.cluster.holdUp(toLeft.link, true);
      const frame = Buffer.alloc(LIMITS.peerFrameBytesMax);
      for (let bytes = 0; bytes < LIMITS.peerQueueBytesMax + 4_000_000; bytes += frame.length) {
        left.cluster.send(toRight.link, frame);
      }
      await until("cut", () => toRight.reason !== undefined && toLeft.reason !== undefined);
      expect(toRight.reason).toContain("peerQueueBytesMax");
    });

    test("over peerFrameBytesMax, and empty ones, are refused, and the link goes on", async () => {
      const { left, toRight, toLeft } = await openPair();
      for (const size of [0, LIMITS.peerFrameBytesMax + 1])
        expect(() => left.cluster.send(toRight.link, Buffer.alloc(size))).toThrow(RangeError);
      left.cluster.send(toRight.link, Buffer.from("small"));
      await until("the next one arrives", () => toLeft.frames.length === 1);
    });

    test("to a link that is not up are dropped", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      left.cluster.send(toRight.link + 1, Buffer.from("nobody"));
      left.cluster.holdUp(toRight.link + 1, true);
      left.cluster.disconnect(toRight.link + 1, "nobody");
      left.cluster.disconnect(toRight.link, "enough");
      left.cluster.send(toRight.link, Buffer.from("late"));
      left.cluster.holdUp(toRight.link, true);
      await until("down", () => right.up.length === 0);
      expect(toLeft.frames).toEqual([]);
    });

    test.each(["disconnect", "close"] as const)("sent right before %s arrive", async (what) => {
      const { left, toRight, toLeft } = await openPair();
      for (let index = 0; index < 50; index++) {
        left.cluster.send(toRight.link, Buffer.alloc(20_000, index));
      }
      left.cluster.send(toRight.link, Buffer.from("goodbye"));
      if (what === "close") await left.cluster.close();
      else left.cluster.disconnect(toRight.link, "enough");
      await until("down", () => toLeft.reason !== undefined);
      expect(toLeft.frames).toHaveLength(51);
      expect(toLeft.frames.at(-1)!.toString()).toBe("goodbye");
    });

    test("may be answered, and the link ended, from inside the listener", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      right.onFrame = ({ link }, frame) => right.cluster.send(link, frame);
      left.onFrame = ({ link, frames }, frame) => {
        frames.push(frame);
        left.cluster.disconnect(link, "enough");
      };
      for (const text of ["one", "two", "three"]) left.cluster.send(toRight.link, Buffer.from(text));
      await until("down", () => toRight.reason !== undefined && toLeft.reason !== undefined);
      expect(toRight.reason).toBe("enough");
      // The frames behind it came in the same chunk.
      expect(toRight.frames.map(String)).toEqual(["one"]);
    });
  });

  describe(`${name}: hold`, () => {
    test("stops delivery at once, and loses nothing", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      let isHeldUp = false;
      right.onFrame = ({ link, frames }, frame) => {
        if (isHeldUp) right.faults.push("a frame of a link that is held up");
        frames.push(frame);
        if (frames.length % 3 !== 0) return;
        right.cluster.holdUp(link, true);
        isHeldUp = true;
        setTimeout(() => {
          isHeldUp = false;
          right.cluster.holdUp(link, false);
        }, 2);
      };
      for (let index = 0; index < 100; index++) left.cluster.send(toRight.link, Buffer.of(index));
      await until("all arrived", () => toLeft.frames.length === 100);
      expect(toLeft.frames.every((frame, index) => frame[0] === index)).toBe(true);
    });

    test("makes the sender wait, and the other direction goes on", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      right.cluster.holdUp(toLeft.link, true);
      const frame = Buffer.alloc(1_000_000, 7);
      for (let count = 0; count < 20; count++) left.cluster.send(toRight.link, frame);
      right.cluster.send(toLeft.link, Buffer.from("I do not listen"));
      await until("the other direction", () => toRight.frames.length === 1);
      await until("the sender is told", () => toRight.queued.at(-1) === true);
      // All that fits in the window and in the buffers of the system has long arrived.
      for (let round = 0; round < 20; round++) {
        right.cluster.send(toLeft.link, Buffer.of(round));
        await until("a round trip", () => toRight.frames.length === round + 2);
      }
      expect(toRight.queued).toEqual([true]);
      expect(toLeft.frames).toEqual([]);
      right.cluster.holdUp(toLeft.link, false);
      await until("all arrived", () => toLeft.frames.length === 20);
      expect(toLeft.frames.every((arrived) => arrived.equals(frame))).toBe(true);
      await until("the queue is short again", () => toRight.queued.at(-1) === false);
    });

    test("of a link that ends drops what was not delivered", async () => {
      const { left, right, toRight, toLeft } = await openPair();
      right.cluster.holdUp(toLeft.link, true);
      left.cluster.send(toRight.link, Buffer.from("too late"));
      left.cluster.disconnect(toRight.link, "enough");
      await until("down", () => toLeft.reason !== undefined);
      right.cluster.holdUp(toLeft.link, false);
      expect(toLeft.frames).toEqual([]);
    });
  });

  describe(`${name}: signatures`, () => {
    test("of a node are verified by its id, and no others", async () => {
      const [left, right] = [await open(), await open()];
      const bytes = Buffer.from("what was said");
      const signature = left.cluster.sign(bytes);
      const { id } = left.cluster;
      expect(signature).toHaveLength(64);
      expect(right.cluster.verify(id, bytes, signature)).toBe(true);
      expect(right.cluster.verify(right.cluster.id, bytes, signature)).toBe(false);
      expect(right.cluster.verify(id, Buffer.from("what was not said"), signature)).toBe(false);
      const forged = Buffer.from(signature);
      forged[5]! ^= 1;
      expect(right.cluster.verify(id, bytes, forged)).toBe(false);
      expect(right.cluster.verify(id, bytes, signature.subarray(1))).toBe(false);
      for (const none of [
        "",
        "1",
        "nobody",
        "0OIl",
        id.slice(1),
        `${id}1`,
        "z".repeat(52),
        "1".repeat(10_000),
      ]) {
        expect(right.cluster.verify(none, bytes, signature)).toBe(false);
      }
    });
  });

  describe(`${name}: close`, () => {
    test("is idempotent, and every call after it is harmless", async () => {
      const { left, right, toRight } = await openPair();
      await Promise.all([left.cluster.close(), left.cluster.close()]);
      await left.cluster.close();
      left.cluster.send(toRight.link, Buffer.from("late"));
      left.cluster.holdUp(toRight.link, true);
      left.cluster.disconnect(toRight.link, "late");
      dial(left, right);
    });

    test("of all nodes at once ends in time", async () => {
      const nodes = await Promise.all(Array.from({ length: 3 }, () => open()));
      for (const node of nodes) for (const other of nodes) if (node !== other) dial(node, other);
      await until("all are up", () => nodes.every(({ up }) => up.length >= 2));
      await Promise.all(nodes.map(({ cluster }) => cluster.close()));
      expect(nodes.flatMap(({ up }) => up)).toEqual([]);
    });
  });
}
