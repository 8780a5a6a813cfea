import { columnsOfText } from "../../core/text.js";
import { type Line, type Span, spanText } from "./line.js";

/** A terminal that knows this shows the whole change at once; others ignore it. */
const BEGIN_UPDATE = "\x1b[?2026h";
const END_UPDATE = "\x1b[?2026l";
/** A character that the terminal takes for wider than we do must not push the line into the next one. */
const NO_WRAP = "\x1b[?7l";
const WRAP = "\x1b[?7h";
const ERASE_LINE_END = "\x1b[K";
/** Rewriting so many columns costs no more than stepping over them. */
const STEP_COLUMNS = 6;

/**
 * Knows what a terminal shows, and says what to write so that it shows other lines: only the spans that differ, each
 * at its own place. The screen as a whole is never erased.
 */
export class Painter {
  #painted: readonly Line[] | undefined;

  constructor(private readonly colour: boolean) {}

  /** @param lines that fit the terminal @returns empty when nothing differs */
  paint(lines: readonly Line[]): string {
    const before = this.#painted;
    const changes = lines.map((line, row) =>
      before ? this.#difference(before[row] ?? [], line, row) : this.#whole(line, row),
    );
    for (let row = lines.length; row < (before?.length ?? 0); row++) {
      changes.push(place(row, 0), ERASE_LINE_END);
    }
    this.#painted = lines;
    const text = changes.join("");
    return text === "" ? "" : BEGIN_UPDATE + NO_WRAP + text + WRAP + END_UPDATE;
  }

  /** The terminal shows something else by now: the next time all lines are written. */
  forget(): void {
    this.#painted = undefined;
  }

  /** Erased first: behind a line as wide as the terminal there is no place to erase from. */
  #whole(line: Line, row: number): string {
    return place(row, 0) + ERASE_LINE_END + this.#spans(line, row, 0);
  }

  #difference(before: Line, line: Line, row: number): string {
    let text = "";
    let column = 0;
    let index = 0;
    while (index < line.length && index < before.length) {
      const columns = columnsOfText(line[index]!.text);
      if (columns !== columnsOfText(before[index]!.text)) break;
      const end = endOfChange(before, line, index);
      if (end > index) text += this.#spans(line.slice(index, end), row, column);
      for (const next = Math.max(end, index + 1); index < next; index++) {
        column += columnsOfText(line[index]!.text);
      }
    }
    // From here on the spans stand at other columns, or one of the lines has ended.
    const rest = line.slice(index);
    if (rest.length > 0) text += this.#spans(rest, row, column);
    const end = column + columnsOfLine(rest);
    return columnsOfLine(before) > end ? text + place(row, end) + ERASE_LINE_END : text;
  }

  /** Behind a text whose width a terminal may see differently, the next span is put in its place. */
  #spans(line: Line, row: number, firstColumn: number): string {
    let text = "";
    let column = firstColumn;
    let isCertain = false;
    for (const span of line) {
      if (!isCertain) text += place(row, column);
      text += spanText(span, this.colour);
      column += columnsOfText(span.text);
      isCertain = isPlain(span);
    }
    return text;
  }
}

/** Index behind the spans from `start` on that differ, with what is short between them; `start` when it does not. */
function endOfChange(before: Line, line: Line, start: number): number {
  let end = start;
  let stepColumns = 0;
  for (let index = start; index < line.length && index < before.length; index++) {
    const [old, now] = [before[index]!, line[index]!];
    const columns = columnsOfText(now.text);
    if (columns !== columnsOfText(old.text)) break;
    const isSame = old.text === now.text && old.tone === now.tone;
    if (!isSame) {
      end = index + 1;
      stepColumns = 0;
    } else {
      stepColumns += columns;
      if (end === start || stepColumns > STEP_COLUMNS || now.tone !== undefined) break;
    }
  }
  return end;
}

function place(row: number, column: number): string {
  return `\x1b[${row + 1};${column + 1}H`;
}

function columnsOfLine(line: Line): number {
  return line.reduce((sum, { text }) => sum + columnsOfText(text), 0);
}

function isPlain({ text }: Span): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}
