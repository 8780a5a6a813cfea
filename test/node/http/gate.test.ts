import { expect, test } from "vitest";
import { readToEnd, TestApi } from "../../fixtures/http-call.js";

const ROUTES = [
  ["POST", "/v1/items"],
  ["GET", "/v1/items"],
  ["GET", "/v1/items/a"],
  ["GET", "/v1/events"],
  ["GET", "/v1/status"],
  ["GET", "/v1/peers"],
  ["GET", "/healthz"],
  ["GET", "/readyz"],
  ["GET", "/metrics"],
  ["GET", "/openapi.json"],
  ["POST", "/postNewData"],
  ["POST", "/listAllRecentData"],
  ["GET", "/listAllRecentData"],
  ["GET", "/no-such-route"],
  ["OPTIONS", "/v1/items"],
] as const;

test.each(ROUTES)("%s %s refuses pages of other origins and other names", async (method, path) => {
  await using api = await TestApi.open();
  const foreign: readonly [Record<string, string>, string][] = [
    [{ origin: "http://evil.example" }, "foreignOrigin"],
    [{ origin: "null" }, "foreignOrigin"],
    [{ origin: `http://127.0.0.1:${api.port + 1}` }, "foreignOrigin"],
    [{ origin: `https://127.0.0.1:${api.port}` }, "foreignOrigin"],
    [{ "sec-fetch-site": "cross-site" }, "foreignOrigin"],
    [{ "sec-fetch-site": "same-site" }, "foreignOrigin"],
    [{ host: "evil.example" }, "foreignHost"],
    [{ host: `evil.example:${api.port}` }, "foreignHost"],
    [{ host: "127.0.0.1.evil.example" }, "foreignHost"],
    [{ host: "192.0.2.1" }, "foreignHost"],
    [{ host: "localhost@evil.example" }, "foreignHost"],
    // A name bound to 127.0.0.1: the page calls its own origin.
    [{ host: "evil.example", origin: "http://evil.example", "sec-fetch-site": "same-origin" }, "foreignHost"],
  ];
  for (const [headers, code] of foreign) {
    const answer = await api.call(method, path, { headers });
    expect([answer.status, answer.json.code]).toEqual([403, code]);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  }
});

test.each([
  "text/plain",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/json",
  "",
])("a page cannot post with the content type %j on any call", async (type) => {
  await using api = await TestApi.open();
  const body = '{"id":"a","raw":"x","signature":"9dd4e461268c8034f5c8564e155c67a6"}';
  for (const path of ["/postNewData", "/v1/items"]) {
    const answer = await api.call("POST", path, {
      headers: { origin: "null", ...(type === "" ? {} : { "content-type": type }) },
      body,
    });
    expect(answer.status).toBe(403);
  }
  expect(api.node.items.size).toBe(0);
});

test.each([
  "localhost",
  "LOCALHOST:1",
  "127.0.0.1",
  "127.8.8.8:99",
  "[::1]:8080",
  "node.localhost",
  "localhost.",
])("the Host %s is this machine", async (host) => {
  await using api = await TestApi.open();
  expect((await api.get("/healthz", { host })).status).toBe(200);
});

test("a page of the node's own origin, and a person who types its address, are let in", async () => {
  await using api = await TestApi.open();
  const host = `127.0.0.1:${api.port}`;
  const own = { host, origin: `http://${host}`, "sec-fetch-site": "same-origin" };
  expect((await api.get("/v1/status", own)).status).toBe(200);
  expect((await api.get("/v1/status", { host, "sec-fetch-site": "none" })).status).toBe(200);
});

test("a bound name is let in", async () => {
  await using api = await TestApi.open({ boundNames: ["Node.Example"] });
  expect((await api.get("/v1/status", { host: "node.example:8080" })).status).toBe(200);
});

test("a request without Host is refused", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write("GET /v1/items HTTP/1.0\r\n\r\n");
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 403 .*foreignHost/s);
});

test("a foreign page is refused before its body is sent", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write(
    "POST /postNewData HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
  );
  const [answer] = await new Promise<string[]>((resolve) =>
    socket.once("data", (chunk) => resolve([String(chunk)])),
  );
  expect(answer).toMatch(/^HTTP\/1.1 403 /);
  socket.destroy();
});
