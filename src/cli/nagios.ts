import type { HubcastError } from "../core/errors.js";
import { counted, shown } from "../core/text.js";
import type { Reason } from "../node/broadcast.js";
import { type Agreement, agreementLines, disagreementOf } from "./agreement.js";

/** The states of a monitoring plugin; the place is the exit code. https://www.monitoring-plugins.org/doc/guidelines.html */
const STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"] as const;

type State = (typeof STATES)[number];

/** The answer of a plugin: the first line has the performance data, the others are for who looks closer. */
export interface PluginAnswer {
  readonly lines: readonly string[];
  readonly exitCode: number;
}

/**
 * Critical is what keeps items from some member, or from the node, now; a warning is what may come to that, or is meant so by
 * those who run the nodes.
 */
const STATE_OF_REASON: Readonly<Record<Reason, State>> = {
  clockSkew: "CRITICAL",
  clocksDiffer: "WARNING",
  clockJumped: "WARNING",
  itemsAhead: "WARNING",
  noPeer: "CRITICAL",
  twin: "CRITICAL",
  retentionDiffers: "CRITICAL",
  policyDiffers: "WARNING",
  versionDiffers: "CRITICAL",
  clusterKeyDiffers: "CRITICAL",
  nodeFull: "CRITICAL",
  storageFailed: "CRITICAL",
  itemsLeftOut: "WARNING",
  natsAway: "CRITICAL",
  natsFull: "CRITICAL",
};

/** @param tookMs how long the look took @param nowMs epoch ms */
export function pluginAnswer(agreement: Agreement, tookMs: number, nowMs: number): PluginAnswer {
  const state = stateOf(agreement);
  const summary = agreement.agreed ? agreedOf(agreement) : disagreementOf(agreement);
  const advice = agreement.details.map((detail) => detail.advice);
  return answer(state, summary, {
    figures: figuresOf(agreement, tookMs),
    more: [...agreementLines(agreement, nowMs), ...new Set(advice)],
  });
}

/** A node that cannot be reached is critical. What says nothing of the node, such as a wrong flag or token, is unknown. */
export function pluginFailure({ code, message, exitCode, suggestions }: HubcastError): PluginAnswer {
  const isAway = CANNOT_CONNECT.has(exitCode) || code === "stopping";
  return answer(isAway ? "CRITICAL" : "UNKNOWN", message, { figures: [], more: suggestions });
}

/** Exit codes of what no node answered: cannot connect, and the deadline passed. */
const CANNOT_CONNECT: ReadonlySet<number> = new Set([3, 5]);

function stateOf({ agreed, state, peers, reasons }: Agreement): State {
  if (agreed) return "OK";
  const isCritical =
    peers.some(({ verdict }) => verdict === "differs") ||
    reasons.some((reason) => STATE_OF_REASON[reason] === "CRITICAL");
  if (isCritical) return "CRITICAL";
  const isCompared = state !== "starting" && peers.some(({ verdict }) => verdict !== "unknown");
  return isCompared || reasons.length > 0 ? "WARNING" : "UNKNOWN";
}

function agreedOf({ name, alone, items, peers, membersEstimated }: Agreement): string {
  const held = counted(items, "item");
  if (alone) return `${shown(name, 32)} has no peers, and holds ${held}`;
  const others = peers.filter(({ verdict }) => verdict === "agrees").length;
  const sample = membersEstimated === undefined ? "" : `, a sample of about ${membersEstimated} members`;
  return `${shown(name, 32)} and ${counted(others, "other")} hold the same ${held}${sample}`;
}

/** Performance data: label=value[unit];warn;crit;min;max, where a value above warn or crit is one. */
function figuresOf({ items, peers }: Agreement, tookMs: number): readonly string[] {
  const count = (...verdicts: string[]) => peers.filter(({ verdict }) => verdicts.includes(verdict)).length;
  return [
    `items=${items};;;0`,
    `peers=${peers.length - count("lost", "unreached")};;;0`,
    `agreeing=${count("agrees")};;;0`,
    `differing=${count("differs")};;0;0`,
    `differing_by_policy=${count("differsByPolicy")};0;;0`,
    `unknown=${count("unknown")};;;0`,
    `lost=${count("lost")};0;;0`,
    `time=${(tookMs / 1_000).toFixed(3)}s;;;0`,
  ];
}

function answer(
  state: State,
  summary: string,
  { figures, more }: { readonly figures: readonly string[]; readonly more: readonly string[] },
): PluginAnswer {
  const [first, ...rest] = [`HUBCAST ${state}: ${summary}`, ...more].map(withoutBars);
  return {
    lines: [figures.length > 0 ? `${first} | ${figures.join(" ")}` : first!, ...rest],
    exitCode: STATES.indexOf(state),
  };
}

/** Behind a bar there is performance data, and names of others may have one. */
function withoutBars(text: string): string {
  return text.replaceAll("|", "/").replaceAll(/\s*\n\s*/g, " ");
}
