import { HubcastError } from "../core/errors.js";
import { type Item, type ItemDraft, itemFault, withDigest } from "./replica/item.js";
import { integritySignature, normaliseSignature, schemeOf, verifySignature } from "./replica/signature.js";
import { uuidv7 } from "./uuid.js";

/**
 * Makes an item of a draft: fills in what is absent, and verifies the rest, except what an author signed (`isAuthored`):
 * that takes long, and is the caller's to have checked.
 * @param nowMs stamps a draft that brings no time of its own, epoch ms
 * @throws invalidItem when a field breaks a rule or the signature does not fit
 */
export function completeDraft(draft: ItemDraft, nowMs: number): Item {
  const { id = uuidv7(nowMs), raw, signature, timestampMs = nowMs } = draft;
  const fields = {
    id,
    raw,
    // An ill-formed raw has no bytes to sign; the fault below says so.
    signature: signature === undefined ? integritySignature(raw) : normaliseSignature(signature),
    timestampMs,
  };
  const fault = itemFault(fields) ?? (signature === undefined ? undefined : signatureFault(fields, draft));
  if (fault) throw invalid(fault);
  return withDigest(fields);
}

/** The error for an item whose author did not sign it. */
export function notSigned(): HubcastError {
  return invalid("signature is not that of its key over id, timestampMs and raw");
}

function signatureFault(fields: Omit<Item, "digest">, draft: ItemDraft): string | undefined {
  const scheme = schemeOf(fields.signature);
  if (scheme === "ed25519") {
    return draft.timestampMs === undefined
      ? "signature needs the timestampMs that its author signed"
      : undefined;
  }
  if (verifySignature(fields)) return undefined;
  return scheme ? `signature is not the ${scheme} of raw` : "signature is of no known scheme";
}

function invalid(fault: string): HubcastError {
  const suggestions = fault.startsWith("signature") ? SIGNATURE_SUGGESTIONS : [];
  return new HubcastError("invalidItem", fault, { suggestions });
}

const SIGNATURE_SUGGESTIONS = [
  "Leave signature out to have it computed, or send the MD5 of raw as 32 hex digits, or sha256:HEX.",
  "Authors sign as docs/protocol-signatures.md says: hubcast broadcast post --sign-key FILE",
];
