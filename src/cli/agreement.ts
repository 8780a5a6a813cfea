import type { HubcastError } from "../core/errors.js";
import { columnsOf, counted, padded, shown } from "../core/text.js";
import { formatDuration } from "../core/units.js";
import type { NodeStatus, Peer, Reason } from "../node/broadcast.js";

/** The view of one node on all: which nodes hold the same set, and which do not. */
export interface Agreement {
  /**
   * Every other node is known to hold the same set, and nothing degrades the one that was asked. A node without peers that
   * is done starting agrees with itself.
   */
  readonly agreed: boolean;
  /** There is no other node to compare with. */
  readonly alone?: boolean;
  /** Only where peers are a sample: the estimated number of all members. */
  readonly membersEstimated?: number;
  /** The node that was asked. */
  readonly id: string;
  readonly name: string;
  readonly state: NodeStatus["state"];
  /** Reasons for its degraded state, from its status. */
  readonly reasons: NodeStatus["reasons"];
  readonly details: NodeStatus["details"];
  /** Items it holds, the hidden ones too. */
  readonly items: number;
  readonly peers: readonly Comparison[];
}

/** How a peer's set compares with that of the node that was asked. */
export interface Comparison {
  readonly id: string;
  readonly name: string;
  /**
   * `lost`: it fell silent, and its items are unknown now. `unreached`: it is no member; where its `reasons` degrade the
   * asked node there is no agreement.
   */
  readonly verdict: Peer["agreement"] | "lost" | "unreached";
  /** Reasons why the member differs, apart from the items that it holds. */
  readonly reasons?: Peer["reasons"];
  /**
   * For `lost` and `unreached`: when and why; for differing peers: since when at least, as the asked node saw it. Epoch
   * ms.
   */
  readonly sinceMs?: number;
  readonly reason?: string;
  /** For differing peers: items that the peer and the asked node hold in the same window of time. */
  readonly items?: number;
  readonly itemsHere?: number;
  /** Names of differing peers that share one fingerprint, so that the asked node is the odd one. */
  readonly sameAs?: readonly string[];
}

/**
 * Compares a node with its peers, as far as it knows. A peer that said goodbye is no part of the cluster any more; one
 * that was lost still is: where a later node stands for it, the asked node does not list it.
 */
export function agreementOf(status: NodeStatus, peers: readonly Peer[]): Agreement {
  const counted = peers.filter(({ state }) => state !== "left");
  const comparisons = counted.map((peer) => comparisonOf(peer, counted));
  return {
    agreed:
      status.state !== "starting" &&
      status.reasons.length === 0 &&
      comparisons.every(({ verdict }) => verdict === "agrees" || verdict === "unreached"),
    ...(comparisons.every(({ verdict }) => verdict === "unreached") && { alone: true }),
    ...(status.membersEstimated && { membersEstimated: status.members }),
    id: status.id,
    name: status.name,
    state: status.state,
    reasons: status.reasons,
    details: status.details,
    items: status.items + status.hidden,
    peers: comparisons,
  };
}

function comparisonOf(peer: Peer, all: readonly Peer[]): Comparison {
  const { id, name, agreement, difference, summary, reason, reasons } = peer;
  const apart = reasons && { reasons };
  if (!isConnected(peer)) {
    const verdict = peer.state === "unreached" ? "unreached" : "lost";
    return { id, name, verdict, ...apart, sinceMs: peer.sinceMs, ...(reason !== undefined && { reason }) };
  }
  if (agreement !== "differs" && agreement !== "differsByPolicy")
    return { id, name, verdict: agreement, ...apart };
  const sameAs = all
    .filter((other) => other.id !== id && saidTheSame(peer, other))
    .map((other) => other.name);
  return {
    id,
    name,
    verdict: agreement,
    ...apart,
    ...(summary && { items: summary.items }),
    ...(difference && { itemsHere: difference.itemsHere, sinceMs: difference.sinceMs }),
    ...(sameAs.length > 0 && { sameAs }),
  };
}

