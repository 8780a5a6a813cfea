import { HubcastError } from "./errors.js";
import { hasControl, nearest } from "./text.js";

/** The type and range of an option. The library's check and the command's flag are made from the same one. */
export interface OptionKind {
  /** Goes on behind "it must be". */
  readonly expects: string;
  /** No error shows a value of it. */
  readonly isSecret?: boolean;
  /** Of an object: its own options. */
  readonly fields?: Readonly<Record<string, OptionKind>>;
  fits(value: unknown): boolean;
}

/** A number in a range, and how people write it; whole but for a part of something. */
export interface NumberKind extends OptionKind {
  readonly min: number;
  readonly max: number;
  readonly unit: "ms" | "bytes" | "count" | "part";
}

/** One kind for each option. */
export type Kinds<Options> = { readonly [Name in keyof Options]-?: OptionKind };

/** The longest that a timer of Node waits; one of more ends at once. */
export const TIMER_MS_MAX = 2_147_483_647;

export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): NumberKind {
  return numberKind("count", min, max);
}

export function lengthMs(min: number, max: number = TIMER_MS_MAX): NumberKind {
  return numberKind("ms", min, max);
}

export function bytes(min: number, max: number): NumberKind {
  return numberKind("bytes", min, max);
}

/** A part of something: 0.25 of the nodes. @param max 1 at most */
export function part(max = 1): NumberKind {
  const fits = (value: unknown) => typeof value === "number" && value >= 0 && value <= max;
  return { unit: "part", min: 0, max, expects: `a number from 0 to ${max}`, fits };
}

function numberKind(unit: NumberKind["unit"], min: number, max: number): NumberKind {
  const fits = (value: unknown) =>
    Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max;
  return { unit, min, max, expects: `a whole number from ${min} to ${max}`, fits };
}

export const PORT: NumberKind = wholeNumber(0, 65_535);
export const TEXT = kind("a string", (value) => typeof value === "string");
export const TEXTS = kind("an array of strings", (value) => Array.isArray(value) && value.every(TEXT.fits));
export const SWITCH = kind("true or false", (value) => typeof value === "boolean");
export const FUNCTION = kind("a function", (value) => typeof value === "function");
export const PEM = kind("PEM", (value) => typeof value === "string" || value instanceof Uint8Array);
/** A token, or a function that is asked for it whenever a client dials, so that a renewed token is used. */
export type TokenSource = string | (() => string | Promise<string>);
export const TOKEN_SOURCE: OptionKind = {
  ...kind("a string, or a function that gives one", (value) => TEXT.fits(value) || FUNCTION.fits(value)),
  isSecret: true,
};

export const SIGNAL = kind("an AbortSignal", (value) => value instanceof AbortSignal);

/** @throws invalidOption when the function gives something else, and what it throws */
export async function tokenOf(source: TokenSource | undefined): Promise<string | undefined> {
  if (typeof source !== "function") return source;
  const token: unknown = await source();
  if (typeof token === "string") return token;
  throw new HubcastError("invalidOption", `the function that is the option token gave ${kindOf(token)}`, {
    suggestions: ["Return the token as a string, or a promise of one."],
  });
}

/** The kind, with a default. */
export function withDefault<Kind extends OptionKind, Value>(
  kind: Kind,
  value: Value,
): Kind & { readonly default: Value } {
  return { ...kind, default: value };
}

/** A logger of pino's shape. */
export function loggerOf(...methods: readonly string[]): OptionKind {
  const fits = (value: unknown) =>
    isObject(value) && methods.every((method) => typeof Reflect.get(value, method) === "function");
  return kind(`a logger with ${methods.join(", ")}`, fits);
}

export function kind(expects: string, fits: (value: unknown) => boolean): OptionKind {
  return { expects, fits };
}

/** Text that other people are shown, on one line. */
export function lineOf(bytesMin: number, bytesMax: number): OptionKind {
  const expects = `${bytesMin} to ${bytesMax} bytes of text without control characters`;
  return kind(expects, (value) => {
    if (typeof value !== "string" || hasControl(value)) return false;
    const length = Buffer.byteLength(value);
    return length >= bytesMin && length <= bytesMax;
  });
}

/** One of these words. */
export function choiceOf(...words: readonly string[]): OptionKind {
  return kind(words.map((word) => JSON.stringify(word)).join(" or "), (value) =>
    words.includes(value as string),
  );
}

/** An object with options of its own, which `or` may also replace. */
export function fieldsOf<Options>(fields: Kinds<Options>, or?: OptionKind): OptionKind {
  const expects = or ? `${or.expects}, or an object` : "an object";
  return { expects, fits: (value) => isObject(value) || or?.fits(value) === true, fields };
}

/**
 * Refuses invalid options of a library function: unknown names, with the nearest known one, and values of another type
 * or out of range. Undefined values count as absent.
 * @param what the name of the function
 * @throws invalidOption
 */
export function checkOptions(
  what: string,
  options: unknown,
  kinds: Readonly<Record<string, OptionKind>>,
  within = "",
): void {
  if (!isObject(options))
    throw new HubcastError("invalidOption", `the options of ${what} are ${kindOf(options)}, not an object`);
  for (const [name, value] of Object.entries(options)) {
    const path = `${within}${name}`;
    const known = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (known === undefined) {
      const meant = nearest(name, Object.keys(kinds));
      throw new HubcastError("invalidOption", `${what} has no option ${JSON.stringify(path)}`, {
        suggestions: [
          ...(meant ? [`Did you mean ${within}${meant}?`] : []),
          `It takes ${Object.keys(kinds).join(", ")}.`,
        ],
      });
    }
    if (value === undefined) continue;
    if (!known.fits(value)) {
      const found = known.isSecret ? kindOf(value) : shown(value);
      throw new HubcastError("invalidOption", `${path} is ${found}; it must be ${known.expects}`);
    }
    if (known.fields && isObject(value)) checkOptions(what, value, known.fields, `${path}.`);
  }
}

/** Options of which those with a default are there. */
export type Completed<Options, Of> = Options & Required<Pick<Options, Defaulted<Of> & keyof Options>>;

type Defaulted<Of> = {
  [Name in keyof Of]: Of[Name] extends { readonly default: unknown } ? Name : never;
}[keyof Of];

/** Checks options as `checkOptions`, and fills in the defaults of their kinds. @throws invalidOption */
export function completed<Options extends object, Of extends Kinds<Options>>(
  what: string,
  options: Options,
  kinds: Of & Kinds<Options>,
): Completed<Options, Of> {
  checkOptions(what, options, kinds as Readonly<Record<string, OptionKind>>);
  const defaults = Object.entries<object>(kinds).map(([name, kind]) => [name, Reflect.get(kind, "default")]);
  const entries = [...defaults, ...Object.entries(options)].filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Completed<Options, Of>;
}

/** A value as an error names its type. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, 100));
  return typeof value === "number" || typeof value === "boolean" ? String(value) : kindOf(value);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws `signal.reason` as soon as it aborts, whatever becomes of the work */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
