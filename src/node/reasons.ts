import { ERRORS } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { counted } from "../core/text.js";
import { formatDuration } from "../core/units.js";
import { REASONS, type Reason, type ReasonDetail } from "./broadcast.js";
import type { Cluster } from "./cluster/port.js";
import type { Committer } from "./committer.js";
import type { LogPublisher } from "./log-publisher.js";
import type { TrustPolicy } from "./replica/policy.js";
import type { Replica } from "./replica/replica.js";
import { isTwin, type Member } from "./replica/roster.js";

/** Reasons about time. */
export const CLOCK_REASONS: ReadonlySet<Reason> = new Set([
  "clockSkew",
  "clocksDiffer",
  "clockJumped",
  "itemsAhead",
]);

/** The parts of a node that tell how it is. */
export interface NodeParts {
  readonly options: { readonly peers: readonly string[]; readonly retentionMs: number };
  readonly name: string;
  readonly policy: TrustPolicy;
  readonly replica: Replica;
  readonly cluster: Cluster;
  readonly committer: Committer | undefined;
  readonly publisher: LogPublisher | undefined;
}

/** Of one reason at most so many nodes are told of; the list of peers has all. */
const NODES_PER_REASON_MAX = 16;

const ADVICE: Readonly<Record<Reason, string>> = {
  clockSkew: "Set the clock of this machine by NTP: timedatectl set-ntp true.",
  clocksDiffer: "Set the clocks of all by NTP: timedatectl set-ntp true.",
  clockJumped: "Nothing, if the new time is right; else set the clock back: timedatectl set-ntp true.",
  itemsAhead: "Wait, or post them again under new ids.",
  noPeer: "Check the addresses given with --peer, and that their nodes run and let TCP through.",
  twin: "Stop one of the two: the data directory was copied. Then delete node.key in the copy.",
  retentionDiffers: "Start all with the same --retention.",
  policyDiffers: "Start all with the same --require and --trust.",
  versionDiffers: "Bring all to one version.",
  clusterKeyDiffers: "Give all the same file with --cluster-key-file, or start one with another --cluster.",
  nodeFull: "Wait until items expire, or start it with higher limits.",
  storageFailed: "Free space on the disk of --data-dir.",
  itemsLeftOut: "Connect it to a node that holds them, and look at the disk.",
  natsAway: "Start the NATS server again, or look at the network to it.",
  natsFull: "Wait until items expire, or give the stream more room.",
};

/** Everything that makes a node less than ready, and every way in which others differ from it. */
export function reasonsOf(node: NodeParts, nowMs: number): readonly ReasonDetail[] {
  const { replica, committer, publisher, options } = node;
  const isUnlinked = options.peers.length > 0 && replica.links.count === 0 && !replica.starting;
  return [
    ...ofClock(node, nowMs),
    ...(isUnlinked ? [noPeer(node)] : []),
    ...ownTwin(node, nowMs),
    ...ofMembers(node, nowMs),
    ...ofStrangers(node),
    ...(replica.isFull() ? [detail("nodeFull")] : []),
    ...(committer?.isFailing ? [detail("storageFailed")] : []),
    // A round with a peer brings back what the peer holds.
    ...(committer?.leftOut && replica.figures.rounds === 0 ? [detail("itemsLeftOut")] : []),
    ...(publisher?.awayReason ? [detail("natsAway", publisher.awayReason)] : []),
    ...(publisher?.isFull ? [detail("natsFull")] : []),
  ];
}

/** In what a member that is there differs from this node. */
export function reasonsOfMember(
  member: Member,
  node: Pick<NodeParts, "options" | "policy" | "replica">,
  nowMs: number,
): Reason[] {
  const { state, record } = member;
  if (state !== "alive") return [];
  const { replica } = node;
  return [
    ...(isClockApart(record.id, replica) ? (["clocksDiffer"] as const) : []),
    ...(record.ahead ? (["itemsAhead"] as const) : []),
    ...(isTwin(member, nowMs) ? (["twin"] as const) : []),
    ...(record.retentionMs !== node.options.retentionMs ? (["retentionDiffers"] as const) : []),
    ...(record.policy !== node.policy.text ? (["policyDiffers"] as const) : []),
  ];
}

/** Whether the clock of a member is known to be too far off this node's. */
export function isClockApart(id: string, replica: Replica): boolean {
  return Math.abs(replica.clockAheadMs(id)) > LIMITS.clockSkewMsMax;
}

