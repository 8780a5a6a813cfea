import { describe, expect, it } from "vitest";
import { HUB_LIMITS } from "../../../src/hub/machine/limits.js";
import { frame, hello, relay, u64 } from "../raw-client.js";
import { HubWorld, type Wire } from "./world.js";

const LIST = frame(2);
const many = (bytes: Buffer, count: number): Buffer => Buffer.concat(new Array<Buffer>(count).fill(bytes));

/** A hub with so many clients that do nothing. */
function crowd(count: number, options = {}) {
  const world = new HubWorld(options);
  const idle = Array.from({ length: count }, () => world.connect());
  return { world, idle };
}

/** The answers to requests of all of these until now. */
const asked = (wires: readonly Wire[]): number =>
  wires.reduce((sum, { session }) => sum + session.framesIn, 0);

describe("requests", () => {
  it.each<[string, readonly Buffer[], Buffer]>([
    ["lists", [], LIST],
    ["rosters", [hello("asks")], frame(22)],
    ["pings", [hello("asks")], frame(24, "12345678")],
    ["hellos", [], hello("again", { features: 1 })],
    [
      "groups of new names",
      [hello("asks")],
      Buffer.concat([frame(20, "g".repeat(64)), frame(21, "g".repeat(64))]),
    ],
  ])("of one client are answered up to its share, and go on as it grows: %s", (_what, first, request) => {
    const { world } = crowd(900);
    const flooder = world.connect();
    world.send(flooder, ...first, many(request, 10_000));
    expect(flooder.session).toMatchObject({ pausedFor: "share", reading: false, open: true });
    const atOnce = flooder.session.framesIn;
    world.pass(1_000);
    const inASecond = flooder.session.framesIn - atOnce;
    expect(inASecond).toBeGreaterThan(atOnce / 10);
    const costBytes = HUB_LIMITS.requestBytesPerSecond / HUB_LIMITS.requestBytes;
    expect(inASecond).toBeLessThanOrEqual(costBytes);
    expect(world.machine.effects.hasDirty).toBe(false);
  });

  it("over the share of one client hold up nobody else, nor that client's own messages before them", () => {
    const { world, idle } = crowd(900);
    const [flooder, user] = [world.connect(), world.connect()];
    world.send(flooder, relay([1], "before"), many(LIST, 10_000), relay([1], "behind"));
    world.send(user, relay([1], "x"), LIST);
    expect(world.payloads(idle[0]!)).toEqual(["before", "x"]);
    expect(user.session).toMatchObject({ pausedFor: undefined, framesIn: 2 });
  });

  it("of all clients together have a part of each turn", () => {
    const { world } = crowd(900);
    const flooders = Array.from({ length: 300 }, () => world.connect());
    const perTurn: number[] = [];
    let before = 0;
    world.onTurn = () => {
      perTurn.push(asked(flooders) - before);
      before = asked(flooders);
    };
    for (const { session } of flooders) world.receive(session, many(LIST, 10));
    world.settle();
    expect(asked(flooders)).toBe(3_000);
    const costBytes = HUB_LIMITS.requestBytes + 8 * 1_200;
    expect(Math.max(...perTurn)).toBeLessThan(HUB_LIMITS.turnRequestBytesMax / costBytes + 1);
  });

  it("wait for those who do not read the answers", () => {
    const { world } = crowd(9_000);
    const flooder = world.connect();
    flooder.room = 0;
    for (let round = 0; round < 20; round += 1) {
      world.send(flooder, many(LIST, 10));
      world.pass(1_000);
    }
    expect(flooder.session).toMatchObject({ pausedFor: "answers", open: true });
    expect(flooder.session.outbox.bytes).toBeLessThan(HUB_LIMITS.answersBytesMax + 80_000);
    world.read(flooder, Number.POSITIVE_INFINITY);
    for (let round = 0; round < 60; round += 1) world.pass(1_000);
    expect(flooder.session).toMatchObject({ pausedFor: undefined, framesIn: 200 });
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("wait in memory that the system gets back, and not in the block that they were read into", () => {
    const { world } = crowd(9);
    const flooder = world.connect();
    const [chunk, next] = [many(LIST, 8_000), many(LIST, 8_000)];
    world.receive(flooder.session, chunk);
    expect(flooder.session).toMatchObject({ pausedFor: "share", parked: true });
    expect(chunk.buffer).toMatchObject({ detached: true });
    const usedBytes = world.machine.memory.usedBytes;
    const parked = world.machine.park(flooder.session, next);
    expect(world.machine.memory.usedBytes).toBe(usedBytes + parked.length);
    expect(next.buffer).toMatchObject({ detached: true });
    expect(parked).toEqual(many(LIST, 8_000));
    expect(world.machine.park(flooder.session, parked)).toBe(parked);
    for (let round = 0; round < 10; round += 1) world.pass(1_000);
    expect(flooder.session).toMatchObject({ pausedFor: undefined, parked: false, framesIn: 8_000 });
    expect(world.machine.memory.usedBytes, "the shell has it").toBe(parked.length);
    world.receive(flooder.session, parked);
    for (let round = 0; round < 10; round += 1) world.pass(1_000);
    expect(flooder.session.framesIn).toBe(16_000);
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("of a client that left are not answered, and what it sent is delivered", () => {
    const { world, idle } = crowd(900);
    const flooder = world.connect();
    const chunk = [hello("asks"), many(LIST, 5_000), relay([1], "behind"), frame(20, "group")];
    world.send(flooder, Buffer.concat(chunk));
    expect(flooder.session.pausedFor).toBe("share");
    world.leave(flooder);
    expect(world.payloads(idle[0]!)).toEqual(["behind"]);
    expect(world.machine.groups).toBe(0);
    expect(flooder.session.sending).toBe(false);
    expect(world.machine.memory.usedBytes).toBe(0);
  });

  it("of a client that is gone are forgotten", () => {
    const { world } = crowd(900);
    const flooder = world.connect();
    world.send(flooder, many(LIST, 10_000));
    expect(flooder.session.pausedFor).toBe("share");
    world.machine.handle({ type: "disconnected", session: flooder.session, reason: "stopping" }, world.nowMs);
    world.settle();
    world.pass(5_000);
    expect(world.machine.memory.usedBytes).toBe(0);
  });
});

describe("receipts", () => {
  it("count for every receiver that they name", () => {
    const world = new HubWorld();
    const perTurn: number[] = [];
    let before = 0;
    const senders = Array.from({ length: 20 }, () => world.connect());
    for (const sender of senders) world.send(sender, hello("asks"));
    world.onTurn = () => {
      perTurn.push(asked(senders) - before);
      before = asked(senders);
      for (const sender of senders) sender.written = [];
    };
    const unknown = Array.from({ length: 255 }, (_, n) => 1_000_000 + n);
    const message = frame(17, Buffer.of(1), u64(7), Buffer.of(255), u64(...unknown));
    for (const { session } of senders) {
      session.share.spend(2 * HUB_LIMITS.shareBurstBytes);
      world.receive(session, many(message, 400));
    }
    world.settle();
    expect(asked(senders)).toBe(20 * 401);
    expect(Math.max(...perTurn)).toBeLessThan(HUB_LIMITS.turnBytesMax / (255 * HUB_LIMITS.resolveBytes));
  });

  it("that their sender does not read hold up that sender, and no longer than any receiver does", () => {
    const world = new HubWorld({ outboxMax: 200_000 });
    const [sender, receiver] = [world.connect(), world.connect()];
    sender.room = 0;
    const message = (n: number): Buffer =>
      frame(17, Buffer.of(1), u64(n), Buffer.of(1), u64(receiver.session.id), "x");
    world.send(sender, hello("asks"));
    for (let n = 0; n < 6_000; n += 1) world.send(sender, message(n));
    expect(sender.session).toMatchObject({ pausedFor: "receiver", reading: false });
    expect(sender.session.outbox.bytes).toBeLessThan(110_000);
    world.pass(300);
    expect(sender.session.pausedFor).not.toBe("receiver");
  });
});

describe("the last of the memory", () => {
  it("is for small frames of clients within their share", () => {
    const world = new HubWorld({ memoryMax: 4_194_304 });
    const [flooder, user, receiver] = [world.connect(), world.connect(), world.connect()];
    receiver.room = 0;
    flooder.session.share.spend(2 * HUB_LIMITS.shareBurstBytes);
    for (let count = 0; count < 100; count += 1)
      world.send(flooder, relay([receiver.session.id], Buffer.alloc(60_000)));
    expect(flooder.session).toMatchObject({ pausedFor: "memory", reading: false });
    const other = world.connect();
    world.send(user, relay([other.session.id], "x"));
    expect(user.session).toMatchObject({ pausedFor: undefined, reading: true });
    expect(world.payloads(other)).toEqual(["x"]);
  });
});
