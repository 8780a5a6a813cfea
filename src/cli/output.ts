import type { HubcastError } from "../core/errors.js";
import { columnsOf, firstLine, padded, safeJson, shown, visible } from "../core/text.js";
import type { Item } from "../node/broadcast.js";

export interface OutputOptions {
  /** Results are JSON; human text is left out. */
  readonly json: boolean;
  /** Progress and warnings are left out. */
  readonly quiet: boolean;
  /** Details are written too. */
  readonly verbose: boolean;
}

/** The part of a logger that takes what a command says. */
type OutputLog = Readonly<Record<"debug" | "info" | "warn", (message: string) => void>>;

/**
 * The output of a command: results on stdout, as text for people or as JSON, everything about the work on stderr.
 * No colour with NO_COLOR or off a terminal. Every command writes through it (test/repository), and it makes
 * characters that act on a terminal visible, so that no command has to know which of its words come from others.
 */
export class Output {
  #log: OutputLog | undefined;
  /** Nobody reads stdout any more. */
  #isUnread = false;

  constructor(private readonly options: OutputOptions) {}

  /** Logs progress and warnings from now on, so that a log in JSON holds no other lines. */
  logTo(log: OutputLog): void {
    this.#log = log;
  }

  get json(): boolean {
    return this.options.json;
  }

  get quiet(): boolean {
    return this.options.quiet;
  }

  /** Columns of the terminal on stdout; `Infinity` when there is none, so nothing is cut in a file or pipe. */
  get columns(): number {
    return process.stdout.isTTY ? (process.stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  /** A result for people. */
  text(line: Line): void {
    if (!this.json) write(process.stdout, line);
  }

  /** A result for programs: the document of a finite command, or one line of a stream. */
  document(value: object): void {
    if (this.json) process.stdout.write(`${safeJson(JSON.stringify(value))}\n`);
  }

  /** Many results at once, each for people and for programs: a write for each would take longer than its result. */
  results(results: readonly { readonly text: string; readonly document: object }[]): void {
    const line = this.json
      ? ({ document }: (typeof results)[number]) => safeJson(JSON.stringify(document))
      : ({ text }: (typeof results)[number]) => visible(text);
    process.stdout.write(results.map((result) => `${line(result)}\n`).join(""));
  }

  /** Bytes from a remote, unchanged: only where the user asked for them. */
  bytes(payload: Uint8Array): void {
    process.stdout.write(payload);
  }

  /** Resolves when stdout takes more: a stream of any length needs no memory. */
  async drained(): Promise<void> {
    // After a failed write stdout never drains.
    if (this.#isUnread || !process.stdout.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      process.stdout.once("drain", resolve);
      process.stdout.once("close", resolve);
    });
  }

  /** Progress, on stderr. */
  note(line: Line): void {
    if (this.#log) this.#log.info(lineText(line, false));
    else if (!this.options.quiet) write(process.stderr, line);
  }

  warning(line: string): void {
    if (this.#log) this.#log.warn(line);
    else if (!this.options.quiet) write(process.stderr, [painted("yellow", "warning:"), ` ${line}`]);
  }

  /** Written only with --verbose, on stderr. */
  detail(line: Line): void {
    if (this.#log) this.#log.debug(lineText(line, false));
    else if (this.options.verbose) write(process.stderr, line);
  }

  /** How the command failed: a document on stdout with --json, else a line and what to do on stderr. */
  failure(failure: HubcastError, cause?: unknown): void {
    const { code, message, suggestions } = failure;
    this.document({ error: errorDocument(failure) });
    if (this.json || code === "interrupted") return;
    write(process.stderr, [painted("red", "error:"), ` ${message}`]);
    for (const suggestion of suggestions) write(process.stderr, `  ${suggestion}`);
    if (code === "bug")
      write(process.stderr, "  This is a bug in hubcast; please report it, with the output of --verbose.");
    if (cause instanceof Error) for (const line of stackLines(cause)) this.detail(line);
  }

  /**
   * A reader that goes away (`| head`), or a terminal that is closed, is no error. @param gone called when nobody reads
   * stdout any more
   */
  survivesBrokenPipes(gone?: () => void): void {
    for (const stream of [process.stdout, process.stderr]) {
      stream.removeAllListeners("error");
      const { isTTY } = stream;
      stream.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EPIPE" || (isTTY && error.code === "EIO")) {
          if (stream === process.stderr) return;
          this.#isUnread = true;
          gone?.();
          return;
        }
        process.exitCode = 1;
        if (stream === process.stdout) write(process.stderr, `error: cannot write: ${error.message}`);
      });
    }
  }

  /** Resolves when everything written has left the process, or cannot. */
  async flushed(): Promise<void> {
    for (const stream of [process.stdout, process.stderr]) {
      if (stream.writableLength > 0) await new Promise<void>((resolve) => stream.write("", () => resolve()));
    }
  }
}

function write(stream: NodeJS.WriteStream, line: Line): void {
  stream.write(`${lineText(line, typeof line !== "string" && paints(stream))}\n`);
}

/** The error and where it was thrown. The message is one line, even if a remote wrote several. */
function stackLines({ name, message, stack = "" }: Error): readonly string[] {
  const frames = stack.slice(Math.max(0, stack.indexOf(message) + message.length)).split("\n");
  return [`${name}: ${message}`, ...frames.slice(1)];
}

/** An error as `--json` shows it. */
export function errorDocument({ code, message, suggestions, exitCode }: HubcastError): object {
  return { code, message, suggestions, exitCode };
}

const CODES = { red: 31, green: 32, yellow: 33, blue: 34, cyan: 36, dim: 2, bold: 1 } as const;

export type Colour = keyof typeof CODES;

/** Whether text written to that stream may carry colours: a terminal, no NO_COLOR; FORCE_COLOR insists. */
export function paints(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv = process.env): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== "0") return true;
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** A text in a colour, where the stream shows colours. */
export interface Painted {
  readonly colour: Colour;
  readonly text: string;
}

