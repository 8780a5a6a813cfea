import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Wire } from "../../protocol/ground.js";
import { frame, hello, relay, u64 } from "../../raw-client.js";
import { type Isle, Sea } from "./sea.js";

/** A relay of version 2 that asks for a receipt. */
function asks(number: number, receivers: readonly number[], payload: string): Buffer {
  return frame(17, Buffer.of(1), u64(number), Buffer.of(receivers.length), u64(...receivers), payload);
}

function toAll(payload: string): Buffer {
  return frame(18, Buffer.of(0), u64(1), payload);
}

function idsIn(isle: Isle, asker: Wire): number[] {
  asker.written = [];
  isle.send(asker, frame(2));
  const body = isle.frames(asker).find(({ type }) => type === 2)!.body;
  return Array.from({ length: body.length / 8 }, (_, index) => Number(body.readBigUInt64BE(8 * index)));
}

/** Payloads that came, of either version. */
function heard(isle: Isle, wire: Wire): string[] {
  return isle
    .frames(wire)
    .filter(({ type }) => [3, 17, 18].includes(type))
    .map(({ type, body }) => (type === 3 ? body : body.subarray(8)).toString());
}

function ofType(isle: Isle, wire: Wire, type: number): Buffer[] {
  return isle
    .frames(wire)
    .filter((one) => one.type === type)
    .map(({ body }) => body);
}

function receiptIn(isle: Isle, wire: Wire): { reached: number; unknown: number; evicted: number } {
  const [body] = ofType(isle, wire, 26);
  return { reached: body!.readUInt32BE(8), unknown: body!.readUInt32BE(12), evicted: body!.readUInt32BE(16) };
}

/** Two hubs with a client of version 1 and one of version 2 each. */
function twoHubs(options = {}) {
  const sea = new Sea(2, options);
  const [a, b] = sea.isles as [Isle, Isle];
  const [a1, a2, b1, b2] = [a.connect(), a.connect(), b.connect(), b.connect()];
  a.send(a2, hello("anna", { features: 1 }));
  b.send(b2, hello("bert", { features: 1 }));
  sea.settle();
  return { sea, a, b, a1, a2, b1, b2 };
}

describe("clients of several hubs", () => {
  it("are all in the list of each", () => {
    const { sea, a, b, a1, b1 } = twoHubs();
    expect(idsIn(a, a1)).toEqual([1001, 2000, 2001]);
    expect(idsIn(b, b1)).toEqual([2001, 1000, 1001]);
    const late = sea.add();
    sea.settle();
    expect(idsIn(late, late.connect())).toEqual([1000, 1001, 2000, 2001]);
  });

  it("reach each other, in both versions, and one message goes to a hub however many receivers it has", () => {
    const { sea, a, b, a1, b1, b2 } = twoHubs();
    const before = sea.sent;
    a.send(a1, relay([1001, 2000, 2001, 2000], "hi"));
    sea.settle();
    expect(sea.sent - before).toBe(1);
    expect(heard(b, b1)).toEqual(["hi", "hi"]);
    expect(ofType(b, b2, 17).map((body) => body.readUInt32BE(4))).toEqual([1000]);
  });

  it("do not hear of what stays on one hub", () => {
    const { sea, a, a1, a2 } = twoHubs();
    const before = sea.sent;
    a.send(a1, relay([1001], "here"), relay([1001], "again"));
    sea.settle();
    expect(heard(a, a2)).toEqual(["here", "again"]);
    expect(sea.sent).toBe(before);
  });

  it("are in groups together, and get what is for all", () => {
    const { sea, a, b, a1, a2, b1, b2 } = twoHubs();
    b.send(b2, frame(20, "room"));
    sea.settle();
    a.send(a2, frame(20, "room"));
    expect(ofType(a, a2, 20)[0]!.readUInt32BE(0)).toBe(2);
    a.send(a2, frame(19, Buffer.of(0), u64(1), Buffer.of(4), "room", "members"), toAll("everybody"));
    sea.settle();
    expect(ofType(b, b2, 19).map((body) => body.subarray(13).toString())).toEqual(["members"]);
    expect([a1, b1].map((wire, index) => heard([a, b][index]!, wire))).toEqual([
      ["everybody"],
      ["everybody"],
    ]);
    b.send(b2, frame(21, "room"));
    sea.settle();
    a.send(a2, frame(21, "room"));
    expect(ofType(a, a2, 21)[0]!.readUInt32BE(0)).toBe(0);
  });

  it("hear of each other's coming and going", () => {
    const { sea, a, b, a2, b2 } = twoHubs();
    b.leave(b2);
    sea.settle();
    const events = ofType(a, a2, 23).map((body) => [body[0], body[1], body.subarray(10).toString()]);
    expect(events).toContainEqual([1, 0, "bert"]);
    expect(events.at(-1)).toEqual([2, 1, "bert"]);
  });

  it("are counted in receipts", () => {
    const { sea, a, b, a2, b1 } = twoHubs();
    a.send(a2, asks(5, [1000, 2000, 2001, 77], "count"));
    sea.settle();
    expect(receiptIn(a, a2)).toEqual({ reached: 3, unknown: 1, evicted: 0 });
    a2.written = [];
    // It leaves while the message is on the way.
    a.send(a2, asks(6, [2000, 2001], "late"));
    b.leave(b1);
    sea.settle();
    expect(receiptIn(a, a2)).toEqual({ reached: 1, unknown: 0, evicted: 1 });
  });
});

