import { columnsOfText } from "../../src/core/text.js";

interface Cell {
  /** Empty for the second half of a wide character. */
  readonly text: string;
  readonly style: string;
}

const BLANK: Cell = { text: " ", style: "" };

/** As much of a terminal as the dashboard uses; anything else that is written to it is an error. */
export class FakeTerminal {
  #rows: Cell[][];
  #row = 0;
  #column = 0;
  #style = "";
  #wraps = true;
  /** Times that the whole screen was erased. */
  clears = 0;
  bytes = 0;

  constructor(readonly size: { readonly columns: number; readonly rows: number }) {
    this.#rows = Array.from({ length: size.rows }, () => this.#blankRow());
  }

  write(text: string): void {
    this.bytes += Buffer.byteLength(text);
    for (const [part] of text.matchAll(/\u001b\[\??[\d;]*[A-Za-z]|\p{Cc}|[^\p{Cc}]\p{M}*/gu)) {
      if (part.startsWith("\u001b[")) this.#obey(part.slice(2));
      else this.#put(part);
    }
  }

  /** What is seen, without blanks at the ends of lines. */
  get text(): string {
    const lines = this.#rows.map((row) => row.map(({ text }) => text).join(""));
    return lines.map((line) => line.trimEnd()).join("\n");
  }

  /** What is seen and how: a text for each cell that is not blank. */
  get cells(): string[] {
    return this.#rows.flatMap((row, y) =>
      row.flatMap(({ text, style }, x) => (text.trim() === "" ? [] : [`${y};${x} ${style} ${text}`])),
    );
  }

  get styles(): ReadonlySet<string> {
    return new Set(this.#rows.flat().map(({ style }) => style));
  }

  #obey(command: string): void {
    const [, numbers = "", letter] = /^([?\d;]*)([A-Za-z])$/.exec(command) ?? [];
    switch (`${numbers.startsWith("?") ? numbers : ""}${letter}`) {
      case "H": {
        const [row = 1, column = 1] = numbers.split(";").filter(Boolean).map(Number);
        if (row > this.size.rows || column > this.size.columns) throw new Error(`no place ${row};${column}`);
        [this.#row, this.#column] = [row - 1, column - 1];
        return;
      }
      case "K":
        this.#rows[this.#row]!.fill(BLANK, this.#column);
        return;
      case "J":
        this.clears++;
        this.#rows = this.#rows.map(() => this.#blankRow());
        return;
      case "m":
        this.#style = numbers === "0" ? "" : numbers;
        return;
      case "?7l":
      case "?7h":
        this.#wraps = letter === "h";
        return;
      case "?2026h":
      case "?2026l":
        return;
      default:
        throw new Error(`a terminal was told ${JSON.stringify(command)}`);
    }
  }

  #put(character: string): void {
    if (/\p{Cc}/u.test(character)) throw new Error(`control character ${JSON.stringify(character)}`);
    if (this.#wraps) throw new Error("written while lines wrap");
    const columns = columnsOfText(character);
    if (this.#column + columns > this.size.columns) throw new Error(`line ${this.#row} is too long`);
    const row = this.#rows[this.#row]!;
    row[this.#column] = { text: character, style: this.#style };
    for (let next = 1; next < columns; next++) row[this.#column + next] = { text: "", style: this.#style };
    this.#column += columns;
  }

  #blankRow(): Cell[] {
    return Array.from({ length: this.size.columns }, () => BLANK);
  }
}
