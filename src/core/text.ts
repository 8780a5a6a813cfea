import { createRequire } from "node:module";

/** One column a character, nothing to replace: ASCII, Latin letters, and the signs that our own lines use. */
const PLAIN = /^[\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u2026\u2260\u2581-\u2588\u25b8]*$/;
let stringWidth: typeof import("string-width").default | undefined;
let graphemes: Intl.Segmenter | undefined;
/** Characters that control a terminal, end a line, or change the reading order, instead of being read. */
const ACTING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
/** The subset that JSON does not escape by itself, as it does below U+0020. */
const ACTING_IN_JSON = /[\x7f-\x9f\p{Bidi_Control}\u2028\u2029]/gu;

/**
 * One line that is safe to show, of a text from any source: every character that controls a terminal, ends
 * a line, or changes the order of reading becomes a visible sign of one column.
 */
export function visible(text: string): string {
  return PLAIN.test(text) ? text : text.replace(ACTING, picture);
}

/** As `visible`, with a sign of one byte, so that the text takes no more bytes than before. */
export function printable(text: string): string {
  return text.replace(ACTING, "?");
}

/** Whether a text has C0, DEL or C1 controls: such a name is refused where a user chooses it. */
export function hasControl(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

/** Escapes characters of a JSON text that act on a terminal: safe to show, and it parses to the same value. */
export function safeJson(json: string): string {
  return json.replace(
    ACTING_IN_JSON,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * One line that is safe to show, as `visible` makes it, and cut where it does not fit.
 * @param columns of the terminal; `Infinity` cuts nothing
 */
export function shown(text: string, columns: number): string {
  const safe = visible(text);
  const end = fitting(safe, columns);
  return end === safe.length ? safe : `${safe.slice(0, fitting(safe, columns - 1))}…`;
}

/** The first line of a text; `…` says that there are more. */
export function firstLine(text: string): string {
  const end = text.search(/\r?\n/);
  if (end < 0) return text;
  return /\S/.test(text.slice(end)) ? `${text.slice(0, end)} …` : text.slice(0, end);
}

function picture(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? "\u2421" : "\ufffd";
}

/** Columns that a text takes on a terminal. @param text without control characters */
export function columnsOf(text: string): number {
  if (PLAIN.test(text)) return text.length;
  // Loading string-width and the tables of Unicode takes as long as the rest of a command, and few need them.
  stringWidth ??= (
    createRequire(import.meta.url)(
      `./string-width${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`,
    ) as typeof import("string-width")
  ).default;
  return stringWidth(text);
}

/** The text with blanks in front or behind, so that it takes that many columns; a longer one stays as it is. */
export function padded(text: string, columns: number, align: "left" | "right" = "left"): string {
  const blanks = " ".repeat(Math.max(0, columns - columnsOf(text)));
  return align === "left" ? text + blanks : blanks + text;
}

/** Where a text must be cut to take that many columns at most: an index between two of its graphemes. */
export function fitting(text: string, columns: number): number {
  // Two columns a UTF-16 unit is the widest there is.
  if (text.length * 2 <= columns) return text.length;
  if (PLAIN.test(text.slice(0, columns + 1))) return Math.min(text.length, Math.max(0, columns));
  graphemes ??= new Intl.Segmenter();
  // Only a prefix that exceeds any line is examined; a long run of accents is cut through.
  const head = text.slice(0, columns * 16);
  let width = 0;
  for (const { segment, index } of graphemes.segment(head)) {
    width += columnsOf(segment);
    if (width > columns) return index;
  }
  return head.length;
}

/** `1 item`, `2 items`; `- items` when it is not known how many. @param what the singular; `s` makes it the plural */
export function counted(count: number | undefined, what: string): string {
  return `${count ?? "-"} ${what}${count === 1 ? "" : "s"}`;
}

/**
 * The candidate that a misspelt word most likely stands for.
 * @returns undefined when none is near: more than a third of the letters would have to change
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestEdits = Math.floor(word.length / 3) + 1;
  for (const candidate of candidates) {
    const edits = candidate.startsWith(word) ? 0 : edited(word, candidate);
    if (edits < bestEdits) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/** How many letters must be added, dropped, replaced or swapped with their neighbour (optimal string alignment). */
function edited(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= a.length; row++) {
    const above = rows[row - 1]!;
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let edits = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        edits = Math.min(edits, rows[row - 2]![column - 2]! + 1);
      }
      current.push(edits);
    }
    rows.push(current);
  }
  return rows[a.length]![b.length]!;
}

/**
 * Key of a field that is not logged itself: what lines have in common whose messages hold names and addresses. A remote may
 * make up any number of these.
 */
export const LINE_KIND = Symbol("kind of a line");
