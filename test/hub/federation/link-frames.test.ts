import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeLinkFrame,
  goneFrame,
  idFrame,
  idList,
  LINK_FRAME,
  linkGapFrame,
  memberFrame,
  relayHead,
} from "../../../src/hub/machine/link-frames.js";
import { frame, hello, u64 } from "../raw-client.js";
import { HubNetwork, type NetworkedHub } from "./network.js";

const decoded = (bytes: Buffer) => decodeLinkFrame(bytes, 0, bytes.length);

describe("a frame between hubs", () => {
  it("is read as it was written", () => {
    expect(decoded(goneFrame(2 ** 40, "slowConsumer"))).toEqual({
      type: "gone",
      id: 2 ** 40,
      reason: "slowConsumer",
    });
    expect(decoded(memberFrame(LINK_FRAME.join, 5, "rööm"))).toEqual({ type: "join", id: 5, group: "rööm" });
    expect(decoded(idFrame(LINK_FRAME.hold, 7))).toEqual({ type: "hold", id: 7 });
    expect(decoded(linkGapFrame([1, 2 ** 50], 10, 20))).toEqual({
      ...{ type: "gap", fromMs: 10, untilMs: 20, ids: [1, 2 ** 50] },
    });
    expect(decoded(linkGapFrame(undefined, 10, 20))).toMatchObject({ ids: undefined });
    expect(decoded(relayHead(LINK_FRAME.relay, 3, idList([8, 9]), 0))).toEqual({
      ...{ type: "relay", number: 3, idsStart: 15, blockStart: 31 },
    });
  });

  it("may be any bytes: nothing is thrown", () => {
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 80 }), fc.uint8Array({ maxLength: 60 }), (type, body) => {
        decoded(frame(type, Buffer.from(body)));
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("a hub that is sent nonsense by another", () => {
  const body = fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes));
  // Blocks that nearly make sense: whole frames, cut frames, frames of other types.
  const inner = fc
    .tuple(fc.constantFrom(17, 18, 19, 3, 26), fc.uint8Array({ maxLength: 30 }))
    .map(([type, bytes]) => frame(type, Buffer.from(bytes)));
  const block = fc.array(inner, { maxLength: 4 }).map((frames) => Buffer.concat(frames));
  const relayed = fc
    .tuple(fc.array(fc.constantFrom(1000, 1001, 77), { maxLength: 3 }), block)
    .map(([ids, bytes]) => frame(64, u64(5), idList(ids), bytes));
  const toMany = fc.tuple(fc.constantFrom(65, 66), block).map(([type, bytes]) => frame(type, u64(0), bytes));
  const any = fc.tuple(fc.integer({ min: 0, max: 80 }), body).map(([type, bytes]) => frame(type, bytes));

  it("goes on serving its clients, and lets go of all memory", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(any, relayed, toMany), { maxLength: 12 }), (frames) => {
        const network = new HubNetwork(2);
        const [a, b] = network.hubs as [NetworkedHub, NetworkedHub];
        const [plain, named] = [a.connect(), a.connect()];
        a.send(named, hello("named", { features: 1 }));
        network.settle();
        const [link] = [...a.machine.remotes.hubs];
        a.receive(link!.session, Buffer.concat(frames));
        network.settle();
        network.pass(5_000);
        for (const wire of [plain, named]) {
          if (wire.gone) continue;
          wire.written = [];
          a.send(wire, frame(1));
          expect(a.frames(wire).map(({ type }) => type)).toContain(1);
        }
        network.kill(b);
        network.pass(10_000);
        for (const wire of [plain, named]) if (!wire.gone) a.leave(wire);
        expect(a.machine.remotes.size).toBe(0);
        expect(a.machine.memory.usedBytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
