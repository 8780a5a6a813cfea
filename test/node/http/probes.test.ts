import { expect, test } from "vitest";
import { TestApi } from "../../fixtures/http-call.js";

test("healthz answers at once, to HEAD too", async () => {
  await using api = await TestApi.open();
  api.node.ready = false;
  expect((await api.get("/healthz")).json).toEqual({ status: "ok" });
  expect((await api.call("HEAD", "/healthz")).status).toBe(200);
});

test("readyz says 503 until the node is ready", async () => {
  await using api = await TestApi.open();
  api.node.ready = false;
  const answer = await api.get("/readyz");
  expect([answer.status, answer.json]).toEqual([503, { status: "starting" }]);
  api.node.ready = true;
  expect((await api.get("/readyz")).json).toEqual({ status: "ready" });
});

test("status and peers are the node's own words", async () => {
  await using api = await TestApi.open();
  expect((await api.get("/v1/status")).json).toEqual(api.node.statusNow());
  expect((await api.get("/v1/peers")).json).toEqual(api.node.peersNow());
});

test("status takes the fingerprint from another start", async () => {
  await using api = await TestApi.open();
  expect((await api.get("/v1/status?since=2026-01-31T12:00:00Z")).json.fingerprintSinceMs).toBe(
    Date.UTC(2026, 0, 31, 12),
  );
  expect((await api.get("/v1/status?since=soon")).status).toBe(400);
});

test("metrics are Prometheus text with the node's and the process's figures", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "a", raw: "x" });
  await api.get("/nowhere");
  await api.get("/metrics");
  const answer = await api.get("/metrics");
  expect(answer.headers["content-type"]).toMatch(/^text\/plain; version=0.0.4/);
  for (const line of [
    "hubcast_items 1",
    "hubcast_uptime_seconds 1.5",
    "hubcast_sync_rounds_total 3",
    'hubcast_peers{state="connected"} 1',
    'hubcast_peers{state="lost"} 0',
    'hubcast_peer_round_trip_seconds{peer="other"} 0.0025',
    'hubcast_http_refusals_total{code="notFound"} 1',
    "# TYPE hubcast_sync_rounds_total counter",
    "# TYPE hubcast_items gauge",
  ]) {
    expect(answer.text.split("\n")).toContain(line);
  }
  expect(answer.text).toMatch(/^process_cpu_user_seconds_total /m);
});

test("names keep to the conventions of Prometheus", async () => {
  await using api = await TestApi.open();
  const types = [...(await api.get("/metrics")).text.matchAll(/^# TYPE (hubcast_\w+) (\w+)$/gm)];
  expect(types.length).toBeGreaterThan(15);
  for (const [, name, type] of types) {
    expect(name).toMatch(/^[a-z][a-z0-9_]+$/);
    expect(name!.endsWith("_total")).toBe(type === "counter");
  }
});

test("an unknown path is answered 404 with a way on", async () => {
  await using api = await TestApi.open();
  const answer = await api.get("/api/items");
  expect([answer.status, answer.json.code]).toEqual([404, "notFound"]);
  expect(answer.json.suggestions).toContain("Did you mean POST /v1/items?");
});

test.each([
  ["GET", "/postNewData", "POST"],
  ["DELETE", "/v1/items/a", "GET"],
  ["PUT", "/v1/items", "POST, GET"],
  ["PATCH", "/v1/status", "GET"],
])("%s %s is answered 405 and says what it answers", async (method, path, allow) => {
  await using api = await TestApi.open();
  const answer = await api.call(method, path);
  expect([answer.status, answer.json.code, answer.headers.allow]).toEqual([405, "methodNotAllowed", allow]);
});

test("openapi.json describes every route, every answer and no dangling name", async () => {
  await using api = await TestApi.open();
  const { openapi, paths, components } = (await api.get("/openapi.json")).json;
  expect(openapi).toMatch(/^3\.1/);
  const calls = Object.entries<object>(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(calls.sort()).toEqual(
    [
      "GET /healthz",
      "GET /listAllRecentData",
      "GET /metrics",
      "GET /openapi.json",
      "GET /readyz",
      "GET /v1/access",
      "GET /v1/events",
      "GET /v1/items",
      "GET /v1/items/",
      "GET /v1/items/{id}",
      "GET /v1/peers",
      "GET /v1/status",
      "POST /listAllRecentData",
      "POST /postNewData",
      "POST /v1/items",
    ].sort(),
  );
  const statuses = Object.keys(paths["/v1/items"].post.responses);
  for (const status of [200, 201, 400, 401, 403, 408, 409, 413, 415, 422, 429, 503, 507]) {
    expect(statuses).toContain(String(status));
  }
  expect(Object.keys(paths["/v1/items"].post.requestBody.content)).toEqual([
    "application/json",
    "application/x-ndjson",
  ]);
  expect(Object.keys(paths["/v1/events"].get.responses[410].content)).toEqual(["application/problem+json"]);
  const names = [...JSON.stringify(paths).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)];
  expect(names.length).toBeGreaterThan(20);
  for (const [, name] of names) expect(Object.keys(components.schemas)).toContain(name);
});

test("openapi.json is fit for generated clients: names of calls, types of lines, a token only where one is asked for", async () => {
  await using api = await TestApi.open();
  const { paths, servers } = (await api.get("/openapi.json")).json;
  const calls = Object.values<object>(paths).flatMap((methods) => Object.values(methods));
  const names = calls.map(({ operationId }) => operationId);
  expect(names).toContain("postItem");
  expect(new Set(names).size).toBe(calls.length);
  for (const name of names) expect(name).toMatch(/^[a-z]+[A-Za-z]+$/);
  expect(servers).toEqual([{ url: "/" }]);
  const { post, get } = paths["/v1/items"];
  for (const { content } of [post.requestBody, post.responses[200], get.responses[200]])
    expect(content["application/x-ndjson"].schema.type).toBe("string");
  expect(calls.every(({ security }) => security.length === 0)).toBe(true);

  await using closed = await TestApi.open({ tokens: [{ token: "secret", role: "post" }] });
  const asked = (await closed.get("/openapi.json", { authorization: "Bearer secret" })).json.paths;
  expect(asked["/v1/items"].post.security).toEqual([{ bearer: [] }]);
  expect(asked["/healthz"].get.security).toEqual([]);
});

test("the schema of a status names exactly the fields of a status", async () => {
  await using api = await TestApi.open();
  const { schemas } = (await api.get("/openapi.json")).json.components;
  const status = api.node.statusNow();
  expect(schemas.NodeStatus.required).toEqual(Object.keys(status));
  const optional = ["certificateExpiresAtMs"];
  expect(Object.keys(schemas.NodeStatus.properties)).toEqual([...Object.keys(status), ...optional]);
  expect(Object.keys(schemas.NodeStatus.properties.sync.properties)).toEqual([
    ...Object.keys(status.sync),
    "lastRound",
  ]);
  expect(Object.keys(schemas.NodeStatus.properties.gossip.properties)).toEqual(Object.keys(status.gossip));
});
