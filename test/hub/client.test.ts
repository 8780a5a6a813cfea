import { getEventListeners, once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/limits.js";
import { MessageQueue } from "../../src/hub/client/client.js";
import { connectToHub, type HubClient, type HubClientOptions } from "../../src/hub/client/index.js";
import { type Hub, startHub } from "../../src/hub/index.js";
import { all } from "../fixtures/http-call.js";
import { frame, RawClient, relay, splitFrames, u64 } from "./raw-client.js";

let hub: Hub;
let open: { close(): Promise<void> | void }[];

beforeEach(async () => {
  hub = await startHub({ port: 0, name: "test hub" });
  open = [];
});

afterEach(async () => {
  for (const one of open) await one.close();
  await hub.close();
});

async function join(options: HubClientOptions = {}): Promise<HubClient> {
  const client = await connectToHub(hub.address, options);
  open.push(client);
  return client;
}

async function payloads(client: HubClient, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const { payload } of client.messages()) {
    texts.push(payload.toString());
    if (texts.length === count) break;
  }
  return texts;
}

describe("a client of version 2", () => {
  it("knows its id, the hub's name, and who else is there", async () => {
    const [a, b] = [await join({ name: "anna" }), await join()];
    expect([a.id, b.id, a.version, a.hubName]).toEqual([1, 2, 2, "test hub"]);
    expect(await a.list()).toEqual([2]);
    expect(await b.roster()).toEqual([{ id: 1, name: "anna", version: 2 }]);
    expect(await a.ping()).toBeGreaterThan(0);
  });

  it("sees who sent a message and to whom", async () => {
    const [a, b, c] = [await join(), await join(), await join()];
    await b.join("g");
    await a.relay([b.id], "to you");
    await a.sendToAll("to all");
    await a.sendToGroup("g", "to group");
    await c.list();
    const messages = b.messages();
    expect((await messages.next()).value).toEqual({ sender: 1, to: "you", payload: Buffer.from("to you") });
    expect((await messages.next()).value).toEqual({ sender: 1, to: "all", payload: Buffer.from("to all") });
    expect((await messages.next()).value).toEqual({
      sender: 1,
      to: { group: "g" },
      payload: Buffer.from("to group"),
    });
    expect(await payloads(c, 1)).toEqual(["to all"]);
  });

  it("talks with clients of version 1, both ways, also in one message", async () => {
    const [a, b] = [await join(), await join()];
    const old = await RawClient.connect(hub.port);
    open.push(old);
    const oldId = await old.identity();
    await a.relay([b.id, oldId, b.id], "first");
    await a.sendToAll("second");
    expect(await payloads(b, 3)).toEqual(["first", "first", "second"]);
    expect(await old.next()).toEqual({ type: 3, body: Buffer.from("first") });
    expect(await old.next()).toEqual({ type: 3, body: Buffer.from("second") });
    old.send(relay([a.id], "from old"));
    expect((await a.messages().next()).value).toEqual({
      sender: oldId,
      to: "you",
      payload: Buffer.from("from old"),
    });
  });

  it("gets a receipt that says who was reached and who is unknown", async () => {
    const [a, b] = [await join(), await join()];
    expect(await a.relay([b.id, 99, b.id], "x", { receipt: true })).toMatchObject({
      reached: 2,
      unknown: [99],
      evicted: [],
    });
    expect(await a.sendToAll("x", { receipt: true })).toMatchObject({ reached: 1 });
    expect(await a.sendToGroup("empty", "x", { receipt: true })).toMatchObject({ reached: 0 });
  });

  it("takes a list of names that is longer than the stack", async () => {
    const count = 400_000;
    const entry = Buffer.concat([u64(7), Buffer.of(2, 0)]);
    const other = createServer((socket) => {
      socket.on("data", (chunk) => {
        for (const { type } of splitFrames(chunk).frames) {
          if (type === 16) socket.write(frame(16, Buffer.of(2, 0), u64(1), u64(60_000 * 2 ** 32), "hub"));
          if (type === 22) socket.write(frame(22, Buffer.of(0), Buffer.alloc(count * entry.length, entry)));
        }
      });
    }).listen(0, "127.0.0.1");
    await once(other, "listening");
    const client = await connectToHub(`127.0.0.1:${(other.address() as AddressInfo).port}`);
    open.push(client, { close: () => void other.close() });
    expect(await client.roster()).toHaveLength(count);
  });

  it("joins and leaves groups", async () => {
    const [a, b] = [await join(), await join()];
    expect(await a.join("g")).toBe(1);
    expect(await b.join("g")).toBe(2);
    expect(await b.join("g")).toBe(2);
    expect(await a.leave("g")).toBe(1);
    await expect(a.join("")).rejects.toMatchObject({ code: "invalidOption" });
    for (let index = 0; index < 64; index += 1) await a.join(`g${index}`);
    await expect(a.join("one too many")).rejects.toMatchObject({ code: "tooManyGroups" });
  });

  it("hears of clients that come and go", async () => {
    const watcher = await join({ presence: true });
    const anna = await connectToHub(hub.address, { name: "anna" });
    const events = watcher.events();
    expect((await events.next()).value).toEqual({ type: "arrived", id: 2, name: "anna" });
    await anna.close();
    expect((await events.next()).value).toEqual({
      type: "departed",
      id: 2,
      name: "anna",
      reason: "clientClosed",
    });
  });

  it("keeps order over many messages and slow reading", async () => {
    const [a, b] = [await join(), await join({ backlogBytesMax: 100_000 })];
    const reading = b.messages();
    const sending = (async () => {
      for (let index = 0; index < 5_000; index += 1)
        await a.relay([b.id], `${index} ${"x".repeat(index % 2_000)}`);
    })();
    for (let index = 0; index < 5_000; index += 1) {
      const { value } = await reading.next();
      expect(value.payload.toString().split(" ")[0]).toBe(String(index));
      if (index % 100 === 0) await a.ping();
    }
    await sending;
  });

  it("rejects what is too large before it is sent", async () => {
    const a = await join();
    await expect(a.sendToAll(Buffer.alloc(1_024_001))).rejects.toMatchObject({ code: "tooLarge" });
    await expect(a.relay(Array(256).fill(1), "x")).rejects.toMatchObject({ code: "tooLarge" });
  });

  it("ends its readers when it is closed, and rejects what comes after", async () => {
    const a = await join();
    const reading = a.messages().next();
    await a.close();
    expect((await reading).done).toBe(true);
    await expect(a.list()).rejects.toMatchObject({ code: "connectionLost" });
  });

  it("is closed by its signal", async () => {
    const stop = new AbortController();
    const a = await join({ signal: stop.signal });
    const reading = a.messages().next();
    stop.abort();
    expect((await reading).done).toBe(true);
  });
});

