import { HubcastError } from "../core/errors.js";
import { LIMITS } from "../core/limits.js";
import { Sketch } from "../node/negentropy/sketch.js";
import type { Item } from "../node/replica/item.js";
import { readDigestOf, zeroSum } from "../node/replica/item-set/sum.js";
import {
  BREACHES,
  type DisconnectReason,
  type PostOutcome,
  type Receipt,
  type ReplicaEffect,
} from "../node/replica/messages.js";
import { BATCH_ID_BYTES, type Frame } from "../node/replica/wire.js";
import type { Process } from "./host.js";
import type { Known } from "./known.js";
import type { Side, VirtualLink } from "./link.js";
import type { SimulationOptions } from "./options.js";

/** How long after its expiry an item may still be held: until the next wake-up. */
const EXPIRY_GRACE_MS = 1_000;
/** A shorter retention leaves no window to compare. */
const WINDOW_RETENTION_MS_MIN = 5_000;
/** The shortest time between two links that a full node releases for newcomers. */
const RELEASE_MS = 1_000;
/** Limits of one process on dials to one address, whichever peer named it and however often it fails. */
const DIALS_AT_ONCE_MAX = 10;
const DIALS_PER_SECOND_MAX = 1.5;
/** A node asks for an announced batch within this time, and answers a request for one (`batch`, or `gone`). */
const GOSSIP_STEP_MS = 10_000;
/** Of sketches one in hundreds has too few cells, by chance. */
const SKETCHES_FAILED_MAX = 1;

/** The parts of the world that the rules read. */
interface CheckedWorld {
  readonly options: SimulationOptions;
  readonly known: Known;
  readonly nowMs: number;
  /** Whether it is small enough to inspect the whole state of each node. */
  readonly isSmall: boolean;
  /** Processes that run now, frozen ones too. */
  living(): readonly Process[];
  /** A node has told a client that it accepted an item. */
  accepted(item: Item): void;
}

/** The checker's record of one process. */
interface Watched {
  releasedAtMs: number;
  readonly dials: Map<string, number>;
  /** The incarnation of each member in its roster at the last check. */
  readonly incarnations: Map<string, number>;
  /** Batches that it has sent, received, or requested. */
  readonly batches: Set<string>;
  /** Steps that it has to take, by step and batch. */
  readonly gossipSteps: Map<string, GossipStep>;
}

type Commit = Extract<ReplicaEffect, { type: "commit" }>;

/** The next step of gossip about one batch: one end of a link has to request it, or to answer a request. */
interface GossipStep {
  readonly step: "ask" | "answer";
  readonly id: string;
  readonly link: VirtualLink;
  sinceMs: number;
}

/** The rules that hold at every instant, whatever the network does. A violation ends the simulation. */
export class Safety {
  /** The number of checks, so that a report shows that there were any. */
  checks = 0;
  readonly #watched = new WeakMap<Process, Watched>();

  constructor(private readonly world: CheckedWorld) {}

  /** Accepted items are valid, retained, and not from the future; removed items have expired. */
  committing(node: Process, { add: items, remove, posted }: Commit): void {
    this.#erases(node, remove);
    if (posted) this.#stamps(node);
    const { known, options } = this.world;
    this.checks++;
    const digests = new Set(items.map((item) => item.digest));
    if (digests.size < items.length) broken("takenOnce", node, "a commit has an item twice");
    for (const item of items) {
      if (!known.of(item).valid) broken("onlyValid", node, `took ${item.digest} with a bad signature`);
      if (item.timestampMs + options.retentionMs <= node.nowMs)
        broken("notExpired", node, `took ${item.digest} after its expiry`);
      if (item.timestampMs - node.nowMs > LIMITS.clockSkewMsMax)
        broken("notFuture", node, `took ${item.digest} from the future`);
    }
  }

  /** Items that an answer confirms are durable. */
  answering(node: Process, outcomes: readonly PostOutcome[]): void {
    for (const outcome of outcomes) {
      const { status, item } = outcome;
      if (outcome.status === "refused" && outcome.code === "clockSkew") this.#refusesForClock(node);
      if (status !== "refused") this.#mustKeep("answeredDurable", node, item);
      if (status === "accepted") this.world.accepted(item);
    }
  }

