/** One column a character, nothing to replace. */
const PLAIN = /^[\x20-\x7e]*$/;

/**
 * One line that is safe to show on a terminal: control characters (they could move the cursor or set the title)
 * become visible pictures, and what does not fit is cut.
 * @param columns of the terminal; `Infinity` cuts nothing
 */
export function shown(text: string, columns: number): string {
  // Most texts are of one column a character: the dashboard shows hundreds, four times a second (bench/top.ts).
  if (PLAIN.test(text)) return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
  return cut(text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, picture), columns);
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

function cut(text: string, columns: number): string {
  // Most lines fit: two columns a UTF-16 unit is the widest there is.
  if (text.length * 2 <= columns) return text;
  let width = 0;
  let end = 0;
  let fits = 0;
  for (const character of text) {
    width += columnsOf(character);
    if (width > columns) return `${text.slice(0, fits)}…`;
    end += character.length;
    if (width < columns) fits = end;
  }
  return text;
}

function columnsOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0x300) return 1;
  // Makes a sign of one column an emoji of two.
  if (code === 0xfe0f) return 1;
  if (/\p{M}|\p{Cf}/u.test(character)) return 0;
  return isWide(code) || /\p{Emoji_Presentation}/u.test(character) ? 2 : 1;
}

/** East Asian wide and emoji blocks (UAX 11), coarsely. */
function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Columns that a text takes on a terminal. @param text without control characters */
export function columnsOfText(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += columnsOf(character);
  return columns;
}

/** `1 item`, `2 items`; `- items` when it is not known how many. @param what one of them, that becomes many by an `s` */
export function counted(count: number | undefined, what: string): string {
  return `${count ?? "-"} ${what}${count === 1 ? "" : "s"}`;
}
