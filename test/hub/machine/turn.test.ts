import { describe, expect, it } from "vitest";
import { HUB_LIMITS } from "../../../src/hub/machine/limits.js";
import { relay } from "../raw-client.js";
import { HubWorld } from "./world.js";

const RECEIVERS = 25;
/** Each receiver ten times: a message is a fifth of a turn's work. */
const LIST = Array.from({ length: 10 * RECEIVERS }, (_, index) => 1 + (index % RECEIVERS));
const SIZE = Math.ceil(HUB_LIMITS.turnBytesMax / 5 / LIST.length);
const MESSAGE = relay(LIST, Buffer.alloc(SIZE));
/** One read of a frame that goes on, and how many of them are a turn's work. */
const begun = relay([1], Buffer.alloc(HUB_LIMITS.payloadBytesMax)).subarray(0, 65_536);
const perTurn = HUB_LIMITS.turnBytesMax / HUB_LIMITS.turnReceivedFactor / begun.length;
/** For good: the clock of these tests stands still. */
const OVER_SHARE = 2 * HUB_LIMITS.shareBurstBytes;

/** Receivers, and senders over their share; `turns` says after each turn how many messages were taken from each sender in it. */
function ground(senders: number) {
  const world = new HubWorld({ frameTimeoutMs: 5_000 });
  const receivers = Array.from({ length: RECEIVERS }, () => world.connect());
  const from = Array.from({ length: senders }, () => world.connect());
  for (const { session } of from) session.share.spend(OVER_SHARE);
  const turns: number[][] = [];
  let before = from.map(() => 0);
  world.onTurn = () => {
    const taken = from.map(({ session }) => session.framesIn);
    turns.push(taken.map((count, index) => count - before[index]!));
    before = taken;
    for (const receiver of receivers) receiver.written = [];
  };
  return { world, from, turns };
}

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);

