import { Box, Text, type TextProps, useInput } from "ink";
import { createContext, memo, type ReactNode, useContext, useMemo, useState } from "react";
import { fitting, padded, shown } from "../core/text.js";
import { stepOf } from "./screen.js";

/** The meaning of a text, mapped to a colour below. A sign or word always has the same meaning. */
export type Tone = "title" | "dim" | "good" | "bad" | "warn" | "accent" | "marked";

/** From the 16 colours that every terminal has. */
const STYLES: Readonly<Record<Tone, TextProps>> = {
  title: { bold: true },
  dim: { dimColor: true },
  good: { color: "green" },
  bad: { color: "red" },
  warn: { color: "yellow" },
  accent: { color: "cyan" },
  marked: { inverse: true },
};

/** False with NO_COLOR. */
export const HasColour = createContext(true);

export interface SpanProps {
  readonly tone?: Tone | undefined;
  /** Which end of a text that does not fit is left out. */
  readonly cut?: "start" | "end";
  readonly children: string;
}

/** A text of one tone on one line, safe also for texts from outside; the part that does not fit is cut. */
export function Span({ tone, cut = "end", children }: SpanProps) {
  const style = useContext(HasColour) && tone ? STYLES[tone] : {};
  return (
    <Text wrap={`truncate-${cut}`} {...style}>
      {oneLine(children)}
    </Text>
  );
}

/** Several spans on one line. */
export function Line({ children }: { readonly children: ReactNode }) {
  return <Text wrap="truncate">{children}</Text>;
}

const ASCII = /^[\x20-\x7e]*$/;
/** A selector of emoji, skin tone, keycap or tag, and a joiner with the character behind it. */
const JOINED =
  /(?<=\p{Emoji_Modifier_Base}\ufe0f?)\p{Emoji_Modifier}|\u200d\p{Extended_Pictographic}\ufe0f?|[\ufe0f\u20e3\u00ad\u{e0020}-\u{e007f}]/gu;

/**
 * Terminals disagree on the width of an emoji of several code points, and would draw the text behind it at the wrong
 * place: only the first code point is shown.
 */
function oneLine(text: string, columns = Number.POSITIVE_INFINITY): string {
  return shown(ASCII.test(text) ? text : text.replace(JOINED, ""), columns);
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface Column<Row> {
  readonly title: string;
  readonly columns: number;
  /** Takes its part of the room that is left, up to so many columns. */
  readonly columnsMax?: number;
  readonly align?: "left" | "right";
  /** Stands behind all others, and has no tone of its own. */
  readonly isGraph?: boolean;
  /** The column with the highest rank goes first when the terminal is too narrow. */
  readonly rank: number;
  readonly text: (row: Row, columns: number) => string;
  readonly tone?: (row: Row) => Tone | undefined;
}

export interface TableProps<Row> {
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** Key of the marked row. */
  readonly marked?: string | undefined;
  readonly size: Size;
  /** Text in place of rows when there are none. */
  readonly empty?: string;
}

const GAP = 1;
/** In front of every row: the mark, visible without colour too. */
const MARK_COLUMNS = 2;

/** Head and rows that fit. When there are more rows than lines, the rows around the marked one are shown. */
export function Table<Row>({ columns, rows, keyOf, marked, size, empty = "" }: TableProps<Row>) {
  const { figures, graphs } = useMemo(() => {
    const kept = fitted(columns, size.columns - MARK_COLUMNS);
    return { figures: kept.filter(({ isGraph }) => !isGraph), graphs: kept.filter(({ isGraph }) => isGraph) };
  }, [columns, size.columns]);
  if (rows.length === 0) {
    return (
      <Box height={2} alignItems="flex-end">
        <Span tone="dim">{`  ${empty}`}</Span>
      </Box>
    );
  }
  const room = Math.max(0, size.rows - 1);
  const index = rows.findIndex((row) => keyOf(row) === marked);
  const first = Math.min(Math.max(0, index - Math.floor(room / 2)), Math.max(0, rows.length - room));
  const seen = rows.slice(first, first + room);
  return (
    <Box gap={GAP}>
      <Box flexDirection="column" flexShrink={0}>
        <Head columns={figures} />
        {seen.map((row, place) => (
          <Cells
            // When all rows of a list move, new texts in the same places are far cheaper than new rows.
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no state
            key={place}
            isMarked={keyOf(row) === marked}
            columns={figures}
            texts={figures.map((column) => column.text(row, column.columns))}
            tones={figures.map((column) => column.tone?.(row))}
          />
        ))}
      </Box>
      {graphs.map(({ title, columns: width, text }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a column has its place and nothing else
        <Box key={index} flexDirection="column" width={width} flexShrink={0}>
          <Span tone="dim">{title}</Span>
          <Graph text={seen.map((row) => text(row, width)).join("\n")} />
        </Box>
      ))}
    </Box>
  );
}

/** Graphs of all rows in one text: they change once a second, the figures beside them four times. */
const Graph = memo(function Graph({ text }: { readonly text: string }) {
  return <Text {...(useContext(HasColour) ? STYLES.accent : {})}>{text}</Text>;
});

type Fitted = Pick<Column<never>, "title" | "columns" | "align">;

const Head = memo(function Head({ columns }: { readonly columns: readonly Fitted[] }) {
  return (
    <Cells
      isMarked={false}
      columns={columns}
      texts={columns.map(({ title }) => title)}
      tones={columns.map(() => "dim")}
    />
  );
});

interface CellsProps {
  readonly isMarked: boolean;
  readonly columns: readonly Fitted[];
  readonly texts: readonly string[];
  readonly tones: readonly (Tone | undefined)[];
}

const Cells = memo(
  function Cells(props: CellsProps) {
    const lines = pieces(props).map((spans, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: a text has its place and nothing else
      <Line key={index}>
        {spans.map(({ tone, text }, place) =>
          tone ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: so has a span
            <Span key={place} tone={tone}>
              {text}
            </Span>
          ) : (
            text
          ),
        )}
      </Line>
    ));
    return lines.length === 1 ? lines[0] : <Box height={1}>{lines}</Box>;
  },
  (before, after) =>
    before.isMarked === after.isMarked &&
    before.columns === after.columns &&
    before.texts.every((text, index) => text === after.texts[index]) &&
    before.tones.every((tone, index) => tone === after.tones[index]),
);

