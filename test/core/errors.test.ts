import { readFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { asHubcastError, HubcastError } from "../../src/core/errors.js";

const thrown = (run: () => unknown): Promise<unknown> =>
  Promise.resolve()
    .then(run)
    .then(
      () => undefined,
      (error) => error,
    );

test.each<[what: string, run: () => unknown, advice: RegExp]>([
  ["a file that is not there", () => readFile("/nowhere/at all"), /place that is there/],
  ["one read at once", () => readFileSync("/nowhere/at all"), /place that is there/],
  ["a directory in place of a file", () => readFile("/"), /what the message names/],
  ["a directory that cannot be made", () => mkdir("/dev/null/x"), /what the message names/],
])("%s is the system's fault, not hubcast's", async (_, run, advice) => {
  const failure = asHubcastError(await thrown(run));
  expect(failure).toMatchObject({ code: "systemFailed", suggestions: [expect.stringMatching(advice)] });
});

test("what nobody threw on purpose is a bug", async () => {
  expect(asHubcastError(await thrown(() => JSON.parse("{"))).code).toBe("bug");
  expect(asHubcastError("a text").code).toBe("bug");
  expect(asHubcastError(undefined).code).toBe("bug");
  const usage = new HubcastError("usage", "not so");
  expect(asHubcastError(usage)).toBe(usage);
});