  /** Gossiped items are durable at their sender. */
  sending(node: Process, frame: Frame, on?: { readonly link: VirtualLink; readonly side: Side }): void {
    if (on) this.#gossips(node, frame, on.link, on.link.ends[on.side === 0 ? 1 : 0]);
    if (frame.t === "summary") this.#holdsWindow(node, frame.sinceMs);
    if (frame.t !== "batch" || frame.kind !== "items") return;
    for (const item of this.world.known.items(frame)) {
      // A node may pass on items that it does not keep.
      if (node.replica.holdings.has(item.digest)) this.#mustKeep("gossipedDurable", node, item);
      else if (node.replica.commits.has(item.digest))
        broken("gossipedDurable", node, `gossips ${item.digest} before it is kept`);
    }
  }

  /** A receipt is true: the disks of its holders have the item. */
  receipt(node: Process, digest: string, { holders, complete, of }: Receipt): void {
    this.checks++;
    const item = this.world.known.byDigest(digest)?.item;
    // The post was refused: no node ever held the item.
    if (!item) {
      if (holders.length > 0) broken("receiptTrue", node, `says that ${holders[0]!.id} holds ${digest}`);
      return;
    }
    for (const { id } of holders) {
      const holder = this.world.living().find((other) => other.id === id);
      if (holder) this.#mustKeep("receiptTrue", holder, item);
    }
    if (complete && (of === 0 || holders.length === 0)) broken("receiptTrue", node, "calls nobody complete");
  }

  /** All nodes of a world run the same code, so none may blame another for a protocol violation. */
  disconnecting(node: Process, peer: string, reason: DisconnectReason): void {
    this.checks++;
    if (BREACHES.has(reason)) broken("nobodyBlamed", node, `blamed ${peer} for ${reason}`);
    if (reason !== "released") return;
    const watched = this.#watch(node);
    const sinceMs = this.world.nowMs - watched.releasedAtMs;
    if (sinceMs < RELEASE_MS) broken("releasesBounded", node, `let ${peer} go ${sinceMs} ms after another`);
    watched.releasedAtMs = this.world.nowMs;
  }

  /** Dials to one address are bounded, whatever peers name. */
  dialling(node: Process, address: string): void {
    this.checks++;
    const { dials } = this.#watch(node);
    const count = (dials.get(address) ?? 0) + 1;
    dials.set(address, count);
    const seconds = (this.world.nowMs - node.startedAtMs) / 1_000;
    if (count > DIALS_AT_ONCE_MAX + seconds * DIALS_PER_SECOND_MAX)
      broken("dialsBounded", node, `has dialled ${address} ${count} times in ${seconds} s`);
  }

