import { once } from "node:events";
import http from "node:http";
import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import type { Caller } from "../../../src/node/http/rates.js";
import { PostRate } from "../../../src/node/http/rates.js";
import { TestApi, textOf } from "../../fixtures/http-call.js";

const from = (remoteAddress: string, token?: string): Caller => ({ socket: { remoteAddress }, token });

test("a caller may post ten seconds' worth at once, then so many a second", () => {
  let nowMs = 1_000_000;
  const rate = new PostRate(5, LIMITS, () => nowMs);
  const caller = from("192.0.2.1");
  expect(rate.grant(caller, 70)).toBe(50);
  expect(() => rate.takeOne(caller)).toThrow("more than 5 items a second");
  nowMs += 199;
  expect(rate.grant(caller, 1)).toBe(0);
  nowMs += 1;
  expect(rate.grant(caller, 9)).toBe(1);
  nowMs += 3_600_000;
  expect(rate.grant(caller, 70)).toBe(50);
});

test("callers are told apart by address, IPv6 by network, and by token whatever the address", () => {
  const rate = new PostRate(1, LIMITS, () => 0);
  expect(rate.grant(from("192.0.2.1"), 20)).toBe(10);
  expect(rate.grant(from("::ffff:192.0.2.1"), 20)).toBe(0);
  expect(rate.grant(from("192.0.2.2"), 20)).toBe(10);
  expect(rate.grant(from("2001:db8::1"), 20)).toBe(10);
  expect(rate.grant(from("2001:db8:0:0:5::1"), 20)).toBe(0);
  expect(rate.grant(from("2001:db8:0:1::1"), 20)).toBe(10);
  expect(rate.grant(from("192.0.2.3", "one"), 4)).toBe(4);
  expect(rate.grant(from("192.0.2.4", "one"), 20)).toBe(6);
  expect(rate.grant(from("192.0.2.4", "two"), 20)).toBe(4);
});

test("this machine has no limit, unless one was asked for", () => {
  const rate = new PostRate(undefined, LIMITS, () => 0);
  for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    expect(rate.grant(from(address), 1e6)).toBe(1e6);
  expect(rate.grant(from("192.0.2.1"), 1e6)).toBe(20_000);
  expect(new PostRate(7, LIMITS, () => 0).grant(from("127.0.0.1"), 1e6)).toBe(70);
});

test("the callers remembered are bounded: the one that posted longest ago is forgotten", () => {
  const rate = new PostRate(1, { ...LIMITS, postCallersMax: 2 }, () => 0);
  rate.grant(from("192.0.2.1"), 10);
  rate.grant(from("192.0.2.2"), 10);
  rate.grant(from("192.0.2.1"), 1);
  rate.grant(from("192.0.2.3"), 1);
  expect(rate.grant(from("192.0.2.1"), 1)).toBe(0);
  expect(rate.grant(from("192.0.2.2"), 1)).toBe(1);
});

test("posts past the limit are answered 429 or refused line by line, and counted", async () => {
  await using api = await TestApi.open({ postRate: 1 });
  const lines = Array.from({ length: 14 }, (_, n) => `${JSON.stringify({ id: `${n}`, raw: "x" })}\n`).join(
    "",
  );
  const bulk = await api.post("/v1/items", lines, { "content-type": "application/x-ndjson" });
  const results = bulk.text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(results.map(({ status }) => status).slice(0, 10)).toEqual(new Array(10).fill("accepted"));
  expect(results.at(-1)).toEqual({ id: "13", status: "refused", code: "rateLimited" });
  const single = await api.post("/v1/items", { raw: "x" });
  expect(single.status).toBe(429);
  expect(single.headers["retry-after"]).toBe("1");
  expect(single.json).toMatchObject({ code: "rateLimited" });
  expect((await api.get("/metrics")).text).toMatch(/refus\w*\{code="rateLimited"\} [4-9]/);
});

test("a token has one share, however its header is spelled and wherever it comes from", async () => {
  await using api = await TestApi.open({ postRate: 1, tokens: [{ token: "secret", role: "post" }] });
  let accepted = 0;
  for (let n = 1; n <= 12; n++) {
    const request = http.request({
      host: "127.0.0.1",
      port: api.port,
      localAddress: `127.0.0.${n}`,
      method: "POST",
      path: "/v1/items",
      headers: {
        authorization: `${n % 2 ? "Bearer" : "bEARER"}${" ".repeat(n)}secret${" ".repeat(n)}`,
        "content-type": "application/x-ndjson",
      },
    });
    request.end(`{"raw":"${n}"}\n`.repeat(10));
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    accepted += (await textOf(response)).match(/accepted|held/g)?.length ?? 0;
  }
  // Ten seconds' worth, and what the test takes.
  expect(accepted).toBeGreaterThanOrEqual(10);
  expect(accepted).toBeLessThan(20);
});