export function painted(colour: Colour, text: string): Painted {
  return { colour, text };
}

/** A line for people. Its parts may come from a remote, so colours are not in their text. */
export type Line = string | readonly (string | Painted)[];

/** The line as a terminal takes it: of control sequences it has the colours of its parts, and no others. */
function lineText(line: Line, colours: boolean): string {
  if (typeof line === "string") return visible(line);
  let text = "";
  for (const part of line) {
    if (typeof part === "string") text += visible(part);
    else if (colours) text += `\x1b[${CODES[part.colour]}m${visible(part.text)}\x1b[0m`;
    else text += visible(part.text);
  }
  return text;
}

/**
 * Lines of a table, columns padded to their widest cell.
 * @param rows each as many cells as `head`; cells are plain text
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => columnsOf(row[column]!))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => padded(cell, widths[column]!))
      .join("  ")
      .trimEnd();
  return [line(head.map((title) => title.toUpperCase())), ...rows.map(line)];
}

/** Lines of names and values, values in one column. */
export function properties(pairs: readonly (readonly [name: string, value: string])[]): readonly string[] {
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/**
 * An item for people: when it was stamped (local time), its id, who signed it (the first digits of the key), and the
 * first line of raw, cut to the terminal.
 * @param end stands behind it, uncut
 */
export function itemLine(item: Item, output: Output, end = ""): Line {
  const time = localTime(item.timestampMs);
  // A UUID, and under a topic as much of both as leaves 20 columns to the text.
  const id = shown(item.id, Math.max(36, output.columns - time.length - 24));
  const key = signer(item.signature);
  const room = Math.max(output.columns - time.length - columnsOf(id) - (key ? key.length + 2 : 0) - 4, 10);
  return [
    painted("dim", time),
    "  ",
    painted("cyan", id),
    ...(key ? ["  ", painted("green", key)] : []),
    `  ${shown(firstLine(item.raw), room)}${end}`,
  ];
}

/** `key 1a2b3c4d5e6f`: enough digits to tell keys apart; the whole key is in --json. */
function signer(signature: string): string | undefined {
  const key = /^ed25519:([0-9a-f]{12})/.exec(signature)?.[1];
  return key && `key ${key}`;
}

/** `2026-01-31 14:05:09` in local time. @param atMs epoch ms */
export function localTime(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}
