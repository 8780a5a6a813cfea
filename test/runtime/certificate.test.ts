import { expect, test } from "vitest";
import { expiryOf, readCertificate } from "../../src/runtime/certificate.js";
import { EXPIRED, FIRST, RENEWED } from "../fixtures/certificates.js";

const DAY = 24 * 3_600_000;
const NOW = Date.parse("2026-01-01");

test.each([
  [-DAY, 90 * DAY, undefined],
  [-DAY, 14 * DAY, undefined],
  [-DAY, 14 * DAY - 1, /expires soon, at 2026-01-14/],
  [-DAY, 1, /expires soon/],
  [-DAY, 0, /expired at 2026-01-01T.*clients refuse it/],
  [-2 * DAY, -DAY, /expired at 2025-12-31/],
  [DAY, 90 * DAY, /not valid before 2026-01-02.*clients refuse it/],
])("a certificate that is valid from %i to %i ms from now: %s", (fromMs, toMs, said) => {
  const fault = expiryOf({ validFromMs: NOW + fromMs, expiresAtMs: NOW + toMs }, NOW);
  if (said) expect(fault).toMatch(said);
  else expect(fault).toBeUndefined();
});

test("the dates of a certificate are read, and those of one that expired", () => {
  expect(new Date(readCertificate(EXPIRED).expiresAtMs).toISOString()).toBe("2020-12-31T00:00:00.000Z");
  expect(expiryOf(readCertificate(EXPIRED))).toMatch("expired at 2020-12-31");
  expect(expiryOf(readCertificate(FIRST))).toBeUndefined();
});

test.each([
  ["the key of another certificate", { cert: FIRST.cert, key: RENEWED.key }],
  ["no certificate", { cert: "no PEM", key: FIRST.key }],
  ["no key", { cert: FIRST.cert, key: "no PEM" }],
  ["the two swapped", { cert: FIRST.key, key: FIRST.cert }],
])("%s is refused", (_, pair) => {
  expect(() => readCertificate(pair)).toThrow(
    expect.objectContaining({ code: "invalidOption", suggestions: [expect.any(String)] }),
  );
});