function isConnected({ state }: Peer): boolean {
  return state === "connected";
}

function saidTheSame({ summary: one }: Peer, { summary: other }: Peer): boolean {
  return (
    one !== undefined &&
    one.fingerprint === other?.fingerprint &&
    one.fingerprintSinceMs === other.fingerprintSinceMs
  );
}

/** The agreement for people: a line on the node that was asked, and one on each of its peers. @param nowMs epoch ms */
export function agreementLines(agreement: Agreement, nowMs: number): readonly string[] {
  const { name, items, peers, reasons } = agreement;
  const names = [name, ...peers.map((peer) => peer.name)].map((text) => shown(text, 32));
  const width = Math.max(...names.map(columnsOf));
  const line = (who: string, what: string) => `${padded(shown(who, 32), width)}  ${what}`;
  return [
    line(name, [`holds ${counted(items, "item")}`, ...reasons].join(", ")),
    ...peers.map((peer) => line(peer.name, described(peer, nowMs))),
  ];
}

/** The reason for the disagreement, in one sentence. */
export function disagreementOf({ name, state, peers, details }: Agreement): string {
  const told = new Set(details.map(({ peer }) => peer?.id));
  const of = (verdict: Comparison["verdict"]) =>
    peers
      .filter((peer) => peer.verdict === verdict && (verdict === "differs" || !told.has(peer.id)))
      .filter((peer) => verdict !== "unknown" || !isOffTime(peer))
      .map((peer) => shown(peer.name, 32));
  const offTime = peers.filter((peer) => isOffTime(peer) && !told.has(peer.id));
  const clauses = [
    [of("differs"), `hold another set than ${shown(name, 32)}`],
    [of("differsByPolicy"), "accept other items by their policy"],
    [of("unknown"), "have not yet said what they hold"],
    [of("lost"), "were lost"],
    [offTime.map((peer) => shown(peer.name, 32)), "have another time than most"],
  ] as const;
  const said = clauses
    .filter(([names]) => names.length > 0)
    .map(([names, what]) => `${what}: ${names.join(", ")}`);
  said.push(...details.map(({ code, message }) => `${code}: ${shown(message, 300)}`));
  if (said.length > 0) return said.join("; ");
  return `${shown(name, 32)} is ${state}: it has not compared itself with anybody yet`;
}

/** Most agree on the time, and this one does not. */
function isOffTime({ reasons = [] }: Comparison): boolean {
  return reasons.includes("clocksDiffer");
}

function described(peer: Comparison, nowMs: number): string {
  const { verdict, reasons = [] } = peer;
  const compared = verdict === "unknown" && reasons.length > 0 ? "not compared" : verdictOf(peer, nowMs);
  return [compared, ...reasons].join(", ");
}

function verdictOf(peer: Comparison, nowMs: number): string {
  const { verdict, items = 0, itemsHere = 0, sinceMs = nowMs, sameAs } = peer;
  const forMs = formatDuration(Math.max(0, nowMs - sinceMs));
  const same = sameAs ? `; the same as ${sameAs.map((name) => shown(name, 32)).join(", ")}` : "";
  switch (verdict) {
    case "agrees":
      return "agrees";
    case "differs":
      return `differs for ${forMs}: ${numbers(items, itemsHere)}${same}`;
    case "differsByPolicy":
      return `differs by policy for ${forMs}: ${numbers(items, itemsHere)}${same}`;
    case "unknown":
      return "has not said yet what it holds";
    case "unreached":
      return `not reached${peer.reason ? `: ${shown(peer.reason, 120)}` : ""}`;
    case "lost":
      return `lost ${forMs} ago${peer.reason ? ` (${shown(peer.reason, 60)})` : ""}: nobody knows what it holds`;
  }
}

/** Counts cannot tell more than the least number of items in which two sets differ. */
function numbers(items: number, itemsHere: number): string {
  const least = Math.max(1, Math.abs(items - itemsHere));
  return `it holds ${counted(items, "item")}, here are ${itemsHere}, so they differ in ${least} or more`;
}

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