describe("a turn of the event loop", () => {
  it("ends after its share of work, and senders go on in the order in which they were stopped", () => {
    const { world, from, turns } = ground(3);
    for (const wire of from) wire.pending.push(...new Array<Buffer>(6).fill(MESSAGE));
    world.settle();
    expect(turns.map(sum).filter((count) => count > 0)).toEqual([5, 5, 5, 3]);
    // Senders that were stopped come first, in that order (1 1 1); then those that are read, here all that the second has sent.
    expect(turns.slice(0, 2)).toEqual([
      [5, 0, 0],
      [1, 3, 1],
    ]);
    for (const { session } of from) {
      expect(session).toMatchObject({ pausedFor: undefined, reading: true, pauses: 0, pausedMs: 0 });
    }
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("ends for clients over their share alone", () => {
    const { world, from } = ground(1);
    const light = world.connect();
    for (let count = 0; count < 5; count += 1) world.receive(from[0]!.session, Buffer.from(MESSAGE));
    for (const { session } of [from[0]!, light]) world.receive(session, relay([1], "x"));
    expect([from[0]!.session.pausedFor, light.session.pausedFor]).toEqual(["turn", undefined]);
    expect(light.session.framesIn).toBe(1);
    // That is not without end either.
    for (let count = 0; count < 3; count += 1) world.receive(light.session, relay(LIST, Buffer.alloc(100)));
    expect(light.session).toMatchObject({ pausedFor: "turn", framesIn: 3 });
    world.settle();
    expect(light.session).toMatchObject({ pausedFor: undefined, framesIn: 4 });
  });

  it("ends after its time, however little work that was", () => {
    const { world, from } = ground(2);
    const light = world.connect();
    world.receive(from[0]!.session, relay([1], "x"));
    world.nowMs += HUB_LIMITS.turnMsMax;
    for (const { session } of [from[1]!, light]) world.receive(session, relay([1], "x"));
    expect([from[1]!.session.pausedFor, light.session.pausedFor]).toEqual(["turn", undefined]);
    world.settle();
    expect(from[1]!.session).toMatchObject({ pausedFor: undefined, framesIn: 1 });
  });

  it("has as much time whatever is written in it", () => {
    const { world, from } = ground(1);
    const [{ session }] = from as [(typeof from)[0]];
    // Flushed before the turn ends.
    world.receive(session, relay(LIST, Buffer.alloc(HUB_LIMITS.flushBytes / 2)));
    world.machine.effects.flushUrgent((receiver) => {
      expect(world.machine.takeBatch(receiver, world.nowMs)).not.toHaveLength(0);
      world.nowMs += 1;
      world.machine.handle({ type: "sent", session: receiver, atOnce: true }, world.nowMs);
    });
    world.receive(session, relay([1], "x"));
    expect(session).toMatchObject({ pausedFor: undefined, framesIn: 2 });
    world.nowMs += HUB_LIMITS.turnMsMax;
    world.receive(session, relay([1], "x"));
    expect(session).toMatchObject({ pausedFor: "turn", framesIn: 2 });
  });

  it("begins with its first work, and not while nothing happens", () => {
    const { world, from } = ground(1);
    for (let round = 0; round < 2; round += 1) {
      world.send(from[0]!, relay([1], "x"));
      world.nowMs += HUB_LIMITS.turnMsMax;
    }
    world.receive(from[0]!.session, relay([1], "x"));
    expect(from[0]!.session).toMatchObject({ pausedFor: undefined, framesIn: 3 });
  });

  it("may end between two senders that waited for it", () => {
    const { world, from } = ground(3);
    const [busy, first, second] = from.map(({ session }) => session);
    for (let count = 0; count < 5; count += 1) world.receive(busy!, Buffer.from(MESSAGE));
    for (const session of [first!, second!]) world.receive(session, relay([1], "x"));
    world.machine.handle({ type: "turned" }, world.nowMs);
    while (world.machine.hasLeftOver) {
      world.machine.handle({ type: "continued" }, world.nowMs);
      world.nowMs += HUB_LIMITS.turnMsMax;
    }
    expect([first!, second!].map(({ pausedFor }) => pausedFor)).toEqual([undefined, "turn"]);
    world.settle();
    expect(second!).toMatchObject({ pausedFor: undefined, framesIn: 1 });
  });

  it("goes to those that waited before those that had some of the last one", () => {
    const { world, from, turns } = ground(3);
    const chunk = Buffer.concat(new Array<Buffer>(12).fill(MESSAGE));
    for (const { session } of from) world.receive(session, Buffer.from(chunk));
    world.settle();
    expect(turns.slice(0, 3).map((counts) => counts.findIndex((count) => count > 1))).toEqual([0, 1, 2]);
    expect(turns.reduce((total, counts) => total + sum(counts), 0)).toBe(36);
  });

  it("stops reading from clients over their share whose bytes alone are too much for it", () => {
    const { world, from } = ground(2);
    const light = world.connect();
    const begun = relay([1], Buffer.alloc(HUB_LIMITS.payloadBytesMax)).subarray(0, 1_000_000);
    const chunks = Math.ceil(HUB_LIMITS.turnBytesMax / HUB_LIMITS.turnReceivedFactor / begun.length);
    const others = Array.from({ length: chunks }, () => world.connect());
    for (const { session } of others) {
      session.share.spend(OVER_SHARE);
      world.receive(session, Buffer.from(begun));
    }
    for (const { session } of [...from, light]) world.receive(session, Buffer.from(begun.subarray(0, 100)));
    expect([...from, light].map(({ session }) => session.reading)).toEqual([false, false, true]);
    world.settle();
    expect([...from, light].map(({ session }) => session.reading)).toEqual([true, true, true]);
  });

  it("resumes no more senders than it can read from", () => {
    const { world } = ground(0);
    const senders = Array.from({ length: Math.ceil(4 * perTurn) }, () => world.connect());
    for (const { session } of senders) {
      session.share.spend(OVER_SHARE);
      world.receive(session, Buffer.from(begun));
    }
    const reading = () => senders.filter(({ session }) => session.reading).length;
    // One chunk waits in the stream of each, and one more is read before it stops.
    const before = reading();
    expect(before).toBeLessThanOrEqual(Math.ceil(perTurn));
    for (let turn = 1; turn <= 3; turn += 1) {
      world.machine.handle({ type: "turned" }, world.nowMs);
      while (world.machine.hasLeftOver) world.machine.handle({ type: "continued" }, world.nowMs);
      expect(reading() - before).toBe(turn * Math.floor(perTurn / 2));
    }
    world.settle();
    expect(reading()).toBe(senders.length);
  });

  it("is for clients that left much of their share unused, when shares alone take one and a half", () => {
    const { world } = ground(0);
    const ample = world.connect();
    world.nowMs += 1_000;
    // All are within their share: it has grown, and 65,536 bytes do not use it up.
    const senders = Array.from({ length: Math.ceil(3 * perTurn) }, () => world.connect());
    world.nowMs += 100;
    for (const { session } of senders) world.receive(session, Buffer.from(begun));
    world.receive(ample.session, relay([1], "x"));
    const paused = senders.filter(({ session }) => !session.reading).length;
    expect(paused).toBe(senders.length - Math.ceil(1.5 * perTurn) + 1);
    expect(ample.session).toMatchObject({ reading: true, framesIn: 1 });
  });

  it("may end within a chunk", () => {
    const { world, from, turns } = ground(1);
    world.send(from[0]!, Buffer.concat(new Array<Buffer>(12).fill(MESSAGE)));
    // With a receiver listed twice, each message is queued when the next one begins. In later turns the sender counts as one that
    // sends as much again.
    expect(turns.map(sum).filter((count) => count > 0)).toEqual([6, 4, 2]);
  });

  it("stops the clocks of a client that waits for the next one", () => {
    const { world, from } = ground(2);
    const [busy, other] = from;
    world.send(other!, MESSAGE.subarray(0, 100));
    const beganAtMs = other!.session.frameBeganAtMs;
    for (let count = 0; count < 5; count += 1) world.receive(busy!.session, Buffer.from(MESSAGE));
    world.receive(other!.session, Buffer.from(MESSAGE.subarray(100)));
    expect(other!.session).toMatchObject({ pausedFor: "turn", reading: false, frameBeganAtMs: beganAtMs });
    world.pass(0);
    world.nowMs += 6_000;
    world.machine.handle({ type: "woke" }, world.nowMs);
    expect(other!.session.closeReason).toBeUndefined();
    world.settle();
    expect(other!.session).toMatchObject({ framesIn: 1, pausedMs: 0, heardAtMs: world.nowMs });
  });

  it("loses nothing of a sender that left while it waited for the next one", () => {
    const { world, from } = ground(2);
    for (let count = 0; count < 5; count += 1) world.receive(from[0]!.session, Buffer.from(MESSAGE));
    world.receive(from[1]!.session, Buffer.from(MESSAGE));
    expect(from[1]!.session).toMatchObject({ pausedFor: "turn", framesIn: 0 });
    world.leave(from[1]!);
    expect(from[1]!.session).toMatchObject({ pausedFor: undefined, sending: false, framesIn: 1 });
    expect(world.machine.memory.usedBytes).toBe(0);
  });
});

it("closes and announces a bounded number of silent connections in one turn, and all soon", () => {
  const count = 10 * HUB_LIMITS.turnEndingsMax;
  const world = new HubWorld({ refuseToken: () => "unauthorized", handshakeTimeoutMs: 1_000 });
  const wires = Array.from({ length: count }, () => world.connect());
  const open = () => wires.filter(({ session }) => session.open).length;
  const inOneTurn: number[] = [];
  for (let turns = 0; open() > 0 && turns < 1_000; turns++) {
    const before = open();
    world.nowMs = Math.max(world.nowMs, world.wakeAtMs);
    world.wake();
    inOneTurn.push(before - open());
  }
  expect(open()).toBe(0);
  expect(Math.max(...inOneTurn)).toBe(HUB_LIMITS.turnEndingsMax);
  expect(world.nowMs).toBeLessThan(1_000_000 + 4_000);
});
