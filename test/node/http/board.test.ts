import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { TestApi } from "../../fixtures/http-call.js";

const TOKENS = [
  { token: "writer", role: "post" },
  { token: "reader", role: "read" },
] as const;

async function get(api: TestApi, headers: Record<string, string> = {}) {
  const answer = await fetch(`http://127.0.0.1:${api.port}/`, { headers });
  return { answer, text: await answer.text() };
}

/** As it goes over the wire. */
async function compressed(api: TestApi): Promise<Buffer> {
  const request = http.get({
    port: api.port,
    path: "/",
    headers: { "accept-encoding": "gzip, br" },
    agent: false,
  });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  expect(response.headers["content-encoding"]).toBe("gzip");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("the page is served without a token, and only its own script and style run", async () => {
  await using api = await TestApi.open({ tokens: TOKENS });
  const { answer, text } = await get(api);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
  const policy = answer.headers.get("content-security-policy")!;
  const hashOf = (inner: string) => `'sha256-${createHash("sha256").update(inner).digest("base64")}'`;
  const [, style] = /<style>([\s\S]*)<\/style>/.exec(text)!;
  const [, script] = /<script>([\s\S]*?)<\/script>/.exec(text)!;
  expect(policy.split("; ")).toEqual([
    "default-src 'none'",
    `script-src ${hashOf(script!)}`,
    `style-src ${hashOf(style!)}`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ]);
  // A failure must not print the whole page.
  const markup = text.replace(style!, "").replace(script!, "");
  expect(markup).not.toMatch(/<[^>]*\son\w+=/);
  expect([...markup.matchAll(/\s(?:src|href)="([^"]{5})/g)].map(([, start]) => start)).toEqual(["data:"]);
});

test("the page has at most 60 KiB compressed, and goes plain to who does not take that", async () => {
  await using api = await TestApi.open();
  const { text } = await get(api);
  const plain = await api.get("/");
  expect(plain.headers["content-encoding"]).toBeUndefined();
  expect(plain.text === text).toBe(true);
  const raw = await compressed(api);
  expect(raw.length).toBeLessThan(60 * 1024);
  expect(gunzipSync(raw).toString() === text).toBe(true);
});

test("who has the page is told so", async () => {
  await using api = await TestApi.open();
  const { answer } = await get(api);
  const etag = answer.headers.get("etag")!;
  expect(answer.headers.get("cache-control")).toBe("no-cache");
  const again = await api.get("/", { "if-none-match": etag });
  expect([again.status, again.text]).toEqual([304, ""]);
  expect((await api.get("/", { "if-none-match": 'W/"other"' })).status).toBe(200);
});

test.each<[Record<string, string>, string]>([
  [{ host: "attacker.example" }, "foreignHost"],
  [{ origin: "http://attacker.example" }, "foreignOrigin"],
  [{ "sec-fetch-site": "cross-site" }, "foreignOrigin"],
])("the gate holds for the page: %j", async (headers, code) => {
  await using api = await TestApi.open();
  const answer = await api.get("/", headers);
  expect([answer.status, answer.json?.code]).toEqual([403, code]);
});

test.each([
  [undefined, 200, { role: "none" }],
  ["Bearer writer", 200, { role: "post" }],
  ["Bearer reader", 200, { role: "read" }],
  ["Bearer guess", 401, { code: "unauthorized" }],
])("with the header %s a caller learns what it may do", async (authorization, status, body) => {
  await using api = await TestApi.open({ tokens: TOKENS });
  const answer = await api.get("/v1/access", authorization === undefined ? {} : { authorization });
  expect(answer.status).toBe(status);
  expect(answer.json).toMatchObject(body);
});

test("without tokens everybody may post", async () => {
  await using api = await TestApi.open();
  expect((await api.get("/v1/access")).json).toEqual({ role: "post" });
});
