import { hash } from "node:crypto";

/**
 * How a signature proves its item. `md5` and `sha256` prove integrity only: anyone can compute them.
 * @see docs/protocol.md#signatures
 */
export type SignatureScheme = "md5" | "sha256";

const SCHEMES: readonly (readonly [SignatureScheme, RegExp])[] = [
  ["md5", /^[0-9a-f]{32}$/i],
  ["sha256", /^sha256:[0-9a-f]{64}$/i],
];

/** The scheme a signature names by its form; `undefined` when it is none of ours. */
export function schemeOf(signature: string): SignatureScheme | undefined {
  return SCHEMES.find(([, form]) => form.test(signature))?.[0];
}

/** The one spelling of a signature: hex in lower case. Digests are taken over it. */
export function normaliseSignature(signature: string): string {
  return schemeOf(signature) ? signature.toLowerCase() : signature;
}

/** The signature that a node makes for a draft without one. */
export function integritySignature(raw: string): string {
  return `sha256:${hash("sha256", raw)}`;
}

/** Whether the signature's scheme accepts the item. @param item with a normalised signature */
export function verifySignature(item: { readonly raw: string; readonly signature: string }): boolean {
  switch (schemeOf(item.signature)) {
    case "md5":
      return hash("md5", item.raw) === item.signature;
    case "sha256":
      return integritySignature(item.raw) === item.signature;
    case undefined:
      return false;
  }
}
