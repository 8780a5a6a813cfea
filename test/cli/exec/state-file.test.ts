import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { recordLine, type StateRecord } from "../../../src/cli/exec/machine/records.js";
import { StateFile } from "../../../src/cli/exec/state-file.js";

const root = await mkdtemp(join(tmpdir(), "hubcast-state-"));
let files = 0;
const newPath = () => join(root, `${files++}.state`);

const beginning = { cluster: "c", sinceMs: 1_800_000_000_000 };
const done = (index: number): StateRecord => ({
  type: "done",
  digest: index.toString(16).padStart(64, "0"),
  timestampMs: 1_800_000_000_000 + index,
});
const whole = (...records: StateRecord[]) => ({
  ...{ beginning, recordCount: records.length },
  records: () => records,
});

test("what is written comes back, and a second process is refused meanwhile", async () => {
  const path = newPath();
  {
    const { file, kept } = await StateFile.open(path);
    await using _file = file;
    expect([kept, existsSync(path)]).toEqual([undefined, false]);
    file.replace(whole(done(0)));
    file.append(done(1));
    await file.synced(whole());
    await expect(StateFile.open(path)).rejects.toMatchObject({ code: "stateFileInUse" });
  }
  const { file, kept } = await StateFile.open(path);
  await using _file = file;
  expect(kept).toEqual({ beginning, records: [done(0), done(1)] });
});

test("it is cut at any byte: what is whole comes back", async () => {
  const path = newPath();
  const { file } = await StateFile.open(path);
  file.replace(whole());
  const first = statSync(path).size;
  for (const index of [0, 1, 2]) file.append(done(index));
  await file[Symbol.asyncDispose]();
  const bytes = readFileSync(path);
  const line = recordLine(done(0)).length + 1;
  for (let end = first; end <= bytes.length; end++) {
    writeFileSync(path, bytes.subarray(0, end));
    const again = await StateFile.open(path);
    expect(again.kept?.records.length).toBe(Math.floor((end - first) / line));
    await again.file[Symbol.asyncDispose]();
  }
});

/** The length to which this process may write any file; as a disk that is full, it takes a part of the last write. */
function limitFiles(bytes: number | "unlimited"): void {
  execFileSync("prlimit", [`--pid=${process.pid}`, `--fsize=${bytes}:`]);
}

test.skipIf(spawnSync("prlimit", ["--version"]).status !== 0)(
  "a full disk is said with the file, and cuts no line that is written when there is room again",
  async () => {
    const path = newPath();
    const { file } = await StateFile.open(path);
    file.replace(whole(done(0)));
    limitFiles(statSync(path).size + 10);
    try {
      const said = expect.objectContaining({ code: "systemFailed", message: expect.stringContaining(path) });
      expect(() => file.append(done(1))).toThrow(said);
      expect(() => file.replace(whole(done(0), done(1), done(2)))).toThrow(said);
    } finally {
      limitFiles("unlimited");
    }
    expect(existsSync(`${path}.new`)).toBe(false);
    file.append(done(2));
    await file[Symbol.asyncDispose]();
    const again = await StateFile.open(path);
    await again.file[Symbol.asyncDispose]();
    expect(again.kept?.records).toEqual([done(0), done(2)]);
  },
);

test.each(["before", "behind"])("a link %s the file is made leads to it, and to its lock", async (when) => {
  const [path, link] = [newPath(), newPath()];
  if (when === "before") symlinkSync(path, link);
  const { file } = await StateFile.open(path);
  file.replace(whole(done(0)));
  if (when === "behind") symlinkSync(path, link);
  await expect(StateFile.open(link)).rejects.toMatchObject({ code: "stateFileInUse" });
  await file[Symbol.asyncDispose]();
  const linked = await StateFile.open(link);
  linked.file.replace(whole(done(1)));
  await linked.file[Symbol.asyncDispose]();
  expect([lstatSync(link).isSymbolicLink(), readFileSync(path, "utf8")]).toEqual([
    true,
    expect.stringContaining(recordLine(done(1))),
  ]);
});

test("it is written anew when most of it is of no use any more", async () => {
  const path = newPath();
  const { file } = await StateFile.open(path);
  await using _file = file;
  file.replace(whole());
  for (let index = 0; index < 11_000; index++) file.append(done(index));
  await file.synced(whole(done(7)));
  file.append(done(8));
  await file.synced(whole(done(7), done(8)));
  const lines = readFileSync(path, "utf8").trim().split("\n").slice(1);
  expect(lines).toEqual([done(7), done(8)].map(recordLine));
});

test.each([
  ["an empty file", "", "stateFileForeign", /is no state file: it is empty/],
  ["a script", "#!/bin/sh\necho\n", "stateFileForeign", /its first line is not/],
  ["one long line", "x".repeat(100), "stateFileForeign", /its first line is not/],
  ["another format", '{"hubcast":"watch","format":9}\n', "stateFileForeign", /its format is 9/],
])("%s is refused, and not changed", async (_what, text, code, message) => {
  const path = newPath();
  writeFileSync(path, text);
  await expect(StateFile.open(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  expect(readFileSync(path, "utf8")).toBe(text);
});

test("a line that is none of ours is named", async () => {
  const path = newPath();
  const { file } = await StateFile.open(path);
  file.replace(whole(done(0)));
  await file[Symbol.asyncDispose]();
  appendFileSync(path, "oops\n");
  await expect(StateFile.open(path)).rejects.toMatchObject({
    ...{ code: "stateFileDamaged", message: `${path} is damaged: line 3 is not what hubcast wrote` },
  });
  // The lock was given back.
  await expect(StateFile.open(path)).rejects.toMatchObject({ code: "stateFileDamaged" });
});

test("a directory is no state file", async () => {
  await expect(StateFile.open(root)).rejects.toMatchObject({ code: "usage" });
  expect(existsSync(`${root}.lock`)).toBe(false);
});

test("a path that leads nowhere is said", async () => {
  await expect(StateFile.open(join(root, "none", "x"))).rejects.toMatchObject({
    ...{ code: "systemFailed", message: expect.stringMatching(/cannot lock .*ENOENT/) },
  });
});
