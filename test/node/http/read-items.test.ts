import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { Socket } from "node:net";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { linesOf, readToEnd, TestApi, until } from "../../fixtures/http-call.js";

test("an id of 256 bytes that are all escaped is found", async () => {
  await using api = await TestApi.open();
  const id = "é".repeat(128);
  await api.post("/v1/items", { id, raw: "x" });
  expect((await api.get(`/v1/items/${encodeURIComponent(id)}`)).json.id).toBe(id);
});

test.each(["a/b", "..", ".", "a?b", "a#b", "%41", "a b", "a+b", ":id"])(
  "the id %s is found by its path",
  async (id) => {
    await using api = await TestApi.open();
    await api.post("/v1/items", { id, raw: "x" });
    expect((await api.get(`/v1/items/${encodeURIComponent(id)}`)).json).toMatchObject(api.node.get(id)!);
  },
);

test.each([
  ["/v1/items/none", 404, "notFound"],
  [`/v1/items/${"i".repeat(2_000)}`, 404, "notFound"],
  ["/v1/items/%FF", 400, "badRequest"],
  ["/v1/items/%", 400, "badRequest"],
  ["/v1/items/a/b", 404, "notFound"],
])("%s is answered %i", async (path, status, code) => {
  await using api = await TestApi.open();
  const answer = await api.get(path);
  expect([answer.status, answer.json.code]).toEqual([status, code]);
});

test("pages follow each other by cursor", async () => {
  await using api = await TestApi.open();
  for (const id of ["1", "2", "3"]) await api.post("/v1/items", { id, raw: "x" });
  const first = (await api.get("/v1/items?limit=2")).json;
  expect(first.items.map(({ id }: { id: string }) => id)).toEqual(["1", "2"]);
  const second = (await api.get(`/v1/items?limit=2&cursor=${first.nextCursor}`)).json;
  expect(second).toEqual({ items: [api.node.get("3")] });
});

test("a topic gives what is under it, by page and as lines", async () => {
  await using api = await TestApi.open();
  for (const id of ["a/1", "b/1", "a/b/2", "a", "a//3", "a/4"]) await api.post("/v1/items", { id, raw: "x" });
  const first = (await api.get("/v1/items?topic=a&limit=2")).json;
  expect(first.items.map(({ id }: { id: string }) => id)).toEqual(["a/1", "a/b/2"]);
  const second = (await api.get(`/v1/items?topic=a&limit=2&cursor=${first.nextCursor}`)).json;
  expect(second).toEqual({ items: [api.node.get("a/4")] });
  const { text } = await api.get("/v1/items?topic=a%2Fb", { accept: "application/x-ndjson" });
  expect(linesOf(text)).toEqual([api.node.get("a/b/2")]);
});

test.each(["", "a/", "/a", "a//b", "a%0Ab"])("the topic %j is refused, with advice", async (topic) => {
  await using api = await TestApi.open();
  for (const path of ["/v1/items", "/v1/events"]) {
    const { status, json } = await api.get(`${path}?topic=${topic}`);
    expect([status, json.code, json.detail]).toEqual([
      400,
      "badRequest",
      expect.stringContaining("is no topic"),
    ]);
    expect(json.suggestions).toHaveLength(1);
  }
});

test("/openapi.json describes exactly the topics that are taken", async () => {
  await using api = await TestApi.open();
  const { parameters } = (await api.get("/openapi.json")).json.paths["/v1/items"].get;
  const { schema } = parameters.find(({ name }: { name: string }) => name === "topic");
  const isDescribed = new Ajv2020({ strict: false }).compile(schema);
  const unit = fc.constantFrom("a", "/", "\u00e9", "\u001f", "\u0085", "\n", " ", "-");
  const near = fc.integer({ min: 250, max: 258 }).map((length) => "a".repeat(length));
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string({ unit, maxLength: 8 }), near), async (topic) => {
      const { status } = await api.get(`/v1/items?topic=${encodeURIComponent(topic)}`);
      expect(isDescribed(topic)).toBe(status === 200);
    }),
    { numRuns: 60 },
  );
});

test("since and until take instants", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "1", raw: "x" });
  const count = async (query: string) => (await api.get(`/v1/items?${query}`)).json.items.length;
  expect(await count("since=10m")).toBe(1);
  expect(await count("until=10m")).toBe(0);
  expect(await count("since=2020-01-01T00:00:00Z&until=2021-01-01T00:00:00Z")).toBe(0);
  expect(await count(`since=${api.node.get("1")!.timestampMs}`)).toBe(1);
});

