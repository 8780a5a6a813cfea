import type { Peer } from "../broadcast.js";

/** Controls, and characters that change the order in which a line is read. */
const ACTING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
/** In a text of several lines: its own line ends stay, and so do the marks that right-to-left texts need. */
const ACTING_IN_TEXT = /(?![\n\t\u200e\u200f\u061c])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;

/** A name or id in one line, with a sign for whatever would act instead of being read. */
export function visible(line: string): string {
  return line.replace(ACTING, "\ufffd");
}

/** The text of an item, likewise. */
export function visibleText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(ACTING_IN_TEXT, "\ufffd");
}

/** `now`, `40 s ago`, `3 min ago`, `2 h ago`, `3 days ago`. */
function ago(timestampMs: number, nowMs: number): string {
  const seconds = Math.round((nowMs - timestampMs) / 1000);
  return seconds < 5 ? "now" : `${span(seconds)} ago`;
}

/** `40 s`, `3 min`, `2 h`, `3 days`. */
export function span(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

const EXACT = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const COUNT = new Intl.NumberFormat("en");

export function exact(timestampMs: number): string {
  return EXACT.format(timestampMs);
}

export function clock(timestampMs: number): string {
  return CLOCK.format(timestampMs);
}

/** `1 item`, `1,200 items`. */
export function counted(count: number, what: string): string {
  return `${COUNT.format(count)} ${what}${count === 1 ? "" : "s"}`;
}

export type Tone = "good" | "warn" | "bad" | "quiet";

/** How a member stands to this node: never by colour alone. */
export interface Standing {
  readonly sign: string;
  readonly word: string;
  readonly tone: Tone;
}

const OF_STATE: Readonly<Record<Exclude<Peer["state"], "connected">, Standing>> = {
  left: { sign: "–", word: "left", tone: "quiet" },
  lost: { sign: "×", word: "lost", tone: "bad" },
  unreached: { sign: "!", word: "not reached", tone: "warn" },
};

const OF_AGREEMENT: Readonly<Record<Peer["agreement"], Standing>> = {
  agrees: { sign: "=", word: "agrees", tone: "good" },
  differs: { sign: "≠", word: "differs", tone: "bad" },
  differsByPolicy: { sign: "~", word: "differs by policy", tone: "warn" },
  unknown: { sign: "?", word: "not known yet", tone: "quiet" },
};

export function standingOf({ state, agreement }: Peer): Standing {
  return state === "connected" ? OF_AGREEMENT[agreement] : OF_STATE[state];
}

interface WhenProps {
  readonly timestampMs: number;
  readonly nowMs: number;
}

/** How long ago, with the exact time behind it. */
export function When({ timestampMs, nowMs }: WhenProps) {
  return (
    <time dateTime={new Date(timestampMs).toISOString()} title={exact(timestampMs)}>
      {ago(timestampMs, nowMs)}
    </time>
  );
}
