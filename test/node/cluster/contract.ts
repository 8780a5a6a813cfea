import { afterEach, describe, expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import type { Cluster, ClusterOptions } from "../../../src/node/cluster/port.js";
import { Recorder, until } from "./recorder.js";

/** What the suite needs of an engine. */
export interface EngineUnderTest {
  /** Whom a node meets: those that one of the two dials, or everybody in its cluster. */
  readonly meets: "dialled" | "everybody";
  open(options: ClusterOptions): Promise<Cluster>;
  /** Another node with the identity of one that still runs, as after a crash that its peers have not noticed. */
  openTwin(of: Cluster, options: ClusterOptions): Promise<Cluster>;
}

/** What every engine of a cluster does, as `port.ts` says. */
export function describeCluster(name: string, engine: EngineUnderTest): void {
  const opened: Recorder[] = [];

  async function open(cluster = "contract"): Promise<Recorder> {
    const node = new Recorder();
    node.cluster = await engine.open({ cluster, listener: node });
    opened.push(node);
    return node;
  }

  /** Opens that many nodes, each of which knows those that the pairs say. */
  async function openLine(count: number): Promise<Recorder[]> {
    const nodes = await Promise.all(Array.from({ length: count }, () => open()));
    await Promise.all(nodes.slice(1).map((node, index) => connect(node, nodes[index]!)));
    return nodes;
  }

  async function openMesh(count: number): Promise<Recorder[]> {
    const nodes = await Promise.all(Array.from({ length: count }, () => open()));
    for (const node of nodes) for (const other of nodes) dial(node, other);
    await until("all are up", () => nodes.every(({ up }) => up.size === count - 1));
    return nodes;
  }

  function dial(from: Recorder, to: Recorder): void {
    from.cluster.dial({ id: to.cluster.id, addresses: to.cluster.addresses });
  }

  async function connect(from: Recorder, to: Recorder): Promise<void> {
    dial(from, to);
    await until("both are up", () => from.up.has(to.cluster.id) && to.up.has(from.cluster.id));
  }

  async function openPair(cluster?: string): Promise<[Recorder, Recorder]> {
    const [left, right] = await Promise.all([open(cluster), open(cluster)]);
    await connect(right, left);
    return [left, right];
  }

  const timesUp = (node: Recorder, peer: Recorder) =>
    node.events.filter((event) => event === `up ${peer.cluster.id}`).length;

  afterEach(async () => {
    const nodes = opened.splice(0);
    await Promise.all(nodes.map(({ cluster }) => cluster.close()));
    expect(nodes.flatMap(({ faults }) => faults)).toEqual([]);
    expect(nodes.map(({ up }) => up.size)).toEqual(nodes.map(() => 0));
  });

  describe(`${name}: peers`, () => {
    test("a dialled peer is up on both sides, and down on both when one closes", async () => {
      const [left, right] = await openPair();
      await right.cluster.close();
      await until("down", () => left.up.size === 0);
      expect(left.events).toEqual([`up ${right.cluster.id}`, `down ${right.cluster.id}`]);
      expect(right.events).toEqual([`up ${left.cluster.id}`, `down ${left.cluster.id}`]);
      expect(left.reasons[0]).toBeTruthy();
    });

    test("two nodes that dial each other at once are up once", async () => {
      const pairs = await Promise.all(
        Array.from({ length: 5 }, (_, pair) => Promise.all([open(`pair-${pair}`), open(`pair-${pair}`)])),
      );
      for (const [left, right] of pairs) {
        dial(left, right);
        dial(right, left);
      }
      await until("all are up", () => pairs.flat().every(({ up }) => up.size === 1));
      // A late duplicate would show as a down: gossip and frames still pass after some round trips.
      for (const [left, right] of pairs) {
        for (let round = 1; round <= 20; round++) {
          left.cluster.send(right.cluster.id, Buffer.of(round));
          await until("the frame arrived", () => right.frames.length === round);
        }
        expect(left.events).toHaveLength(1);
        expect(right.events).toHaveLength(1);
      }
    });

    test("a node does not connect to itself, with its id known or not", async () => {
      const node = await open();
      const other = await open();
      node.cluster.dial({ id: node.cluster.id, addresses: node.cluster.addresses });
      node.cluster.dial({ addresses: node.cluster.addresses.map(withoutId) });
      await connect(node, other);
      expect(node.events).toEqual([`up ${other.cluster.id}`]);
    });

    test("a dial without an id learns it", async () => {
      const left = await open();
      const right = await open();
      left.cluster.dial({ addresses: right.cluster.addresses.map(withoutId) });
      await until("up", () => left.up.has(right.cluster.id) && right.up.has(left.cluster.id));
    });

    test("nodes of different clusters do not meet", async () => {
      const left = await open("one");
      const right = await open("two");
      const friend = await open("two");
      dial(left, right);
      await connect(friend, right);
      expect([left.events, right.events]).toEqual([[], [`up ${friend.cluster.id}`]]);
    });

    test("disconnect tells both sides why, and the dialler comes back", async () => {
      const [left, right] = await openPair();
      left.cluster.disconnect(right.cluster.id, "no heartbeat");
      await until("back", () => left.count("up") === 2 && right.count("up") === 2);
      expect(left.reasons).toEqual(["no heartbeat"]);
      expect(right.count("down")).toBe(1);
    });

    test("a forgotten peer is not dialled again, until it is dialled anew", async () => {
      const [left, right] = await openPair();
      const third = await open();
      // It was right that dialled.
      right.cluster.forget(left.cluster.id);
      right.cluster.disconnect(left.cluster.id, "goodbye");
      await until("down", () => !left.up.has(right.cluster.id) && !right.up.has(left.cluster.id));
      await connect(third, left);
      third.cluster.disconnect(left.cluster.id, "again");
      await until("the other pair redialled", () => timesUp(third, left) === 2);
      expect(timesUp(right, left)).toBe(1);
      await connect(right, left);
    });

    test("a peer that comes back before it was missed takes its old place, and is down and up once", async () => {
      // Four pairs: which side has the smaller id is left to chance.
      const pairs = await Promise.all(Array.from({ length: 4 }, (_, pair) => openPair(`pair-${pair}`)));
      for (const [pair, [left, right]] of pairs.entries()) {
        const twin = new Recorder();
        twin.cluster = await engine.openTwin(left.cluster, { cluster: `pair-${pair}`, listener: twin });
        opened.push(twin);
        expect(twin.cluster.id).toBe(left.cluster.id);
        right.cluster.forget(left.cluster.id);
        dial(twin, right);
        await until("taken over", () => twin.up.size === 1 && right.count("up") === 2);
        twin.cluster.send(right.cluster.id, Buffer.from("back"));
        twin.cluster.publish(Buffer.from("back"));
        await until("it is heard", () => right.frames.length === 1 && right.heard("back"));
        expect(right.events.map((event) => event.split(" ")[0])).toEqual(["up", "down", "up"]);
      }
    });
  });

  describe(`${name}: frames`, () => {
    test("arrive whole and in order, both ways, from 0 bytes to the largest size", async () => {
      const [left, right] = await openPair();
      const sizes = [0, 1, 3, 4, 1_000, 65_535, 65_536, 65_537, 262_144, LIMITS.peerFrameBytesMax, 0, 5];
      const frames = sizes.map((size, index) => Buffer.alloc(size, index + 1));
      for (const frame of frames) {
        left.cluster.send(right.cluster.id, frame);
        right.cluster.send(left.cluster.id, frame);
      }
      await until("all arrived", () => [left, right].every((node) => node.frames.length === frames.length));
      for (const node of [left, right]) {
        expect(node.frames.every(({ frame }, index) => frames[index]!.equals(frame))).toBe(true);
      }
    });

    test("of any number are queued, counted while they wait, and lost by none", async () => {
      const [left, right] = await openPair();
      const count = 40_000;
      let expected = 0;
      right.onFrame = (_, frame) => {
        if (Buffer.from(frame).readUInt32BE() !== expected++) right.faults.push("out of order");
      };
      let waitingMax = 0;
      for (let index = 0; index < count; index++) {
        const frame = Buffer.alloc(4 + (index % 1_000));
        frame.writeUInt32BE(index);
        waitingMax = Math.max(waitingMax, left.cluster.send(right.cluster.id, frame));
      }
      expect(waitingMax).toBeGreaterThan(1_000_000);
      await until("all arrived", () => expected === count);
      const last = Buffer.alloc(4);
      last.writeUInt32BE(count);
      expect(left.cluster.send(right.cluster.id, last)).toBeLessThan(waitingMax);
    });

    test("to a peer that is not connected are dropped, and 0 says so", async () => {
      const node = await open();
      expect(node.cluster.send("nobody", Buffer.from("frame"))).toBe(0);
    });

    test("sent right before close arrive", async () => {
      const [left, right] = await openPair();
      for (let index = 0; index < 50; index++)
        left.cluster.send(right.cluster.id, Buffer.alloc(20_000, index));
      left.cluster.send(right.cluster.id, Buffer.from("goodbye"));
      await left.cluster.close();
      await until("down", () => right.up.size === 0);
      expect(right.frames).toHaveLength(51);
      expect(Buffer.from(right.frames.at(-1)!.frame).toString()).toBe("goodbye");
    });

    test("may be answered from inside the listener", async () => {
      const [left, right] = await openPair();
      right.onFrame = (from, frame) => {
        right.cluster.send(from, frame);
        right.cluster.disconnect("nobody", "no reason");
      };
      left.onFrame = (from) => left.cluster.disconnect(from, "enough");
      left.cluster.send(right.cluster.id, Buffer.from("ping"));
      await until("disconnected", () => left.count("down") === 1);
      expect(left.reasons).toEqual(["enough"]);
    });
  });

  describe(`${name}: gossip`, () => {
    test("published as soon as the peer is up reaches it, once, and not its author", async () => {
      const [left, right] = await openPair();
      left.cluster.publish(Buffer.from("hello"));
      await until("heard", () => right.heard("hello"));
      expect(right.gossips).toEqual([{ from: left.cluster.id, text: "hello" }]);
      expect(left.gossips).toEqual([]);
    });

    test("reaches all nodes of a mesh exactly once", async () => {
      const nodes = await openMesh(5);
      for (const node of nodes) node.cluster.publish(Buffer.from(`from ${node.cluster.id}`));
      await until("all heard", () => nodes.every(({ gossips }) => gossips.length === nodes.length - 1));
      for (const { cluster, gossips } of nodes) {
        expect(new Set(gossips.map(({ text }) => text)).size).toBe(nodes.length - 1);
        expect(gossips.some(({ text }) => text === `from ${cluster.id}`)).toBe(false);
      }
    });

    test("of the largest size passes", async () => {
      const [left, right] = await openPair();
      left.cluster.publish(Buffer.alloc(LIMITS.gossipBytesMax, "x"));
      await until("heard", () => right.gossips[0]?.text.length === LIMITS.gossipBytesMax);
    });

    // Where everybody hears the author himself, nothing travels on.
    const dialled = test.runIf(engine.meets === "dialled");
    dialled.each(["ignore", "reject"] as const)("with the verdict %s travels no further", async (verdict) => {
      const [first, middle, last] = (await openLine(3)) as [Recorder, Recorder, Recorder];
      middle.verdict = ({ bytes }) => (Buffer.from(bytes).toString() === "bad" ? verdict : "accept");
      first.cluster.publish(Buffer.from("bad"));
      let sent = 0;
      await until("a good one passes", () => {
        first.cluster.publish(Buffer.from(`good ${sent++}`));
        return last.gossips.length > 0;
      });
      expect(middle.heard("bad")).toBe(true);
      expect(last.heard("bad")).toBe(false);
      expect(last.gossips[0]!.from).toBe(middle.cluster.id);
    });

    test("settled after the node closed, or twice, does no harm", async () => {
      const [left, right] = await openPair();
      const settles: (() => void)[] = [];
      right.gossip = (message) => void settles.push(() => message.settle("accept"));
      left.cluster.publish(Buffer.from("late"));
      await until("heard", () => settles.length === 1);
      settles[0]!();
      await right.cluster.close();
      settles[0]!();
    });

    test("has an audience once a peer is up", async () => {
      const [left, right] = await openPair();
      expect([left.cluster.hasAudience, right.cluster.hasAudience]).toEqual([true, true]);
    });

    test("with no peer is no error", async () => {
      const node = await open();
      node.cluster.publish(Buffer.from("anyone?"));
      node.cluster.publish(Buffer.from("anyone?"));
    });
  });

  describe(`${name}: close`, () => {
    test("is idempotent, and every call after it is harmless", async () => {
      const [left, right] = await openPair();
      await Promise.all([left.cluster.close(), left.cluster.close()]);
      await left.cluster.close();
      left.cluster.publish(Buffer.from("late"));
      expect(left.cluster.send(right.cluster.id, Buffer.from("late"))).toBe(0);
      dial(left, right);
      left.cluster.forget(right.cluster.id);
      left.cluster.disconnect(right.cluster.id, "late");
    });

    test("of all nodes at once ends in time", async () => {
      const nodes = await openMesh(3);
      await Promise.all(nodes.map(({ cluster }) => cluster.close()));
      expect(nodes.map(({ up }) => up.size)).toEqual([0, 0, 0]);
    });
  });
}

function withoutId(address: string): string {
  return address.replace(/\/p2p\/.*$/, "");
}