describe("a client with much to read", () => {
  it("reads on when there is room again, also where a message takes several reads", async () => {
    const [a, b] = [await join(), await join({ backlogBytesMax: 1_000_000, reconnect: false })];
    const messages = b.messages();
    const first = messages.next();
    const sending = Promise.all(Array.from({ length: 30 }, () => a.relay([b.id], Buffer.alloc(300_000))));
    for (let count = 0; count < 30; count++) {
      const { value } = await (count === 0 ? first : messages.next());
      expect(value.payload).toHaveLength(300_000);
      // Longer than what is on its way takes to arrive.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await sending;
  });

  it("keeps the latest without a reader, and pushes back with one", async () => {
    const queue = new MessageQueue<number>(
      10,
      () => 1,
      () => {},
    );
    for (let item = 0; item < 100_000; item++) queue.put(item);
    expect(queue.dropped).toBe(100_000 - 10);
    const read = queue.read();
    expect((await read.next()).value).toBe(100_000 - 10);
    for (let item = 0; item < 20; item++) queue.put(item);
    expect(queue.full).toBe(true);
  });
});

describe("a client that closes", () => {
  it("has written what was sent before, and says that of each message", async () => {
    const [a, b] = [await join(), await join()];
    const sent = Array.from({ length: 20 }, () => a.relay([b.id], Buffer.alloc(900_000)));
    const closing = a.close();
    await expect(a.relay([b.id], "late")).rejects.toMatchObject({ code: "connectionLost" });
    const messages = b.messages();
    for (let count = 0; count < 20; count++)
      expect((await messages.next()).value.payload).toHaveLength(900_000);
    await Promise.all([closing, ...sent]);
  });

  it("leaves nothing at a signal that outlives it, nor does one that never was connected, nor a hub", async () => {
    const { signal } = new AbortController();
    for (let count = 0; count < 3; count++) await (await connectToHub(hub.address, { signal })).close();
    await expect(connectToHub("127.0.0.1:1", { signal })).rejects.toMatchObject({ code: "unreachable" });
    await (await startHub({ port: 0, signal })).close();
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});

describe("a lost connection", () => {
  it("is dialled again, and says what may have been missed", async () => {
    const { port } = hub;
    const a = await join({ random: () => 0.5 });
    await a.join("g");
    await hub.close();
    hub = await startHub({ port });
    const events = a.events();
    expect((await events.next()).value).toEqual({ type: "disconnected", reason: "stopping", final: false });
    const { value } = await events.next();
    expect(value).toMatchObject({ type: "reconnected", previousId: 1 });
    if (value.type === "reconnected") expect(value.missedUntilMs).toBeGreaterThanOrEqual(value.missedFromMs);
    const b = await join();
    expect(await b.sendToGroup("g", "again", { receipt: true })).toMatchObject({ reached: 1 });
    expect(await payloads(a, 1)).toEqual(["again"]);
  });

  it("leaves out the groups that were left meanwhile, though their join was not answered", async () => {
    const { port } = hub;
    const a = await join({ random: () => 0.5 });
    await Promise.all([a.join("left"), a.leave("left"), a.join("kept")]);
    await hub.close();
    hub = await startHub({ port });
    const events = a.events();
    while ((await events.next()).value.type !== "reconnected");
    await a.ping();
    const b = await join();
    expect(await b.sendToGroup("kept", "x", { receipt: true })).toMatchObject({ reached: 1 });
    expect(await b.sendToGroup("left", "x", { receipt: true })).toMatchObject({ reached: 0 });
  });

  it("is dialled again with the token of then, which a function gives", async () => {
    let token = "first";
    let guarded = await startHub({ port: 0, token });
    const { port } = guarded;
    const asked: string[] = [];
    const client = await connectToHub(guarded.address, {
      token: async () => {
        asked.push(token);
        return token;
      },
    });
    open.push(client);
    await guarded.close();
    token = "second";
    guarded = await startHub({ port, token });
    open.push(guarded);
    const events = client.events();
    expect((await events.next()).value).toMatchObject({ type: "disconnected", final: false });
    expect((await events.next()).value).toMatchObject({ type: "reconnected" });
    expect(asked[0]).toBe("first");
    expect(asked.at(-1)).toBe("second");
    for (const bad of [() => 7, () => ""])
      await expect(connectToHub(guarded.address, { token: bad as never })).rejects.toMatchObject({
        code: "invalidOption",
      });
  });

  it("ends the client with a last event when the hub refuses its token at the redial", async () => {
    let guarded = await startHub({ port: 0, token: "first" });
    const { port } = guarded;
    const client = await connectToHub(guarded.address, { token: "first", random: () => 0.5 });
    open.push(client);
    const reading = client.messages().next();
    await guarded.close();
    guarded = await startHub({ port, token: "second" });
    open.push(guarded);
    expect(await all(client.events())).toEqual([
      { type: "disconnected", reason: "stopping", final: false },
      { type: "disconnected", reason: "unauthorized", final: true },
    ]);
    expect((await reading).done).toBe(true);
    await expect(client.list()).rejects.toMatchObject({ code: "unauthorized" });
  });

  it("ends the client when it is told not to dial again", async () => {
    const a = await join({ reconnect: false });
    const reading = a.messages().next();
    await hub.close();
    expect((await reading).done).toBe(true);
    expect((await a.events().next()).value).toEqual({
      type: "disconnected",
      reason: "stopping",
      final: true,
    });
  });
});

describe("connecting", () => {
  it("waits for a token no longer than for the hub, nor behind an abort", async () => {
    const token = () => new Promise<string>(() => {});
    await expect(connectToHub(hub.address, { token, connectTimeoutMs: 100 })).rejects.toBeInstanceOf(Error);
    const stop = new AbortController();
    const connecting = connectToHub(hub.address, { token, signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(connecting).rejects.toBeInstanceOf(Error);
  });

  it("says when nothing listens, and when something else answers", async () => {
    const { port } = hub;
    await hub.close();
    await expect(connectToHub(`127.0.0.1:${port}`)).rejects.toMatchObject({ code: "unreachable" });
    await expect(connectToHub("a:b:c")).rejects.toMatchObject({ code: "invalidOption" });
    await expect(connectToHub(port as never)).rejects.toMatchObject({ code: "invalidOption" });
    hub = await startHub({ port: 0 });
  });

  it.each<[unknown, RegExp]>([
    [{ nam: "x" }, /^connectToHub has no option "nam"$/],
    [{ tls: { cca: "x" } }, /^connectToHub has no option "tls.cca"$/],
    [{ tls: "ca.pem" }, /^tls is "ca.pem"; it must be true, or an object$/],
    [{ version: 3 }, /^version is 3; it must be 1 or 2$/],
    [{ callTimeoutMs: 0 }, /^callTimeoutMs is 0; it must be a whole number from 1 /],
    [{ retry: "yes" }, /^retry is "yes"; it must be true or false$/],
    [{ name: "n".repeat(65) }, /it must be 0 to 64 bytes of text without control characters$/],
    [{ token: 7 }, /^token is a number; it must be a string, or a function that gives one$/],
    [{ token: "t".repeat(513) }, /^token has 513 bytes$/],
    [null, /^the options of connectToHub are null, not an object$/],
  ])("with no such options: %j", async (options, message) => {
    await expect(connectToHub("127.0.0.1:1", options as never)).rejects.toMatchObject({
      code: "invalidOption",
      message: expect.stringMatching(message),
    });
  });

  it("needs the token where the hub has one", async () => {
    const guarded = await startHub({ port: 0, token: "secret" });
    open.push(guarded);
    await expect(connectToHub(guarded.address)).rejects.toMatchObject({ code: "unauthorized" });
    await expect(connectToHub(guarded.address, { token: "wrong" })).rejects.toMatchObject({
      code: "unauthorized",
    });
    const client = await connectToHub(guarded.address, { token: "secret" });
    expect(await client.list()).toEqual([]);
    await client.close();
    const old = await RawClient.connect(guarded.port);
    await expect(old.identity()).rejects.toThrow("closed");
  });

  it("is refused when many wrong tokens came from there, but for tokens that were right there before", async () => {
    const guarded = await startHub({ port: 0, token: "secret", monitorPort: 0 });
    open.push(guarded);
    const holder = await connectToHub(guarded.address, { token: "secret" });
    await holder.close();
    const monitor = async (token: string): Promise<number> =>
      (await fetch(`${guarded.monitorUrl}/v1/status`, { headers: { authorization: `Bearer ${token}` } }))
        .status;
    // Half of them at each of the two servers: an address has one number of guesses for both.
    for (let n = 0; n < LIMITS.tokenGuessesMax / 2; n += 1) {
      expect(await monitor(`monitor-${n}`)).toBe(401);
      const guess = connectToHub(guarded.address, { token: `hub-${n}` });
      await expect(guess).rejects.toMatchObject({ code: "unauthorized" });
    }
    // Some seconds may have passed meanwhile, each of which brings one guess.
    let status = 401;
    for (let n = 0; n < 1_000 && status === 401; n += 1) status = await monitor(`more-${n}`);
    expect(status).toBe(429);
    let code = "";
    for (let n = 0; n < 1_000 && code !== "tooManyGuesses"; n += 1)
      ({ code } = await connectToHub(guarded.address, { token: `late-${n}` }).catch((error) => error));
    await expect.poll(() => guarded.stats().closed.tooManyGuesses, { timeout: 20_000 }).toBe(1);
    expect(await monitor("secret")).toBe(200);
    await (await connectToHub(guarded.address, { token: "secret" })).close();
  });

  it("is refused with a reason when the hub is full", async () => {
    const small = await startHub({ port: 0, clientsMax: 1 });
    open.push(small);
    const first = await connectToHub(small.address);
    await expect(connectToHub(small.address)).rejects.toMatchObject({ code: "tooManyClients" });
    await first.close();
    expect(small.stats().closed.clientsMax).toBe(1);
  });
});
