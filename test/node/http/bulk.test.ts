import { once } from "node:events";
import http from "node:http";
import { expect, test } from "vitest";
import { HubcastError } from "../../../src/core/errors.js";
import { linesOf, TestApi, textOf } from "../../fixtures/http-call.js";

test("every line gets its result, in order", async () => {
  await using api = await TestApi.open();
  await api.post("/v1/items", { id: "held", raw: "x" });
  const lines = [
    '{"id":"new","raw":"x"}',
    "no JSON",
    '{"id":"held","raw":"x"}',
    '{"id":"held","raw":"other"}',
    '{"id":"bad","raw":5}',
    "[1]",
    '{"id":"wrong","raw":"x","signature":"00"}',
  ];
  const answer = await api.bulk(`${lines.join("\n")}\n`);
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toMatch("application/x-ndjson");
  expect(linesOf(answer.text)).toEqual([
    { id: "new", status: "accepted" },
    { id: "", status: "invalid", code: "badRequest" },
    { id: "held", status: "held" },
    { id: "held", status: "conflict", code: "conflict" },
    { id: "bad", status: "invalid", code: "invalidItem" },
    { id: "", status: "invalid", code: "badRequest" },
    { id: "wrong", status: "invalid", code: "invalidItem" },
  ]);
});

test("the last line needs no newline, CRLF ends a line, empty lines are skipped", async () => {
  await using api = await TestApi.open();
  const answer = await api.bulk('{"id":"1","raw":"x"}\r\n\r\n\n{"id":"2","raw":"x"}');
  expect(linesOf(answer.text).map(({ id }) => id)).toEqual(["1", "2"]);
});

test("a byte order mark before a line is skipped", async () => {
  await using api = await TestApi.open();
  const file = '\ufeff{"id":"1","raw":"\ufeffx"}\n{"id":"2","raw":"x"}\n';
  const answer = await api.bulk(`${file}${file.replace(/\d/g, (digit) => `${Number(digit) + 2}`)}\ufeff\n`);
  expect(linesOf(answer.text).map(({ id, status }) => `${id} ${status}`)).toEqual([
    "1 accepted",
    "2 accepted",
    "3 accepted",
    "4 accepted",
  ]);
  expect(api.node.get("1")!.raw).toBe("\ufeffx");
});

test("an empty body has no results", async () => {
  await using api = await TestApi.open();
  const answer = await api.bulk("");
  expect([answer.status, answer.text]).toEqual([200, ""]);
});

test("a line that is no UTF-8 is invalid, its neighbours are taken", async () => {
  await using api = await TestApi.open();
  const bad = Buffer.from('{"id":"b","raw":"\xff"}\n', "latin1");
  const answer = await api.bulk(
    Buffer.concat([Buffer.from('{"id":"ä","raw":"ö"}\n'), bad, Buffer.from('{"id":"c","raw":"x"}\n')]),
  );
  expect(linesOf(answer.text)).toEqual([
    { id: "ä", status: "accepted" },
    { id: "", status: "invalid", code: "badRequest" },
    { id: "c", status: "accepted" },
  ]);
});

test("an over-long line is invalid, and the next one is taken", async () => {
  await using api = await TestApi.open();
  const long = `{"id":"l","raw":"${"x".repeat(6_300_000)}"}`;
  const answer = await api.bulk(`${long}\n{"id":"n","raw":"x"}\n${long}`);
  expect(linesOf(answer.text)).toEqual([
    { id: "", status: "invalid", code: "tooLarge" },
    { id: "n", status: "accepted" },
    { id: "", status: "invalid", code: "tooLarge" },
  ]);
});

test("an id of any length comes back no longer than an id can be", async () => {
  await using api = await TestApi.open();
  const answer = await api.bulk(`{"id":"${"i".repeat(100_000)}","raw":"x"}\n`);
  expect(linesOf(answer.text)[0]!.id).toHaveLength(256);
});

test("ids that need escaping come back as they were", async () => {
  await using api = await TestApi.open();
  const ids = ['quo"te', "back\\slash", "ünï", "\u2028"];
  const answer = await api.bulk(ids.map((id) => JSON.stringify({ id, raw: "x" })).join("\n"));
  expect(linesOf(answer.text).map(({ id }) => id)).toEqual(ids);
});

