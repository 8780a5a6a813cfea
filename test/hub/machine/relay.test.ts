import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HUB_LIMITS } from "../../../src/hub/machine/limits.js";
import { frame, hello, relay, u64 } from "../raw-client.js";
import { HubWorld } from "./world.js";

const named = (flags: number, number: number, receivers: number[], payload: string): Buffer =>
  frame(17, Buffer.of(flags), u64(number), Buffer.of(receivers.length), u64(...receivers), payload);

/** One of everything a client can send, for clients 1 (the sender, version 2), 2 (version 2) and 3 (version 1). */
const EVERYTHING = Buffer.concat([
  hello("anna", { features: 1 }),
  frame(1),
  frame(2),
  relay([3, 2, 3], "plain"),
  relay([3, 2, 3], "plain again"),
  relay([], "nobody"),
  named(0, 7, [2, 3], "named"),
  named(1, 8, [2, 99, 1], "named with receipt"),
  frame(20, "group"),
  frame(18, Buffer.of(0), u64(9), "to all"),
  frame(19, Buffer.of(0), u64(10), Buffer.of(5), "group", "to group"),
  frame(21, "group"),
  frame(22),
  frame(24, "12345678"),
  relay([2], "x".repeat(3_000)),
]);

function outcome(chunks: readonly Buffer[]): unknown {
  const ground = new HubWorld();
  const [a, b, c] = [ground.connect(), ground.connect(), ground.connect()];
  ground.send(b, hello("bert"), frame(20, "group"));
  ground.send(a, ...chunks);
  expect(ground.machine.memory.usedBytes).toBe(0);
  return [a, b, c].map((wire) =>
    ground.frames(wire).map(({ type, body }) => [type, body.toString("latin1")]),
  );
}

describe("a stream of frames", () => {
  const whole = outcome([EVERYTHING]);

  it("means what it says", () => {
    expect(whole).toMatchSnapshot();
  });

  it("means the same however it is cut in two", () => {
    for (let at = 1; at < EVERYTHING.length; at += 1) {
      expect(outcome([EVERYTHING.subarray(0, at), EVERYTHING.subarray(at)]), `cut at ${at}`).toEqual(whole);
    }
  });

  it("means the same byte by byte", () => {
    expect(outcome(Array.from(EVERYTHING, (byte) => Buffer.of(byte)))).toEqual(whole);
  });
});

it("a name with characters that act on a terminal is known by signs in their place", () => {
  const ground = new HubWorld();
  const wire = ground.connect();
  ground.send(wire, hello("a\u202eb\u001b[2J\u2028"));
  expect(wire.session.name).toBe("a?b?[2J?");
});

/** The frames that each client should get: written down as simply as it can be said. */
function model(clients: number, messages: readonly Message[]): string[][] {
  const got: string[][] = Array.from({ length: clients }, () => []);
  for (const { from, to, payload } of messages) {
    for (const id of to) got[id - 1]?.push(`${from}:${payload}`);
  }
  return got;
}

interface Message {
  readonly from: number;
  readonly to: number[];
  readonly payload: string;
}

const CLIENTS = 4;
const LISTS = [[2, 3], [1, 2, 3, 4], [4, 4], [9], [], [3]];
const message: fc.Arbitrary<Message> = fc.record({
  from: fc.integer({ min: 1, max: CLIENTS }),
  to: fc.constantFrom(...LISTS),
  payload: fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.integer({ min: 0, max: 9_000 }).map((length) => "p".repeat(length)),
  ),
});

/** Short enough to read when it fails; the number in front tells messages apart. */
function brief(text: string): string {
  return `${text.slice(0, 8)} ${text.length}`;
}

