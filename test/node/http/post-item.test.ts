import { expect, test } from "vitest";
import { HubcastError } from "../../../src/core/errors.js";
import { connectToNode } from "../../../src/node/client.js";
import { JSON_TYPE, TestApi } from "../../fixtures/http-call.js";

test("an accepted item is answered 201 with its place", async () => {
  await using api = await TestApi.open();
  const answer = await api.post("/v1/items", { id: "hi there", raw: "x" });
  expect(answer.status).toBe(201);
  expect(answer.headers.location).toBe("/v1/items/hi%20there");
  expect(answer.json).toEqual({
    id: "hi there",
    digest: api.node.get("hi there")!.digest,
    timestampMs: api.node.get("hi there")!.timestampMs,
    status: "accepted",
    visible: api.node.get("hi there")!.digest,
  });
});

test("an item that is held already is answered 200", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "a", raw: "x" });
  const answer = await api.post("/v1/items", { id: "a", raw: "x" });
  expect([answer.status, answer.json.status]).toEqual([200, "held"]);
});

test("an id that needs escaping comes back as it was", async () => {
  await using api = await TestApi.open();
  const id = 'ü"\\/✓'.padEnd(200, "é").slice(0, 100);
  const answer = await api.post("/v1/items", { id, raw: "x" });
  expect(answer.json.id).toBe(id);
  expect((await api.get(answer.headers.location!)).json.id).toBe(id);
});

test.each([".", "..", "...", "%2e", "a/.."])(
  "the place of the id %j leads to it, also behind a URL parser",
  async (id) => {
    await using api = await TestApi.open();
    const { location } = (await api.post("/v1/items", { id, raw: "x" })).headers;
    const { pathname, search } = new URL(location!, api.api.url);
    expect((await api.get(pathname + search)).json.id).toBe(id);
  },
);

test("an id in the query that is held by nobody, or absent, is refused", async () => {
  await using api = await TestApi.open();
  expect((await api.get("/v1/items/?id=.")).json.code).toBe("notFound");
  expect((await api.get("/v1/items/")).json.code).toBe("badRequest");
});

test("a byte order mark before the JSON is skipped", async () => {
  await using api = await TestApi.open();
  expect((await api.post("/v1/items", '\ufeff{"id":"a","raw":"\ufeffx"}')).status).toBe(201);
  expect(api.node.get("a")!.raw).toBe("\ufeffx");
  expect((await api.post("/v1/items", '\ufeff\ufeff{"raw":"x"}')).status).toBe(400);
});

const SHAPES = {
  "nested arrays": `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
  objects: `[${"{},".repeat(20_000)}{}]`,
  keys: `{${'"":1,'.repeat(20_000)}"b":1}`,
};

test.each(Object.entries(SHAPES))("a long body of %s is not parsed", async (_, shape) => {
  await using api = await TestApi.open();
  const draft = `{"raw":"x","rest":${shape}}`;
  const answer = await api.post("/v1/items", draft);
  expect([answer.status, answer.json.code]).toEqual([400, "badRequest"]);
  expect(answer.json.detail).toMatch("it has more than 1024 brackets, colons and commas");
  const seed = await api.post("/postNewData", draft);
  expect(seed.json).toEqual({ result: false, msg: "Error parsing data" });
  expect((await api.bulk(draft)).text).toMatch('"code":"badRequest"');
  const each = await api.post("/v1/items?results=full", draft, { "content-type": "application/x-ndjson" });
  expect(each.json.code).toBe("badRequest");
  expect(api.node.items.size).toBe(0);
});

test("a long raw may be of brackets, quotes and backslashes, and an item have fields that nobody reads", async () => {
  await using api = await TestApi.open();
  const raw = '[{"\\\\",:'.repeat(5_000);
  const fields = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`field ${n}`, [n]]));
  expect((await api.post("/v1/items", { id: "a", raw, ...fields })).status).toBe(201);
  expect(api.node.get("a")!.raw).toBe(raw);
});

test("a raw of 1,000,000 bytes that JSON escapes to six times that is accepted", async () => {
  await using api = await TestApi.open();
  const escaped = `{"id":"big","raw":"${"\\u0001".repeat(1_000_000)}"}`;
  expect((await api.post("/v1/items", escaped)).status).toBe(201);
  expect(api.node.get("big")!.raw.length).toBe(1_000_000);
});

test("what GET answers can be posted as it is", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "a", raw: "x" });
  const answer = await api.post("/v1/items", (await api.get("/v1/items/a")).text);
  expect(answer.status).toBe(200);
});

test("a JSON content type with parameters is taken", async () => {
  await using api = await TestApi.open();
  const headers = { "content-type": "Application/JSON; charset=utf-8" };
  expect((await api.post("/v1/items", { raw: "x" }, headers)).status).toBe(201);
});

test("wait and timeoutMs reach the node, and the receipt comes back", async () => {
  await using api = await TestApi.open();
  const answer = await api.post("/v1/items?wait=all&timeoutMs=250", { raw: "x" });
  expect(api.node.lastPostOptions).toMatchObject({ wait: "all", timeoutMs: 250 });
  expect(answer.json.receipt).toEqual({ of: 1, complete: true, holders: [], missing: [], refused: [] });
  await api.post("/v1/items?wait=2", { raw: "x" });
  expect(api.node.lastPostOptions).toMatchObject({ wait: 2 });
});

test("a client that leaves ends its wait", async () => {
  await using api = await TestApi.open();
  const held = Promise.withResolvers<void>();
  api.node.gate = held.promise;
  const socket = await api.connect();
  const body = '{"raw":"x"}';
  socket.write(
    `POST /v1/items?wait=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await expect.poll(() => api.node.lastPostOptions).toBeDefined();
  socket.destroy();
  await expect.poll(() => (api.node.lastPostOptions as { signal: AbortSignal }).signal.aborted).toBe(true);
  held.resolve();
});

