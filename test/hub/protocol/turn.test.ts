import { describe, expect, it } from "vitest";
import { HUB_LIMITS } from "../../../src/hub/protocol/limits.js";
import { relay } from "../raw-client.js";
import { Ground } from "./ground.js";

const RECEIVERS = 25;
/** Each receiver ten times: a message is a fifth of a turn's work. */
const LIST = Array.from({ length: 10 * RECEIVERS }, (_, index) => 1 + (index % RECEIVERS));
const SIZE = Math.ceil(HUB_LIMITS.turnBytesMax / 5 / LIST.length);
const MESSAGE = relay(LIST, Buffer.alloc(SIZE));

/** Receivers and senders; `turns` says after each turn how many messages were taken from each sender in it. */
function ground(senders: number) {
  const world = new Ground({ frameTimeoutMs: 5_000 });
  const receivers = Array.from({ length: RECEIVERS }, () => world.connect());
  const from = Array.from({ length: senders }, () => world.connect());
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
    // Who was stopped comes first, in that order (1 1 1); then whoever is read, here all that the second has sent.
    expect(turns.slice(0, 2)).toEqual([
      [5, 0, 0],
      [1, 3, 1],
    ]);
    for (const { session } of from) {
      expect(session).toMatchObject({ hold: undefined, reading: true, pauses: 0, pausedMs: 0 });
    }
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("may end within a chunk", () => {
    const { world, from, turns } = ground(1);
    world.send(from[0]!, Buffer.concat(new Array<Buffer>(12).fill(MESSAGE)));
    // With a receiver listed twice, each message is queued when the next one begins.
    expect(turns.map(sum).filter((count) => count > 0)).toEqual([6, 5, 1]);
  });

  it("stops the clocks of a client that waits for the next one", () => {
    const { world, from } = ground(2);
    const [busy, other] = from;
    world.send(other!, MESSAGE.subarray(0, 100));
    const beganAtMs = other!.session.frameBeganAtMs;
    for (let count = 0; count < 5; count += 1)
      world.machine.received(busy!.session, Buffer.from(MESSAGE), world.nowMs);
    world.machine.received(other!.session, Buffer.from(MESSAGE.subarray(100)), world.nowMs);
    expect(other!.session).toMatchObject({ hold: "turn", reading: false, frameBeganAtMs: beganAtMs });
    world.pass(0);
    world.nowMs += 6_000;
    world.machine.woke(world.nowMs);
    expect(other!.session.closeReason).toBeUndefined();
    world.settle();
    expect(other!.session).toMatchObject({ framesIn: 1, pausedMs: 0, heardAtMs: world.nowMs });
  });

  it("loses nothing of a sender that left while it waited for the next one", () => {
    const { world, from } = ground(2);
    for (let count = 0; count < 5; count += 1)
      world.machine.received(from[0]!.session, Buffer.from(MESSAGE), world.nowMs);
    world.machine.received(from[1]!.session, Buffer.from(MESSAGE), world.nowMs);
    expect(from[1]!.session).toMatchObject({ hold: "turn", framesIn: 0 });
    world.leave(from[1]!);
    expect(from[1]!.session).toMatchObject({ hold: undefined, sending: false, framesIn: 1 });
    expect(world.machine.memory.usedBytes).toBe(0);
  });
});
