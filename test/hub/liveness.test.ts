import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Liveness } from "../../src/hub/client/connection.js";
import { connectToHub, type HubClient, type HubClientEvent } from "../../src/hub/client/index.js";
import { startHub } from "../../src/hub/index.js";
import { HUB_LIMITS } from "../../src/hub/machine/limits.js";
import { eventually } from "../fixtures/eventually.js";
import { HubWorld } from "./machine/world.js";
import { frame, hello, relay, splitFrames, u64 } from "./raw-client.js";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** Says hello, and from then on nothing: what a hub looks like that is frozen, or whose cable is cut. */
async function frozenHub(pingIntervalMs: number): Promise<{ address: string; heard: number[] }> {
  const heard: number[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    socket.on("data", (chunk) => {
      for (const { type } of splitFrames(chunk).frames) {
        heard.push(type);
        if (type === 16)
          socket.write(frame(16, Buffer.of(2, 0), u64(1), u32(pingIntervalMs), u32(1_024_000), "frozen"));
      }
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: `127.0.0.1:${(server.address() as { port: number }).port}`, heard };
}

async function firstEvent(client: HubClient): Promise<HubClientEvent> {
  return (await client.events().next()).value;
}

describe("a hub that has gone silent", () => {
  it("is asked, given up after the ping interval, and what waits for it fails", async () => {
    const { address, heard } = await frozenHub(200);
    const client = await connectToHub(address, { reconnect: false });
    closing.push(() => client.close());
    const answer = client.list();
    await expect(answer).rejects.toMatchObject({ code: "connectionLost" });
    expect(await firstEvent(client)).toEqual({ type: "disconnected", reason: "pingTimeout", final: true });
    expect(heard).toEqual([16, 2, 24]);
  });

  it("is dialled again", async () => {
    const { address } = await frozenHub(200);
    const client = await connectToHub(address, { random: () => 0 });
    closing.push(() => client.close());
    const events = client.events();
    expect((await events.next()).value).toMatchObject({
      type: "disconnected",
      reason: "pingTimeout",
      final: false,
    });
    expect((await events.next()).value).toMatchObject({ type: "reconnected" });
  });

  it("fails each call at its deadline", async () => {
    const { address } = await frozenHub(60_000);
    const client = await connectToHub(address, { callTimeoutMs: 50 });
    closing.push(() => client.close());
    const calls = [client.list(), client.roster(), client.join("g"), client.leave("g"), client.ping()];
    const receipts = [client.relay([1], "x", { receipt: true }), client.sendToAll("x", { receipt: true })];
    for (const call of [...calls, ...receipts])
      await expect(call).rejects.toMatchObject({ code: "deadline" });
  });
});

describe("a hub that is there", () => {
  it("is not given up by clients that have nothing to say, of either version", async () => {
    const hub = await startHub({ port: 0, pingIntervalMs: 100 });
    closing.push(() => hub.close());
    const clients = [await connectToHub(hub.address), await connectToHub(hub.address, { version: 1 })];
    for (const client of clients) closing.push(() => client.close());
    // The first was silent for several intervals, and had to ask.
    await eventually(() => hub.clients()[0]!.messagesIn >= 10);
    expect(clients.map(({ connected }) => connected)).toEqual([true, true]);
  });

  it("tells clients that it does not read that it lives", () => {
    const world = new HubWorld({ slowConsumer: "wait", outboxMax: 100_000, stallTimeoutMs: 100_000 });
    const [sender, slow] = [world.connect(), world.connect()];
    world.send(sender, hello("sender"));
    slow.room = 0;
    for (let count = 0; count < 20; count += 1) world.send(sender, relay([2], Buffer.alloc(10_000)));
    expect(sender.session.pausedFor).toBe("receiver");
    const pings = (): number => world.frames(sender).filter(({ type }) => type === 24).length;
    world.pass(3 * HUB_LIMITS.pingIntervalMs);
    expect(pings()).toBeGreaterThanOrEqual(4);
    expect(sender.session.open).toBe(true);
  });
});

describe("silence", () => {
  const verdicts = (
    steps: readonly (readonly [atMs: number, what: "look" | "heard" | "full"])[],
  ): string[] => {
    const liveness = new Liveness(1_000, 0);
    return steps.flatMap(([atMs, what]) => {
      if (what === "heard") liveness.heard(atMs);
      return what === "heard" ? [] : [liveness.look(atMs, what !== "full")];
    });
  };
  const looks = (fromMs: number, untilMs: number) =>
    Array.from({ length: (untilMs - fromMs) / 250 + 1 }, (_, n) => [fromMs + 250 * n, "look"] as const);

  it.each([
    ["an interval: asked", looks(250, 1_000), ["fine", "fine", "fine", "ask"]],
    ["two: gone", looks(1_000, 2_000), ["ask", "fine", "fine", "fine", "gone"]],
    [
      "broken: fine",
      [...looks(250, 1_000), [1_100, "heard"], ...looks(1_250, 1_750)],
      ["fine", "fine", "fine", "ask", "fine", "fine", "fine"],
    ],
    [
      "of one's own making: fine",
      [
        [500, "full"],
        [1_000, "full"],
        [1_500, "full"],
        [1_750, "look"],
      ],
      ["fine", "fine", "fine", "fine"],
    ],
    [
      "while the process stood still: fine",
      [
        [500, "look"],
        [90_000, "look"],
        [90_250, "look"],
      ],
      ["fine", "fine", "fine"],
    ],
  ] as const)("of %s", (_what, steps, expected) => {
    expect(verdicts(steps)).toEqual(expected);
  });
});
