import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../../src/hub/index.js";
import { frame, hello, RawClient, relay, u64 } from "./raw-client.js";

let hub: Hub;
let clients: RawClient[];

beforeEach(async () => {
  hub = await startHub({ port: 0, frameTimeoutMs: 1_500 });
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.close();
  await hub.close();
});

async function connect(): Promise<RawClient> {
  const client = await RawClient.connect(hub.port);
  clients.push(client);
  return client;
}

const lengthOnly = (length: number): Buffer => {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt32BE(length);
  return bytes;
};

describe("garbage closes that client alone, with its reason", () => {
  const cases: [string, Buffer, string][] = [
    ["a frame of length 0", lengthOnly(0), "malformedFrame"],
    ["a frame of length 2^32-1", lengthOnly(2 ** 32 - 1), "frameTooLarge"],
    ["more receivers than the frame has room for", frame(3, Buffer.of(255), u64(1, 2)), "malformedFrame"],
    ["a relay without a count", frame(3), "malformedFrame"],
    ["a payload of 1,024,001 bytes", relay([1], Buffer.alloc(1_024_001)), "frameTooLarge"],
    ["an unknown type", frame(9), "unknownType"],
    ["a type of version 2 without a hello", frame(18, Buffer.alloc(9), "x"), "unknownType"],
    ["an identity question with a body", frame(1, "x"), "malformedFrame"],
    ["a hello that is cut", frame(16, Buffer.of(2, 0, 9), "short"), "malformedFrame"],
    ["a message of version 2 without its number", Buffer.concat([hello(), frame(18, "x")]), "malformedFrame"],
    [
      "a group name beyond its frame",
      Buffer.concat([hello(), frame(19, Buffer.alloc(9), Buffer.of(5), "x")]),
      "malformedFrame",
    ],
    ["a ping without its token", Buffer.concat([hello(), frame(24)]), "malformedFrame"],
  ];
  for (const [what, bytes, reason] of cases) {
    it(`${what}: ${reason}`, async () => {
      const [bad, good] = [await connect(), await connect()];
      const badId = await bad.identity();
      bad.send(bytes);
      await bad.untilClosed();
      await good.until(() => hub.stats().closed[reason as "malformedFrame"] === 1, "the count");
      expect(hub.clients().find(({ id }) => id === badId)).toMatchObject({ reason });
      expect(await good.identity()).toBe(2);
    });
  }

  it("tells a client of version 2 why, behind what it was owed", async () => {
    const bad = await connect();
    bad.send(hello(), frame(2), frame(99));
    expect((await bad.next()).type).toBe(16);
    expect((await bad.next()).type).toBe(2);
    expect(await bad.next()).toMatchObject({ type: 28, body: expect.objectContaining({ 0: 7 }) });
    await bad.untilClosed();
  });

  it("still delivers what came before", async () => {
    const [bad, good] = [await connect(), await connect()];
    const id = await good.identity();
    bad.send(relay([id], "good"), relay([id], "good too"), frame(9));
    expect((await good.next()).body.toString()).toBe("good");
    expect((await good.next()).body.toString()).toBe("good too");
  });
});

