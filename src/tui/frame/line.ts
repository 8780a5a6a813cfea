import { columnsOfText, shown } from "../../core/text.js";

/** What a text means; which colour that is, is decided in one place. A sign or word always says the same. */
export type Tone = "title" | "dim" | "good" | "bad" | "warn" | "accent" | "marked";

export interface Span {
  readonly text: string;
  readonly tone?: Tone;
}

/** One line of the screen, from left to right. */
export type Line = readonly Span[];

/** Of the 16 colours that every terminal has. */
const CODES: Readonly<Record<Tone, string>> = {
  title: "1",
  dim: "2",
  good: "32",
  bad: "31",
  warn: "33",
  accent: "36",
  marked: "7",
};

export function span(text: string, tone?: Tone): Span {
  return tone === undefined ? { text } : { text, tone };
}

/** The line, at most so many columns wide; what does not fit is cut, with `…`. */
export function fitted(line: Line, columns: number): Line {
  const spans: Span[] = [];
  let left = columns;
  for (const { text, tone } of line) {
    if (left <= 0) break;
    const cut = shown(text, left);
    spans.push(span(cut, tone));
    left -= columnsOfText(cut);
    if (cut !== text && cut.endsWith("…")) break;
  }
  return spans;
}

/** Text of exactly that many columns. */
export function cell(text: string, columns: number, align: "left" | "right" = "left"): string {
  const cut = shown(text, columns);
  const room = " ".repeat(Math.max(0, columns - columnsOfText(cut)));
  return align === "left" ? cut + room : room + cut;
}

/** The span as a terminal takes it. @param colour false for plain text */
export function spanText({ text, tone }: Span, colour: boolean): string {
  return colour && tone && text.trim() !== "" ? `\x1b[${CODES[tone]}m${text}\x1b[0m` : text;
}
