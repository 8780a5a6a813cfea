import { describe, expect, it } from "vitest";
import { relay } from "../raw-client.js";
import { HubWorld } from "./world.js";

const MESSAGE = 10_000;

/** A sender, a receiver that takes `room` bytes, and another one that keeps up. */
function ground(slowConsumer: "evict" | "wait", outboxMax = 100_000) {
  const world = new HubWorld({ outboxMax, stallTimeoutMs: 2_000, slowConsumer });
  const [sender, slow, quick] = [world.connect(), world.connect(), world.connect()];
  slow.room = 0;
  const send = (count: number): void => {
    for (let index = 0; index < count; index += 1) world.send(sender, relay([2, 3], "x".repeat(MESSAGE)));
  };
  return { world, sender, slow, quick, send };
}

describe.each(["evict", "wait"] as const)("under %s", (policy) => {
  it("a sender is held at half of a receiver's limit, and goes on when there is room", () => {
    const { world, sender, slow, quick, send } = ground(policy);
    send(20);
    expect(sender.session).toMatchObject({ pausedFor: "receiver", reading: false, pauses: 1 });
    expect(world.payloads(quick).length).toBe(5);
    world.read(slow, 5 * 10_005);
    expect(world.payloads(quick).length).toBeGreaterThan(5);
    for (let round = 0; round < 20; round += 1) world.read(slow, 30_000);
    expect([world.payloads(slow).length, world.payloads(quick).length]).toEqual([20, 20]);
    expect(sender.session.pausedFor).toBeUndefined();
    expect(world.machine.memory.usedBytes).toBe(0);
  });
});