/** Faults of the node's own clock, now or when items were stamped. */
function ofClock({ replica, name }: NodeParts, nowMs: number): readonly ReasonDetail[] {
  const { clock } = replica;
  const ahead = replica.aheadCount(nowMs);
  return [
    ...(clock.verdict === "skewed"
      ? [detail("clockSkew", `the clock of ${name} is ${apart(clock.skewMs)} that of a majority`)]
      : []),
    ...(clock.jumpMs !== 0
      ? [
          detail(
            "clockJumped",
            `the wall clock of ${name} is ${apart(clock.jumpMs)} the time that it goes by`,
          ),
        ]
      : []),
    ...(ahead > 0 ? [detail("itemsAhead", `${name} ${holdsAhead(ahead)}`)] : []),
  ];
}

function holdsAhead(count: number): string {
  return `holds ${counted(count, "item")} stamped ahead`;
}

/** `1h ahead of` */
function apart(aheadMs: number): string {
  return `${formatDuration(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"}`;
}

function noPeer({ replica }: NodeParts): ReasonDetail {
  const said = replica.membership.unreached().map(({ reason }) => reason);
  const [first, ...rest] = [...new Set(said)];
  if (first === undefined) return detail("noPeer");
  const more = rest.length > 0 ? `, and ${rest.length} more` : "";
  return detail("noPeer", `no peer is reached: ${first}${more}`);
}

/** Heard of through others, which pass on records of both. */
function ownTwin({ replica, name, cluster }: NodeParts, nowMs: number): ReasonDetail[] {
  const twin = replica.membership.twin(nowMs);
  if (!twin) return [];
  const place = twin.record.addresses[0] ?? "an unknown address";
  const message = `another process runs with the identity of ${name}: ${twin.record.name} at ${place}`;
  return [detail("twin", message, { id: cluster.id, name: twin.record.name })];
}

function ofStrangers({ replica, name: self }: NodeParts): ReasonDetail[] {
  const details = [...replica.membership.strangers].flatMap(({ id, name, address, code, reason }) => {
    if (!code) return [];
    const message =
      code === "twin"
        ? `another process runs with the identity of ${self}: ${name} at ${address}`
        : `${name} at ${address} ${reason}`;
    return [detail(code, message, { id, name })];
  });
  return REASONS.flatMap((reason) =>
    details.filter(({ code }) => code === reason).slice(0, NODES_PER_REASON_MAX),
  );
}

function ofMembers(node: NodeParts, nowMs: number): ReasonDetail[] {
  const found = new Map<Reason, ReasonDetail[]>();
  for (const member of node.replica.roster.all()) {
    for (const code of reasonsOfMember(member, node, nowMs)) {
      // Where there is a majority, only the node that it contradicts is to blame.
      if (code === "clocksDiffer" && node.replica.clock.verdict !== "differs") continue;
      const details = found.get(code) ?? [];
      found.set(code, details);
      const { id, name } = member.record;
      if (details.length < NODES_PER_REASON_MAX)
        details.push(detail(code, messageOf(code, member, node), { id, name }));
    }
  }
  return REASONS.flatMap((code) => found.get(code) ?? []);
}

function messageOf(code: Reason, { record }: Member, { options, name, replica }: NodeParts): string {
  switch (code) {
    case "retentionDiffers": {
      const [theirs, ours] = [record.retentionMs, options.retentionMs].map(formatDuration);
      return `${record.name} keeps items for ${theirs}, ${name} for ${ours}: they exchange none`;
    }
    case "clocksDiffer":
      return `the clock of ${record.name} is ${apart(replica.clockAheadMs(record.id))} that of ${name}, and no majority says which is right`;
    case "itemsAhead":
      return `${record.name} ${holdsAhead(record.ahead ?? 0)}`;
    case "twin":
      return `two processes run with the identity of ${record.name}`;
    case "policyDiffers":
      return `${record.name} accepts other schemes or keys than ${name}`;
    default:
      return ERRORS[code].meaning;
  }
}

function detail(
  code: Reason,
  message: string = ERRORS[code].meaning.replace(/\.$/, ""),
  peer?: ReasonDetail["peer"],
): ReasonDetail {
  return { code, message, advice: ADVICE[code], ...(peer && { peer }) };
}
