import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ItemMemory, wholeItem } from "../../../../src/node/replica/held/held-item.js";
import { Holdings } from "../../../../src/node/replica/holdings.js";
import {
  decodeBatch,
  encodeBatch,
  encodedLength,
  type Item,
  withDigest,
} from "../../../../src/node/replica/item.js";
import { addDigest, readDigest, zeroSum } from "../../../../src/node/replica/item-set/sum.js";
import { integritySignature } from "../../../../src/node/replica/signature.js";

const RAW = "two words, and ünïcode";

function signed(signature: string, raw = RAW): Item {
  return withDigest({ id: "id", raw, signature, timestampMs: 1_800_000_000_000 });
}

const held = (item: Item) => new ItemMemory(() => undefined).hold(item);

describe("a held item", () => {
  const schemes = {
    md5: integritySignature(RAW, "md5"),
    sha256: integritySignature(RAW),
    ed25519: `ed25519:${"ab".repeat(32)}:${"cd".repeat(64)}`,
    "no scheme": "whatever",
  };

  it.each(Object.entries(schemes))("signed by %s is the item, whoever looks", (_, signature) => {
    const item = signed(signature);
    expect(wholeItem(held(item))).toEqual(item);
    expect(JSON.stringify({ item: held(item) })).toBe(JSON.stringify({ item: wholeItem(item) }));
    expect(encodedLength(held(item))).toBe(encodedLength(item));
    expect(encodeBatch([held(item), item])).toEqual(encodeBatch([item, held(item)]));
    expect(decodeBatch(encodeBatch([held(item)]))).toEqual([item]);
  });

  it("keeps no text that its raw tells", () => {
    const kept = Object.values(schemes).map(
      (signature) => held(signed(signature)).recordBytes - held(signed("")).recordBytes,
    );
    expect(kept).toEqual([0, 0, schemes.ed25519.length, schemes["no scheme"].length]);
  });

  it("takes 40 bytes of heap", () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const memory = new ItemMemory(() => undefined);
    const item = signed(schemes.sha256);
    const count = 100_000;
    const kept = new Array<Item>(count).fill(memory.hold(item));
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < count; index++) kept[index] = memory.hold(item);
    collect();
    const added = process.memoryUsage().heapUsed - before;
    expect(kept.length).toBe(count);
    expect(Math.round(added / count / 8) * 8).toBe(40);
  });

  it("is the item, whatever its texts", () => {
    const text = fc.string({ unit: "binary", minLength: 1 }).filter((text) => text.isWellFormed());
    fc.assert(
      fc.property(text, text, fc.maxSafeNat(), (id, raw, timestampMs) => {
        const item = withDigest({ id, raw, signature: integritySignature(raw), timestampMs });
        expect(wholeItem(held(item))).toEqual(item);
      }),
    );
  });

  it("compares its digest like text, and adds it like a number", () => {
    const digits = fc.stringMatching(/^[0-9a-f]{0,65}$/);
    const item = signed(schemes.sha256);
    fc.assert(
      fc.property(fc.nat(64), digits, (shared, rest) => {
        const bound = (item.digest.slice(0, shared) + rest).slice(0, 65);
        expect(held(item).isDigestBefore(bound)).toBe(item.digest < bound);
        expect(held(item).hasDigest(bound.padEnd(64, "0"))).toBe(
          item.digest === bound.padEnd(64, "0").slice(0, 64),
        );
      }),
    );
    expect(held(item).readDigest(zeroSum())).toEqual(readDigest(item.digest, zeroSum()));
    const [sum, same] = [zeroSum(), zeroSum()];
    addDigest(sum, item);
    addDigest(same, held(item));
    expect(same).toEqual(sum);
  });

  it("is removed by a copy of what was added", () => {
    const holdings = new Holdings();
    const item = signed(schemes.sha256);
    holdings.add(item);
    const change = holdings.remove({ ...item });
    expect([change.type, wholeItem(change.item)]).toEqual(["vanished", item]);
    expect([holdings.size, holdings.bytes, holdings.view.size]).toEqual([0, 0, 0]);
  });
});
