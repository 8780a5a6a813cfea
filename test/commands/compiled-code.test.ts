import { mkdtempSync, readdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { hubcast } from "./cli.js";

const directory = mkdtempSync(join(tmpdir(), "hubcast-compiled-"));

it("compiled code is kept in a directory of the user's own, not where others can put some", async () => {
  const [home, shared] = [mkdtempSync(join(directory, "home-")), mkdtempSync(join(directory, "tmp-"))];
  expect((await hubcast(["--help"], { env: { HOME: home, TMPDIR: shared } })).code).toBe(0);
  expect(readdirSync(shared)).toEqual([]);
  const [kept] = readdirSync(join(home, ".cache", "hubcast"));
  expect(statSync(join(home, ".cache", "hubcast", kept!)).uid).toBe(process.getuid!());
});

it("no compiled code is kept for a user without a home", async () => {
  const shared = mkdtempSync(join(directory, "tmp-"));
  expect((await hubcast(["--help"], { env: { HOME: "", TMPDIR: shared } })).code).toBe(0);
  expect(readdirSync(shared)).toEqual([]);
});
