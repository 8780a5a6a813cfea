import { counted } from "../core/text.js";
import type { EventRow, HubRow, NodeRow, Snapshot } from "./snapshot.js";

type Happening = Pick<EventRow, "tone" | "text">;

/** What happened between two looks, as a person would say it. */
export function happenings(
  before: Pick<Snapshot, "nodes" | "hubs">,
  after: Pick<Snapshot, "nodes" | "hubs">,
): readonly Happening[] {
  return [
    ...pairs(before.nodes, after.nodes).flatMap(([old, now]) => ofNode(old, now)),
    ...pairs(before.hubs, after.hubs).flatMap(([old, now]) => ofHub(old, now)),
  ];
}

function ofNode(old: NodeRow | undefined, now: NodeRow | undefined): Happening[] {
  if (!now) return [{ tone: "bad", text: `node ${old!.name} is gone` }];
  const happened: Happening[] = [];
  if (old?.state !== now.state) {
    const tone = ["ready", "connected"].includes(now.state) ? "good" : isLoss(now) ? "bad" : "plain";
    const detail = now.detail ? ` (${now.detail})` : "";
    happened.push({ tone, text: `node ${now.name} is ${now.state}${detail}` });
  }
  if (old && old.agreement !== now.agreement && !isLoss(now)) {
    if (now.agreement === "differs") happened.push({ tone: "bad", text: `the set of ${now.name} differs` });
    if (now.agreement === "agrees") happened.push({ tone: "good", text: `the set of ${now.name} agrees` });
  }
  const more = (now.hidden ?? 0) - (old?.hidden ?? now.hidden ?? 0);
  if (more > 0) {
    const items = more === 1 ? "an item is" : `${more} items are`;
    happened.push({
      tone: "plain",
      text: `node ${now.name}: ${items} hidden now, behind one of the same id that was stamped earlier`,
    });
  }
  return happened;
}

function isLoss({ state }: NodeRow): boolean {
  return ["lost", "left", "unreachable", "notHubcast", "unauthorized"].includes(state);
}

function ofHub(old: HubRow | undefined, now: HubRow | undefined): Happening[] {
  if (!now) return [{ tone: "bad", text: `hub ${old!.name} is gone` }];
  const happened: Happening[] = [];
  if (old?.state !== now.state) {
    happened.push({
      tone: now.state === "ready" ? "good" : "plain",
      text: `hub ${now.name} is ${now.state}`,
    });
  }
  if (!old?.closed) return happened;
  for (const [reason, times] of Object.entries(now.closed ?? {})) {
    const more = times - (old.closed[reason] ?? 0);
    if (more <= 0) continue;
    const tone = reason === "clientClosed" || reason === "stopping" ? "plain" : "bad";
    happened.push({
      tone,
      text: `hub ${now.name}: ${counted(more, "client")} closed, ${reason}`,
    });
  }
  return happened;
}

function pairs<Row extends { readonly key: string }>(
  before: readonly Row[],
  after: readonly Row[],
): [Row | undefined, Row | undefined][] {
  const old = new Map(before.map((row) => [row.key, row]));
  const both = after.map((row): [Row | undefined, Row | undefined] => [old.get(row.key), row]);
  for (const { key } of after) old.delete(key);
  return [...both, ...[...old.values()].map((row): [Row, undefined] => [row, undefined])];
}
