import * as Flags from "@oclif/core/flags";
import { HubcastError } from "../core/errors.js";
import type { NumberKind } from "../core/options.js";
import { visible } from "../core/text.js";
import { topicAdvice, topicFault } from "../core/topic.js";
import { parseDuration, parseInstant, parseSize } from "../core/units.js";
import { readFlagFile } from "./flag-file.js";

type Range = { readonly min?: number; readonly max?: number };

/** The longest length of time that no flag bounds otherwise: 24 days. A timer of Node waits less than 25. */
const DURATION_MS_MAX = 2_073_600_000;

/** A length of time, `250ms`, `10s`, `24h`; the value is in whole milliseconds. */
export const durationFlag = Flags.custom<number, Range>({
  helpValue: "DURATION",
  parse: async (text, _context, range) =>
    inRange(text, Math.round(parseDuration(text)), { max: DURATION_MS_MAX, ...range }, "ms"),
});

/** A size, `64KiB`, `512MiB`; the value is in bytes. */
export const sizeFlag = Flags.custom<number, Range>({
  helpValue: "SIZE",
  parse: async (text, _context, range) => inRange(text, parseSize(text), range, "bytes"),
});

/** @throws usage */
export function inRange(
  text: string,
  value: number,
  { min = 0, max = Infinity }: Range,
  unit: NumberKind["unit"],
): number {
  if (value >= min && value <= max) return value;
  const bound = value < min ? `${spelled(min, unit)} at least` : `${spelled(max, unit)} at most`;
  throw new HubcastError("usage", `"${text}" is out of range: ${bound}`);
}

/** Range and default of an option of the library, as its flag has them. */
export function ranged<Kind extends NumberKind & { readonly default: number }>(
  kind: Kind,
): { min: number; max: number; default: number; defaultHelp: () => Promise<string> } {
  const { min, max, unit, default: value } = kind;
  return { min, max, default: value, defaultHelp: async () => spelled(value, unit) };
}

const UNITS: Readonly<Record<NumberKind["unit"], readonly (readonly [string, number])[]>> = {
  ms: [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1_000],
    ["ms", 1],
  ],
  bytes: [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
    ["B", 1],
  ],
  count: [["", 1]],
  part: [["", 1]],
};

/** A number as a command line writes it: in the largest unit that leaves it whole. */
function spelled(value: number, unit: NumberKind["unit"]): string {
  const [name, size] =
    UNITS[unit].find(([, size]) => value % size === 0 && value >= size) ?? UNITS[unit].at(-1)!;
  return `${value / size}${name}`;
}

/** A topic, which stands for itself and all below it where it filters. */
export const topicFlag = Flags.custom<string>({
  helpValue: "TOPIC",
  parse: async (text) => {
    const fault = topicFault(text);
    if (fault === undefined) return text;
    throw new HubcastError("usage", `"${visible(text)}" is no topic: ${fault}`, {
      suggestions: topicAdvice(text),
    });
  },
});

/** ISO 8601, epoch ms, or `10m` for ten minutes ago; the value is in epoch ms. */
export const instantFlag = Flags.custom<number>({
  helpValue: "INSTANT",
  parse: async (text) => parseInstant(text, Date.now()),
});

/** A whole number from `min` to `max`; `Number.MAX_SAFE_INTEGER` is no bound. */
export const countFlag = Flags.custom<number, { min: number; max: number }>({
  helpValue: "NUMBER",
  parse: async (text, _context, { min, max }) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    const range = max === Number.MAX_SAFE_INTEGER ? `of ${min} or more` : `from ${min} to ${max}`;
    throw new HubcastError("usage", `"${text}" is not a whole number ${range}`);
  },
});