describe("what the network loses", () => {
  it("is sent again, and comes in order, exactly once", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3_000)), { minLength: 1, maxLength: 60 }),
        fc.array(fc.nat(9), { minLength: 50, maxLength: 50 }),
        (messages, dice) => {
          const { sea, a, b, a1, a2, b1, b2 } = twoHubs();
          const clients = [a1, a2, b1, b2];
          const isles = [a, a, b, b];
          const expected = new Map<string, string[]>();
          let thrown = 0;
          sea.loses = () => thrown < 400 && dice[thrown++ % dice.length]! < 3;
          for (const [index, [from, to, size]] of messages.entries()) {
            const payload = `${from}>${to} ${index} ${"x".repeat(size)}`;
            isles[from]!.send(clients[from]!, relay([clients[to]!.session.id], payload));
            expected.set(`${from}>${to}`, [...(expected.get(`${from}>${to}`) ?? []), payload]);
            sea.step();
          }
          sea.settle();
          sea.loses = () => false;
          sea.pass(10_000);
          for (const [pair, payloads] of expected) {
            const to = Number(pair[2]);
            const got = heard(isles[to]!, clients[to]!).filter((payload) => payload.startsWith(`${pair} `));
            expect(got).toEqual(payloads);
          }
          for (const isle of [a, b]) expect(isle.machine.remotes.gapsTold).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("may be packets that are smaller than a message", () => {
    const sea = new Sea(2, {}, 1_000);
    const [a, b] = sea.isles as [Isle, Isle];
    const [a1, b1] = [a.connect(), b.connect()];
    sea.settle();
    const payload = "long ".repeat(60_000);
    a.send(a1, relay([b1.session.id], payload));
    sea.settle();
    expect(sea.bytesMax).toBeLessThanOrEqual(1_000);
    expect(heard(b, b1)).toEqual([payload]);
  });
});

describe("a hub that dies", () => {
  it("takes its clients with it, and nobody else, within 5 s", () => {
    const { sea, a, b, a1, a2 } = twoHubs();
    const c = sea.add();
    const c1 = c.connect();
    sea.settle();
    sea.kill(b);
    sea.pass(5_000);
    expect(idsIn(a, a1)).toEqual([1001, c1.session.id]);
    const left = ofType(a, a2, 23).filter((body) => body[0] === 2);
    expect(left.map((body) => [body[1], body.subarray(10).toString()])).toEqual([[14, "bert"]]);
  });

  it("fails the receipts that wait for it, and lets its senders go on", () => {
    const { sea, a, b, a2 } = twoHubs();
    sea.kill(b);
    a.send(a2, asks(9, [1000, 2000], "anyone?"));
    sea.pass(5_000);
    expect(receiptIn(a, a2)).toEqual({ reached: 1, unknown: 0, evicted: 1 });
    a2.written = [];
    a.send(a2, asks(10, [2000], "still?"));
    expect(receiptIn(a, a2)).toEqual({ reached: 0, unknown: 1, evicted: 0 });
  });

  it("is gone at once when it says goodbye", () => {
    const { sea, a, b, a2 } = twoHubs();
    b.interlink!.leave();
    b.alive = false;
    sea.settle();
    expect(idsIn(a, a2)).toEqual([1000]);
  });
});

