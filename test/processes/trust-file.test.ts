import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { signItem } from "../../src/node/keys.js";
import { publicKeyHex } from "../../src/node/replica/signature.js";
import { eventually } from "../fixtures/eventually.js";
import { NodeProcess } from "../fixtures/node-process.js";

const directory = mkdtempSync(join(tmpdir(), "hubcast-trust-"));
const path = join(directory, "trusted.txt");
const alice = generateKeyPairSync("ed25519").privateKey;
const bob = generateKeyPairSync("ed25519").privateKey;
const FLAGS = ["--port", "0", "--p2p-host", "127.0.0.1", "--no-mdns", "--trust", path];

test("a running node takes changes of its trust file, and keeps its keys when the file is broken", async () => {
  writeFileSync(path, `# who may speak\n${publicKeyHex(alice)}  # alice\n\n`);
  await using node = await NodeProcess.start({ flags: FLAGS });
  expect((await node.post(signItem({ id: "a", raw: "by alice" }, alice))).status).toBe(201);
  const refused = await node.post(signItem({ id: "b", raw: "by bob" }, bob));
  expect([refused.status, await refused.json()]).toEqual([
    422,
    expect.objectContaining({
      code: "refusedByPolicy",
      suggestions: [expect.stringContaining("--sign-key")],
    }),
  ]);

  writeFileSync(path, `${publicKeyHex(alice)}\nalice\n`);
  await eventually(() => node.stderr.includes("line 2 of"));
  // It looks at the file again, finds it as broken as before, and lives.
  const complaints = () => node.stderr.split("line 2 of").length;
  const before = complaints();
  node.child.kill("SIGHUP");
  await eventually(() => complaints() > before);
  writeFileSync(path, "");
  await eventually(() => node.stderr.includes("is empty; the keys trusted before stay trusted"));
  expect((await node.status()).items).toBe(1);

  writeFileSync(path, `${publicKeyHex(alice)} alerts/ deploy/site/  # alice\n`);
  await eventually(async () => (await node.status()).items === 0);
  expect((await node.post(signItem({ id: "deploy/site/1", raw: "by alice" }, alice))).status).toBe(201);
  const elsewhere = await node.post(signItem({ id: "deploy/1", raw: "by alice" }, alice));
  expect([elsewhere.status, await elsewhere.json()]).toEqual([
    422,
    expect.objectContaining({
      code: "refusedTopic",
      suggestions: [expect.stringContaining("--topic")],
    }),
  ]);

  writeFileSync(`${path}.new`, `${publicKeyHex(bob).toUpperCase()}\n`);
  renameSync(`${path}.new`, path);
  await eventually(async () => (await node.status()).items === 0);
  expect((await node.post(signItem({ id: "b", raw: "by bob" }, bob))).status).toBe(201);
});