/** A part of something, `0.1` or `10%`. */
export const partFlag = Flags.custom<number, { max: number }>({
  helpValue: "PART",
  parse: async (text, _context, { max }) => {
    const match = /^(\d*\.?\d+)(%?)$/.exec(text);
    const value = match ? Number(match[1]) / (match[2] ? 100 : 1) : Number.NaN;
    if (value <= max) return value;
    throw new HubcastError("usage", `"${text}" is not a number from 0 to ${max}`, {
      suggestions: ["Write 0.1 or 10%."],
    });
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

/** A number of other nodes, or all of them. */
export const waitFlag = Flags.custom<number | "all">({
  helpValue: "K|all",
  parse: async (text) => {
    if (text === "all") return text;
    if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
    throw new HubcastError("usage", `"${text}" is neither a number of nodes nor "all"`);
  },
});

/** The same object without undefined values: options say "absent", parsed flags say "undefined". */
export function defined<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

/** A flag that may be given again is a list; its variable holds one text, with commas. */
export function flagList(values: string[] | string | undefined): readonly string[] | undefined {
  if (values === undefined) return undefined;
  if (Array.isArray(values)) return values;
  return values.split(",").map((value) => value.trim());
}

/** For commands that look around; `flagList` reads its value. */
export const MDNS_INTERFACE_FLAG = Flags.string({
  description: "Use multicast DNS only on this interface, by name or address.",
  env: "HUBCAST_MDNS_INTERFACE",
  helpValue: "INTERFACE",
  multiple: true,
  multipleNonGreedy: true,
});

const LOG = { helpGroup: "LOG" };

/** Log flags of nodes and hubs. */
export const LOG_FLAGS = {
  "log-level": Flags.string({
    description:
      "How much is logged on stderr. debug: each link, round, request and refusal; trace: each frame between nodes, too.",
    options: ["silent", "error", "warn", "info", "debug", "trace"],
    default: "warn",
    ...LOG,
  }),
  "log-format": Flags.string({
    description:
      "Without it: pretty on a terminal, else json. With json every line is JSON, as with --json; what is said beside results is logged at info.",
    options: ["pretty", "json"],
    ...LOG,
  }),
};

export const LIVE_FLAG = Flags.boolean({
  description:
    "Show figures while it runs: on a terminal one line that stays below, otherwise a line a second on stderr.",
});

/**
 * Gives every flag its variable: `--data-dir` reads HUBCAST_DATA_DIR. A hub has another prefix, so that one file of
 * variables serves a node and a hub.
 */
export function withEnvironment<T extends Record<string, object>>(flags: T, prefix = "HUBCAST_"): T {
  const entries = Object.entries(flags).map(([name, flag]) => {
    const env = `${prefix}${name.toUpperCase().replaceAll("-", "_")}`;
    return [name, { ...flag, env }];
  });
  return Object.fromEntries(entries) as T;
}

/** The words for a flag without a value, in a variable or behind `-stat=`. */
export const TRUE = /^(1|t|true|y|yes|on)$/i;
export const FALSE = /^(0|f|false|n|no|off|)$/i;

/**
 * Checks the variables of flags that take no value, of which oclif takes every word that it does not know for false.
 * @throws usage
 */
export function checkSwitches(
  flags: Readonly<Record<string, { readonly type?: string; readonly env?: string | undefined }>>,
): void {
  for (const { type, env = "" } of Object.values(flags)) {
    const word = type === "boolean" ? process.env[env] : undefined;
    if (word === undefined || FALSE.test(word)) continue;
    if (!TRUE.test(word)) {
      throw new HubcastError("usage", `${env} is ${JSON.stringify(word.slice(0, 100))}`, {
        suggestions: ["It takes 1, true, yes or on, or 0, false, no or off."],
      });
    }
    process.env[env] = "true";
  }
}

/** The section of the help. */
export const NATS = { helpGroup: "NATS" };

/** Further flags for `--engine nats://...`, of nodes and hubs. */
export const NATS_FLAGS = {
  "nats-credentials": Flags.string({
    description:
      "File that lets this program into NATS: a .creds file of nsc, an nkey seed, USER:PASSWORD, or a token.",
    helpValue: "FILE",
    ...NATS,
  }),
  "nats-ca": Flags.string({
    description: "Authorities (PEM) that may have signed the certificate of the NATS server.",
    helpValue: "FILE",
    ...NATS,
  }),
};

interface NatsFlags {
  readonly "nats-credentials"?: string | undefined;
  readonly "nats-ca"?: string | undefined;
}

/** The contents of the files. @throws usage when one cannot be read */
export async function natsAccess(flags: NatsFlags): Promise<{ credentials?: string; ca?: string }> {
  const { "nats-credentials": credentials, "nats-ca": ca } = flags;
  return defined({
    credentials:
      credentials === undefined ? undefined : await readFlagFile(credentials, "--nats-credentials"),
    ca: ca === undefined ? undefined : await readFlagFile(ca, "--nats-ca"),
  });
}
