import { expect, test } from "vitest";
import { linesOf, TestApi } from "../../fixtures/http-call.js";

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
