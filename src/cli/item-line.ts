import type { Item } from "../node/broadcast.js";
import type { Output } from "./output.js";
import { firstLine, shown } from "./text.js";

/**
 * An item for people: when it was stamped (local time), its id, who signed it (the first digits of the key), and the
 * first line of raw, cut to the terminal.
 */
export function itemLine(item: Item, output: Output): string {
  const time = localTime(item.timestampMs);
  const id = shown(item.id, 36);
  const key = signer(item.signature);
  const room = Math.max(output.columns - time.length - id.length - (key ? key.length + 2 : 0) - 4, 10);
  return [
    output.painted("dim", time),
    output.painted("cyan", id),
    ...(key ? [output.painted("green", key)] : []),
    shown(firstLine(item.raw), room),
  ].join("  ");
}

/** `key 1a2b3c4d5e6f`: enough digits to tell keys apart; the whole key is in --json. */
function signer(signature: string): string | undefined {
  const key = /^ed25519:([0-9a-f]{12})/.exec(signature)?.[1];
  return key && `key ${key}`;
}

/** `2026-01-31 14:05:09` in the time zone of whoever reads it. @param atMs epoch ms */
export function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
