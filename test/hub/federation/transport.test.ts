import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { heartbeatPacket, LINK_LIMITS } from "../../../src/hub/federation/streams.js";
import type { Wire } from "../machine/world.js";
import { frame, hello, relay, u64 } from "../raw-client.js";
import { HubNetwork, type NetworkedHub } from "./network.js";

/** A relay of version 2 that asks for a receipt. */
function asks(number: number, receivers: readonly number[], payload: string): Buffer {
  return frame(17, Buffer.of(1), u64(number), Buffer.of(receivers.length), u64(...receivers), payload);
}

function toAll(payload: string): Buffer {
  return frame(18, Buffer.of(0), u64(1), payload);
}

function idsIn(hub: NetworkedHub, asker: Wire): number[] {
  asker.written = [];
  hub.send(asker, frame(2));
  const body = hub.frames(asker).find(({ type }) => type === 2)!.body;
  return Array.from({ length: body.length / 8 }, (_, index) => Number(body.readBigUInt64BE(8 * index)));
}

/** Payloads that came, of either version. */
function heard(hub: NetworkedHub, wire: Wire): string[] {
  return hub
    .frames(wire)
    .filter(({ type }) => [3, 17, 18].includes(type))
    .map(({ type, body }) => (type === 3 ? body : body.subarray(8)).toString());
}

function ofType(hub: NetworkedHub, wire: Wire, type: number): Buffer[] {
  return hub
    .frames(wire)
    .filter((one) => one.type === type)
    .map(({ body }) => body);
}

function receiptIn(hub: NetworkedHub, wire: Wire): { reached: number; unknown: number; evicted: number } {
  const [body] = ofType(hub, wire, 26);
  return { reached: body!.readUInt32BE(8), unknown: body!.readUInt32BE(12), evicted: body!.readUInt32BE(16) };
}

/** Two hubs with a client of version 1 and one of version 2 each. */
function twoHubs(options = {}) {
  const network = new HubNetwork(2, options);
  const [a, b] = network.hubs as [NetworkedHub, NetworkedHub];
  const [a1, a2, b1, b2] = [a.connect(), a.connect(), b.connect(), b.connect()];
  a.send(a2, hello("anna", { features: 1 }));
  b.send(b2, hello("bert", { features: 1 }));
  network.settle();
  return { network, a, b, a1, a2, b1, b2 };
}

