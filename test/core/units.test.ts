import { expect, it } from "vitest";
import { formatDuration, formatSize } from "../../src/core/units.js";

it.each([
  [9.96, "10 ms"],
  [340.4, "340 ms"],
  [999.6, "1.0 s"],
  [59_940, "59.9 s"],
  [59_960, "1 min"],
  [3_599_999, "59 min"],
  [12_000_000, "3 h 20 min"],
])("%d ms are %s", (lengthMs, text) => expect(formatDuration(lengthMs)).toBe(text));

it.each([
  [1_023, "1023 B"],
  [1_536, "1.5 KiB"],
  [1_048_570, "1 MiB"],
  [64 * 1_048_576, "64 MiB"],
  [1_073_741_823, "1 GiB"],
])("%d bytes are %s", (bytes, text) => expect(formatSize(bytes)).toBe(text));
