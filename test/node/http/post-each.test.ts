import { expect, test } from "vitest";
import { HubcastError } from "../../../src/core/errors.js";
import { linesOf, readToEnd, TestApi, until } from "../../fixtures/http-call.js";

const NDJSON = { "content-type": "application/x-ndjson" };
const post = (api: TestApi, query: string, lines: readonly unknown[]) =>
  api.post(
    `/v1/items?${query}`,
    lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""),
    NDJSON,
  );

test("each line of many is answered as a post of its own, in their order", async () => {
  await using api = await TestApi.open();
  const answer = await post(api, "results=full", [
    { id: "a", raw: "x" },
    "",
    '\ufeff{"id":"b","raw":"x"}\r',
    { id: "a", raw: "x" },
    { id: "a", raw: "other" },
    "{",
    "[]",
    { id: "c" },
  ]);
  expect(answer.status).toBe(200);
  expect(answer.headers["content-type"]).toBe("application/x-ndjson; charset=utf-8");
  const lines = linesOf(answer.text);
  expect(lines.slice(0, 3)).toEqual(
    ["a", "b", "a"].map((id, index) => {
      const { digest, timestampMs } = api.node.get(id)!;
      return { id, digest, timestampMs, status: index < 2 ? "accepted" : "held", visible: digest };
    }),
  );
  expect(lines.slice(3)).toMatchObject([
    {
      status: 409,
      code: "conflict",
      detail: expect.stringContaining("a"),
      suggestions: ["Post under a new id."],
    },
    { status: 400, code: "badRequest" },
    { status: 422, code: "invalidItem" },
    { status: 422, code: "invalidItem", detail: "raw is missing" },
  ]);
});

test("a wait holds for each of many, and each has a receipt", async () => {
  await using api = await TestApi.open();
  const answer = await post(api, "wait=2&timeoutMs=250", [{ id: "a", raw: "x" }, { raw: "y" }]);
  expect(api.node.lastPostOptions).toMatchObject({ wait: 2, timeoutMs: 250 });
  expect(linesOf(answer.text)).toMatchObject([{ receipt: { of: 1 } }, { receipt: { of: 1 } }]);
});

test("many lines are read whole: their size has the bound of one item, and nothing is no body", async () => {
  await using api = await TestApi.open({ limits: { requestBytesMax: 1_000 } });
  const large = await post(api, "results=full", [{ raw: "x".repeat(1_000) }]);
  expect([large.status, large.json.code]).toEqual([413, "tooLarge"]);
  expect((await post(api, "results=full", [])).json.code).toBe("badRequest");
  expect((await post(api, "results=some", [])).json.code).toBe("badRequest");
  expect(api.node.items.size).toBe(0);
});

test("the rate of the caller holds for each line", async () => {
  await using api = await TestApi.open({ postRate: 1 });
  const drafts = Array.from({ length: 12 }, (_, n) => ({ id: `${n}`, raw: "x" }));
  const lines = linesOf((await post(api, "results=full", drafts)).text);
  expect(lines.map(({ code }) => code ?? "taken")).toEqual([
    ...Array(10).fill("taken"),
    ...Array(2).fill("rateLimited"),
  ]);
});

test("more lines than one turn takes are all answered", async () => {
  await using api = await TestApi.open();
  const drafts = Array.from({ length: 1_000 }, (_, n) => ({ id: `${n}`, raw: "x" }));
  const ids = linesOf((await post(api, "results=full", drafts)).text).map(({ id }) => id);
  expect(ids).toEqual(drafts.map(({ id }) => id));
});

test("a line that is bad counts for the rate of the caller", async () => {
  await using api = await TestApi.open({ postRate: 1 });
  const lines = linesOf((await post(api, "results=full", [...Array(10).fill("1"), { raw: "x" }])).text);
  expect(lines.map(({ code }) => code)).toEqual([...Array(10).fill("invalidItem"), "rateLimited"]);
});

test("some thousand lines are posted at once, and no more once the client has left", async () => {
  await using api = await TestApi.open();
  const gate = Promise.withResolvers<void>();
  let posts = 0;
  api.node.accept = async () => {
    posts++;
    await gate.promise;
    throw new HubcastError("conflict", "the test refuses it");
  };
  const socket = await api.connect();
  const body = '{"raw":"x"}\n'.repeat(20_000);
  socket.write(
    "POST /v1/items?results=full HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n" +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  await until("4,096 lines are posted", () => posts >= 4_096);
  for (let n = 0; n < 20; n++) expect((await api.get("/healthz")).status).toBe(200);
  expect(posts).toBe(4_096);
  socket.destroy();
  await until("the node has noticed", () => socket.closed);
  expect((await api.get("/healthz")).status).toBe(200);
  gate.resolve();
  for (let n = 0; n < 20; n++) expect((await api.get("/healthz")).status).toBe(200);
  expect(posts).toBeLessThan(5_000);
});

test("no more results are made than the client reads", async () => {
  await using api = await TestApi.open();
  const socket = await api.connect();
  socket.pause();
  const body = "1\n".repeat(2 ** 17);
  socket.write(
    "POST /v1/items?results=full HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n" +
      `Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const refused = async () =>
    Number(/\{code="invalidItem"\} (\d+)/.exec((await api.get("/metrics")).text)?.[1] ?? 0);
  let [before, now] = [-1, 0];
  while (now === 0 || now !== before) [before, now] = [now, await refused()];
  expect(now).toBeLessThan(2 ** 16);
  socket.resume();
  expect((await readToEnd(socket)).match(/"status":422/g)).toHaveLength(2 ** 17);
}, 60_000);
