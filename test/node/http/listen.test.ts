import { once } from "node:events";
import http from "node:http";
import { expect, test } from "vitest";
import { openHttpApi } from "../../../src/node/http/index.js";
import { FakeServedNode } from "../../fixtures/fake-served-node.js";
import { JSON_TYPE, readToEnd, TestApi, until } from "../../fixtures/http-call.js";

test("a port in use is refused with a way out", async () => {
  await using api = await TestApi.open();
  await expect(openHttpApi({ node: new FakeServedNode(), port: api.port })).rejects.toMatchObject({
    code: "portInUse",
    message: `port ${api.port} is already in use; pass --port 0 to take a free one`,
  });
});

test("an address of another machine cannot be listened on", async () => {
  const opening = openHttpApi({
    node: new FakeServedNode(),
    host: "192.0.2.1",
    port: 0,
    allowAnonymous: true,
  });
  await expect(opening).rejects.toMatchObject({ code: "cannotListen", suggestions: [expect.any(String)] });
});

test.each([-1, 65_536, 1.5, Number.NaN])("port %d is refused", async (port) => {
  await expect(openHttpApi({ node: new FakeServedNode(), port })).rejects.toMatchObject({
    code: "invalidOption",
  });
});

test("the url is where it listens", async () => {
  await using api = await TestApi.open();
  expect(api.api.url).toBe(`http://127.0.0.1:${api.port}`);
  expect((await fetch(`${api.api.url}/healthz`)).status).toBe(200);
});

test("IPv6 loopback is served", async () => {
  await using api = await TestApi.open({ host: "::1" });
  expect(api.api.url).toBe(`http://[::1]:${api.port}`);
  expect((await fetch(`${api.api.url}/healthz`)).status).toBe(200);
});

test("closing lets a running request finish", async () => {
  const api = await TestApi.open();
  const held = Promise.withResolvers<void>();
  api.node.gate = held.promise;
  const answer = api.post("/v1/items?wait=1", { id: "a", raw: "x" });
  await until("it runs", () => api.node.lastPostOptions !== undefined);
  const closed = api.api.close();
  held.resolve();
  expect((await answer).status).toBe(201);
  await closed;
});

test("closing waits a bounded time for a request that does not finish", async () => {
  const api = await TestApi.open({ limits: { closeMs: 50 } });
  api.node.gate = new Promise(() => {});
  const answer = api.post("/v1/items?wait=1", { id: "a", raw: "x" });
  const refused = expect(answer).rejects.toThrow(/hang up|reset/);
  await until("it runs", () => api.node.lastPostOptions !== undefined);
  await api.api.close();
  await refused;
});

test("closing closes idle connections, silent ones too, and is idempotent", async () => {
  const api = await TestApi.open();
  const agent = new http.Agent({ keepAlive: true });
  const request = http.get({ port: api.port, host: "127.0.0.1", path: "/healthz", agent });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  response.resume();
  await once(response, "end");
  const silent = await api.connect();
  await Promise.all([api.api.close(), api.api.close(), readToEnd(silent)]);
  agent.destroy();
});

test("a request that comes while the API closes is answered 503", async () => {
  const api = await TestApi.open();
  const held = Promise.withResolvers<void>();
  api.node.gate = held.promise;
  const socket = await api.connect();
  const late = "GET /v1/items HTTP/1.1\r\nHost: localhost\r\n\r\n";
  socket.write(late.replace("/v1/items", "/healthz"));
  await once(socket, "data");
  const running = api.post("/v1/items?wait=1", { raw: "x" }, JSON_TYPE);
  await until("it runs", () => api.node.lastPostOptions !== undefined);
  // An idle connection is closed with the listener, so the late request must be under way.
  socket.write(late.slice(0, 20));
  await (await api.get("/healthz")).status;
  const closed = api.api.close();
  socket.write(late.slice(20));
  expect(await readToEnd(socket).then((text) => text)).toMatch(/^HTTP\/1.1 503 .*stopping/s);
  held.resolve();
  await Promise.all([running, closed]);
});
