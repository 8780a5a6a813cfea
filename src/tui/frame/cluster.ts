import { formatDuration } from "../../core/units.js";
import type { NodeRow } from "../snapshot.js";
import { count, milliseconds, perSecond, size, sparkline } from "./figures.js";
import { type Line, span, type Tone } from "./line.js";
import type { Column } from "./table.js";
import { wrapped } from "./wrapped.js";

const SIGNS = { agrees: "=", differs: "≠", differsByPolicy: "~", unknown: "?" } as const;
const WORDS = {
  agrees: "agrees",
  differs: "differs",
  differsByPolicy: "differs by policy",
  unknown: "not known",
} as const;
const SPARK_COLUMNS = 8;
const NAME_COLUMNS = 15;

function stateTone({ state }: Pick<NodeRow, "state">): Tone {
  if (state === "ready" || state === "connected") return "good";
  return state === "starting" || state === "degraded" || state === "stopping" ? "warn" : "bad";
}

function stateOf({ state }: NodeRow): string {
  return state === "notHubcast" ? "not hubcast" : state;
}

function agreementTone({ agreement }: NodeRow): Tone {
  if (agreement === "agrees") return "good";
  return agreement === "differs" ? "bad" : "warn";
}

export const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  { title: "NODE", columns: 14, rank: 0, grows: true, text: (row) => row.name },
  { title: "STATE", columns: 11, rank: 1, text: stateOf, tone: stateTone },
  { title: "ITEMS", columns: 6, align: "right", rank: 2, text: (row) => count(row.items) },
  {
    title: "SET",
    columns: 6,
    rank: 3,
    text: (row) => `${SIGNS[row.agreement]} ${row.fingerprint?.slice(0, 4) ?? "-"}`,
    tone: agreementTone,
  },
  { title: "PEERS", columns: 5, align: "right", rank: 6, text: (row) => count(row.peers) },
  { title: "POST/S", columns: 6, align: "right", rank: 4, text: (row) => perSecond(row.posts) },
  {
    title: "",
    columns: SPARK_COLUMNS,
    rank: 12,
    text: (row) => sparkline(row.posts?.history ?? [], SPARK_COLUMNS),
    tone: () => "accent",
  },
  { title: "IN/S", columns: 6, align: "right", rank: 5, text: (row) => perSecond(row.gossipIn) },
  {
    title: "",
    columns: SPARK_COLUMNS,
    rank: 11,
    text: (row) => sparkline(row.gossipIn?.history ?? [], SPARK_COLUMNS),
    tone: () => "accent",
  },
  { title: "OUT/S", columns: 6, align: "right", rank: 9, text: (row) => perSecond(row.gossipOut) },
  { title: "SYNCS", columns: 6, align: "right", rank: 10, text: (row) => count(row.syncRounds) },
  { title: "MEMORY", columns: 6, align: "right", rank: 7, text: (row) => size(row.rssBytes) },
  { title: "LOOP", columns: 6, align: "right", rank: 8, text: (row) => milliseconds(row.eventLoopDelayMs) },
];

/** Everything about one node. */
export function nodeDetail(row: NodeRow, columns: number): Line[] {
  const rate = (title: string, value: NodeRow["posts"]): readonly [string, string] => [
    title,
    `${perSecond(value)}/s  ${sparkline(value?.history ?? [], 30).trimStart()}`,
  ];
  const up = row.uptimeMs === undefined ? "" : `, up ${formatDuration(row.uptimeMs)}`;
  const hidden = row.hidden ? `, ${row.hidden} hidden behind another of the same id` : "";
  // As many lines as the smallest screen has.
  const pairs: readonly (readonly [string, string, Tone?])[] = [
    ["name", `${row.name}, in cluster ${row.cluster}`],
    ["id", row.key],
    ["state", row.detail ? `${stateOf(row)}: ${row.detail}` : stateOf(row), stateTone(row)],
    ["asked at", row.url ?? "not asked itself: a peer tells of it"],
    ["version", `${row.version ?? "-"}${up}`],
    ["items", `${row.items ?? "-"}${hidden}`],
    ["set", `${SIGNS[row.agreement]} ${WORDS[row.agreement]}`, agreementTone(row)],
    ["fingerprint", row.fingerprint ?? "-"],
    ["peers", `${row.peers ?? "-"}, round trip ${milliseconds(row.roundTripMs)}`],
    rate("posts", row.posts),
    rate("gossip in", row.gossipIn),
    rate("messages out", row.gossipOut),
    ["sync rounds", `${row.syncRounds ?? "-"} (${row.syncRoundsFailed ?? "-"} failed)`],
    ["process", `${size(row.rssBytes)} of memory, loop delay ${milliseconds(row.eventLoopDelayMs)}`],
  ];
  return pairs.flatMap(([name, text, tone]) =>
    wrapped(text, columns - NAME_COLUMNS).map(
      (line, index): Line => [
        span((index === 0 ? `  ${name}` : "").padEnd(NAME_COLUMNS), "dim"),
        span(line, tone),
      ],
    ),
  );
}
