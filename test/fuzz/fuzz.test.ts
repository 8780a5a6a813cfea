import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DECODERS } from "./decoders.js";
import { SAMPLES } from "./samples.js";

// A failure prints bytes as hex. Correct the decoder, and keep them in corpus.json under its name with a word on what
// they are: they are tried first from then on.

interface Kept {
  readonly hex: string;
  readonly input: string;
}
const CORPUS: Readonly<Record<string, readonly Kept[]>> = JSON.parse(
  readFileSync(new URL("corpus.json", import.meta.url), "utf8"),
);

test("the corpus and the samples name decoders that there are", () => {
  expect(Object.keys(SAMPLES).sort()).toEqual(Object.keys(DECODERS).sort());
  expect(Object.keys(DECODERS)).toEqual(expect.arrayContaining(Object.keys(CORPUS)));
  expect(Object.values(CORPUS).flat().length).toBeGreaterThan(0);
});

describe.each(Object.entries(DECODERS))("%s", (name, decode) => {
  test.each(CORPUS[name] ?? [])("reads or refuses: $input", async ({ hex }) => {
    await decode(Buffer.from(hex, "hex"));
  });

  test("reads or refuses any bytes, and anything near to what it reads", { timeout: 60_000 }, async () => {
    const anything = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("hex"));
    const samples = SAMPLES[name]!.map((sample) => Buffer.from(sample).toString("hex"));
    await fc.assert(
      fc.asyncProperty(fc.oneof(anything, changed(fc.constantFrom(...samples))), async (hex) => {
        await decode(Buffer.from(hex, "hex"));
      }),
      { numRuns: 600, examples: samples.map((hex) => [hex] as [string]) },
    );
  });
});

/** A sample with some bytes replaced, put in, or taken out. */
function changed(sample: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const change = fc.record({
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    out: fc.nat(4),
    in: fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.constantFrom(...["ffff", "00", "7fffffff", "efbfbd", "0a", "c3", "22", "0d0a"].map(bytesOf)),
    ),
  });
  return fc.tuple(sample, fc.array(change, { minLength: 1, maxLength: 4 })).map(([hex, changes]) => {
    let bytes = Buffer.from(hex, "hex");
    for (const { at, out, in: put } of changes) {
      const place = Math.floor(at * bytes.length);
      bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + out)]);
    }
    return bytes.toString("hex");
  });
}

function bytesOf(hex: string): Uint8Array {
  return Buffer.from(hex, "hex");
}