describe("order and exactly once", () => {
  it("hold per pair for any messages, chunks and versions", () => {
    const cases = fc.record({
      messages: fc.array(message, { maxLength: 60 }),
      versions: fc.array(fc.boolean(), { minLength: CLIENTS, maxLength: CLIENTS }),
      chunkBytes: fc.integer({ min: 1, max: 20_000 }),
    });
    fc.assert(
      fc.property(cases, ({ messages, versions, chunkBytes }) => {
        const ground = new HubWorld();
        const wires = Array.from({ length: CLIENTS }, () => ground.connect());
        for (const [index, wire] of wires.entries()) if (versions[index]) ground.send(wire, hello());
        for (const wire of wires) wire.written = [];
        for (const [index, wire] of wires.entries()) {
          const own = messages.filter(({ from }) => from === index + 1);
          const stream = Buffer.concat(own.map(({ from, to, payload }) => relay(to, `${from}:${payload}`)));
          for (let at = 0; at < stream.length; at += chunkBytes) {
            ground.send(wire, stream.subarray(at, at + chunkBytes));
          }
        }
        const expected = model(CLIENTS, messages);
        for (const [index, wire] of wires.entries()) {
          const got = ground.frames(wire).map(({ type, body }) => {
            expect(type).toBe(versions[index] ? 17 : 3);
            const text = body.subarray(versions[index] ? 8 : 0).toString();
            if (versions[index]) expect(text.startsWith(`${body.readBigUInt64BE(0)}:`)).toBe(true);
            return text;
          });
          for (let from = 1; from <= CLIENTS; from += 1) {
            const ofPair = (text: string): boolean => text.startsWith(`${from}:`);
            expect(got.filter(ofPair)).toEqual(expected[index]!.filter(ofPair));
          }
          expect(got.length).toBe(expected[index]!.length);
        }
        expect(ground.machine.memory.usedBytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it("hold while receivers read in fits and starts, or leave", () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant("send" as const), message }) },
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant("read" as const),
          who: fc.nat(CLIENTS - 1),
          bytes: fc.nat(8_000),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(400) }) },
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 120 }),
        fc.constantFrom("evict" as const, "wait" as const),
        (steps, slowConsumer) => {
          const ground = new HubWorld({ outboxMax: 24_000, memoryMax: 150_000, slowConsumer });
          const wires = Array.from({ length: CLIENTS }, () => ground.connect());
          for (const wire of wires) wire.room = 2_000;
          const sent: Message[] = [];
          for (const one of steps) {
            if (one.do === "send") {
              const numbered = { ...one.message, payload: `${sent.length} ${one.message.payload}` };
              sent.push(numbered);
              const wire = wires[numbered.from - 1]!;
              if (!wire.gone) ground.send(wire, relay(numbered.to, `${numbered.from}:${numbered.payload}`));
            } else if (one.do === "read") ground.read(wires[one.who]!, one.bytes);
            else ground.pass(one.ms);
          }
          for (let round = 0; round < 100; round += 1) for (const wire of wires) ground.read(wire, 1_000_000);
          const expected = model(CLIENTS, sent);
          for (const [index, wire] of wires.entries()) {
            const got = ground.payloads(wire).map(brief);
            for (let from = 1; from <= CLIENTS; from += 1) {
              const ofPair = (text: string): boolean => text.startsWith(`${from}:`);
              const want = expected[index]!.filter(ofPair).map(brief);
              // A closed client may lack the end, or what its partner had not sent; nothing else.
              const complete = !wire.gone && !wires[from - 1]!.gone;
              expect(got.filter(ofPair)).toEqual(complete ? want : want.slice(0, got.filter(ofPair).length));
            }
          }
          for (const wire of wires) if (!wire.gone) ground.leave(wire);
          expect(ground.machine.memory.usedBytes).toBe(0);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("random bytes", () => {
  it("leave nothing behind", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 10 }),
        fc.boolean(),
        (chunks, greet) => {
          const ground = new HubWorld();
          const [bad, good] = [ground.connect(), ground.connect()];
          if (greet) ground.send(bad, hello());
          for (const chunk of chunks) ground.send(bad, Buffer.from(chunk));
          if (!bad.gone) ground.leave(bad);
          ground.send(good, relay([2], "still here"));
          expect(ground.payloads(good)).toContain("still here");
          expect(ground.machine.memory.usedBytes).toBe(0);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

it("receipts that wait for a receiver count in the memory of the hub, and no longer when they are over", () => {
  const world = new HubWorld();
  const [sender, receiver] = [world.connect(), world.connect()];
  for (const wire of [sender, receiver]) world.send(wire, hello());
  receiver.room = 0;
  const { memory } = world.machine;
  const usedBytes = () => memory.usedBytes;
  const before = usedBytes();
  for (let number = 1; number <= 100; number++)
    world.send(sender, named(1, number, [receiver.session.id, 99], ""));
  expect(usedBytes() - before).toBeGreaterThan(100 * HUB_LIMITS.receiptBytes);
  world.read(receiver, Number.POSITIVE_INFINITY);
  expect(usedBytes() - before).toBeLessThan(HUB_LIMITS.receiptBytes);
});
