import type { Item } from "../node/broadcast.js";
import type { Output } from "./output.js";
import { firstLine, shown } from "./text.js";

/** An item for people: when it was stamped (local time), its id, and the first line of raw, cut to the terminal. */
export function itemLine(item: Item, output: Output): string {
  const time = localTime(item.timestampMs);
  const id = shown(item.id, 36);
  const room = Math.max(output.columns - time.length - id.length - 4, 10);
  return `${output.painted("dim", time)}  ${output.painted("cyan", id)}  ${shown(firstLine(item.raw), room)}`;
}

/** `2026-01-31 14:05:09` in the time zone of whoever reads it. @param atMs epoch ms */
export function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