describe("a receiver that takes nothing", () => {
  it("holds up nobody longer than 250 ms, and is closed at its limit", () => {
    const { world, sender, slow, quick, send } = ground("evict");
    send(8);
    world.pass(249);
    expect(sender.session.pausedFor).toBe("receiver");
    world.pass(1);
    expect(world.payloads(quick).length).toBe(8);
    expect(slow.gone).toBe(false);
    send(8);
    expect(slow.session.closeReason).toBe("slowConsumer");
    expect(world.payloads(quick).length).toBe(16);
  });

  it("is not blamed for what the hub has no time to write", () => {
    const { world, sender, slow, quick, send } = ground("evict");
    world.writes = false;
    send(20);
    expect(sender.session.pausedFor).toBe("receiver");
    world.pass(2_000);
    expect(slow.session).toMatchObject({ frozen: false, open: true });
    expect(sender.session.pausedFor).toBe("receiver");
    world.writes = true;
    slow.room = Number.POSITIVE_INFINITY;
    world.settle();
    world.pass(10);
    expect([world.payloads(slow).length, world.payloads(quick).length]).toEqual([20, 20]);
  });

  it("has its 250 ms from when the hub has written, however late that was", () => {
    const { world, sender, slow, send } = ground("evict");
    world.writes = false;
    send(20);
    world.pass(2_000);
    world.writes = true;
    world.settle();
    world.pass(249);
    expect([slow.session.frozen, sender.session.pausedFor]).toEqual([false, "receiver"]);
    world.pass(251);
    expect(slow.session).toMatchObject({ open: false, closeReason: "slowConsumer" });
  });

  it("is not closed while it takes some bytes now and then, if every 300 ms only", () => {
    const { world, sender, slow, quick, send } = ground("evict", 2_000_000);
    let sent = 0;
    for (let round = 0; round < 60; round += 1) {
      if (sender.session.pausedFor === undefined) {
        send(12);
        sent += 12;
      }
      world.pass(300);
      world.read(slow, 70_000);
    }
    expect(slow.session).toMatchObject({ open: true, frozen: false });
    for (let round = 0; round < 200; round += 1) world.read(slow, 70_000);
    expect([world.payloads(slow).length, world.payloads(quick).length]).toEqual([sent, sent]);
    expect(slow.session.revivals).toBe(0);
  });

  it("is closed after the stall timeout under wait", () => {
    const { world, slow, quick, send } = ground("wait");
    send(8);
    world.pass(1_999);
    expect([slow.gone, world.payloads(quick).length]).toEqual([false, 5]);
    world.pass(1);
    expect(slow.session.closeReason).toBe("slowConsumer");
    expect(world.payloads(quick).length).toBe(8);
  });

  it("may be closed by its own messages, in the middle of what it sends", () => {
    const { world, slow, quick, send } = ground("evict");
    send(8);
    world.pass(250);
    expect(slow.session).toMatchObject({ open: true, frozen: true });
    const toItself = relay([slow.session.id], "x".repeat(MESSAGE));
    world.send(slow, Buffer.concat([...Array.from({ length: 8 }, () => toItself), relay([3], "behind it")]));
    expect(slow.session).toMatchObject({ open: false, closeReason: "slowConsumer" });
    expect(world.payloads(quick)).not.toContain("behind it");
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("does not lose what a sender sent before it left", () => {
    const { world, sender, quick, send } = ground("evict");
    send(5);
    world.send(sender, Buffer.concat([relay([2, 3], "x".repeat(MESSAGE)), relay([3], "last words")]));
    world.leave(sender);
    world.pass(300);
    expect(world.payloads(quick).at(-1)).toBe("last words");
  });
});

describe("a frame for which the rest of the memory is too small", () => {
  it("waits, while smaller ones go on, and is taken when others have ended", () => {
    // Over 15/16 nobody would be let go on; four frames stay below that, and a fifth one does not fit.
    const world = new HubWorld({ memoryMax: 4 * 1_048_576 });
    const large = relay([1], "x".repeat(900_000));
    const begun = Array.from({ length: 5 }, () => world.connect());
    for (const wire of begun) world.send(wire, Buffer.from(large.subarray(0, 1_000)));
    expect(begun.map(({ session }) => session.pausedFor)).toEqual([...Array(4), "memory"]);

    const small = world.connect();
    world.send(small, relay([1], "small"));
    expect(world.payloads(begun[0]!).map(String)).toEqual(["small"]);

    world.send(begun[1]!, Buffer.from(large.subarray(1_000)));
    expect(begun[4]!.session.pausedFor).toBeUndefined();
    world.send(begun[4]!, Buffer.from(large.subarray(1_000)));
    expect(world.payloads(begun[0]!)).toHaveLength(3);
  });
});

describe("a client that sent its end", () => {
  const queued = 40;
  /** The receiver has sent its end, and still has to read all but what its kernel holds. */
  function ended(options: { memoryMax?: number } = {}) {
    const world = new HubWorld({ ...options, progressTimeoutMs: 60_000 });
    const [sender, receiver] = [world.connect(), world.connect()];
    receiver.room = 0;
    for (let count = 0; count < queued; count += 1) world.send(sender, relay([2], "x".repeat(MESSAGE)));
    world.end(receiver);
    expect(receiver.session).toMatchObject({ open: false, closeReason: "clientClosed" });
    return { world, sender, receiver };
  }

  it("gets what was queued for it, though it reads slowly", () => {
    const { world, receiver } = ended();
    for (let read = 0; read < queued * 1.1 * MESSAGE; read += MESSAGE) {
      world.pass(1_000);
      world.read(receiver, MESSAGE);
    }
    expect(world.payloads(receiver)).toHaveLength(queued);
  });

  it("is cut when it takes nothing for as long as any client may", () => {
    const { world, receiver } = ended();
    world.pass(59_000);
    expect(receiver.gone).toBe(false);
    world.pass(2_000);
    expect(receiver).toMatchObject({ gone: true, session: { closeReason: "slowConsumer" } });
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("is cut after a second when others want the memory", () => {
    const { world, sender, receiver } = ended({ memoryMax: (queued + 1) * MESSAGE });
    const third = world.connect();
    for (let count = 0; count < 10; count += 1) world.send(sender, relay([3], "x".repeat(MESSAGE)));
    world.pass(2_000);
    expect(receiver).toMatchObject({ gone: true, session: { closeReason: "memoryBudget" } });
    expect(world.payloads(third)).toHaveLength(10);
  });
});
