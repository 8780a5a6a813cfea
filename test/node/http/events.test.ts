import { once } from "node:events";
import http from "node:http";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { expect, test } from "vitest";
import { TestApi, until } from "../../fixtures/http-call.js";

test("an empty place is none", async () => {
  await using api = await TestApi.open();
  const { response, close } = await follow(api, "/v1/events?after=");
  expect(response.statusCode).toBe(200);
  close();
});

test("an event has the type as its name, its id, and itself as data", async () => {
  await using api = await TestApi.open();
  const stream = await follow(api, "/v1/events");
  await api.post("/v1/items", { id: "a", raw: "two\nlines" });
  const { event, id, data } = await stream.next();
  expect([event, id]).toEqual(["item", "7-1"]);
  expect(JSON.parse(data)).toEqual({ type: "item", eventId: "7-1", item: api.node.get("a") });
  expect(stream.response.headers["content-type"]).toMatch("text/event-stream");
  stream.close();
});

test("replaced carries both items", async () => {
  await using api = await TestApi.open();
  const stream = await follow(api, "/v1/events");
  const previous = { id: "a", raw: "x", signature: "s", timestampMs: 2, digest: "d" };
  api.node.tell({ type: "replaced", item: { ...previous, timestampMs: 1 }, previous });
  expect(JSON.parse((await stream.next()).data)).toMatchObject({ type: "replaced", previous });
  stream.close();
});

test("since gives what there is, then caught-up, then what comes", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "old", raw: "x" });
  const stream = await follow(api, "/v1/events?since=1h");
  expect((await stream.next()).event).toBe("item");
  expect((await stream.next()).event).toBe("caught-up");
  await api.post("/v1/items", { id: "new", raw: "x" });
  expect(JSON.parse((await stream.next()).data).item.id).toBe("new");
  stream.close();
});

test("what since gives has no id, for nobody can resume inside of it; caught-up has one", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "old", raw: "x" });
  const { response, close } = await follow(api, "/v1/events?since=1h");
  let text = "";
  while (!text.includes("caught-up")) text += (await once(response, "data"))[0];
  expect(text).toMatch(/^event: item\ndata: [^\n]*\n\nevent: caught-up\nid: 7-1\ndata: [^\n]*\n\n$/);
  expect(text).not.toContain('"type":"item","eventId"');
  close();
});

test.each(["6-1", "7-99", "garbage"])(
  "behind the event id %s, a stream with since starts over",
  async (id) => {
    await using api = await TestApi.open();
    await api.post("/v1/items", { id: "old", raw: "x" });
    for (const [path, headers] of [
      ["/v1/events?since=1h", { "last-event-id": id }],
      [`/v1/events?since=1h&after=${id}`, {}],
    ] as const) {
      const stream = await follow(api, path, headers);
      expect([(await stream.next()).event, (await stream.next()).event]).toEqual(["item", "caught-up"]);
      stream.close();
    }
  },
);

test("a proxy is told to hold nothing back", async () => {
  await using api = await TestApi.open();
  const { response, close } = await follow(api, "/v1/events");
  expect(response.headers["x-accel-buffering"]).toBe("no");
  close();
});

test("Last-Event-ID resumes behind it, and beats since", async () => {
  await using api = await TestApi.open();
  for (const id of ["1", "2", "3"]) await api.post("/v1/items", { id, raw: "x" });
  for (const path of ["/v1/events", "/v1/events?since=1h"]) {
    const stream = await follow(api, path, { "last-event-id": "7-1" });
    expect([(await stream.next()).id, (await stream.next()).id]).toEqual(["7-2", "7-3"]);
    stream.close();
  }
  const stream = await follow(api, "/v1/events?after=7-2");
  expect((await stream.next()).id).toBe("7-3");
  stream.close();
});

test.each(["6-1", "7-99", "garbage"])("the event id %s is gone", async (id) => {
  await using api = await TestApi.open();
  const answer = await api.get("/v1/events", { "last-event-id": id });
  expect([answer.status, answer.json.code]).toEqual([410, "eventsGone"]);
  expect(answer.json.suggestions).not.toHaveLength(0);
});

