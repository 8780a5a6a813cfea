import { isUtf8 } from "node:buffer";
import { HubcastError } from "../../../core/errors.js";
import { DNSSD } from "./limits.js";
import { hasControl } from "./names.js";

/**
 * The strings of a TXT record, `txtvers` first as RFC 6763 6.7 asks.
 * @throws invalidOption when a key or value cannot be written, or all of them are too large
 */
export function encodeTxt(txt: Readonly<Record<string, string>>): readonly Buffer[] {
  const keys = Object.keys(txt).sort((a, b) => Number(b === "txtvers") - Number(a === "txtvers"));
  const entries = keys.map((key) => {
    const entry = Buffer.from(`${key}=${txt[key]}`);
    if (!/^[\x20-\x3c\x3e-\x7e]+$/.test(key) || entry.length > DNSSD.txtEntryBytesMax) {
      throw new HubcastError("invalidOption", `TXT entry "${key}" does not fit a DNS-SD record`, {
        suggestions: [`Use a printable ASCII key and at most ${DNSSD.txtEntryBytesMax} bytes for key=value.`],
      });
    }
    return entry;
  });
  const bytes = entries.reduce((sum, entry) => sum + entry.length + 1, 0);
  if (bytes > DNSSD.txtBytesMax) {
    throw new HubcastError(
      "invalidOption",
      `TXT record of ${bytes} bytes, ${DNSSD.txtBytesMax} are possible`,
    );
  }
  // An empty TXT record is one empty string (RFC 6763, 6.1).
  return entries.length > 0 ? entries : [Buffer.alloc(0)];
}

/**
 * The entries of a TXT record that somebody sent: keys in lower case, the first of equal keys. What is no
 * printable UTF-8 or has no key is left out; only the first 64 entries are read.
 */
export function decodeTxt(strings: readonly Uint8Array[]): Record<string, string> {
  const entries = new Map<string, string>();
  for (const bytes of strings.slice(0, DNSSD.txtEntriesMax)) {
    const text = textOf(bytes);
    if (hasControl(text)) continue;
    const split = text.indexOf("=");
    const key = (split < 0 ? text : text.slice(0, split)).toLowerCase();
    if (key === "" || entries.has(key)) continue;
    entries.set(key, split < 0 ? "" : text.slice(split + 1));
  }
  return Object.fromEntries(entries);
}

function textOf(bytes: Uint8Array): string {
  return isUtf8(bytes) ? Buffer.from(bytes).toString() : "";
}
