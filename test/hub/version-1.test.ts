import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../../src/hub/index.js";
import { RawClient, relay } from "./raw-client.js";

let hub: Hub;
let clients: RawClient[];

beforeEach(async () => {
  hub = await startHub({ port: 0 });
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

describe("a client of version 1", () => {
  it("is told its id, which starts at 1, and the ids of the others", async () => {
    const [a, b, c] = [await connect(), await connect(), await connect()];
    expect([await a.identity(), await b.identity(), await c.identity()]).toEqual([1, 2, 3]);
    expect(await b.list()).toEqual([1, 3]);
    expect(await a.list()).toEqual([2, 3]);
  });

  it("gets the payload and nothing else", async () => {
    const [a, b] = [await connect(), await connect()];
    await a.identity();
    a.send(relay([await b.identity()], "hello"));
    expect(await b.next()).toEqual({ type: 3, body: Buffer.from("hello") });
  });

  it("gets its own payload when it lists itself, and twice what lists it twice", async () => {
    const a = await connect();
    const id = await a.identity();
    a.send(relay([id, 77, id], "twice"));
    expect((await a.next()).body.toString()).toBe("twice");
    expect((await a.next()).body.toString()).toBe("twice");
    expect(await a.list()).toEqual([]);
  });

  it("may send to nobody, to unknown ids, and nothing at all", async () => {
    const [a, b] = [await connect(), await connect()];
    const [, idB] = [await a.identity(), await b.identity()];
    a.send(relay([], "nobody"), relay([99, 2 ** 53], "unknown"), relay([idB], ""), relay([99, idB], "after"));
    expect(await b.next()).toEqual({ type: 3, body: Buffer.alloc(0) });
    expect((await b.next()).body.toString()).toBe("after");
  });

  it("never sees an id again", async () => {
    const a = await connect();
    await a.identity();
    a.close();
    await a.untilClosed();
    expect(await (await connect()).identity()).toBe(2);
  });

  it("can send the largest payload to 255 receivers", async () => {
    const [a, b] = [await connect(), await connect()];
    await a.identity();
    const idB = await b.identity();
    const payload = Buffer.alloc(1_024_000, "x");
    a.send(relay([...Array(254).fill(99), idB], payload));
    expect((await b.next()).body.equals(payload)).toBe(true);
  });

  it("that ends its side is still delivered what was queued, and what it sent arrives", async () => {
    const [a, b] = [await connect(), await connect()];
    const [idA, idB] = [await a.identity(), await b.identity()];
    b.send(relay([idA], "x".repeat(1_000_000)));
    await a.until(() => a.bytesReceived > 13, "its first bytes");
    a.socket.end(relay([idB], "last words"));
    expect((await b.next()).body.toString()).toBe("last words");
    expect((await a.next()).body.length).toBe(1_000_000);
    await a.untilClosed();
    await b.until(() => hub.stats().clients === 1, "the end of a");
    b.send(relay([idA], "too late"));
    expect(await b.list()).toEqual([]);
  });
});