describe("silence", () => {
  it("a frame that is never finished ends with frameTimeout, however it trickles", async () => {
    const slow = await connect();
    const bytes = relay([1], "a frame that comes one byte at a time");
    let sent = 0;
    const trickle = setInterval(() => slow.send(bytes.subarray(sent, ++sent)), 300);
    await slow.untilClosed();
    clearInterval(trickle);
    await slow.until(() => hub.stats().closed.frameTimeout === 1, "the count");
  });

  it("1,000 connections that say nothing hold up nobody", async () => {
    const silent = await Promise.all(Array.from({ length: 1_000 }, () => connect()));
    const [a, b] = [await connect(), await connect()];
    expect(await a.identity()).toBe(1_001);
    a.send(relay([await b.identity()], "x"));
    expect((await b.next()).body.toString()).toBe("x");
    expect(silent.every(({ closed }) => !closed)).toBe(true);
  });

  it("ends with handshakeTimeout where a token is needed", async () => {
    const guarded = await startHub({ port: 0, token: "t", handshakeTimeoutMs: 300 });
    const silent = await RawClient.connect(guarded.port);
    await silent.untilClosed();
    await silent.until(() => guarded.stats().closed.handshakeTimeout === 1, "the count");
    await guarded.close();
  });

  it("of a client of version 2 is broken by pings, and ends with pingTimeout", async () => {
    const strict = await startHub({ port: 0, pingIntervalMs: 200, pingTimeoutMs: 200 });
    const [dead, alive] = [await RawClient.connect(strict.port), await RawClient.connect(strict.port)];
    dead.send(hello());
    alive.send(hello());
    const answering = setInterval(() => {
      for (const { type, body } of alive.frames.splice(0)) if (type === 24) alive.send(frame(25, body));
    }, 20);
    await dead.untilClosed();
    clearInterval(answering);
    await dead.until(() => strict.stats().closed.pingTimeout === 1, "the count");
    expect(alive.closed).toBe(false);
    alive.close();
    await strict.close();
  });
});

describe("frames that are nearly right", () => {
  const lengths = fc.oneof(fc.constantFrom(0, 1, 4, 2 ** 31, 2 ** 32 - 1), fc.nat(300));
  const ids = fc.array(fc.constantFrom(0, 1, 2, 3, 999, 2 ** 40), { maxLength: 6 });
  const listing = fc
    .record({ count: fc.nat(255), ids, payload: fc.string({ maxLength: 40 }) })
    .map(({ count, ids: listed, payload }) => frame(3, Buffer.of(count), u64(...listed), payload));
  const proper = fc
    .record({ ids, payload: fc.string({ maxLength: 40 }) })
    .map(({ ids: listed, payload }) => relay(listed, payload));
  const odd = fc
    .record({ type: fc.nat(255), body: fc.uint8Array({ maxLength: 60 }) })
    .map(({ type, body }) => frame(type, Buffer.from(body)));
  const lying = fc.record({ length: lengths, type: fc.nat(40) }).map(({ length, type }) => {
    const bytes = Buffer.alloc(5, type);
    bytes.writeUInt32BE(length);
    return bytes;
  });

  it("close at most the client that sends them, keep nothing in memory, and leave all others in order", async () => {
    const [good, other] = [await connect(), await connect()];
    const [id, otherId] = [await good.identity(), await other.identity()];
    const frames = fc.array(fc.oneof(proper, listing, odd, lying), { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(frames, fc.boolean(), async (sent, asSecondVersion) => {
        const bad = await RawClient.connect(hub.port);
        if (asSecondVersion) bad.send(hello("fuzz"));
        bad.send(...sent);
        bad.socket.end();
        good.send(relay([otherId, id], "between others"));
        await bad.untilClosed();
      }),
      { numRuns: 150 },
    );
    const between = (client: RawClient): number =>
      client.frames.filter(({ body }) => body.toString() === "between others").length;
    for (const client of [good, other]) await client.until(() => between(client) >= 150, "all messages");
    expect([between(good), between(other)]).toEqual([between(good), between(good)]);
    await good.until(() => hub.stats().clients === 2 && hub.stats().memoryBytes === 0, "an empty hub");
  });
});

describe("random bytes", () => {
  it("never harm anybody else", async () => {
    const good = await connect();
    const id = await good.identity();
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 400 }),
        fc.boolean(),
        async (bytes, after) => {
          const bad = await RawClient.connect(hub.port);
          if (after) bad.send(hello("fuzz"));
          bad.send(Buffer.from(bytes));
          bad.socket.end();
          await bad.untilClosed();
        },
      ),
      { numRuns: 100 },
    );
    good.frames.length = 0;
    good.send(relay([id], "still here"));
    await good.until(() => good.frames.some(({ body }) => body.toString() === "still here"), "the message");
    await good.until(() => hub.stats().clients === 1 && hub.stats().memoryBytes === 0, "an empty hub");
  });
});