test("a subscriber too many is refused", async () => {
  await using api = await TestApi.open();
  const streams = await Promise.all(Array.from({ length: 10 }, () => follow(api, "/v1/events")));
  const answer = await api.get("/v1/events");
  expect([answer.status, answer.json.code]).toEqual([503, "tooManySubscribers"]);
  for (const stream of streams) stream.close();
  await until("they are unsubscribed", () => api.node.subscriberCount === 0);
});

test("heartbeats are comments", async () => {
  await using api = await TestApi.open({ limits: { eventHeartbeatMs: 10 } });
  const { response, close } = await follow(api, "/v1/events");
  const [chunk] = await once(response, "data");
  expect(String(chunk)).toMatch(/^:\n\n/);
  close();
});

test("a subscriber that does not read is cut off, and forgotten by the node", async () => {
  await using api = await TestApi.open({ limits: { streamStallMs: 50 } });
  const socket = await api.connect();
  socket.pause();
  socket.write("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("it is subscribed", () => api.node.subscriberCount === 1);
  const item = { id: "a", raw: "x".repeat(100_000), signature: "s", timestampMs: 2, digest: "d" };
  for (let told = 0; told < 500; told++) api.node.tell({ type: "item", item });
  await until("it is unsubscribed", () => api.node.subscriberCount === 0);
  socket.destroy();
});

test("what waits for a subscriber that does not read is bounded, though events come one by one", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.pause();
  socket.write("GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await until("it is subscribed", () => api.node.subscriberCount === 1);
  const before = process.memoryUsage();
  const item = { id: "a", raw: "x".repeat(20_000), signature: "s", timestampMs: 2, digest: "d" };
  for (let told = 0; told < 3_000; told++) {
    api.node.tell({ type: "item", item: { ...item, timestampMs: told } });
    await new Promise(setImmediate);
  }
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  expect(arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed).toBeLessThan(30_000_000);
  socket.destroy();
});

test("subscribers that are told the same get the same, those behind their history too", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "old", raw: "x" });
  const streams = [
    await follow(api, "/v1/events"),
    await follow(api, "/v1/events?since=1h"),
    await follow(api, "/v1/events"),
  ];
  await api.bulk(Array.from({ length: 50 }, (_, n) => `{"id":"${n}","raw":"x"}`).join("\n"));
  const ids = Array.from({ length: 50 }, (_, n) => `${n}`);
  for (const [index, stream] of streams.entries()) {
    const heard: string[] = [];
    while (heard.at(-1) !== "49") {
      const event = JSON.parse((await stream.next()).data);
      heard.push(event.type === "item" ? event.item.id : event.type);
    }
    expect(heard).toEqual(index === 1 ? ["old", "caught-up", ...ids] : ids);
    stream.close();
  }
});

test("a reader too slow for its backlog is told so by a last event", async () => {
  await using api = await TestApi.open();
  api.node.backlogMax = 10;
  const stream = await follow(api, "/v1/events");
  const item = { id: "a", raw: "x", signature: "s", timestampMs: 2, digest: "d" };
  for (let told = 0; told < 20; told++) api.node.tell({ type: "item", item });
  const { event, data } = await stream.next();
  expect([event, JSON.parse(data).code]).toEqual(["problem", "eventsGone"]);
  await until("the stream ends", () => stream.response.readableEnded);
});

test("closing the API ends event streams", async () => {
  const api = await TestApi.open();
  const stream = await follow(api, "/v1/events");
  const ended = once(stream.response, "end");
  await api.api.close();
  await ended;
  expect(api.node.subscriberCount).toBe(0);
});

async function follow(api: TestApi, path: string, headers: http.OutgoingHttpHeaders = {}) {
  const request = http.get({ path, headers, port: api.port, host: "127.0.0.1", agent: false });
  request.on("error", () => {});
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  expect(response.statusCode).toBe(200);
  const arrived: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => arrived.push(event) });
  response.on("error", () => {});
  response.on("data", (chunk) => parser.feed(String(chunk)));
  return {
    response,
    close: () => request.destroy(),
    async next(): Promise<EventSourceMessage> {
      await until("an event arrives", () => arrived.length > 0);
      return arrived.shift()!;
    },
  };
}
