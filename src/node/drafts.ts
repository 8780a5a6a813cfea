import { randomUUID } from "node:crypto";
import { HubcastError } from "../core/errors.js";
import { type Item, type ItemDraft, itemFault, withDigest } from "./protocol/item.js";
import { integritySignature, normaliseSignature, schemeOf, verifySignature } from "./protocol/signature.js";

/**
 * Makes an item of a draft: fills in what is absent, and verifies the rest.
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
  const fault = itemFault(fields) ?? (signature === undefined ? undefined : signatureFault(fields));
  if (fault) throw new HubcastError("invalidItem", fault, { suggestions: suggestionsFor(fault) });
  return withDigest(fields);
}

function signatureFault(fields: Omit<Item, "digest">): string | undefined {
  if (verifySignature(fields)) return undefined;
  const scheme = schemeOf(fields.signature);
  return scheme ? `signature is not the ${scheme} of raw` : "signature is of no known scheme";
}

function suggestionsFor(fault: string): string[] {
  if (!fault.startsWith("signature")) return [];
  return ["Leave signature out to have it computed, or send the MD5 of raw as 32 hex digits, or sha256:HEX."];
}

/** RFC 9562 version 7: ids that sort by the time they were made. */
function uuidv7(nowMs: number): string {
  const time = Math.floor(nowMs).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}