describe("a hub that was out of reach", () => {
  it("is known again, and a gap is told to those who may have missed something", () => {
    const { sea, a, b, a1, a2, b1, b2 } = twoHubs();
    let cut = true;
    sea.loses = () => cut;
    a.send(a1, relay([b1.session.id], "lost"));
    sea.pass(6_000);
    a.send(a2, toAll("here only"));
    expect(heard(a, a1)).toEqual(["here only"]);
    cut = false;
    sea.pass(3_000);
    expect(idsIn(b, b.connect())).toContain(1000);
    const [gap] = ofType(b, b2, 29);
    expect(gap!.subarray(16).toString()).toBe("hub-1");
    expect(Number(gap!.readBigUInt64BE(8) - gap!.readBigUInt64BE(0))).toBeGreaterThanOrEqual(3_000);
    // It was addressed by what was lost, and its version cannot be told.
    expect(b1.session.closeReason).toBe("messagesLost");
    expect(ofType(a, a2, 29)).toHaveLength(1);
    expect(a1.session.closeReason).toBeUndefined();
    a.send(a1, relay([b2.session.id], "again"));
    sea.settle();
    expect(heard(b, b2)).toEqual(["again"]);
  });

  it("begins anew when only the other one took it for gone", () => {
    const { sea, a, b, a1, a2, b1, b2 } = twoHubs();
    a.send(a1, relay([b1.session.id], "one"));
    sea.pass(1_000);
    // B hears nothing of A; A hears B.
    let deaf = true;
    sea.loses = (_packet, from) => deaf && from === a;
    sea.pass(4_000);
    deaf = false;
    sea.pass(4_000);
    expect(idsIn(a, a2)).toEqual([1000, b1.session.id, b2.session.id]);
    expect(idsIn(b, b2)).toEqual([b1.session.id, 1000, 1001]);
    a.send(a1, relay([b1.session.id], "two"));
    sea.settle();
    expect(heard(b, b1)).toEqual(["one", "two"]);
  });
});

describe("a receiver that is behind on another hub", () => {
  const small = { outboxMax: 65_536 };

  it("holds up those who send to it, and nobody else, and nothing is lost", () => {
    const { sea, a, b, a1, a2, b1, b2 } = twoHubs({ ...small, slowConsumer: "wait" });
    b1.room = 0;
    for (let index = 0; index < 40; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(4_000)}`));
      a.send(a2, relay([b2.session.id], `${index} to b2`));
      sea.settle();
    }
    expect(a1.session.hold).toBe("receiver");
    expect(heard(b, b2)).toHaveLength(40);
    expect(b1.session.outbox.bytes).toBeLessThan(65_536);
    for (let index = 0; index < 200; index += 1) {
      b.read(b1, 4_000);
      sea.settle();
    }
    expect(heard(b, b1).map((payload) => Number.parseInt(payload, 10))).toEqual(
      Array.from({ length: 40 }, (_, index) => index),
    );
  });

  it("holds up nobody any longer when its hub dies", () => {
    const { sea, a, b, a1, b1 } = twoHubs({ ...small, slowConsumer: "wait" });
    b1.room = 0;
    for (let index = 0; index < 40; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(4_000)}`));
      sea.settle();
    }
    expect(a1.session.hold).toBe("receiver");
    sea.kill(b);
    sea.pass(5_000);
    expect(a1.session.hold).toBeUndefined();
    expect(a1.session.reading).toBe(true);
    expect(a.machine.remotes.held).toBe(0);
  });

  it("is evicted when it takes nothing, and its senders go on after 250 ms", () => {
    const { sea, a, a1, b1 } = twoHubs(small);
    b1.room = 0;
    for (let index = 0; index < 60; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(4_000)}`));
      sea.settle();
    }
    expect(a1.session.hold).toBe("receiver");
    sea.pass(400);
    expect(b1.session.closeReason).toBe("slowConsumer");
    expect(a1.session.hold).toBeUndefined();
    expect(idsIn(a, a1)).not.toContain(b1.session.id);
  });
});

describe("a hub that takes nothing", () => {
  it("costs no more memory than its window and queue, and loses nothing when it takes again", () => {
    const { sea, a, b, a1, b1 } = twoHubs({ outboxMax: 262_144, slowConsumer: "wait" });
    let cut = true;
    sea.loses = (packet) => cut && packet.type !== "beat";
    for (let index = 0; index < 100; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(50_000)}`));
      sea.settle();
    }
    expect(a1.session.hold).toBe("receiver");
    expect(a.machine.memory.usedBytes).toBeLessThan(600_000);
    cut = false;
    sea.pass(8_000);
    expect(heard(b, b1).map((payload) => Number.parseInt(payload, 10))).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    );
    expect(a.machine.memory.usedBytes).toBeLessThan(100_000);
  });

  it("loses what is over the limit under `evict`, and its clients are told", () => {
    const { sea, a, b, a1, a2, b1, b2 } = twoHubs({ outboxMax: 65_536 });
    let cut = true;
    sea.loses = (packet) => cut && packet.type !== "beat";
    for (let index = 0; index < 300; index += 1) {
      a.send(a1, relay([b2.session.id], `${index} ${"x".repeat(4_000)}`));
      sea.pass(20);
    }
    a.send(a2, asks(3, [b2.session.id], "sure?"));
    cut = false;
    sea.pass(8_000);
    expect(ofType(b, b2, 29).length).toBeGreaterThan(0);
    expect(b1.session.closeReason).toBeUndefined();
    const numbers = heard(b, b2).map((payload) => Number.parseInt(payload, 10));
    expect(numbers.filter(Number.isFinite)).toEqual(
      [...new Set(numbers.filter(Number.isFinite))].sort((x, y) => x - y),
    );
    expect(idsIn(a, a1)).toContain(b2.session.id);
  });
});
