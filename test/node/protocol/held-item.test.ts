import { describe, expect, it } from "vitest";
import { heldItem } from "../../../src/node/protocol/held-item.js";
import { Holdings } from "../../../src/node/protocol/holdings.js";
import { type Item, withDigest } from "../../../src/node/protocol/item.js";
import { integritySignature } from "../../../src/node/protocol/signature.js";

const RAW = "two words, and ünïcode";

function signed(signature: string): Item {
  return withDigest({ id: "id", raw: RAW, signature, timestampMs: 1_800_000_000_000 });
}

describe("a held item", () => {
  const schemes = {
    md5: integritySignature(RAW, "md5"),
    sha256: integritySignature(RAW),
    ed25519: `ed25519:${"ab".repeat(32)}:${"cd".repeat(64)}`,
    "no scheme": "whatever",
  };

  it.each(Object.entries(schemes))("signed by %s is the item, whoever looks", (_, signature) => {
    const item = signed(signature);
    const held = heldItem(item);
    expect(held.signature).toBe(signature);
    expect(held).toEqual(item);
    expect({ ...held }).toEqual({ ...item });
    expect(structuredClone(held)).toEqual(structuredClone(item));
    expect(JSON.parse(JSON.stringify(held))).toEqual(JSON.parse(JSON.stringify(item)));
    expect(Object.keys(held).sort()).toEqual(Object.keys(item).sort());
  });

  it("keeps no text that its raw tells", () => {
    const stored = (signature: string) =>
      "value" in Object.getOwnPropertyDescriptor(heldItem(signed(signature)), "signature")!;
    expect(Object.values(schemes).map(stored)).toEqual([false, false, true, true]);
  });

  it("is removed by a copy of what was added", () => {
    const holdings = new Holdings();
    const item = signed(schemes.sha256);
    holdings.add(item);
    expect(holdings.remove({ ...item })).toEqual({ type: "vanished", item });
    expect([holdings.size, holdings.bytes, holdings.view.size]).toEqual([0, 0, 0]);
  });
});