test.each(["", "1", "TRUE", "yes"])("fresh=%s of peers is refused", async (fresh) => {
  await using api = await TestApi.open();
  const answer = await api.get(`/v1/peers?fresh=${fresh}`);
  expect([answer.status, answer.json.code]).toEqual([400, "badRequest"]);
});

test.each([
  "since=yesterday",
  "since=9999999999999999",
  "until=",
  "limit=0",
  "since=2026-02-31",
  "limit=10001",
  "limit=1.5",
  "cursor=zzz",
  "page=2",
  "limit=1&limit=2",
])("the query %s is refused", async (query) => {
  await using api = await TestApi.open();
  const answer = await api.get(`/v1/items?${query}`);
  expect([answer.status, answer.json.code]).toEqual([400, "badRequest"]);
});

test("all items stream as lines when asked for", async () => {
  await using api = await TestApi.open();
  for (const id of ["1", "2", "3"]) await api.post("/v1/items", { id, raw: "x".repeat(100_000) });
  const answer = await api.get("/v1/items", { accept: "application/x-ndjson" });
  expect(answer.headers["content-type"]).toMatch("application/x-ndjson");
  expect(linesOf(answer.text)).toEqual([...api.node.items.values()]);
  const limited = await api.get("/v1/items?limit=2", { accept: "application/x-ndjson" });
  expect(linesOf(limited.text)).toHaveLength(2);
});

test("a stream of no items is empty", async () => {
  await using api = await TestApi.open();
  expect((await api.get("/v1/items", { accept: "application/x-ndjson" })).text).toBe("");
});

