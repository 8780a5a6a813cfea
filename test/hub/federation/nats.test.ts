import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connectToHub, type HubClient, type HubClientEvent } from "../../../src/hub/client/index.js";
import { type Hub, type HubOptions, startHub } from "../../../src/hub/index.js";
import { eventually } from "../../fixtures/eventually.js";
import { NatsServer, NatsTrio, natsMissing } from "../../fixtures/nats-server.js";
import { frame, RawClient, relay } from "../raw-client.js";

const closers: (() => Promise<unknown>)[] = [];

async function hub(engine: string, options: HubOptions = {}): Promise<Hub> {
  const started = await startHub({ port: 0, engine, ...options });
  closers.unshift(() => started.close());
  return started;
}

async function client(of: Hub, name: string): Promise<HubClient> {
  const connected = await connectToHub(of.address, { name, presence: true, reconnect: false });
  closers.unshift(() => connected.close());
  return connected;
}

/** Everything that a client is told, as it comes. */
function heard(by: HubClient): { payloads: string[]; events: HubClientEvent[] } {
  const all = { payloads: [] as string[], events: [] as HubClientEvent[] };
  void (async () => {
    for await (const { payload } of by.messages()) all.payloads.push(payload.toString());
  })();
  void (async () => {
    for await (const event of by.events()) all.events.push(event);
  })();
  return all;
}

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

describe.skipIf(natsMissing)("hubs on one NATS server", () => {
  let server: NatsServer;
  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("are one for their clients: list, names, groups, send to all, presence, receipts", async () => {
    const [a, b] = [await hub(server.url, { name: "a" }), await hub(server.url, { name: "b" })];
    const [anna, bert] = [await client(a, "anna"), await client(b, "bert")];
    const [toAnna, toBert] = [heard(anna), heard(bert)];
    await eventually(async () => (await anna.roster()).length === 1);
    expect(await anna.list()).toEqual([bert.id]);
    expect(await bert.roster()).toEqual([{ id: anna.id, name: "anna", version: 2 }]);
    await bert.join("room");
    await eventually(async () => (await anna.join("room")) === 2);
    expect(await anna.sendToGroup("room", "to the room", { receipt: true })).toMatchObject({ reached: 1 });
    expect(await anna.sendToAll("to all", { receipt: true })).toMatchObject({ reached: 1 });
    expect(await anna.relay([bert.id, 1_000_000_000], "you", { receipt: true })).toEqual({
      ...{ type: "receipt", number: expect.anything() },
      ...{ reached: 1, unknown: [1_000_000_000], evicted: [] },
    });
    expect(toBert.payloads).toEqual(["to the room", "to all", "you"]);
    await bert.close();
    await eventually(() => toAnna.events.some(({ type }) => type === "departed"));
    expect(toAnna.events).toEqual([
      { type: "arrived", id: bert.id, name: "bert" },
      { type: "departed", id: bert.id, name: "bert", reason: "clientClosed" },
    ]);
    expect(a.stats().router).toMatchObject({ engine: "nats", connected: true, gaps: 0, refused: 0 });
  });

  test("know all clients from the first moment on", async () => {
    const a = await hub(server.url);
    const early = await client(a, "early");
    const b = await hub(server.url);
    expect(await (await client(b, "late")).list()).toEqual([early.id]);
  });

  test("carry payloads that are larger than a packet of NATS, to clients of version 1 too", async () => {
    const [a, b] = [await hub(server.url), await hub(server.url)];
    const [one, two] = [await RawClient.connect(a.port), await RawClient.connect(b.port)];
    const id = await two.identity();
    await eventually(async () => (await one.list()).includes(id));
    const payload = Buffer.alloc(1_024_000, "0123456789");
    one.send(relay([id], payload), relay([id], "and then"));
    expect(await two.next()).toEqual({ type: 3, body: payload });
    expect(await two.next()).toEqual({ type: 3, body: Buffer.from("and then") });
    one.close();
    two.close();
  });

  test("give up their ids when they stop, and tell the others at once", async () => {
    const [a, b] = [await hub(server.url), await hub(server.url)];
    const anna = await client(a, "anna");
    await client(b, "bert");
    const { events } = heard(anna);
    await eventually(async () => (await anna.list()).length === 1);
    await b.close();
    await eventually(() => events.some((event) => event.type === "departed"));
    expect(await anna.list()).toEqual([]);
    expect(a.stats().router?.hubs).toEqual([]);
    const again = await client(await hub(server.url), "again");
    expect(again.id).toBeGreaterThan(65_536);
  });

  test("need JetStream, and an address that answers", async () => {
    await using plain = await NatsServer.start({ jetStream: false });
    await expect(hub(plain.url)).rejects.toMatchObject({ code: "natsNoJetStream" });
    await expect(hub("nats://127.0.0.1:1")).rejects.toMatchObject({ code: "natsUnreachable" });
    await expect(hub("nets://127.0.0.1")).rejects.toMatchObject({ code: "invalidOption" });
    await expect(hub(server.url, { nats: { replicas: 7 } })).rejects.toMatchObject({ code: "invalidOption" });
    await expect(hub(server.url, { nats: { replicas: 3 } })).resolves.toBeDefined();
  });
});

