import { afterEach, describe, expect, it } from "vitest";
import { type Hub, type HubOptions, startHub } from "../../src/hub/index.js";
import { frame, hello, RawClient, relay, u64 } from "./raw-client.js";

const MIB = 1024 * 1024;
let hub: Hub;
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await hub.close();
});

async function start(options: HubOptions = {}): Promise<void> {
  hub = await startHub({ port: 0, ...options });
}

async function connect(): Promise<{ client: RawClient; id: number }> {
  const client = await RawClient.connect(hub.port);
  clients.push(client);
  return { client, id: await client.identity() };
}

/** Writes numbered payloads; resolves when the last has left. */
async function write(from: RawClient, receivers: number[], count: number, size: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const payload = Buffer.alloc(size, "x");
    payload.writeUInt32BE(index, 0);
    if (!from.socket.write(relay(receivers, payload))) {
      if (from.closed) throw new Error("the sender was closed");
      await new Promise<void>((resolve) => {
        const done = (): void => {
          from.socket.off("drain", done);
          from.socket.off("close", done);
          resolve();
        };
        from.socket.on("drain", done);
        from.socket.on("close", done);
      });
    }
  }
}

function numbers(client: RawClient): number[] {
  return client.frames.map(({ body }) => body.readUInt32BE(0));
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe("a receiver that stops reading", () => {
  it("is closed as slowConsumer, and the others lose nothing", async () => {
    await start({ outboxMax: 8 * MIB });
    const [a, b, frozen] = [await connect(), await connect(), await connect()];
    frozen.client.socket.pause();
    await write(a.client, [b.id, frozen.id], 2_000, 20_000);
    await b.client.until(() => b.client.frames.length === 2_000, "all messages");
    expect(numbers(b.client)).toEqual(upTo(2_000));
    await b.client.until(() => hub.stats().closed.slowConsumer === 1, "the eviction");
    expect(hub.clients().find(({ id }) => id === frozen.id)).toMatchObject({ reason: "slowConsumer" });
    expect(hub.stats().clients).toBe(2);
  });

  it("holds up its senders under `wait` until the stall timeout", async () => {
    await start({ outboxMax: 4 * MIB, slowConsumer: "wait", stallTimeoutMs: 700 });
    const [a, b, frozen] = [await connect(), await connect(), await connect()];
    frozen.client.socket.pause();
    await write(a.client, [b.id, frozen.id], 2_000, 20_000);
    await b.client.until(() => b.client.frames.length === 2_000, "all messages");
    expect(numbers(b.client)).toEqual(upTo(2_000));
    expect(hub.clients().find(({ id }) => id === frozen.id)).toMatchObject({ reason: "slowConsumer" });
    expect(hub.clients().find(({ id }) => id === a.id)!.pausedMs).toBeGreaterThan(300);
  });

  it("is never closed under `wait` while it reads 1 MB/s, and loses nothing", async () => {
    // Kernels take more of it in strides of 1 to 3 MB only.
    await start({ outboxMax: MIB, slowConsumer: "wait", stallTimeoutMs: 5_000 });
    const [a, b, slow] = [await connect(), await connect(), await connect()];
    const { socket } = slow.client;
    // One read gives 64 KiB at most.
    socket.on("data", () => socket.pause());
    const sip = setInterval(() => socket.resume(), 64);
    try {
      // More than the kernel keeps of it, so that the hub's own queue is full for seconds.
      await Promise.all([a, b].map(({ client }) => write(client, [a.id, b.id, slow.id], 300, 20_000)));
      await slow.client.until(() => slow.client.frames.length === 600, "all messages");
    } finally {
      clearInterval(sip);
    }
    for (const { client } of [a, b]) await client.until(() => client.frames.length === 600, "all messages");
    expect(numbers(slow.client).toSorted((x, y) => x - y)).toEqual(upTo(600).map((index) => index >> 1));
    expect(hub.stats().closed).toEqual({});
    expect(hub.clients().find(({ id }) => id === a.id)!.pausedMs).toBeGreaterThan(500);
  });

  it("loses nothing under `wait` while it goes on, however slowly", async () => {
    await start({ outboxMax: MIB, slowConsumer: "wait" });
    const [a, slow] = [await connect(), await connect()];
    const { socket } = slow.client;
    const sip = setInterval(() => {
      socket.resume();
      setImmediate(() => socket.pause());
    }, 2);
    socket.pause();
    try {
      await write(a.client, [slow.id], 1_000, 20_000);
      await slow.client.until(() => slow.client.frames.length === 1_000, "all messages");
    } finally {
      clearInterval(sip);
    }
    expect(numbers(slow.client)).toEqual(upTo(1_000));
    expect(hub.stats().closed).toEqual({});
  });
});

describe("two clients of version 1 that write 32 MiB to each other before they read", () => {
  it.each(["evict", "wait"] as const)("both get all of it under `%s`", async (slowConsumer) => {
    await start({ slowConsumer });
    const [a, b] = [await connect(), await connect()];
    a.client.socket.pause();
    b.client.socket.pause();
    const count = 64;
    await Promise.all([write(a.client, [b.id], count, MIB / 2), write(b.client, [a.id], count, MIB / 2)]);
    a.client.socket.resume();
    b.client.socket.resume();
    await a.client.until(() => a.client.frames.length === count, "all of b's");
    await b.client.until(() => b.client.frames.length === count, "all of a's");
    expect(numbers(a.client)).toEqual(upTo(count));
    expect(numbers(b.client)).toEqual(upTo(count));
    expect(hub.stats().closed).toEqual({});
    expect(hub.stats().memoryPeakBytes).toBeLessThan(512 * MIB);
  });
});

it("a client that asks for far more than its share at once is answered to the end, in order", async () => {
  await start();
  const { client } = await connect();
  client.send(hello("asks"));
  await client.next();
  // More than two reads of a socket.
  const count = 10_500;
  client.send(...upTo(count).map((number) => frame(24, u64(number))));
  await client.until(() => client.frames.length === count, "all answers");
  expect(client.frames.map(({ body }) => Number(body.readBigUInt64BE()))).toEqual(upTo(count));
  expect(hub.stats().memoryBytes).toBe(0);
});

describe("the memory budget", () => {
  it("is kept while receivers lag, and nothing is lost while they go on", async () => {
    await start({ memoryMax: 8 * MIB });
    const all = [await connect(), await connect(), await connect(), await connect()];
    const ids = all.map(({ id }) => id);
    const count = 60;
    await Promise.all(all.map(({ client }) => write(client, ids, count, 500_000)));
    for (const { client } of all) {
      await client.until(() => client.frames.length === 4 * count, "all messages");
    }
    const { memoryPeakBytes, closed } = hub.stats();
    expect(closed).toEqual({});
    // Chunks that were read before the budget was full come on top: one of 64 KiB per client.
    expect(memoryPeakBytes).toBeLessThan(8 * MIB + 4 * 65_536 * 2);
  });

  it("closes the client longest without progress when it is used up", async () => {
    await start({ memoryMax: 8 * MIB });
    const [a, b, frozen] = [await connect(), await connect(), await connect()];
    frozen.client.socket.pause();
    await write(a.client, [b.id, frozen.id], 80, 500_000);
    await b.client.until(() => b.client.frames.length === 80, "all messages");
    expect(numbers(b.client)).toEqual(upTo(80));
    expect(hub.clients().find(({ id }) => id === frozen.id)).toMatchObject({ reason: "memoryBudget" });
  });

  it("is not blocked by frames that are begun and never finished", async () => {
    await start({ memoryMax: 4 * MIB });
    const [a, b] = [await connect(), await connect()];
    for (let index = 0; index < 6; index += 1) {
      const { client } = await connect();
      client.send(relay([b.id], Buffer.alloc(900_000)).subarray(0, 1_000));
    }
    await write(a.client, [b.id], 10, 500_000);
    await b.client.until(() => b.client.frames.length === 10, "all messages");
    expect(hub.stats().closed.memoryBudget).toBeGreaterThan(0);
    expect(hub.clients().find(({ id }) => id === a.id)!.reason).toBeUndefined();
  });

  it("is given back to the last byte", async () => {
    await start();
    const all = [await connect(), await connect(), await connect()];
    for (const { client } of all)
      await write(
        client,
        all.map(({ id }) => id),
        50,
        10_000,
      );
    for (const { client } of all) await client.until(() => client.frames.length === 150, "all messages");
    await all[0]!.client.until(() => hub.stats().memoryBytes === 0, "an empty hub");
  });
});
