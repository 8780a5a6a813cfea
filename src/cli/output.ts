import type { HubcastError } from "../core/errors.js";
import { type Colour, paint, paints } from "./colour.js";

export interface OutputOptions {
  /** Results are JSON; human text is left out. */
  readonly json: boolean;
  /** Progress and warnings are left out. */
  readonly quiet: boolean;
  /** Details are written too. */
  readonly verbose: boolean;
}

/**
 * What a command says: results on stdout, as text for people or as JSON, everything about the work on stderr.
 * No colour with NO_COLOR or off a terminal.
 */
export class Output {
  constructor(private readonly options: OutputOptions) {}

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
  text(line: string): void {
    if (!this.json) process.stdout.write(`${line}\n`);
  }

  /** A result for programs: the document of a finite command, or one line of a stream. */
  document(value: object): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Resolves when stdout takes more: a stream of any length needs no memory. */
  async drained(): Promise<void> {
    if (!process.stdout.writableNeedDrain) return;
    await new Promise<void>((resolve) => {
      process.stdout.once("drain", resolve);
      process.stdout.once("close", resolve);
    });
  }

  /** Progress, on stderr. */
  note(line: string): void {
    if (!this.options.quiet) process.stderr.write(`${line}\n`);
  }

  warning(line: string): void {
    if (!this.options.quiet)
      process.stderr.write(`${this.painted("yellow", "warning:", process.stderr)} ${line}\n`);
  }

  /** Written only with --verbose, on stderr. */
  detail(line: string): void {
    if (this.options.verbose) process.stderr.write(`${line}\n`);
  }

  /** How the command failed: a document on stdout with --json, else a line and what to do on stderr. */
  failure(failure: HubcastError, cause?: unknown): void {
    const { code, message, suggestions } = failure;
    this.document({ error: errorDocument(failure) });
    if (this.json || code === "interrupted") return;
    const lines = [
      `${this.painted("red", "error:", process.stderr)} ${message}`,
      ...suggestions.map((s) => `  ${s}`),
    ];
    if (code === "bug")
      lines.push("  This is a bug in hubcast; please report it, with the output of --verbose.");
    process.stderr.write(`${lines.join("\n")}\n`);
    if (cause instanceof Error && cause.stack) this.detail(cause.stack);
  }

  /** Text in a colour, when `stream` shows colours. */
  painted(colour: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
    return paints(stream) ? paint(colour, text) : text;
  }

  /**
   * A reader that goes away (`| head`) is no error. @param gone called when nobody reads stdout any more
   */
  survivesBrokenPipes(gone?: () => void): void {
    for (const stream of [process.stdout, process.stderr]) {
      stream.removeAllListeners("error");
      stream.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code === "EPIPE") {
          if (stream === process.stdout) gone?.();
          return;
        }
        process.exitCode = 1;
        if (stream === process.stdout) process.stderr.write(`error: cannot write: ${error.message}\n`);
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

/** An error as `--json` shows it. */
export function errorDocument({ code, message, suggestions, exitCode }: HubcastError): object {
  return { code, message, suggestions, exitCode };
}