  /**
   * The compared window begins at the same instant on all nodes, and nothing of it expires within half a step at least,
   * one and a half at most (docs/protocol.md#rounds).
   */
  #holdsWindow(node: Process, sinceMs: number): void {
    const { retentionMs } = this.world.options;
    if (retentionMs < WINDOW_RETENTION_MS_MIN) return;
    this.checks++;
    const stepMs = Math.min(60_000, Math.max(1_000, Math.floor(retentionMs / 10_000) * 1_000));
    const guardMs = Math.max(stepMs / 2, 2_000);
    const expiresInMs = sinceMs + retentionMs - node.nowMs;
    if (sinceMs % stepMs !== 0 || expiresInMs <= guardMs || expiresInMs > guardMs + stepMs)
      broken("windowStands", node, `compares from ${sinceMs}, which expires in ${expiresInMs} ms`);
  }

  /** Checks the whole state of a node. Costs O(items). */
  inspect(node: Process): void {
    const { holdings, wants } = node.replica;
    const { retentionMs } = this.world.options;
    const items = [...holdings.set];
    this.checks += items.length;
    const smallest = new Map<string, Item>();
    let previous: Item | undefined;
    for (const item of items) {
      if (previous && !isBefore(previous, item)) broken("inOrder", node, "the set is out of order");
      previous = item;
      if (holdings.byDigest(item.digest) !== item)
        broken("indexed", node, `the index lacks ${item.digest} of the set`);
      const smaller = smallest.get(item.id);
      if (!smaller || isBefore(item, smaller)) smallest.set(item.id, item);
      if (!node.host.disk.has(item.digest))
        broken("heldDurable", node, `holds ${item.digest} and has not kept it`);
      if (item.timestampMs + retentionMs + EXPIRY_GRACE_MS < node.nowMs && !node.frozen)
        broken("expires", node, `still holds ${item.digest} after its expiry`);
    }
    for (const [id, item] of smallest)
      if (holdings.view.get(id) !== item)
        broken("smallestSeen", node, `shows another item than the smallest of ${id}`);
    if (holdings.view.size !== smallest.size || holdings.view.size + holdings.view.hidden !== items.length)
      broken("viewCounts", node, "visible and hidden items are not those held");
    this.#sketches(node, items);
    if (wants.size > LIMITS.wantsMax) broken("wantsBounded", node, `wants ${wants.size} items`);
    // Its own dials in progress add a few links for a moment.
    const linksMax = LIMITS.linksMax + LIMITS.linksWanted;
    if (node.replica.links.count > linksMax)
      broken("linksBounded", node, `has ${node.replica.links.count} links`);
    this.#matchesDisk(node);
    this.#hearsForward(node);
    this.#keepsGossipGoing(node);
  }

  /** The sketch of a node is that of its set, and sketches tell what differs: now and then one has too few cells. */
  #sketches(node: Process, items: readonly Item[]): void {
    const { sketch } = node.replica.holdings;
    const fresh = new Sketch();
    if (sketch) for (const item of items) fresh.add(readDigestOf(item, zeroSum()));
    if (sketch?.cells.some((word, at) => word !== fresh.cells[at]))
      broken("sketched", node, "the sketch is not that of the set");
    const { roundsBySketch, sketchesFailed } = node.replica.figures;
    if (sketchesFailed > SKETCHES_FAILED_MAX + roundsBySketch / 4)
      broken("sketchesTell", node, `${sketchesFailed} sketches told nothing, ${roundsBySketch} what differs`);
  }

  /** Records which nodes have a batch, and the step that an announcement or a graft requires. */
  #gossips(node: Process, frame: Frame, link: VirtualLink, peer: Process): void {
    if (!this.world.isSmall) return;
    const [own, theirs] = [this.#watch(node), this.#watch(peer)];
    const addStep = (watched: Watched, step: GossipStep["step"], id: string) =>
      watched.gossipSteps.set(`${step} ${id}`, { step, id, link, sinceMs: this.world.nowMs });
    switch (frame.t) {
      case "batch":
        own.batches.add(frame.id);
        theirs.batches.add(frame.id);
        own.gossipSteps.delete(`answer ${frame.id}`);
        break;
      case "announce":
        for (let at = 0; at < frame.ids.length; at += BATCH_ID_BYTES) {
          const id = hexOf(frame.ids.subarray(at, at + BATCH_ID_BYTES));
          if (!theirs.batches.has(id)) addStep(theirs, "ask", id);
        }
        break;
      case "graft":
        own.batches.add(hexOf(frame.id));
        addStep(theirs, "answer", hexOf(frame.id));
        break;
      case "gone":
        own.gossipSteps.delete(`answer ${hexOf(frame.id)}`);
        break;
    }
  }

  /** Over sound links no step of gossip is omitted. */
  #keepsGossipGoing(node: Process): void {
    const { batches, gossipSteps } = this.#watch(node);
    for (const [key, pending] of gossipSteps) {
      this.checks++;
      const { step, id, link, sinceMs } = pending;
      if (!link.open[0] || !link.open[1] || (step === "ask" && batches.has(id))) gossipSteps.delete(key);
      // Two nodes that forward the same records make the same batch.
      else if (step === "ask" && node.replica.hasBatch(id)) gossipSteps.delete(key);
      else if (!link.isSound || node.frozen || link.ends.some(({ frozen }) => frozen))
        pending.sinceMs = this.world.nowMs;
      else if (this.world.nowMs - sinceMs > GOSSIP_STEP_MS)
        broken(
          "gossipGoesOn",
          node,
          step === "ask"
            ? `never asks for batch ${id}, announced to it`
            : `does not answer who asked for batch ${id}`,
        );
    }
  }

  /** A roster never returns to an older record, also when a peer sends one again. */
  #hearsForward(node: Process): void {
    const { roster } = node.replica;
    // A member that was dropped from a sample may return with an older record.
    if (roster.isSample) return;
    const { incarnations } = this.#watch(node);
    for (const { record } of roster.all()) {
      this.checks++;
      const before = incarnations.get(record.hash) ?? 0;
      if (record.incarnation < before) broken("recordsNewest", node, `took an older record of ${record.id}`);
      incarnations.set(record.hash, record.incarnation);
    }
  }

  /** Durable items are held until they expire; then they leave the disk, too. */
  #matchesDisk(node: Process): void {
    const { replica, host } = node;
    const { options } = this.world;
    const { retentionMs } = options;
    for (const item of host.disk.items()) {
      const expiredForMs = node.nowMs - item.timestampMs - retentionMs;
      const isExpired = expiredForMs >= 0;
      const upForMs = this.world.nowMs - node.startedAtMs;
      // Items that expired while the node was down stay, hidden, until its clock has stood.
      const hasStood =
        expiredForMs + EXPIRY_GRACE_MS < upForMs || upForMs > LIMITS.clockHoldMs + EXPIRY_GRACE_MS;
      if (
        options.clocks === 0 &&
        expiredForMs > EXPIRY_GRACE_MS &&
        hasStood &&
        !node.frozen &&
        !host.disk.isStuck(item.digest)
      )
        broken("expiryDurable", node, `keeps ${item.digest} on its disk after its expiry`);
      if (!isExpired && !replica.holdings.has(item.digest) && !replica.commits.has(item.digest))
        broken("neverLost", node, `lost ${item.digest}, which it keeps`);
      if (
        this.#mustShow(node, item) &&
        !replica.holdings.has(item.digest) &&
        !replica.commits.has(item.digest)
      )
        broken("jumpHidesNothing", node, `hides ${item.digest}, and its clock has only jumped`);
    }
  }

  /** Whether the item is retained by true time, and the process has known the true time since its start. */
  #mustShow({ host, machineMs }: Process, { timestampMs }: Item): boolean {
    const { nowMs, options } = this.world;
    const isSoon = nowMs - host.clockSetAtMs < LIMITS.clockHoldMs;
    const startedRight = Math.abs(machineMs - nowMs) <= LIMITS.clockSkewMsMax / 2;
    return isSoon && startedRight && timestampMs + options.retentionMs - nowMs > LIMITS.clockSkewMsMax;
  }

  /** A clock that was set wrong erases nothing until it has stood for `clockHoldMs`. */
  #erases(node: Process, items: readonly Item[]): void {
    const wrongForMs = this.world.nowMs - Math.max(node.host.clockSetAtMs, node.startedAtMs);
    if (wrongForMs >= LIMITS.clockHoldMs) return;
    for (const { timestampMs, digest } of items) {
      this.checks++;
      const leftMs = timestampMs + this.world.options.retentionMs - this.world.nowMs;
      if (leftMs > LIMITS.clockSkewMsMax)
        broken("clockErasesNothing", node, `erases ${digest} ${leftMs} ms too early`);
    }
  }

  /** A node with a right clock that knows a majority of right clocks does not refuse posts. */
  #refusesForClock(node: Process): void {
    this.checks++;
    const { own, right, known } = this.#clocksAround(node);
    if (own && 2 * (right + 1) > known + 1)
      broken(
        "rightClockTakes",
        node,
        `refuses posts, and its clock and ${right} of ${known} others are right`,
      );
  }

  /** A node with a wrong clock that knows a majority of right clocks accepts no posts. */
  #stamps(node: Process): void {
    this.checks++;
    const { own, right, known } = this.#clocksAround(node);
    if (!own && 2 * right > known + 1)
      broken(
        "wrongClockRefuses",
        node,
        `takes posts, its clock is wrong and ${right} of ${known} others are right`,
      );
  }

  /** Whether a node's clock is right, and how many of its peers' are, as far as it was told. */
  #clocksAround({ replica, machineMs }: Process): { own: boolean; right: number; known: number } {
    const isRight = (clockMs: number) => Math.abs(clockMs - this.world.nowMs) <= LIMITS.clockSkewMsMax / 2;
    const told = Array.from(replica.links.up()).flatMap(({ clockOffsetMs }) => clockOffsetMs ?? []);
    return {
      own: isRight(replica.clock.ownMs(machineMs)),
      right: told.filter((offsetMs) => isRight(machineMs + offsetMs)).length,
      known: told.length,
    };
  }

  #watch(node: Process): Watched {
    let watched = this.#watched.get(node);
    if (!watched) {
      watched = {
        releasedAtMs: Number.NEGATIVE_INFINITY,
        dials: new Map(),
        incarnations: new Map(),
        batches: new Set(),
        gossipSteps: new Map(),
      };
      this.#watched.set(node, watched);
    }
    return watched;
  }

  #mustKeep(rule: string, node: Process, item: Item): void {
    this.checks++;
    const isExpired = item.timestampMs + this.world.options.retentionMs <= node.nowMs;
    if (!isExpired && !node.host.disk.has(item.digest))
      broken(rule, node, `spoke of ${item.digest} before it was kept`);
  }
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** The order of the replicated set, written down once more: by timestamp, then by the bytes of the digest. */
function isBefore(a: Item, b: Item): boolean {
  const digests = () => Buffer.compare(Buffer.from(a.digest, "hex"), Buffer.from(b.digest, "hex"));
  return a.timestampMs < b.timestampMs || (a.timestampMs === b.timestampMs && digests() < 0);
}

export function broken(rule: string, node: Process, what: string): never {
  throw new HubcastError("ruleBroken", `rule ${rule}: ${node.id} ${what}`);
}
