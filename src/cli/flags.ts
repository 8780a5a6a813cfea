import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import { parseDuration, parseInstant, parseSize } from "../core/units.js";

/** A length of time, `250ms`, `10s`, `24h`; the value is in milliseconds. */
export const durationFlag = Flags.custom<number>({
  helpValue: "DURATION",
  parse: async (text) => parseDuration(text),
});

/** A size, `64KiB`, `512MiB`; the value is in bytes. */
export const sizeFlag = Flags.custom<number>({ helpValue: "SIZE", parse: async (text) => parseSize(text) });

/** ISO 8601, epoch ms, or `10m` for ten minutes ago; the value is in epoch ms. */
export const instantFlag = Flags.custom<number>({
  helpValue: "INSTANT",
  parse: async (text) => parseInstant(text, Date.now()),
});

/** A whole number from `min` to `max`. */
export const countFlag = Flags.custom<number, { min: number; max: number }>({
  helpValue: "NUMBER",
  parse: async (text, _context, { min, max }) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new HubcastError("usage", `"${text}" is not a whole number from ${min} to ${max}`);
  },
});

/** A TCP port; 0 takes a free one. */
export const portFlag = Flags.custom<number>({
  helpValue: "PORT",
  parse: async (text) => {
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
    throw new HubcastError("usage", `"${text}" is not a port`, {
      suggestions: ["Write a number from 1 to 65535, or 0 to take a free port."],
    });
  },
});

/** How many others: a whole number, or all of them. */
export const waitFlag = Flags.custom<number | "all">({
  helpValue: "K|all",
  parse: async (text) => {
    if (text === "all") return text;
    if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
    throw new HubcastError("usage", `"${text}" is neither a number of nodes nor "all"`);
  },
});
