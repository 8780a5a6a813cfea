import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { JSON_TYPE, readToEnd, TestApi, until } from "../../fixtures/http-call.js";

const HEAD = "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";

test("a body that announces 100 MB is refused before it is sent, naming the limit", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write(`${HEAD}Content-Length: 100000000\r\n\r\n`);
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toMatch(/^HTTP\/1.1 413 .*tooLarge.*/s);
  expect(String(chunk)).toMatch("requestBytesMax");
  socket.destroy();
});

test("a client that sends 100 MB regardless, and then hangs up, gets to read the answer without a reset", async () => {
  await using api = await TestApi.open({ limits: { refusedBodyMs: 20_000 } });
  for (const path of ["/v1/items", "/postNewData"]) {
    const socket = await api.connect();
    const faults: Error[] = [];
    socket.on("error", (error) => faults.push(error));
    socket.write(`${HEAD.replace("/v1/items", path)}Connection: close\r\nContent-Length: 100000000\r\n\r\n`);
    socket.write(Buffer.alloc(100_000_000, "x"));
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 413 .*tooLarge/s);
    expect(faults).toEqual([]);
  }
});

test("a body without an announced length is cut at the limit", async () => {
  await using api = await TestApi.open({ limits: { requestBytesMax: 1_000 } });
  const socket = await api.connect();
  socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n3e9\r\n${"x".repeat(1_001)}\r\n`);
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toMatch(/^HTTP\/1.1 413 /);
  socket.destroy();
});

test("a refused body that goes on for ever ends with its connection", async () => {
  await using api = await TestApi.open({ limits: { requestBytesMax: 1_000, refusedBodyMs: 50 } });
  const socket = await api.connect();
  socket.write(`${HEAD}Content-Length: 100000000\r\n\r\n`);
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 413 /);
});

test("a body that nobody asked for does not go on for ever", async () => {
  await using api = await TestApi.open({ limits: { refusedBodyMs: 50 } });
  const socket = await api.connect();
  socket.write("POST /listAllRecentData HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n");
  expect(await readToEnd(socket)).toMatch(/data_list/);
});

test("a slow body is answered 408", async () => {
  await using api = await TestApi.open({ limits: { requestTimeoutMs: 100, refusedBodyMs: 50 } });
  const socket = await api.connect();
  socket.write(`${HEAD}Content-Length: 100\r\n\r\n{`);
  const answer = await readToEnd(socket);
  expect(answer).toMatch(/^HTTP\/1.1 408 .*requestTimeout/s);
  expect(answer).toMatch("requestTimeoutMs");
});

test("a connection that sends nothing is closed without a word, and counted", async () => {
  await using api = await TestApi.open({ limits: { requestTimeoutMs: 100 } });
  const socket = await api.connect();
  expect(await readToEnd(socket)).toBe("");
  expect((await api.get("/metrics")).text).toContain('{code="requestTimeout"} 1');
});

test("a head that comes slowly is closed", async () => {
  await using api = await TestApi.open({ limits: { requestTimeoutMs: 100 } });
  const socket = await api.connect();
  socket.write("GET /v1/items HTTP/1.1\r\nHost:");
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 408 /);
});

test("headers past their limit are refused", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${"x".repeat(20_000)}\r\n\r\n`);
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 431 .*requestHeaderBytesMax/s);
});

test.each([
  ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ["garbage\r\n\r\n"],
  ["GET / HTTP/1.1\r\n\r\n"],
  ["GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"],
  ["POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
  [`${HEAD}Content-Length: -1\r\n\r\n`],
])("%j is answered 400, and the node goes on", async (bytes) => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write(bytes, "latin1");
  socket.end();
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 400 /);
  expect((await api.get("/healthz")).status).toBe(200);
});

test("a bad chunk inside a bulk body ends that connection alone", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write(
    "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
  );
  await readToEnd(socket);
  expect((await api.get("/healthz")).status).toBe(200);
});

test("connections past their limit are closed, and counted", async () => {
  await using api = await TestApi.open({ limits: { httpConnectionsMax: 2 } });
  const sockets = [await api.connect(), await api.connect()];
  expect(await readToEnd(await api.connect())).toBe("");
  sockets[0]!.destroy();
  await once(sockets[0]!, "close");
  await expect
    .poll(async () => (await api.get("/metrics").catch(() => ({ text: "" }))).text)
    .toMatch('hubcast_http_refusals_total{code="tooManyConnections"}');
  sockets[1]!.destroy();
});

test("a body announced with Expect: 100-continue is asked for", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  const body = '{"raw":"x"}';
  socket.write(`${HEAD}Connection: close\r\nExpect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`);
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toMatch(/^HTTP\/1.1 100 /);
  socket.write(body);
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 201 /);
});

