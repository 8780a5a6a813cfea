import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { expect, test } from "vitest";
import { linesOf, TestApi } from "../../fixtures/http-call.js";

const ITEM_LIKE = fc.record(
  {
    id: fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
    raw: fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
    signature: fc.oneof(fc.string(), fc.jsonValue()),
    timestampMs: fc.oneof(fc.double(), fc.jsonValue()),
  },
  { requiredKeys: [] },
);
const BODY = fc.oneof(
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.jsonValue().map((value) => Buffer.from(JSON.stringify(value))),
  ITEM_LIKE.map((value) => Buffer.from(JSON.stringify(value))),
);

test("no body of a post is a fault of the node", async () => {
  await using api = await TestApi.open();
  await fc.assert(
    fc.asyncProperty(BODY, fc.constantFrom("/v1/items", "/postNewData"), async (body, path) => {
      const { status, json } = await api.post(path, body);
      expect(status).toBeLessThan(500);
      expect(json).toBeTypeOf("object");
    }),
    { numRuns: 300 },
  );
});

test("every line of a bulk body that is not blank has exactly one result", async () => {
  await using api = await TestApi.open();
  await fc.assert(
    fc.asyncProperty(fc.array(BODY, { maxLength: 8 }), async (bodies) => {
      const bytes = Buffer.from(bodies.map((body) => body.toString("latin1")).join("\n"), "latin1");
      const { status, text } = await api.bulk(bytes);
      expect(status).toBe(200);
      expect(linesOf(text)).toHaveLength(splitBytes(bytes).filter((line) => !isBlank(line)).length);
    }),
    { numRuns: 200 },
  );
});

test("no query is a fault of the node", async () => {
  await using api = await TestApi.open();
  const name = fc.constantFrom("since", "until", "limit", "cursor", "wait", "after", "x");
  const path = fc.constantFrom("/v1/items", "/v1/status", "/v1/peers", "/v1/items/a");
  await fc.assert(
    fc.asyncProperty(path, fc.dictionary(name, fc.string()), async (route, values) => {
      const { status } = await api.get(`${route}?${new URLSearchParams(values)}`);
      expect(status).toBeLessThan(500);
    }),
    { numRuns: 300 },
  );
});

function splitBytes(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
    lines.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return [...lines, bytes.subarray(start)];
}

function isBlank(line: Buffer): boolean {
  return isUtf8(line) && line.toString().trim() === "";
}
