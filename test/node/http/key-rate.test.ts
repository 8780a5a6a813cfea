import { generateKeyPairSync } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { LIMITS } from "../../../src/core/limits.js";
import { KeyRate } from "../../../src/node/http/rates.js";
import { signItem } from "../../../src/node/keys.js";
import { TestApi } from "../../fixtures/http-call.js";

const alice = generateKeyPairSync("ed25519").privateKey;
const bob = generateKeyPairSync("ed25519").privateKey;
const from = (remoteAddress: string) => ({ socket: { remoteAddress } }) as unknown as IncomingMessage;
const far = from("192.0.2.1");
const by = (key: typeof alice, id: string) => signItem({ id, raw: `text of ${id}` }, key);

test("a key has ten seconds' worth, then so many a second, whoever brings its items", () => {
  let nowMs = 1_000_000;
  const rate = new KeyRate(2, LIMITS, () => nowMs);
  const item = by(alice, "a");
  for (let n = 0; n < 20; n++) {
    const caller = from(`192.0.2.${n}`);
    rate.check(caller, item);
    rate.charge(caller, item, "accepted");
  }
  expect(() => rate.check(far, item)).toThrow("more than 2 items a second signed by one key");
  expect(() =>
    rate.check(far, { ...item, signature: item.signature.toUpperCase().replace("ED", "ed") }),
  ).toThrow();
  expect(() => rate.check(far, by(bob, "b"))).not.toThrow();
  expect(() => rate.check(far, { raw: "unsigned" })).not.toThrow();
  nowMs += 500;
  expect(() => rate.check(far, item)).not.toThrow();
});

test("what was not accepted costs the key nothing, and what was accepted at once in excess is made up for", () => {
  let nowMs = 1_000_000;
  const rate = new KeyRate(1, LIMITS, () => nowMs);
  const item = by(alice, "a");
  for (const status of ["held", "conflict", "invalid", "refused"] as const)
    for (let n = 0; n < 20; n++) rate.charge(far, item, status);
  expect(rate.excess(far, [item]).size).toBe(0);
  // Twelve were let in before the first of them was decided.
  for (let n = 0; n < 12; n++) rate.charge(far, item, "accepted");
  nowMs += 2_000;
  expect(rate.excess(far, [item]).size).toBe(1);
  nowMs += 1_000;
  expect(rate.excess(far, [item]).size).toBe(0);
});

test("of many lines each key has its own share, and unsigned ones are not counted", () => {
  const rate = new KeyRate(1, LIMITS, () => 0);
  const drafts = Array.from({ length: 36 }, (_, n) =>
    n % 3 === 0 ? { raw: "unsigned" } : by(n % 3 === 1 ? alice : bob, `${n}`),
  );
  const excess = rate.excess(far, drafts);
  expect(drafts.flatMap((draft, n) => (excess.has(draft) ? [n] : []))).toEqual([31, 32, 34, 35]);
});

test("this machine has no limit, unless one was asked for", () => {
  const rate = new KeyRate(undefined, LIMITS, () => 0);
  const item = by(alice, "a");
  for (let n = 0; n < 30_000; n++) rate.charge(from("::ffff:127.0.0.1"), item, "accepted");
  expect(() => rate.check(far, item)).not.toThrow();
  for (let n = 0; n < 20_000; n++) rate.charge(far, item, "accepted");
  expect(() => rate.check(far, item)).toThrow();
  expect(() => rate.check(from("127.0.0.1"), item)).not.toThrow();
});

test("posts past the share of their key are answered 429 or refused line by line, and counted", async () => {
  await using api = await TestApi.open({ keyRate: 1 });
  const lines = Array.from(
    { length: 14 },
    (_, n) => `${JSON.stringify(n === 12 ? { id: "12", raw: "unsigned" } : by(alice, `${n}`))}\n`,
  );
  const bulk = await api.post("/v1/items", lines.join(""), { "content-type": "application/x-ndjson" });
  const results = bulk.text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(results.map(({ id }) => id)).toEqual(Array.from({ length: 14 }, (_, n) => `${n}`));
  expect(results.map(({ status }) => status)).toEqual([
    ...new Array(10).fill("accepted"),
    ...["refused", "refused", "accepted", "refused"],
  ]);
  expect(results[13]).toEqual({ id: "13", status: "refused", code: "keyRateLimited" });
  const single = await api.post("/v1/items", by(alice, "single"));
  expect(single.status).toBe(429);
  expect(single.headers["retry-after"]).toBe("1");
  expect(single.json).toMatchObject({ code: "keyRateLimited", detail: expect.stringContaining("one key") });
  expect((await api.post("/v1/items", by(bob, "other"))).status).toBe(201);
  expect((await api.get("/metrics")).text).toMatch(/refus\w*\{code="keyRateLimited"\} 4/);
});

test.each([0, 1.5, -1])("a rate that means nothing is refused: %d", async (keyRate) => {
  await expect(TestApi.open({ keyRate })).rejects.toMatchObject({ code: "invalidOption" });
});
