import { type Key as InkKey, useInput } from "ink";
import type { Key, NamedKey } from "../keys.js";

/** Passes keys on. It draws nothing: what is on the screen is the painter's. */
export function Keyboard({ onKey }: { readonly onKey: (key: Key) => void }) {
  useInput((input, key) => {
    for (const pressed of keysOf(input, key)) onKey(pressed);
  });
  return null;
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

const CONTROL: Readonly<Record<string, NamedKey>> = { c: "interrupt", l: "redraw" };

/** What was typed or pasted, key by key: a paste is a text, and a line's end in it is Enter. */
function keysOf(input: string, key: InkKey): Key[] {
  if (key.ctrl) return CONTROL[input] ? [{ type: "named", name: CONTROL[input] }] : [];
  if (key.meta && !key.escape) return [];
  const name = NAMED.find(([flag]) => key[flag])?.[1];
  if (name) return [{ type: "named", name }];
  return [...input].map((text) =>
    /[\r\n]/.test(text) ? { type: "named", name: "enter" } : { type: "text", text },
  );
}
