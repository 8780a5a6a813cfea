import { pureJsCrypto } from "@libp2p/noise";
import fc from "fast-check";
import { Uint8ArrayList } from "uint8arraylist";
import { describe, expect, it } from "vitest";
import { open, type Pieces, seal } from "../../../../src/node/cluster/libp2p/record-cipher.js";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
/** In one piece. */
const whole = (pieces: Pieces) => Buffer.from(pieces.subarray());
const record = fc.record({
  text: fc.oneof(
    fc.uint8Array({ maxLength: 3_000 }),
    fc.uint8Array({ minLength: 16_300, maxLength: 17_000 }),
  ),
  nonce: bytes(12),
  ad: fc.oneof(fc.constant(new Uint8Array(0)), bytes(32)),
  key: bytes(32),
});

describe("records of noise", () => {
  it("are those of noise's own cipher, both ways", () => {
    fc.assert(
      fc.property(record, ({ text, nonce, ad, key }) => {
        const sealed = seal(text, nonce, ad, key);
        expect(whole(sealed)).toEqual(
          Buffer.from(pureJsCrypto.chaCha20Poly1305Encrypt(text, nonce, ad, key).subarray()),
        );
        expect(whole(open(sealed, nonce, ad, key))).toEqual(Buffer.from(text));
      }),
    );
  });

  it("are the same however text and record are cut into pieces", () => {
    const cuts = fc.array(fc.nat(17_000), { maxLength: 5 });
    fc.assert(
      fc.property(record, cuts, cuts, ({ text, nonce, ad, key }, ofText, ofRecord) => {
        const sealed = whole(seal(cut(text, ofText), nonce, ad, key));
        expect(sealed).toEqual(whole(seal(text, nonce, ad, key)));
        expect(whole(open(cut(sealed, ofRecord), nonce, ad, key))).toEqual(Buffer.from(text));
      }),
    );
  });

  it("do not open when a byte of them, of the key, the nonce or the associated bytes is another", () => {
    fc.assert(
      fc.property(record, fc.nat(), ({ text, nonce, ad, key }, at) => {
        const sealed = whole(seal(text, nonce, ad, key));
        const altered = (of: Uint8Array) =>
          of.map((byte, index) => (index === at % of.length ? byte ^ 1 : byte));
        expect(() => open(altered(sealed), nonce, ad, key)).toThrow();
        expect(() => open(sealed, altered(nonce), ad, key)).toThrow();
        expect(() => open(sealed, nonce, ad, altered(key))).toThrow();
        if (ad.length > 0) expect(() => open(sealed, nonce, altered(ad), key)).toThrow();
      }),
    );
  });

  it("do not open when they are shorter than a tag", () => {
    const key = new Uint8Array(32);
    expect(() => open(new Uint8Array(15), new Uint8Array(12), new Uint8Array(0), key)).toThrow();
  });
});

function cut(bytes: Uint8Array, places: readonly number[]): Uint8ArrayList {
  const ends = [...places.filter((place) => place < bytes.length), bytes.length].sort((a, b) => a - b);
  return new Uint8ArrayList(...ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)));
}
