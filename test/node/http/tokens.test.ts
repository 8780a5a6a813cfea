import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { openHttpApi } from "../../../src/node/http/index.js";
import { FakeServedNode } from "../../fixtures/fake-served-node.js";
import { JSON_TYPE, TestApi } from "../../fixtures/http-call.js";

const TOKENS = [
  { token: "reader", role: "read" },
  { token: "writer", role: "post" },
] as const;

test.each([
  [undefined, 401],
  ["Bearer wrong", 401],
  ["Bearer", 401],
  ["Basic cmVhZGVyOg==", 401],
  ["Bearer reader reader", 401],
  ["Bearer reader", 200],
  ["bearer reader", 200],
  ["Bearer writer", 200],
])("reading with the header %j is answered %i", async (authorization, status) => {
  await using api = await TestApi.open({ tokens: TOKENS });
  for (const path of [
    "/v1/items",
    "/v1/status",
    "/v1/peers",
    "/metrics",
    "/openapi.json",
    "/listAllRecentData",
  ]) {
    const answer = await api.get(path, authorization === undefined ? {} : { authorization });
    expect(answer.status).toBe(status);
    if (status === 401) {
      expect(answer.headers["www-authenticate"]).toMatch("Bearer");
      expect(answer.json).toMatchObject({ code: "unauthorized" });
    }
  }
});

test.each([
  [undefined, 401],
  ["Bearer reader", 403],
  ["Bearer writer", 201],
])("posting with the header %j is answered %i", async (authorization, status) => {
  await using api = await TestApi.open({ tokens: TOKENS });
  const headers = { ...JSON_TYPE, ...(authorization === undefined ? {} : { authorization }) };
  const answer = await api.post("/v1/items", { raw: "x" }, headers);
  expect(answer.status).toBe(status);
});

test("the seed's calls ask for a token too", async () => {
  await using api = await TestApi.open({ tokens: TOKENS });
  expect((await api.post("/postNewData", {})).status).toBe(401);
  expect((await api.post("/postNewData", {}, { authorization: "Bearer reader" })).status).toBe(403);
  expect((await api.post("/listAllRecentData", {}, { authorization: "Bearer reader" })).status).toBe(200);
});

test("probes need no token", async () => {
  await using api = await TestApi.open({ tokens: TOKENS });
  expect((await api.get("/healthz")).status).toBe(200);
  expect((await api.get("/readyz")).status).toBe(200);
});

test("allowAnonymous asks nobody", async () => {
  await using api = await TestApi.open({ tokens: TOKENS, allowAnonymous: true });
  expect((await api.get("/v1/items")).status).toBe(200);
});

test.each(["0.0.0.0", "::", "192.0.2.1", "node.example"])(
  "host %s without tokens is refused with advice",
  async (host) => {
    const opening = openHttpApi({ node: new FakeServedNode(), host, port: 0 });
    await expect(opening).rejects.toMatchObject({
      code: "invalidOption",
      suggestions: [expect.stringMatching("--token-file"), expect.stringMatching("--allow-anonymous")],
    });
  },
);

test("all addresses with tokens are served, by address too", async () => {
  await using api = await TestApi.open({ host: "0.0.0.0", tokens: TOKENS });
  expect(api.api.url).toBe(`http://127.0.0.1:${api.port}`);
  expect((await api.get("/v1/items", { authorization: "Bearer reader" })).status).toBe(200);
});

test("a token with a space is refused at the door", async () => {
  const opening = openHttpApi({
    node: new FakeServedNode(),
    port: 0,
    tokens: [{ token: "a b", role: "read" }],
  });
  await expect(opening).rejects.toMatchObject({ code: "invalidOption" });
});

test("guesses beyond the limit are answered 429 and counted, and who has shown a right token goes on", async () => {
  const warnings: object[] = [];
  const logger = { debug() {}, error() {}, warn: (fields: object) => void warnings.push(fields) };
  await using api = await TestApi.open({ tokens: TOKENS, logger });
  const ask = (token: string) => api.get("/v1/items", { authorization: `Bearer ${token}` });
  expect((await ask("reader")).status).toBe(200);
  for (let n = 0; n < LIMITS.tokenGuessesMax; n++) expect((await ask(`guess-${n}`)).status).toBe(401);
  // A second may have passed meanwhile, and have brought a guess.
  let answer = await ask("guess");
  for (let n = 0; n < 100 && answer.status === 401; n++) answer = await ask(`another-${n}`);
  expect(answer).toMatchObject({ status: 429, json: { code: "tooManyGuesses" } });
  expect(answer.headers["retry-after"]).toBe("1");
  expect((await ask("reader")).status).toBe(200);
  expect((await api.get("/metrics", { authorization: "Bearer reader" })).text).toMatch(
    /refus\w*\{code="tooManyGuesses"\} [1-9]/,
  );
  expect(warnings).toContainEqual({ address: "127.0.0.1" });
});

test("other tokens are taken from then on; whether there are any is settled at the start", async () => {
  const api = await openHttpApi({ node: new FakeServedNode(), port: 0, tokens: TOKENS });
  const status = async (token: string) => {
    const answer = await fetch(`${api.url}/v1/status`, { headers: { authorization: `Bearer ${token}` } });
    return answer.status;
  };
  api.renew({ tokens: [{ token: "another", role: "read" }] });
  expect([await status("reader"), await status("another")]).toEqual([401, 200]);
  expect(() => api.renew({ tokens: [] })).toThrow("settled when it starts");
  expect(() => api.renew({ tokens: [{ token: "two words", role: "read" }] })).toThrow("bad character");
  expect(await status("another")).toBe(200);
  await api.close();
});
