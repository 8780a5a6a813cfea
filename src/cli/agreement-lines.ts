import { counted } from "../core/text.js";
import { formatDuration } from "../core/units.js";
import type { Agreement, Comparison } from "./agreement.js";
import { shown } from "./text.js";

/** The agreement for people: a line on the node that was asked, and one on each of its peers. @param nowMs epoch ms */
export function agreementLines(agreement: Agreement, nowMs: number): readonly string[] {
  const { name, items, peers } = agreement;
  const width = Math.max(...[name, ...peers.map((peer) => peer.name)].map((text) => shown(text, 32).length));
  const line = (who: string, what: string) => `${shown(who, 32).padEnd(width)}  ${what}`;
  return [
    line(name, `holds ${counted(items, "item")}`),
    ...peers.map((peer) => line(peer.name, described(peer, nowMs))),
  ];
}

/** Why there is no agreement, in one sentence. */
export function disagreementOf({ name, state, peers }: Agreement): string {
  const of = (...verdicts: Comparison["verdict"][]) =>
    peers.filter(({ verdict }) => verdicts.includes(verdict)).map((peer) => shown(peer.name, 32));
  const clauses = [
    [of("differs"), `hold another set than ${shown(name, 32)}`],
    [of("differsByPolicy"), "accept other items by their policy"],
    [of("unknown"), "have not yet said what they hold"],
    [of("lost"), "were lost"],
  ] as const;
  const said = clauses
    .filter(([names]) => names.length > 0)
    .map(([names, what]) => `${what}: ${names.join(", ")}`);
  if (said.length > 0) return said.join("; ");
  return `${shown(name, 32)} is ${state}: it has not compared itself with anybody yet`;
}

function described(peer: Comparison, nowMs: number): string {
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
    case "lost":
      return `lost ${forMs} ago${peer.reason ? ` (${shown(peer.reason, 60)})` : ""}: nobody knows what it holds`;
  }
}

/** Counts cannot tell more than the least number of items in which two sets differ. */
function numbers(items: number, itemsHere: number): string {
  const least = Math.max(1, Math.abs(items - itemsHere));
  return `it holds ${counted(items, "item")}, here are ${itemsHere}, so they differ in ${least} or more`;
}
