import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { Arrivals, ReadTurns } from "../../../src/runtime/http/read-turns.js";
import { readToEnd } from "../../fixtures/http-call.js";

let server: Server = createServer();
afterEach(() => {
  vi.useRealTimers();
  server.close();
  server.closeAllConnections();
});

async function open(handle: RequestListener, turns = new ReadTurns(1_000, () => {})): Promise<Socket> {
  server = createServer(handle).on("connection", (socket) => turns.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(client, "connect");
  return client;
}

/** Without a timer. */
async function turnsUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

test("node:http sets one listener to the data of a connection, which ReadTurns stands in front of", async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  expect(socket.listeners("data")).toHaveLength(1);
  client.destroy();
});

test("others are served between the slices of a body in chunks of one byte", async () => {
  const chunkCount = 100_000;
  let chunks = 0;
  let thisTurn = 0;
  let mostInTurn = 0;
  const client = await open((request, response) => {
    request.on("data", () => {
      chunks++;
      if (thisTurn++ === 0) {
        setImmediate(() => {
          mostInTurn = Math.max(mostInTurn, thisTurn);
          thisTurn = 0;
        });
      }
    });
    request.on("end", () => response.end());
  });
  client.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.write(`${"1\r\nx\r\n".repeat(chunkCount)}0\r\n\r\n`);
  expect(await readToEnd(client)).toMatch(/^HTTP\/1.1 200 /);
  expect(chunks).toBe(chunkCount);
  // One read brings 10,000, a turn of the event loop up to 32 reads.
  expect(mostInTurn).toBeLessThan(5_000);
});

test("pipelined requests are all answered, in order", async () => {
  const client = await open((request, response) => {
    // Large, so that answers wait to be read and the parser is paused.
    response.end(request.url!.padEnd(1_000, "."));
  });
  let requests = "";
  for (let n = 0; n < 3_000; n++) {
    requests += `GET /${n} HTTP/1.1\r\nHost: a\r\n${n === 2_999 ? "Connection: close\r\n" : ""}\r\n`;
  }
  client.write(requests);
  const answer = await readToEnd(client);
  const numbers = [...answer.matchAll(/^\/(\d+)\./gm)].map(([, number]) => Number(number));
  expect(numbers).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
});

test("work waits while connections come, one in each turn, but not for ever", () => {
  const arrivals = new Arrivals();
  const yields = arrivals.watch();
  expect(yields()).toBe(false);
  arrivals.count++;
  expect([yields(), yields()]).toEqual([true, false]);
  let turns = 0;
  do {
    arrivals.count++;
    turns++;
  } while (yields() && turns < 1_000);
  expect(turns).toBeLessThan(100);
});

test("of connections that come at once some are read in each turn, in order, and one that was there before goes first", async () => {
  const order: string[] = [];
  let thisTurn = 0;
  let mostInTurn = 0;
  const early = await open((request, response) => {
    order.push(request.url!);
    if (thisTurn++ === 0)
      setImmediate(() => {
        mostInTurn = Math.max(mostInTurn, thisTurn);
        thisTurn = 0;
      });
    response.end();
  });
  const ask = (client: Socket, path: string) => client.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  ask(early, "/early");
  await once(early, "data");
  const { port } = server.address() as AddressInfo;
  let accepted = 0;
  server.on("connection", () => accepted++);
  const clients = Array.from({ length: 200 }, () => connect(port, "127.0.0.1"));
  await turnsUntil(() => accepted === 200 && clients.every(({ connecting }) => !connecting));
  for (const [index, client] of clients.entries()) ask(client, `/${index}`);
  ask(early, "/again");
  await turnsUntil(() => order.length === 202);
  expect(mostInTurn).toBeLessThan(40);
  expect(order.indexOf("/again")).toBeLessThan(100);
  for (const client of [early, ...clients]) client.destroy();
});

test("what comes behind a refusal is read now and then, and the rest waits in the kernel", async () => {
  const turns = new ReadTurns(60_000, () => {});
  let refused: Socket | undefined;
  const client = await open((request) => {
    turns.discard(request.socket);
    refused = request.socket;
    // From here on no timer ends, unless it is told to.
    vi.useFakeTimers({ toFake: ["setTimeout"] });
  }, turns);
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n");
  client.write(Buffer.alloc(8_000_000));
  await turnsUntil(() => refused?.isPaused() === true);
  expect(refused!.bytesRead).toBeLessThan(500_000);
  const before = refused!.bytesRead;
  vi.advanceTimersToNextTimer();
  await turnsUntil(() => refused!.bytesRead > before && refused!.isPaused());
  expect(refused!.bytesRead).toBeLessThan(before + 500_000);
  client.destroy();
});

test("what comes behind a refusal leaves no garbage", async () => {
  const turns = new ReadTurns(60_000, () => {});
  const left: Buffer[] = [];
  let refused: Socket | undefined;
  const client = await open((request) => {
    turns.discard(request.socket);
    refused = request.socket;
    refused.on("data", (bytes: Buffer) => left.push(bytes));
  }, turns);
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n");
  await turnsUntil(() => refused !== undefined);
  client.write(Buffer.alloc(1_000_000));
  await turnsUntil(() => refused!.bytesRead > 1_000_000);
  expect(left.length).toBeGreaterThan(0);
  for (const { buffer } of left) expect(buffer).toMatchObject({ detached: true });
  client.destroy();
});

test("chunks that wait are kept in memory that the system gets back", async () => {
  const first = await open((request) => void request.resume());
  const parked = new Set<ArrayBufferLike>();
  const freed: ArrayBufferLike[] = [];
  server.on("connection", (socket: Socket) => {
    const unshift = socket.unshift.bind(socket);
    socket.unshift = (bytes: Buffer) => {
      if (bytes.length > 16_384) parked.add(bytes.buffer);
      unshift(bytes);
    };
    // In front of the reader.
    socket.prependListener("data", ({ length, buffer }: Buffer) => {
      if (length === buffer.byteLength && !(buffer as ArrayBuffer).resizable) freed.push(buffer);
    });
  });
  const { port } = server.address() as AddressInfo;
  const clients = [first, ...Array.from({ length: 19 }, () => connect(port, "127.0.0.1"))];
  for (const client of clients) {
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write("1\r\nx\r\n".repeat(100_000));
  }
  await turnsUntil(() => freed.some((buffer) => (buffer as ArrayBuffer).detached));
  expect(parked.size).toBeGreaterThan(0);
  for (const buffer of parked) expect(buffer).toMatchObject({ resizable: true });
  for (const client of clients) client.destroy();
});

test("of connections that wait with more bytes than fit, the one that waits longest is cut", async () => {
  let cuts = 0;
  const turns = new ReadTurns(1_000, () => cuts++, 300_000);
  const first = await open((request) => void request.resume(), turns);
  const { port } = server.address() as AddressInfo;
  const clients = [first, ...Array.from({ length: 19 }, () => connect(port, "127.0.0.1"))];
  const ended = clients.map((client) => {
    client.on("error", () => {});
    client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write("1\r\nx\r\n".repeat(200_000));
    client.resume();
    return new Promise((resolve) => client.once("close", resolve));
  });
  await Promise.race(ended);
  expect(cuts).toBeGreaterThan(0);
  for (const client of clients) client.destroy();
});