describe("clients of several hubs", () => {
  it("are all in the list of each", () => {
    const { network, a, b, a1, b1 } = twoHubs();
    expect(idsIn(a, a1)).toEqual([1001, 2000, 2001]);
    expect(idsIn(b, b1)).toEqual([2001, 1000, 1001]);
    const late = network.add();
    network.settle();
    expect(idsIn(late, late.connect())).toEqual([1000, 1001, 2000, 2001]);
  });

  it("reach each other, in both versions, and one message goes to a hub however many receivers it has", () => {
    const { network, a, b, a1, b1, b2 } = twoHubs();
    const before = network.sent;
    a.send(a1, relay([1001, 2000, 2001, 2000], "hi"));
    network.settle();
    expect(network.sent - before).toBe(1);
    expect(heard(b, b1)).toEqual(["hi", "hi"]);
    expect(ofType(b, b2, 17).map((body) => body.readUInt32BE(4))).toEqual([1000]);
  });

  it("do not hear of what stays on one hub", () => {
    const { network, a, a1, a2 } = twoHubs();
    const before = network.sent;
    a.send(a1, relay([1001], "here"), relay([1001], "again"));
    network.settle();
    expect(heard(a, a2)).toEqual(["here", "again"]);
    expect(network.sent).toBe(before);
  });

  it("are in groups together, and get what is for all", () => {
    const { network, a, b, a1, a2, b1, b2 } = twoHubs();
    b.send(b2, frame(20, "room"));
    network.settle();
    a.send(a2, frame(20, "room"));
    expect(ofType(a, a2, 20)[0]!.readUInt32BE(0)).toBe(2);
    a.send(a2, frame(19, Buffer.of(0), u64(1), Buffer.of(4), "room", "members"), toAll("everybody"));
    network.settle();
    expect(ofType(b, b2, 19).map((body) => body.subarray(13).toString())).toEqual(["members"]);
    expect([a1, b1].map((wire, index) => heard([a, b][index]!, wire))).toEqual([
      ["everybody"],
      ["everybody"],
    ]);
    b.send(b2, frame(21, "room"));
    network.settle();
    a.send(a2, frame(21, "room"));
    expect(ofType(a, a2, 21)[0]!.readUInt32BE(0)).toBe(0);
  });

  it("hear of each other's coming and going", () => {
    const { network, a, b, a2, b2 } = twoHubs();
    b.leave(b2);
    network.settle();
    const events = ofType(a, a2, 23).map((body) => [body[0], body[1], body.subarray(10).toString()]);
    expect(events).toContainEqual([1, 0, "bert"]);
    expect(events.at(-1)).toEqual([2, 1, "bert"]);
  });

  it("are counted in receipts", () => {
    const { network, a, b, a2, b1 } = twoHubs();
    a.send(a2, asks(5, [1000, 2000, 2001, 77], "count"));
    network.settle();
    expect(receiptIn(a, a2)).toEqual({ reached: 3, unknown: 1, evicted: 0 });
    a2.written = [];
    // It leaves while the message is on the stream.
    a.send(a2, asks(6, [2000, 2001], "late"));
    b.leave(b1);
    network.settle();
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
          const { network, a, b, a1, a2, b1, b2 } = twoHubs();
          const clients = [a1, a2, b1, b2];
          const hubs = [a, a, b, b];
          const expected = new Map<string, string[]>();
          let thrown = 0;
          network.loses = () => thrown < 400 && dice[thrown++ % dice.length]! < 3;
          for (const [index, [from, to, size]] of messages.entries()) {
            const payload = `${from}>${to} ${index} ${"x".repeat(size)}`;
            hubs[from]!.send(clients[from]!, relay([clients[to]!.session.id], payload));
            expected.set(`${from}>${to}`, [...(expected.get(`${from}>${to}`) ?? []), payload]);
            network.step();
          }
          network.settle();
          network.loses = () => false;
          network.pass(10_000);
          for (const [pair, payloads] of expected) {
            const to = Number(pair[2]);
            const got = heard(hubs[to]!, clients[to]!).filter((payload) => payload.startsWith(`${pair} `));
            expect(got).toEqual(payloads);
          }
          for (const hub of [a, b]) expect(hub.machine.remotes.gapsTold).toBe(0);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("may be packets that are smaller than a message", () => {
    const network = new HubNetwork(2, {}, 1_000);
    const [a, b] = network.hubs as [NetworkedHub, NetworkedHub];
    const [a1, b1] = [a.connect(), b.connect()];
    network.settle();
    const payload = "long ".repeat(60_000);
    a.send(a1, relay([b1.session.id], payload));
    network.settle();
    expect(network.bytesMax).toBeLessThanOrEqual(1_000);
    expect(heard(b, b1)).toEqual([payload]);
  });
});

describe("a hub that dies", () => {
  it("takes its clients with it, and nobody else, within 5 s", () => {
    const { network, a, b, a1, a2 } = twoHubs();
    const c = network.add();
    const c1 = c.connect();
    network.settle();
    network.kill(b);
    network.pass(5_000);
    expect(idsIn(a, a1)).toEqual([1001, c1.session.id]);
    const left = ofType(a, a2, 23).filter((body) => body[0] === 2);
    expect(left.map((body) => [body[1], body.subarray(10).toString()])).toEqual([[14, "bert"]]);
  });

  it("fails the receipts that wait for it, and lets its senders go on", () => {
    const { network, a, b, a2 } = twoHubs();
    network.kill(b);
    a.send(a2, asks(9, [1000, 2000], "anyone?"));
    network.pass(5_000);
    expect(receiptIn(a, a2)).toEqual({ reached: 1, unknown: 0, evicted: 1 });
    a2.written = [];
    a.send(a2, asks(10, [2000], "still?"));
    expect(receiptIn(a, a2)).toEqual({ reached: 0, unknown: 1, evicted: 0 });
  });

  it("is gone at once when it says goodbye", () => {
    const { network, a, b, a2 } = twoHubs();
    b.transport!.leave(b.nowMs);
    b.alive = false;
    network.settle();
    expect(idsIn(a, a2)).toEqual([1000]);
  });
});

describe("hubs without end", () => {
  it("are taken up to a limit, and the others go on", () => {
    const { network, a, b1, a1, b } = twoHubs();
    for (let number = 0; number < LINK_LIMITS.hubsMax + 9; number += 1) {
      const key = `f${number.toString(16).padStart(15, "0")}`;
      const beat = { wantsAnswer: true, leaving: false, idsEnd: 1, name: "forged" };
      a.transport!.packet(heartbeatPacket(key, beat), a.nowMs);
    }
    expect([...a.machine.remotes.hubs]).toHaveLength(LINK_LIMITS.hubsMax);
    expect(a.transport!.packetsRefused).toBe(10);
    a.send(a1, relay([b1.session.id], "still here"));
    network.settle();
    expect(heard(b, b1)).toEqual(["still here"]);
    network.pass(5_000);
    expect([...a.machine.remotes.hubs]).toHaveLength(1);
  });
});

describe("the end of the leased ids", () => {
  it("is the largest that any hub ever told, also one that is gone", () => {
    const { network, a, b } = twoHubs();
    b.transport!.leased(9_000);
    a.transport!.leased(5_000);
    network.settle();
    expect(a.transport!.idsEnd).toBe(9_000);
    network.kill(b);
    network.pass(5_000);
    const late = network.add();
    network.settle();
    expect(late.transport!.idsEnd).toBe(9_000);
  });
});

describe("a hub that was out of reach", () => {
  it("is known again, and a gap is told to those who may have missed something", () => {
    const { network, a, b, a1, a2, b1, b2 } = twoHubs();
    let cut = true;
    network.loses = () => cut;
    a.send(a1, relay([b1.session.id], "lost"));
    network.pass(6_000);
    a.send(a2, toAll("here only"));
    expect(heard(a, a1)).toEqual(["here only"]);
    cut = false;
    network.pass(3_000);
    expect(idsIn(b, b.connect())).toContain(1000);
    const [gap] = ofType(b, b2, 29);
    expect(gap!.subarray(16).toString()).toBe("hub-1");
    expect(Number(gap!.readBigUInt64BE(8) - gap!.readBigUInt64BE(0))).toBeGreaterThanOrEqual(3_000);
    // A lost message was addressed to this client, and version 1 has no frame to report the loss.
    expect(b1.session.closeReason).toBe("messagesLost");
    expect(ofType(a, a2, 29)).toHaveLength(1);
    expect(a1.session.closeReason).toBeUndefined();
    a.send(a1, relay([b2.session.id], "again"));
    network.settle();
    expect(heard(b, b2)).toEqual(["again"]);
  });

  it("begins anew when only the other one took it for gone", () => {
    const { network, a, b, a1, a2, b1, b2 } = twoHubs();
    a.send(a1, relay([b1.session.id], "one"));
    network.pass(1_000);
    // B hears nothing of A; A hears B.
    let deaf = true;
    network.loses = (_packet, from) => deaf && from === a;
    network.pass(4_000);
    deaf = false;
    network.pass(4_000);
    expect(idsIn(a, a2)).toEqual([1000, b1.session.id, b2.session.id]);
    expect(idsIn(b, b2)).toEqual([b1.session.id, 1000, 1001]);
    a.send(a1, relay([b1.session.id], "two"));
    network.settle();
    expect(heard(b, b1)).toEqual(["one", "two"]);
  });
});

describe("a receiver that is behind on another hub", () => {
  const small = { outboxMax: 65_536 };

  it("holds up those who send to it, and nobody else, and nothing is lost", () => {
    const { network, a, b, a1, a2, b1, b2 } = twoHubs({ ...small, slowConsumer: "wait" });
    b1.room = 0;
    for (let index = 0; index < 40; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(4_000)}`));
      a.send(a2, relay([b2.session.id], `${index} to b2`));
      network.settle();
    }
    expect(a1.session.pausedFor).toBe("receiver");
    expect(heard(b, b2)).toHaveLength(40);
    expect(b1.session.outbox.bytes).toBeLessThan(65_536);
    for (let index = 0; index < 200; index += 1) {
      b.read(b1, 4_000);
      network.settle();
    }
    expect(heard(b, b1).map((payload) => Number.parseInt(payload, 10))).toEqual(
      Array.from({ length: 40 }, (_, index) => index),
    );
  });

  it("holds up nobody any longer when its hub dies", () => {
    const { network, a, b, a1, b1 } = twoHubs({ ...small, slowConsumer: "wait" });
    b1.room = 0;
    for (let index = 0; index < 40; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(4_000)}`));
      network.settle();
    }
    expect(a1.session.pausedFor).toBe("receiver");
    network.kill(b);
    network.pass(5_000);
    expect(a1.session.pausedFor).toBeUndefined();
    expect(a1.session.reading).toBe(true);
    expect(a.machine.remotes.held).toBe(0);
  });

  it("is evicted when it takes nothing, and its senders go on after 250 ms", () => {
    const { network, a, a1, b1 } = twoHubs(small);
    b1.room = 0;
    for (let index = 0; index < 60; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(4_000)}`));
      network.settle();
    }
    expect(a1.session.pausedFor).toBe("receiver");
    network.pass(400);
    expect(b1.session.closeReason).toBe("slowConsumer");
    expect(a1.session.pausedFor).toBeUndefined();
    expect(idsIn(a, a1)).not.toContain(b1.session.id);
  });
});

describe("a hub that takes nothing", () => {
  it("costs no memory once it is lost", () => {
    const { network, a, b, a1, b1 } = twoHubs();
    network.kill(b);
    a.send(a1, relay([b1.session.id], "x".repeat(50_000)));
    network.settle();
    expect(a.machine.memory.usedBytes).toBeGreaterThan(50_000);
    network.pass(5_000);
    expect(a.machine.memory.usedBytes).toBe(0);
  });

  it("costs no more memory than its window and queue, and loses nothing when it takes again", () => {
    const { network, a, b, a1, b1 } = twoHubs({ outboxMax: 262_144, slowConsumer: "wait" });
    let cut = true;
    network.loses = (packet) => cut && packet.type !== "heartbeat";
    for (let index = 0; index < 100; index += 1) {
      a.send(a1, relay([b1.session.id], `${index} ${"x".repeat(50_000)}`));
      network.settle();
    }
    expect(a1.session.pausedFor).toBe("receiver");
    expect(a.machine.memory.usedBytes).toBeLessThan(600_000);
    cut = false;
    network.pass(8_000);
    expect(heard(b, b1).map((payload) => Number.parseInt(payload, 10))).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    );
    expect(a.machine.memory.usedBytes).toBeLessThan(100_000);
  });

  it("loses what is over the limit under `evict`, and its clients are told", () => {
    const { network, a, b, a1, a2, b1, b2 } = twoHubs({ outboxMax: 65_536 });
    let cut = true;
    network.loses = (packet) => cut && packet.type !== "heartbeat";
    for (let index = 0; index < 300; index += 1) {
      a.send(a1, relay([b2.session.id], `${index} ${"x".repeat(4_000)}`));
      network.pass(20);
    }
    a.send(a2, asks(3, [b2.session.id], "sure?"));
    cut = false;
    network.pass(8_000);
    expect(ofType(b, b2, 29).length).toBeGreaterThan(0);
    expect(b1.session.closeReason).toBeUndefined();
    const numbers = heard(b, b2).map((payload) => Number.parseInt(payload, 10));
    expect(numbers.filter(Number.isFinite)).toEqual(
      [...new Set(numbers.filter(Number.isFinite))].sort((x, y) => x - y),
    );
    expect(idsIn(a, a1)).toContain(b2.session.id);
  });

  it("sends whole messages after it dropped one that was half sent", () => {
    const { network, a, b, a1, b2 } = twoHubs({ outboxMax: 1_048_576 });
    const send = (name: string) => a.send(a1, relay([b2.session.id], `${name} ${"x".repeat(500_000)}`));
    send("first");
    network.pass(1_000);
    let cut = true;
    network.loses = (packet) => cut && packet.type !== "heartbeat";
    for (let index = 0; index < 20; index += 1) {
      send(String(index));
      network.pass(300);
    }
    cut = false;
    network.pass(8_000);
    send("last");
    network.pass(8_000);
    const payloads = heard(b, b2);
    expect(payloads.at(-1)).toMatch(/^last x+$/);
    expect(payloads.filter((payload) => !/^(first|\d+|last) x{500000}$/.test(payload))).toEqual([]);
  });
});
