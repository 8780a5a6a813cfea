import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import { withDigest } from "../../../src/node/replica/item.js";
import { authorSignature, integritySignature } from "../../../src/node/replica/signature.js";
import { Verifier } from "../../../src/node/verification/verifier.js";

const BUILT = new URL("../../../build/src/node", import.meta.url).href;
const { privateKey } = generateKeyPairSync("ed25519");
const verifiers: Verifier[] = [];

afterEach(async () => {
  await Promise.all(verifiers.splice(0).map((verifier) => verifier.close()));
});

test("integrity is judged at once", () => {
  const good = withDigest({ id: "a", raw: "b", timestampMs: 1, signature: integritySignature("b") });
  const bad = withDigest({ id: "a", raw: "c", timestampMs: 1, signature: integritySignature("b") });
  expect(open().check([good, bad])).toEqual([true, false]);
});

test("authors are judged on another thread, each item in its place, and remembered", async () => {
  const verifier = open();
  const items = Array.from({ length: 200 }, (_, n) => signed(n, n % 7 === 3));
  const expected = items.map((_, n) => n % 7 !== 3);
  const first = verifier.check(items);
  expect(first).toBeInstanceOf(Promise);
  const [again, other] = await Promise.all([verifier.check(items), verifier.check(items.toReversed())]);
  expect(await first).toEqual(expected);
  expect(again).toEqual(expected);
  expect(other).toEqual(expected.toReversed());
  expect(verifier.check(items)).toEqual(expected);
});

test("large items are judged too, in batches of their own", async () => {
  const items = Array.from({ length: 5 }, (_, n) => signed(n, n === 2, "x".repeat(200_000)));
  expect(await open().check(items)).toEqual([true, true, false, true, true]);
});

test("a flood says so; after close nothing is judged, and nobody waits", async () => {
  const verifier = open();
  const flood = Array.from({ length: 9_000 }, (_, n) => {
    const signature = `ed25519:${"ab".repeat(32)}:${"00".repeat(64)}`;
    return withDigest({ id: `${n}`, raw: "r", timestampMs: n, signature });
  });
  const verdicts = Promise.resolve(verifier.check(flood));
  expect(verifier.isOverloaded).toBe(true);
  await Promise.all([verifier.close(), expect(verdicts).rejects.toMatchObject({ code: "stopping" })]);
  await expect(verifier.check([signed(1, false)])).rejects.toMatchObject({ code: "stopping" });
});

test("where the system gives no thread, what is asked is refused, and nothing else ends", async () => {
  const script = `
    import { generateKeyPairSync } from "node:crypto";
    import { withDigest } from "${BUILT}/replica/item.js";
    import { authorSignature } from "${BUILT}/replica/signature.js";
    import { Verifier } from "${BUILT}/verification/verifier.js";
    const { privateKey } = generateKeyPairSync("ed25519");
    const fields = { id: "a", raw: "b", timestampMs: 1 };
    const verifier = new Verifier();
    for (const id of ["a", "b"]) {
      const item = { ...fields, id };
      const check = verifier.check([withDigest({ ...item, signature: authorSignature(item, privateKey) })]);
      console.log((await Promise.allSettled([check]))[0].reason.code);
    }
    await verifier.close();`;
  const args = ["--permission", "--allow-fs-read=*", "--input-type=module", "--eval", script];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toBe("ERR_ACCESS_DENIED\nERR_ACCESS_DENIED\n");
});

function open(): Verifier {
  const verifier = new Verifier();
  verifiers.push(verifier);
  return verifier;
}

/** @param forged with another raw than was signed */
function signed(n: number, forged: boolean, raw = `raw ${n}`) {
  const fields = { id: `item-${n}`, raw, timestampMs: n };
  const signature = authorSignature(fields, privateKey);
  return withDigest({ ...fields, raw: forged ? `${raw}!` : raw, signature });
}