test("a large list is made only as fast as the client takes it, and others are served meanwhile", async () => {
  await using api = await TestApi.open();
  let made = 0;
  const item = { id: "i", raw: "x".repeat(10_000), signature: "s", timestampMs: 1, digest: "d" };
  api.node.visible = function* () {
    for (; made < 100_000; made++) yield item;
  };
  const socket = await api.connect();
  socket.pause();
  socket.write("GET /listAllRecentData HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("the list has begun", () => made > 0);
  expect((await api.get("/healthz")).status).toBe(200);
  // A gigabyte does not fit into socket buffers: the rest is not made while nobody reads.
  expect(made).toBeLessThan(50_000);
  socket.destroy();
  await once(socket, "close");
});

test("a client that stops reading a list is cut off", async () => {
  await using api = await TestApi.open({ limits: { streamStallMs: 50 } });
  const item = { id: "i", raw: "x".repeat(10_000), signature: "s", timestampMs: 1, digest: "d" };
  let over = false;
  api.node.visible = function* () {
    try {
      for (let made = 0; made < 100_000; made++) yield item;
    } finally {
      over = true;
    }
  };
  const socket = await api.connect();
  socket.pause();
  socket.write("GET /listAllRecentData HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("the list is given up", () => over);
  socket.destroy();
});

test("a fault in the middle of a list cuts the answer instead of pretending its end", async () => {
  await using api = await TestApi.open();
  const item = { id: "i", raw: "x".repeat(100_000), signature: "s", timestampMs: 1, digest: "d" };
  api.node.visible = function* () {
    yield item;
    throw new Error("a fault");
  };
  await expect(api.get("/listAllRecentData")).rejects.toThrow(/aborted/);
});

const GET_BIG = "GET /v1/items/big HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BIG = { id: "big", raw: "\u0001😀".repeat(300_000), timestampMs: 1 };

test("a large item comes whole, and no character is torn", async () => {
  await using api = await TestApi.open();
  for (const raw of [BIG.raw, ` ${BIG.raw}`]) {
    api.node.put({ ...BIG, raw });
    const answer = await api.get("/v1/items/big");
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(answer.json.raw).toBe(raw);
  }
});

/** Asks for more than the buffers of a socket hold, and does not read it. @returns the node's end of the connection */
async function askAndNotRead(api: TestApi): Promise<Socket> {
  const begun = Promise.withResolvers<Socket>();
  const tell = (message: unknown) => begun.resolve((message as { socket: Socket }).socket);
  subscribe("http.server.request.start", tell);
  const client = await api.connect();
  client.pause();
  client.write(GET_BIG.repeat(8));
  const socket = await begun.promise;
  unsubscribe("http.server.request.start", tell);
  socket.once("close", () => client.destroy());
  await until("its answers wait", () => socket.writableLength > 0);
  return socket;
}

test("a client that does not read a large item is cut off", async () => {
  await using api = await TestApi.open({ limits: { streamStallMs: 50 } });
  api.node.put(BIG);
  const socket = await askAndNotRead(api);
  await until("it is cut", () => socket.destroyed);
});

test("a large item is not made for a client that left while it waited", async () => {
  await using api = await TestApi.open();
  const gate = Promise.withResolvers<void>();
  let asked = 0;
  let made = 0;
  const find = api.node.find.bind(api.node);
  api.node.put(BIG);
  api.node.find = async (id) => {
    asked++;
    await gate.promise;
    return { ...(await find(id))!, toJSON: () => made++ };
  };
  const sockets = await Promise.all(Array.from({ length: 8 }, () => api.connect()));
  for (const socket of sockets) socket.write(GET_BIG);
  await until("all have asked", () => asked === 8);
  for (const socket of sockets.slice(1)) socket.destroy();
  expect((await api.get("/healthz")).status).toBe(200);
  gate.resolve();
  const [answer] = await once(sockets[0]!, "data");
  expect(String(answer)).toMatch(/^HTTP\/1.1 200 /);
  expect((await api.get("/healthz")).status).toBe(200);
  expect(made).toBe(1);
  sockets[0]!.destroy();
});

test("past the limit of bytes that wait for all clients, the one that reads nothing for longest is cut off", async () => {
  await using api = await TestApi.open({ limits: { answerBytesWaitingMax: 50_000_000 } });
  api.node.put(BIG);
  const sockets: Socket[] = [];
  while (!sockets.some(({ destroyed }) => destroyed) && sockets.length < 8)
    sockets.push(await askAndNotRead(api));
  await until("one is cut", () => sockets.some(({ destroyed }) => destroyed));
  expect(sockets.map(({ destroyed }) => destroyed).lastIndexOf(true)).toBe(0);
  for (const socket of sockets) socket.destroy();
});

test("of pipelined requests 8 are begun, and others as these are answered", async () => {
  await using api = await TestApi.open();
  const gate = Promise.withResolvers<void>();
  const asked: string[] = [];
  api.node.find = async (id) => {
    asked.push(id);
    await gate.promise;
    return undefined;
  };
  const socket = await api.connect();
  const heads = Array.from({ length: 60 }, (_, n) => `GET /v1/items/${n} HTTP/1.1\r\nHost: localhost\r\n`);
  socket.write(`${heads.join("\r\n")}Connection: close\r\n\r\n`);
  await until("some are begun", () => asked.length > 0);
  expect((await api.get("/healthz")).status).toBe(200);
  expect(asked).toHaveLength(8);
  gate.resolve();
  const answers = await readToEnd(socket);
  expect(answers.match(/HTTP\/1.1 404 /g)).toHaveLength(60);
  expect(asked).toEqual(heads.map((_, n) => String(n)));
});

test("of connections that ask for long pages or metrics at one moment, one is answered in a turn", async () => {
  await using api = await TestApi.open();
  const { node } = api;
  const [page, statusNow] = [node.page.bind(node), node.statusNow.bind(node)];
  let thisTurn = 0;
  let mostInTurn = 0;
  const count = () => {
    if (thisTurn++ === 0)
      setImmediate(() => {
        thisTurn = 0;
      });
    mostInTurn = Math.max(mostInTurn, thisTurn);
  };
  node.page = (query) => {
    count();
    return page(query);
  };
  node.statusNow = (query) => {
    count();
    return statusNow(query);
  };
  for (const path of ["/v1/items?limit=10000", "/v1/items?topic=1/2/3/4/5/6/7/8/9", "/metrics"]) {
    mostInTurn = 0;
    await api.get(path);
    const ofOne = mostInTurn;
    const sockets = await Promise.all(Array.from({ length: 8 }, () => api.connect()));
    // None of them is new any more when they all ask.
    for (const socket of sockets) socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await Promise.all(sockets.map((socket) => once(socket, "data")));
    const ended = sockets.map(readToEnd);
    for (const socket of sockets)
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    for (const answer of await Promise.all(ended)) expect(answer).toMatch(/^HTTP\/1.1 200 /);
    // The count may begin anew behind the answer of the next turn.
    expect(mostInTurn).toBeLessThanOrEqual(2 * ofOne);
  }
});
