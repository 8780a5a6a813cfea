import { expect, it } from "vitest";
import { startHub } from "../../src/hub/index.js";
import { HUB_LIMITS } from "../../src/hub/machine/limits.js";
import { RawClient, relay } from "./raw-client.js";

const SENDERS = 8;
const BYTES_EACH = 256 * 1024;
const CHUNK = 65_536;
const PAYLOAD = 20_000;
/** Each message counts for so many receivers. */
const LISTINGS = 250;

it("callbacks run between the chunks of a load that was there at once", async () => {
  // So much that no sender ever waits for the receiver.
  await using hub = await startHub({ port: 0, outboxMax: 2 * 1024 * 1024 * 1024 });
  const receiver = await RawClient.connect(hub.port);
  const receiverId = await receiver.identity();
  const senders = await Promise.all(Array.from({ length: SENDERS }, () => RawClient.connect(hub.port)));
  try {
    await receiver.until(() => hub.stats().clients === 1 + SENDERS, "all clients");
    const message = relay(new Array<number>(LISTINGS).fill(receiverId), Buffer.alloc(PAYLOAD));
    const count = Math.floor(BYTES_EACH / message.length);
    // In the kernel before the hub gets to read any of it.
    for (const sender of senders) sender.send(...new Array<Buffer>(count).fill(message));
    const bytesPerTurn: number[] = [];
    let seen = hub.stats().bytesIn;
    let looking = true;
    const look = (): void => {
      const { bytesIn } = hub.stats();
      bytesPerTurn.push(bytesIn - seen);
      seen = bytesIn;
      if (looking) setImmediate(look);
    };
    setImmediate(look);
    const expected = SENDERS * count * LISTINGS * (5 + PAYLOAD);
    await receiver.until(() => receiver.bytesReceived >= expected, "all messages");
    looking = false;
    // Its share of work, the chunk that goes beyond it, and of each sender one that waits in the hub.
    const mostInTurn = HUB_LIMITS.turnBytesMax / LISTINGS + (1 + SENDERS) * CHUNK;
    expect(Math.max(...bytesPerTurn)).toBeLessThan(mostInTurn);
  } finally {
    for (const client of [receiver, ...senders]) client.close();
  }
});

it("connections that end at the same moment are forgotten some in each turn of the event loop", async () => {
  await using hub = await startHub({ port: 0 });
  const clients = await Promise.all(Array.from({ length: 300 }, () => RawClient.connect(hub.port)));
  await clients[0]!.until(() => hub.stats().clients === clients.length, "all clients");
  for (const client of clients) client.close();
  const perTurn: number[] = [];
  for (let there = clients.length; there > 0; ) {
    await new Promise((resolve) => setImmediate(resolve));
    const now = hub.stats().clients;
    perTurn.push(there - now);
    there = now;
  }
  // The first of a turn does not wait.
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(1 + HUB_LIMITS.turnEndingsMax);
});