test.each([
  ["of a foreign origin", "POST /v1/items", "Origin: http://evil.example\r\n", 403],
  ["for a foreign host", "POST /v1/items", "Host: evil.example\r\n", 403],
  ["without the token", "POST /v1/items", "", 401],
  ["without the token, to the earlier system's call", "POST /postNewData", "", 401],
  ["that is too large", "POST /v1/items", "Authorization: Bearer secret\r\nContent-Length: 9000000\r\n", 413],
])("a body %s is not parsed: it is answered and its connection closed", async (_, call, headers, status) => {
  const tokens = [{ token: "secret", role: "post" }] as const;
  await using api = await TestApi.open({ tokens, limits: { refusedBodyMs: 60_000 } });
  const socket = await api.connect();
  const host = headers.startsWith("Host") ? "" : "Host: localhost\r\n";
  const framing = headers.includes("Content-Length") ? "" : "Transfer-Encoding: chunked\r\n";
  socket.write(`${call} HTTP/1.1\r\n${host}${headers}${framing}Content-Type: application/json\r\n\r\n`);
  // Not a chunk, and never the end of the body: a parser would break off, or wait.
  socket.once("data", () => socket.write("no chunk\r\n".repeat(1_000)));
  const answer = await readToEnd(socket);
  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer).toMatch(/^connection: close\r$/im);
});

test("a small body refused for a while keeps its connection", async () => {
  await using api = await TestApi.open({ postRate: 1 });
  const socket = await api.connect();
  const post = `${HEAD}Content-Length: 11\r\n\r\n{"raw":"x"}`;
  socket.write(`${post.repeat(20)}GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  const answers = await readToEnd(socket);
  expect(answers.match(/HTTP\/1.1 (201|200|429) /g)).toHaveLength(21);
  expect(answers).toMatch("HTTP/1.1 429 ");
});

test("a body that no call reads is thrown away, and its connection closed", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 200 .*connection: close/is);
});

test("of bodies and lines that are not whole, with more bytes than fit, the one that moved longest ago is cut", async () => {
  await using api = await TestApi.open({ limits: { bodyBytesHeldMax: 1_000_000 } });
  const [oldest, bulk, newest] = [await api.connect(), await api.connect(), await api.connect()];
  const closed: string[] = [];
  for (const [name, socket] of Object.entries({ oldest, bulk, newest }))
    socket.once("close", () => closed.push(name));
  const held = async () =>
    Number(/\{code="rateLimited"\} (\d+)/.exec((await api.get("/metrics")).text)?.[1] ?? 0);
  const begin = (type: string) =>
    `POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: 2000000\r\n\r\n`;
  const part = `{"raw":"${"x".repeat(400_000)}`;
  const beginAndWait = async (socket: Socket, type: string) => {
    const begun = Promise.withResolvers<{ socket: Socket; request: IncomingMessage }>();
    const tell = (message: unknown) => begun.resolve(message as { socket: Socket; request: IncomingMessage });
    subscribe("http.server.request.start", tell);
    socket.write(begin(type) + part);
    const { socket: served, request } = await begun.promise;
    unsubscribe("http.server.request.start", tell);
    const waitingBytes = () => served.readableLength + request.readableLength;
    const { length } = begin(type) + part;
    await until("it is read", () => served.bytesRead === length && waitingBytes() === 0);
    expect(await held()).toBe(0);
  };
  await beginAndWait(oldest, "application/json");
  await beginAndWait(bulk, "application/x-ndjson");
  newest.write(begin("application/json") + part);
  await until("one is cut", () => closed.length > 0);
  expect(closed).toEqual(["oldest"]);
  expect(await held()).toBe(1);
  newest.write(part);
  await until("another is cut", () => closed.length > 1);
  expect(closed).toEqual(["oldest", "bulk"]);
  newest.destroy();
});

test("a body behind a path that is no URL does not keep its connection", async () => {
  await using api = await TestApi.open({ limits: { refusedBodyMs: 50 } });
  const socket = await api.connect();
  socket.write("GET /%zz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
  expect(await readToEnd(socket)).toMatch(/^HTTP\/1.1 400 /);
});

test("an expectation that is none counts for nothing, and its Host is looked at", async () => {
  await using api = await TestApi.open();
  const headers = { ...JSON_TYPE, expect: "foo" };
  expect((await api.post("/v1/items", { raw: "x" }, headers)).status).toBe(201);
  const foreign = await api.post("/v1/items", { raw: "x" }, { ...headers, host: "evil.example" });
  expect(foreign.json.code).toBe("foreignHost");
});