describe.skipIf(natsMissing)("when NATS", () => {
  test("is away, clients of one hub go on, receipts say so, and then a gap is told", async () => {
    await using server = await NatsServer.start();
    const [a, b] = [await hub(server.url, { name: "a" }), await hub(server.url, { name: "b" })];
    const [anna, bert, neighbour] = [
      await client(a, "anna"),
      await client(b, "bert"),
      await client(b, "next"),
    ];
    const [toAnna, toBert] = [heard(anna), heard(bert)];
    await eventually(() => toAnna.events.length === 2);
    await server.stop();
    await eventually(() => b.stats().router?.connected === false);
    const lost = anna.relay([bert.id], "into the void", { receipt: true });
    expect(await neighbour.relay([bert.id], "next door", { receipt: true })).toMatchObject({ reached: 1 });
    expect(await lost).toMatchObject({ reached: 0, evicted: [bert.id] });
    expect(await anna.relay([bert.id], "still", { receipt: true })).toMatchObject({ unknown: [bert.id] });
    await server.restart();
    await eventually(() => toBert.events.some(({ type }) => type === "gap"), 20_000);
    expect(toBert.events.find(({ type }) => type === "gap")).toMatchObject({ hub: "a" });
    await eventually(async () => (await anna.list()).length === 2);
    expect(toAnna.events.filter(({ type }) => type === "departed")).toHaveLength(2);
    expect(await anna.relay([bert.id], "again", { receipt: true })).toMatchObject({ reached: 1 });
    expect(toBert.payloads).toEqual(["next door", "again"]);
  });

  test("starts again at once, nothing is lost and nobody is told of a gap", async () => {
    await using server = await NatsServer.start();
    const [a, b] = [await hub(server.url), await hub(server.url)];
    const [anna, bert] = [await client(a, "anna"), await client(b, "bert")];
    const { payloads, events } = heard(bert);
    await eventually(async () => (await anna.list()).length === 1);
    for (let number = 0; number < 3_000; number += 1) {
      await anna.relay([bert.id], `${number} ${"x".repeat(1_000)}`);
      if (number === 1_000) await server.stop();
      if (number === 2_000) await server.restart();
    }
    await eventually(() => payloads.length === 3_000, 20_000);
    expect(payloads.map((payload) => Number.parseInt(payload, 10))).toEqual(
      Array.from({ length: 3_000 }, (_, index) => index),
    );
    expect(events.filter(({ type }) => type === "gap")).toEqual([]);
  });

  test("comes back with nothing that it had stored, no id is given twice", async () => {
    await using server = await NatsServer.start();
    const [a, b] = [await hub(server.url, { name: "a" }), await hub(server.url, { name: "b" })];
    const anna = await client(a, "anna");
    await server.wipe();
    await eventually(() => [a, b].every((one) => one.stats().router?.connected === false));
    await server.restart();
    await eventually(() => [a, b].every((one) => one.stats().router?.connected));
    // The ids of b have not been used yet.
    const c = await hub(server.url, { name: "c" });
    const [bert, carl] = [await client(b, "bert"), await client(c, "carl")];
    expect(new Set([anna, bert, carl].map(({ id }) => Math.floor(id / 65_536))).size).toBe(3);
    const { payloads } = heard(carl);
    await eventually(async () => (await anna.list()).length === 2);
    expect(await anna.relay([carl.id], "to carl", { receipt: true })).toMatchObject({ reached: 1 });
    await eventually(() => payloads.length > 0);
    expect(payloads).toEqual(["to carl"]);
  });

  test("is three servers, one may die", { timeout: 90_000 }, async () => {
    await using trio = await NatsTrio.start();
    const nats = { replicas: 3 };
    const a = await eventually(() => hub(trio.url, { nats }), 30_000);
    const b = await hub(trio.url, { nats });
    const [anna, bert] = [await client(a, "anna"), await client(b, "bert")];
    const { payloads } = heard(bert);
    await eventually(async () => (await anna.list()).length === 1);
    await anna.relay([bert.id], "before");
    await trio.servers[0]!.stop();
    await anna.relay([bert.id], "after");
    await eventually(() => payloads.length === 2, 20_000);
    expect(payloads).toEqual(["before", "after"]);
    // Ids go on, too.
    const c = await eventually(() => hub(trio.url, { nats }), 30_000);
    expect((await client(c, "carl")).id).toBeGreaterThan(bert.id);
  });
});

test.skipIf(natsMissing)("an identity of version 1 is the same number on every hub", async () => {
  await using server = await NatsServer.start();
  const [a, b] = [await hub(server.url), await hub(server.url)];
  const [one, two] = [await RawClient.connect(a.port), await RawClient.connect(b.port)];
  const id = await two.identity();
  await eventually(async () => (await one.list()).includes(id));
  one.send(frame(2));
  expect(Number((await one.next()).body.readBigUInt64BE(0))).toBe(id);
  one.close();
  two.close();
  await hub(server.url);
});