test("many waits on one connection leave nothing behind on it", async () => {
  await using api = await TestApi.open();
  await using node = await connectToNode(api.api.url);
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on("warning", note);
  for (let post = 0; post < 15; post++) await node.post({ raw: "x" }, { wait: 1 });
  await new Promise(setImmediate);
  process.off("warning", note);
  expect(warnings).toEqual([]);
});

test.each([
  ["broken JSON", "{", 400, "badRequest", /JSON/],
  ["an empty body", "", 400, "badRequest", /empty/],
  ["an array", "[]", 400, "badRequest", /object/],
  ["null", "null", 400, "badRequest", /object/],
  ["invalid UTF-8", Buffer.from('{"raw":"\xff"}', "latin1"), 400, "badRequest", /UTF-8/],
  ["no raw", "{}", 422, "invalidItem", /raw is missing/],
  ["a number for raw", '{"raw":5}', 422, "invalidItem", /raw is a number/],
  ["null for id", '{"raw":"x","id":null}', 422, "invalidItem", /id is null/],
  ["an object for signature", '{"raw":"x","signature":{}}', 422, "invalidItem", /signature is an object/],
  ["a text for timestampMs", '{"raw":"x","timestampMs":"1"}', 422, "invalidItem", /timestampMs is a string/],
  ["a wrong signature", `{"raw":"x","signature":"${"0".repeat(32)}"}`, 422, "invalidItem", /signature/],
  ["a lone surrogate", '{"raw":"\\ud800"}', 422, "invalidItem", /surrogate/],
  ["a NUL in id", '{"id":"a\\u0000","raw":"x"}', 422, "invalidItem", /control/],
  ["an over-long id", `{"id":"${"i".repeat(257)}","raw":"x"}`, 422, "invalidItem", /257 bytes/],
  ["raw over its limit", `{"raw":"${"x".repeat(1_000_001)}"}`, 422, "invalidItem", /1000001 bytes/],
])("%s is refused with a problem that says so", async (_name, body, status, code, detail) => {
  await using api = await TestApi.open();
  const answer = await api.post("/v1/items", body);
  expect(answer.headers["content-type"]).toMatch("application/problem+json");
  expect(answer.json).toMatchObject({ status, code, type: `urn:hubcast:error:${code}` });
  expect(answer.status).toBe(status);
  expect(answer.json.detail).toMatch(detail);
});

test("another raw under a held id is a conflict", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "a", raw: "x" });
  const answer = await api.post("/v1/items", { id: "a", raw: "y" });
  expect([answer.status, answer.json.code]).toEqual([409, "conflict"]);
  expect(answer.json.suggestions).toEqual(["Post under a new id."]);
});

test.each([
  ["rateLimited", 429],
  ["keyRateLimited", 429],
  ["clockSkew", 503],
  ["stopping", 503],
  ["nodeFull", 507],
  ["storageFailed", 507],
  ["refusedByPolicy", 422],
  ["timestampOff", 422],
  ["itemExpired", 422],
] as const)("what the node refuses as %s is answered %i", async (code, status) => {
  await using api = await TestApi.open();
  api.node.failure = new HubcastError(code, "the reason", { suggestions: ["the way out"] });
  const answer = await api.post("/v1/items", { raw: "x" });
  expect(answer.status).toBe(status);
  expect(answer.json).toMatchObject({ code, detail: "the reason", suggestions: ["the way out"] });
});

test("a bug inside is logged, and answered without its message or stack", async () => {
  const logged: unknown[] = [];
  const logger = { debug() {}, warn() {}, error: (fields: object) => logged.push(fields) };
  await using api = await TestApi.open({ logger });
  api.node.failure = new TypeError("secret inside") as unknown as HubcastError;
  const answer = await api.post("/v1/items", { raw: "x" });
  expect([answer.status, answer.json.code]).toEqual([500, "bug"]);
  expect(answer.text).not.toMatch(/secret|TypeError| at /);
  expect(logged).toHaveLength(1);
});

test.each([undefined, "text/plain", "application/x-www-form-urlencoded", "garbage", "multipart/form-data"])(
  "the content type %s is refused with the ones that are taken",
  async (type) => {
    await using api = await TestApi.open();
    const answer = await api.post(
      "/v1/items",
      { raw: "x" },
      type === undefined ? {} : { "content-type": type },
    );
    expect([answer.status, answer.json.code]).toEqual([415, "unsupportedMediaType"]);
    expect(answer.json.suggestions.join()).toMatch("application/json");
  },
);

test("a compressed body is refused", async () => {
  await using api = await TestApi.open();
  const answer = await api.post("/v1/items", "x", { ...JSON_TYPE, "content-encoding": "gzip" });
  expect(answer.status).toBe(415);
});

test.each(["wait=0", "wait=some", "wait=1&timeoutMs=-1", "wait=1&wait=2", "hold=1"])(
  "the query %s is refused",
  async (query) => {
    await using api = await TestApi.open();
    const answer = await api.post(`/v1/items?${query}`, { raw: "x" });
    expect([answer.status, answer.json.code]).toEqual([400, "badRequest"]);
  },
);