test("a node that refuses a batch refuses each of its lines", async () => {
  await using api = await TestApi.open();
  api.node.failure = new HubcastError("nodeFull", "full");
  const answer = await api.bulk('{"id":"1","raw":"x"}\nbad\n{"id":"2","raw":"x"}\n');
  expect(linesOf(answer.text)).toEqual([
    { id: "1", status: "refused", code: "nodeFull" },
    { id: "", status: "invalid", code: "badRequest" },
    { id: "2", status: "refused", code: "nodeFull" },
  ]);
});

test("results come while the request is still being sent", async () => {
  await using api = await TestApi.open();
  const { request, response } = await startBulk(api);
  const results = (await response)[Symbol.asyncIterator]();
  for (const id of ["1", "2", "3"]) {
    if (id !== "1") request.write(`{"id":"${id}","raw":"x"}\n`);
    expect((await results.next()).value.toString()).toBe(`{"id":"${id}","status":"accepted"}\n`);
  }
  request.end();
  expect((await results.next()).done).toBe(true);
});

test("a client that writes 400,000 lines before it reads one answer gets them all, in order", async () => {
  await using api = await TestApi.open();
  const request = openBulk(api);
  const response = once(request, "response") as Promise<[http.IncomingMessage]>;
  for (let line = 0; line < 400_000; line += 1_000) {
    const lines = Array.from({ length: 1_000 }, (_, index) => `{"id":"${line + index}","raw":"x"}\n`);
    if (!request.write(lines.join(""))) await once(request, "drain");
  }
  request.end();
  await once(request, "finish");
  const results = linesOf(await textOf((await response)[0]));
  expect(results).toHaveLength(400_000);
  expect(results.every(({ id, status }, index) => id === String(index) && status === "accepted")).toBe(true);
}, 60_000);

test("past the limit of waiting results the node stops reading until the client reads", async () => {
  await using api = await TestApi.open({ limits: { bulkResultBytesMax: 100_000 } });
  const request = openBulk(api);
  const response = once(request, "response") as Promise<[http.IncomingMessage]>;
  // Results are larger than lines here, so that they back up first.
  const lines = '["no item"]\n'.repeat(5_000);
  let stalled = false;
  for (let piece = 0; piece < 400 && !stalled; piece++) {
    if (request.write(lines)) continue;
    const drained = await Promise.race([
      once(request, "drain"),
      new Promise((go) => setTimeout(go, 500, "stuck")),
    ]);
    stalled = drained === "stuck";
  }
  expect(stalled).toBe(true);
  const reading = textOf((await response)[0]);
  await once(request, "drain");
  request.end();
  expect(linesOf(await reading).length % 5_000).toBe(0);
}, 60_000);

test("a bulk body in which nothing moves is ended", async () => {
  await using api = await TestApi.open({ limits: { streamStallMs: 100 } });
  const { request, response } = await startBulk(api);
  await expect(response.then(textOf)).rejects.toThrow(/aborted|hang up/);
  request.destroy();
});

test("a bulk body that never begins is answered 408", async () => {
  await using api = await TestApi.open({ limits: { streamStallMs: 100 } });
  const request = openBulk(api);
  request.flushHeaders();
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  expect(response.statusCode).toBe(408);
  request.destroy();
});

test("a client that leaves inside its body harms nobody", async () => {
  await using api = await TestApi.open();
  const { request, response } = await startBulk(api);
  await response;
  request.destroy();
  expect((await api.get("/healthz")).status).toBe(200);
  expect(api.node.items.has("1")).toBe(true);
});

function openBulk(api: TestApi): http.ClientRequest {
  const request = http.request({
    method: "POST",
    path: "/v1/items",
    port: api.port,
    host: "127.0.0.1",
    agent: false,
    headers: { "content-type": "application/x-ndjson" },
  });
  request.on("error", () => {});
  return request;
}

/** With one line sent. */
async function startBulk(api: TestApi) {
  const request = openBulk(api);
  request.write('{"id":"1","raw":"x"}\n');
  const response = once(request, "response").then(([head]) => head as http.IncomingMessage);
  return { request, response };
}
