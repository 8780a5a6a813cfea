import { Box, type Key as InkKey, Text, Transform, useInput, useWindowSize } from "ink";
import { frameOf } from "../frame/frame.js";
import { lineText } from "../frame/line.js";
import type { Key, NamedKey } from "../keys.js";
import type { Screen } from "../screen.js";
import type { Snapshot } from "../snapshot.js";

export interface DashboardProps {
  readonly snapshot: Snapshot;
  readonly screen: Screen;
  readonly colour: boolean;
  readonly onKey: (key: Key) => void;
}

/** Draws one snapshot, and passes keys on. */
export function Dashboard({ snapshot, screen, colour, onKey }: DashboardProps) {
  const { columns, rows } = useWindowSize();
  useInput((input, key) => {
    for (const pressed of keysOf(input, key)) onKey(pressed);
  });
  // One line less than the terminal has: a frame that fills it would be cleared as a whole when it shrinks.
  return <Frame {...{ snapshot, screen, colour, columns }} rows={rows - 1} />;
}

interface FrameProps extends Omit<DashboardProps, "onKey"> {
  readonly columns: number;
  readonly rows: number;
}

/**
 * Ink measures a text three times whenever it changes, by graphemes, which took most of the time. The lines fit already:
 * so it is given blank ones to measure, always the same, and puts ours in their places (bench/top.ts).
 */
export function Frame({ snapshot, screen, colour, columns, rows }: FrameProps) {
  const lines = frameOf(snapshot, screen, { columns, rows });
  return (
    <Box flexDirection="column" width={columns} height={rows}>
      <Transform transform={(_blank, index) => lineText(lines[index] ?? [], colour) || " "}>
        <Text>{" \n".repeat(rows - 1)} </Text>
      </Transform>
    </Box>
  );
}

const NAMED: readonly (readonly [keyof InkKey, NamedKey])[] = [
  ["upArrow", "up"],
  ["downArrow", "down"],
  ["pageUp", "pageUp"],
  ["pageDown", "pageDown"],
  ["home", "home"],
  ["end", "end"],
  ["return", "enter"],
  ["escape", "escape"],
  ["tab", "tab"],
  ["backspace", "backspace"],
  ["delete", "backspace"],
];

/** What was typed or pasted, key by key: a paste is a text, and a line's end in it is Enter. */
function keysOf(input: string, key: InkKey): Key[] {
  if (key.ctrl) return input === "c" ? [{ type: "named", name: "interrupt" }] : [];
  if (key.meta && !key.escape) return [];
  const name = NAMED.find(([flag]) => key[flag])?.[1];
  if (name) return [{ type: "named", name }];
  return [...input].map((text) =>
    /[\r\n]/.test(text) ? { type: "named", name: "enter" } : { type: "text", text },
  );
}
