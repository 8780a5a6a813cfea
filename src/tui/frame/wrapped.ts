import { columnsOfText } from "../../core/text.js";

/** A text in lines of so many columns at most, cut between words where there are any. */
export function wrapped(text: string, columns: number): string[] {
  return cutIntoLines(text, columns, (line) => line.lastIndexOf(" ") + 1);
}

/** The same for what has no words: each line is full. */
export function chopped(text: string, columns: number): string[] {
  return cutIntoLines(text, columns, () => 0);
}

/** @param cutOf how much of a full line stays in it; 0 for all */
function cutIntoLines(text: string, columns: number, cutOf: (line: string) => number): string[] {
  const lines: string[] = [];
  let line = "";
  let width = 0;
  for (const character of text) {
    // A control character is shown as a picture of one column.
    const more = Math.max(1, columnsOfText(character));
    if (width + more > columns) {
      const cut = cutOf(line) || line.length;
      lines.push(line.slice(0, cut));
      line = line.slice(cut);
      width = columnsOfText(line);
    }
    line += character;
    width += more;
  }
  return [...lines, line];
}
