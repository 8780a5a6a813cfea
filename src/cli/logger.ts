import type { LogFn, Logger, LoggerOptions } from "pino";
import { LINE_KIND, safeJson, visible } from "../core/text.js";

/** Equal lines written in one window of time; further ones are counted. */
const EQUAL_LINES_MAX = 20;
const WINDOW_MS = 1_000;
/** Different lines remembered in one window. */
const KINDS_MAX = 1_000;

/**
 * A logger that writes to stderr, at once: what was logged before a crash is there. To a terminal it writes through the
 * process's own stream, as everything else does, so that it does not cover the line of --live. Equal lines are
 * joined. Characters that act on a terminal are escaped in JSON, and visible signs in the pretty form.
 * @param level a level of pino; `silent` logs nothing
 */
export async function openLogger(level: string, format: string | undefined): Promise<Logger> {
  const { pino } = await import("pino");
  const { stderr } = process;
  const joined = new JoinedLines();
  const hooks: LoggerOptions["hooks"] = {
    logMethod: (args, method, levelNumber) => joined.log(logger, args, method, levelNumber),
  };
  const options: LoggerOptions = { level };
  process.once("exit", () => joined.report());
  let logger: Logger;
  if ((format ?? (stderr.isTTY ? "pretty" : "json")) === "json") {
    const destination = stderr.isTTY ? stderr : pino.destination({ dest: 2, sync: true });
    logger = pino({ ...options, hooks: { ...hooks, streamWrite: safeJson } }, destination);
  } else {
    const { default: pretty } = await import("pino-pretty");
    const colorize = stderr.isTTY === true && !process.env.NO_COLOR;
    const destination = stderr.isTTY ? stderr : 2;
    logger = pino(
      { ...options, hooks: { ...hooks, streamWrite: visibleRecord } },
      pretty({ destination, sync: true, colorize, ignore: "pid,hostname" }),
    );
  }
  return logger;
}

/**
 * A record of the log whose texts and keys can be printed as they are. The lines of a stack stay lines: they are
 * printed further to the right than a record begins.
 */
function visibleRecord(json: string): string {
  const record = JSON.parse(json, (key, value: unknown) => {
    if (typeof value === "string") return key === "stack" ? linesOf(value) : visible(value);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [visible(name), field]));
  });
  return `${JSON.stringify(record)}\n`;
}

function linesOf(stack: string): string {
  return stack.split("\n").map(visible).join("\n");
}

interface Kind {
  count: number;
  readonly summarize: (more: number) => void;
}

/**
 * Joins lines of the same level, message and reason, or of the same level and `LINE_KIND`. A remote that can make a server
 * log one line can make it log thousands a second, which costs more than the event itself, and hides all other lines.
 */
export class JoinedLines {
  #kinds = new Map<string, Kind>();
  #timer: NodeJS.Timeout | undefined;

  /** pino's `logMethod`. @param logger whom a summary comes from */
  log(logger: Logger, args: Parameters<LogFn>, method: LogFn, level: number): void {
    const [first, second] = args as unknown[];
    const fields = typeof first === "object" && first !== null ? (first as Record<PropertyKey, unknown>) : {};
    const message = String(typeof first === "string" ? first : (second ?? ""));
    const named = fields[LINE_KIND];
    const names = named === undefined ? ["reason", "code"].filter((name) => name in fields) : [];
    const common = Object.fromEntries(names.map((name) => [name, fields[name]]));
    this.say(
      JSON.stringify([level, named ?? message, common]),
      () => method.apply(logger, args),
      (more) => method.apply(logger, [{ ...common, more }, moreLike(message, more)]),
    );
  }

  /**
   * Writes a line, unless there were too many of its kind.
   * @param summarize says how many of the kind were left out
   */
  say(kindOf: string, write: () => void, summarize: Kind["summarize"]): void {
    const kind = this.#kinds.get(kindOf) ?? this.#begin(kindOf, summarize);
    kind.count += 1;
    if (kind.count <= EQUAL_LINES_MAX) write();
  }

  /** Says how many lines were left out, and begins a new window. */
  report(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const kinds = this.#kinds;
    this.#kinds = new Map();
    for (const { count, summarize } of kinds.values())
      if (count > EQUAL_LINES_MAX) summarize(count - EQUAL_LINES_MAX);
  }

  #begin(kindOf: string, summarize: Kind["summarize"]): Kind {
    if (this.#kinds.size >= KINDS_MAX) this.report();
    const kind = { count: 0, summarize };
    this.#kinds.set(kindOf, kind);
    this.#timer ??= setTimeout(() => this.report(), WINDOW_MS).unref();
    return kind;
  }
}

/** `peer kitchen connected ... and 1,004 more like it in the last second` */
export function moreLike(line: string, more: number): string {
  return `${line} ... and ${more.toLocaleString("en-US")} more like it in the last second`;
}