interface Piece {
  readonly tone: Tone | undefined;
  text: string;
}

/**
 * The cells of a row, in as few texts as there can be: Ink's work on a frame is by texts. Only cells that are not ASCII
 * stand alone, since Ink takes far longer for every character of a text that has one such (bench/top.ts).
 */
function pieces({ isMarked, columns, texts, tones }: CellsProps): readonly (readonly Piece[])[] {
  const lines: Piece[][] = [[isMarked ? { tone: "accent", text: "▸" } : { tone: undefined, text: " " }]];
  let isPlain = !isMarked;
  for (const [index, { columns: width, align }] of columns.entries()) {
    const cut = oneLine(texts[index]!, width);
    const isLast = index === columns.length - 1 && align !== "right";
    const text = ` ${isLast ? cut : padded(cut, width, align)}`;
    const tone = tones[index];
    const wasPlain = isPlain;
    isPlain = ASCII.test(text);
    const line = lines.at(-1)!;
    const last = line.at(-1)!;
    if (!isPlain || !wasPlain) lines.push([{ tone, text }]);
    else if (last.tone === tone) last.text += text;
    else line.push({ tone, text });
  }
  return lines;
}

/** The columns that fit, each with its width. */
function fitted<Row>(all: readonly Column<Row>[], columns: number): readonly Column<Row>[] {
  let kept = [...all];
  const taken = () => kept.reduce((sum, column) => sum + column.columns + GAP, -GAP);
  while (kept.length > 1 && taken() > columns) {
    const rank = Math.max(...kept.map((column) => column.rank));
    kept = kept.filter((column) => column.rank !== rank);
  }
  const canGrow = ({ columns: width, columnsMax = 0 }: Column<Row>) => width < columnsMax;
  for (let left = columns - taken(); left > 0 && kept.some(canGrow); left = columns - taken()) {
    const share = Math.max(1, Math.floor(left / kept.filter(canGrow).length));
    let free = left;
    kept = kept.map((column) => {
      if (!canGrow(column)) return column;
      const more = Math.min(share, free, column.columnsMax! - column.columns);
      free -= more;
      return { ...column, columns: column.columns + more };
    });
  }
  return kept;
}

/** One line of an opened row. */
export interface DetailLine {
  /** In front of the first line of a text that takes several. */
  readonly name?: string;
  readonly text: string;
  readonly tone?: Tone | undefined;
}

export interface DetailProps {
  readonly lines: readonly DetailLine[];
  readonly size: Size;
  readonly isActive: boolean;
}

const NAME_COLUMNS = 13;

/** An opened row, scrolled where it has more lines than the screen. */
export function Detail({ lines, size, isActive }: DetailProps) {
  const rows = useMemo(() => wrappedLines(lines, size.columns), [lines, size.columns]);
  const room = rows.length > size.rows ? size.rows - 1 : size.rows;
  const last = Math.max(0, rows.length - room);
  const [at, setAt] = useState(0);
  const first = Math.min(at, last);
  useInput(
    (input, key) => {
      const by = stepOf(input, key, Math.max(1, room - 1));
      if (by !== undefined) setAt(Math.min(last, Math.max(0, first + by)));
    },
    { isActive },
  );
  return (
    <Box flexDirection="column">
      {rows.slice(first, first + room).map(({ name, text, tone }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line has its place and nothing else
        <Box key={index} height={1} paddingLeft={2}>
          {name !== undefined && (
            <Box width={NAME_COLUMNS} flexShrink={0}>
              <Span tone="dim">{name}</Span>
            </Box>
          )}
          <Span tone={tone}>{text}</Span>
        </Box>
      ))}
      {last > 0 && (
        <Span tone="dim">{`  lines ${first + 1} to ${first + room} of ${rows.length}: Up, Down, PgUp, PgDn, g, G`}</Span>
      )}
    </Box>
  );
}

function wrappedLines(lines: readonly DetailLine[], columns: number): readonly DetailLine[] {
  return lines.flatMap(({ name, text, tone }) => {
    const room = columns - 3 - (name === undefined ? 0 : NAME_COLUMNS);
    return wrapped(text, Math.max(10, room)).map((line, index) => ({
      ...(name !== undefined && { name: index === 0 ? name : "" }),
      text: line,
      tone,
    }));
  });
}

/** Wraps a text to lines of at most so many columns, between words where possible. */
function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    let rest = oneLine(line);
    for (let end = fitting(rest, columns); end < rest.length; end = fitting(rest, columns)) {
      const space = rest.lastIndexOf(" ", end) + 1;
      const cut = space > end / 2 ? space : end;
      lines.push(rest.slice(0, cut));
      rest = rest.slice(cut);
    }
    lines.push(rest);
  }
  return lines;
}
