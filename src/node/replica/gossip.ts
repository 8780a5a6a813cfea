import { packHex, unpackHex } from "../../core/buffers.js";
import { LIMITS } from "../../core/limits.js";
import type { GossipFigures, ReplicaContext } from "./context.js";
import { encodeBatch, encodedLength, type Item } from "./item.js";
import type { Link } from "./links.js";
import {
  BATCH_ID_BYTES,
  type BatchFrame,
  type BatchKind,
  batchFrame,
  encodeQuestion,
  packDigests,
  type Question,
  unpackDigests,
} from "./wire.js";

/** The part of a batch from which this node makes the batch again. */
interface Content {
  readonly kind: BatchKind;
  /** The digests of its items, 32 bytes each, which are held anyway; of a question the whole frame. */
  readonly bytes: Uint8Array;
  readonly keptAtMs: number;
  /** Numbers of the links on which it was given again. */
  readonly givenOn: Set<number>;
}

/** A batch that came, on its way through verification and commit. */
interface Arrived {
  readonly frame: BatchFrame;
  readonly from: Link;
}

/** A batch that was announced and has not come. */
interface Missing {
  /** The links that announced it, in order. */
  readonly links: Link[];
  readonly announcedAtMs: number;
  /** When the next of them is asked. */
  atMs: number;
}

/** Announcements are gathered for so long: each frame costs both ends 50 us, and the tree brings what they announce... */
const ANNOUNCE_MS = 250;
/** ... but while the tree changes, or is not known, some may miss a batch. */
const ANNOUNCE_SOON_MS = 30;
const TREE_SETTLES_MS = 5_000;
/** A peer that missed a batch gets later ones pushed for so long: by then its place in the tree is known to all. */
const GRAFT_MS = 5_000;
/** A batch announced and not pushed is asked for after this long at least... */
const REPAIR_MS_MIN = 150;
/** ... at most after this long, whatever delays members feign... */
const REPAIR_MS_MAX = 5_000;
/** ... and at least this long where the tree is settled: there a batch is late only because members are busy... */
const REPAIR_SETTLED_MS_MIN = 500;
/** ... and after so many commits: the members in front commit it before they push it. */
const REPAIR_COMMITS = 4;
/**
 * ... and after so many of the delays by which pushed batches came behind their announcement lately: members under load
 * are slow.
 */
const REPAIR_DELAYS = 3;
/** Nobody asks for a batch later: by then all links that announced it were asked in turn, or reconciliation brought it. */
const CONTENT_MS = 30_000;
/** A batch is not passed on if all of its items are known and older than this. */
const CURRENT_MS = 10_000;

/**
 * Gossip along a tree, with announcements beside it, as in Plumtree (Leitao et al. 2007): a batch is pushed along the links
 * of the tree and announced on the others; a batch that stays away after its announcement is asked for (`graft`), and its
 * link gets batches pushed for a while. Plumtree learns its tree from second copies, which breaks it where many publish at
 * once. Here all members know all links, so they compute one tree (Roster.judge); a second copy (`prune`) only ends what a
 * graft began. Where the roster is a sample, the tree is that of the beacons; where none is known, a batch is pushed on every
 * link.
 *
 * A batch is passed on unchanged, once what this node keeps of it is committed. Where all members are linked with each
 * other, the author pushes to all, and nobody passes on (protocol.md#gossip).
 */
export class Gossip {
  readonly figures: GossipFigures = {
    batchesReceived: 0,
    copiesReceived: 0,
    batchesSent: 0,
    itemsReceived: 0,
    itemsSent: 0,
    duplicates: 0,
    rejected: 0,
    repairs: 0,
  };
  /** Ids of batches that were received or sent lately, oldest first. */
  readonly #seen = new Set<string>();
  /** Contents of batches that were made or passed on here, for peers that missed them, oldest first. Bounded by time and bytes. */
  readonly #contents = new Map<string, Content>();
  #contentsBytes = 0;
  readonly #arrived = new Map<string, Arrived>();
  /** Verified, and not passed on before their commit. */
  #uncommitted: { readonly commit: number; readonly id: string }[] = [];
  readonly #missing = new Map<string, Missing>();
  /** When the first of them is due, or a little before. */
  #repairAtMs = Number.POSITIVE_INFINITY;
  /** Links with something to announce. */
  readonly #announcing = new Set<Link>();
  #announceAtMs = Number.POSITIVE_INFINITY;
  #outbox: Item[] = [];
  #outboxBytes = 0;
  #flushAtMs = Number.POSITIVE_INFINITY;
  #flushedAtMs = 0;
  /** How long commits take, a moving average. */
  #commitMs = 0;
  /** How long a batch comes after its announcement, when it was not first: a moving average. */
  #lateMs = 0;

  constructor(private readonly context: ReplicaContext) {}

  get wakeAtMs(): number {
    return Math.min(this.#announceAtMs, this.#flushAtMs, this.#repairAtMs);
  }

  /** Whether a batch was received or made here lately. */
  has(id: string): boolean {
    return this.#seen.has(id);
  }

  /** Hands out items that were posted here: at once when idle; under load together, up to 64 KiB or 2 ms. */
  publish(items: readonly Item[], nowMs: number): void {
    // A later peer gets them by reconciliation.
    if (this.context.links.count === 0) return;
    for (const item of items) {
      const bytes = encodedLength(item);
      if (this.#outboxBytes + bytes > LIMITS.batchBytesMax) this.flush(nowMs);
      this.#outbox.push(item);
      this.#outboxBytes += bytes;
    }
    const isIdle = nowMs - this.#flushedAtMs >= LIMITS.batchDelayMs;
    if (isIdle) this.flush(nowMs);
    else this.#flushAtMs = this.#flushedAtMs + LIMITS.batchDelayMs;
  }

  /** Sends what waits to be published. */
  flush(nowMs: number): void {
    this.#flushAtMs = Number.POSITIVE_INFINITY;
    if (this.#outbox.length === 0) return;
    const items = this.#outbox;
    this.#outbox = [];
    this.#outboxBytes = 0;
    this.#flushedAtMs = nowMs;
    this.figures.itemsSent += items.length;
    const frame = batchFrame("items", encodeBatch(items));
    this.#remember(frame.id);
    this.#keep(frame.id, { kind: "items", bytes: packDigests(items.map(({ digest }) => digest)) }, nowMs);
    this.#spread(frame, undefined, nowMs);
  }

  /** Puts a question to all, with the items that wait to be published: it may be about them. @returns the id of its batch */
  ask(question: Question, nowMs: number): string {
    this.flush(nowMs);
    const frame = batchFrame("question", encodeQuestion(question));
    this.#remember(frame.id);
    this.#keep(frame.id, frame, nowMs);
    this.#spread(frame, undefined, nowMs);
    return frame.id;
  }

  /** A batch came. The first copy is to be verified; a second one on a link outside of the tree is answered with `prune`. */
  arrived(link: Link, frame: BatchFrame, nowMs: number): void {
    this.figures.copiesReceived++;
    if (this.#seen.has(frame.id)) {
      if (link.isInTree === false) this.context.send(link, { t: "prune" });
      return;
    }
    this.figures.batchesReceived++;
    this.#remember(frame.id);
    const missing = this.#missing.get(frame.id);
    if (missing) this.#lateMs += (nowMs - missing.announcedAtMs - this.#lateMs) / 8;
    this.#missing.delete(frame.id);
    this.#arrived.set(frame.id, { frame, from: link });
    this.context.emit({ type: "verify", frame });
  }

  /** The link by which a batch came that is being verified. */
  sourceOf(id: string): Link | undefined {
    return this.#arrived.get(id)?.from;
  }

  /** A batch broke a rule, or could not be checked: it goes no further. */
  rejected(id: string): void {
    this.figures.rejected++;
    this.#arrived.delete(id);
  }

  /** The items of a batch are verified. They are passed on when they are committed. */
  verifiedItems(id: string, items: readonly Item[], nowMs: number): void {
    const arrived = this.#arrived.get(id);
    if (!arrived) return;
    const { commits } = this.context;
    const known = items.filter(({ digest }) => this.context.knows(digest)).length;
    // Some may be on their way to the disk already: they came by another way.
    const pending = items.map(({ digest }) => commits.byDigest(digest)?.commit ?? 0);
    this.figures.itemsReceived += items.length;
    this.figures.duplicates += known;
    const taken = this.context.take(items, "gossip", nowMs).commit;
    const commit = Math.max(taken, ...pending);
    const currentMs = this.context.clock.ms(nowMs) - CURRENT_MS;
    const isNews = known < items.length || items.some(({ timestampMs }) => timestampMs > currentMs);
    if (!isNews) {
      this.#arrived.delete(id);
      return;
    }
    this.#keep(id, { kind: "items", bytes: packDigests(items.map(({ digest }) => digest)) }, nowMs);
    if (commit > 0)
      this.#uncommitted.push({ commit: Math.max(commit, this.#uncommitted.at(-1)?.commit ?? 0), id });
    else this.#passOn(id, nowMs);
  }

  /** A question was read. @param isForeign it is not this node's own */
  verifiedQuestion(id: string, isForeign: boolean, nowMs: number): void {
    const arrived = this.#arrived.get(id);
    if (isForeign && arrived) {
      const { kind, bytes } = arrived.frame;
      // A copy: its bytes are a view of all that was read with them.
      this.#keep(id, { kind, bytes: Uint8Array.from(bytes) }, nowMs);
      this.#passOn(id, nowMs);
    } else this.#arrived.delete(id);
  }

  /** All commits up to and with this number are durable. @param tookMs the last of them */
  committed(commit: number, tookMs: number, nowMs: number): void {
    this.#commitMs += (tookMs - this.#commitMs) / 8;
    let count = 0;
    while (count < this.#uncommitted.length && this.#uncommitted[count]!.commit <= commit) count++;
    for (const { id } of this.#uncommitted.splice(0, count)) this.#passOn(id, nowMs);
  }

  /** A peer has these batches. */
  announced(link: Link, ids: Uint8Array, nowMs: number): void {
    for (const id of unpackHex(ids, BATCH_ID_BYTES)) {
      if (this.#seen.has(id)) continue;
      const missing = this.#missing.get(id);
      if (missing) {
        if (!missing.links.includes(link)) missing.links.push(link);
      } else if (this.#missing.size < LIMITS.announcedMax) this.#await(id, [link], nowMs, nowMs);
    }
  }

  /** A peer lacks a batch, and wants what comes next pushed. */
  grafted(link: Link, packedId: Uint8Array, nowMs: number): void {
    const [id] = unpackHex(packedId, BATCH_ID_BYTES);
    link.graftedUntilMs = nowMs + GRAFT_MS;
    link.isPruned = false;
    // It comes as soon as it is committed: the link is eager now.
    if (this.#arrived.has(id!)) return;
    // Where much waits already, reconciliation brings it, which asks for only so much at a time.
    // A link gets each batch again once: a graft of 30 bytes asks for as much as 1 MB.
    const givenOn = this.#contents.get(id!)?.givenOn;
    const frame = link.isQueueLong || givenOn?.has(link.number) ? undefined : this.#rebuild(id!);
    if (frame) givenOn?.add(link.number);
    this.context.send(link, frame ?? { t: "gone", id: packedId });
  }

  pruned(link: Link): void {
    link.graftedUntilMs = 0;
    link.isPruned = link.isInTree !== true;
  }

  /** The peer cannot give a batch again: the next one that announced it is asked, else reconciliation brings it. */
  gone(packedId: Uint8Array, nowMs: number): void {
    const [id] = unpackHex(packedId, BATCH_ID_BYTES);
    const missing = this.#missing.get(id!);
    if (missing) this.#repair(id!, missing, nowMs);
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#flushAtMs) this.flush(nowMs);
    if (nowMs >= this.#announceAtMs) this.#announce();
    if (nowMs >= this.#repairAtMs) this.#repairDue(nowMs);
    for (const [id, { keptAtMs }] of this.#contents) {
      if (nowMs - keptAtMs < CONTENT_MS) break;
      this.#drop(id);
    }
  }

  /** Members may not agree on the tree yet, or know none. */
  #isSettling(nowMs: number): boolean {
    return nowMs - this.context.treeChangedAtMs < TREE_SETTLES_MS;
  }

  #repairMs(nowMs: number): number {
    const wantedMs = Math.max(REPAIR_COMMITS * this.#commitMs, REPAIR_DELAYS * this.#lateMs);
    const leastMs = this.#isSettling(nowMs) ? REPAIR_MS_MIN : REPAIR_SETTLED_MS_MIN;
    return Math.min(Math.max(leastMs, wantedMs), REPAIR_MS_MAX);
  }

  #repairDue(nowMs: number): void {
    for (const [id, missing] of [...this.#missing])
      if (missing.atMs <= nowMs) this.#repair(id, missing, nowMs);
    this.#repairAtMs = Number.POSITIVE_INFINITY;
    for (const { atMs } of this.#missing.values()) this.#repairAtMs = Math.min(this.#repairAtMs, atMs);
  }

  /** Waits for a batch that was announced. */
  #await(id: string, links: Link[], announcedAtMs: number, nowMs: number): void {
    const atMs = nowMs + this.#repairMs(nowMs);
    this.#missing.set(id, { links, announcedAtMs, atMs });
    this.#repairAtMs = Math.min(this.#repairAtMs, atMs);
  }

  #repair(id: string, missing: Missing, nowMs: number): void {
    this.#missing.delete(id);
    const link = missing.links.find(({ state }) => state === "up");
    if (!link) return;
    this.figures.repairs++;
    this.context.send(link, { t: "graft", id: Buffer.from(id, "hex") });
    const links = missing.links.slice(missing.links.indexOf(link) + 1);
    const { announcedAtMs } = missing;
    if (links.length > 0)
      this.#missing.set(id, { links, announcedAtMs, atMs: nowMs + this.#repairMs(nowMs) });
  }

  #passOn(id: string, nowMs: number): void {
    const arrived = this.#arrived.get(id);
    this.#arrived.delete(id);
    if (arrived) this.#spread(arrived.frame, arrived.from, nowMs);
  }

  /**
   * Pushes a batch on eager links, and announces it on the others. @param from where it came from; absent: this node's
   * own
   */
  #spread(frame: BatchFrame, from: Link | undefined, nowMs: number): void {
    const { links, roster, send } = this.context;
    const announceMs = this.#isSettling(nowMs) ? ANNOUNCE_SOON_MS : ANNOUNCE_MS;
    const isAuthorOfMesh = from === undefined && roster.isMesh;
    for (const link of links.up()) {
      if (link === from || (frame.kind === "items" && !this.context.sharesItems(link))) continue;
      if ((isEager(link, nowMs) || isAuthorOfMesh) && !link.isQueueLong) {
        this.figures.batchesSent++;
        send(link, frame);
      } else {
        link.announcements.push(frame.id);
        this.#announcing.add(link);
        this.#announceAtMs = Math.min(this.#announceAtMs, nowMs + announceMs);
      }
    }
  }

  #announce(): void {
    this.#announceAtMs = Number.POSITIVE_INFINITY;
    for (const link of this.#announcing) {
      const ids = link.announcements.splice(0).slice(-LIMITS.announcedMax);
      if (link.state === "up") this.context.send(link, { t: "announce", ids: packHex(ids) });
    }
    this.#announcing.clear();
  }

  #remember(id: string): void {
    this.#seen.add(id);
    if (this.#seen.size > LIMITS.batchesSeenMax) this.#seen.delete(this.#seen.keys().next().value!);
  }

  #keep(id: string, { kind, bytes }: Pick<Content, "kind" | "bytes">, nowMs: number): void {
    // The id may have been forgotten, and the batch have come again.
    this.#drop(id);
    this.#contents.set(id, { kind, bytes, keptAtMs: nowMs, givenOn: new Set() });
    this.#contentsBytes += bytes.length;
    const { batchContentsBytesMax, batchesSeenMax } = LIMITS;
    for (const oldest of this.#contents.keys()) {
      if (this.#contentsBytes <= batchContentsBytesMax && this.#contents.size <= batchesSeenMax) return;
      this.#drop(oldest);
    }
  }

  #drop(id: string): void {
    this.#contentsBytes -= this.#contents.get(id)?.bytes.length ?? 0;
    this.#contents.delete(id);
  }

  /** Makes a batch again, byte for byte. @returns undefined when an item of it is not held */
  #rebuild(id: string): BatchFrame | undefined {
    const content = this.#contents.get(id);
    if (!content) return undefined;
    const { kind, bytes } = content;
    if (kind !== "items") return { t: "batch", id, kind, bytes };
    const items = unpackDigests(bytes).map((digest) => this.context.holdings.byDigest(digest));
    if (items.length === 0 || items.includes(undefined)) return undefined;
    const frame = batchFrame("items", encodeBatch(items as Item[]));
    return frame.id === id ? frame : undefined;
  }
}

function isEager({ isInTree, isPruned, graftedUntilMs }: Link, nowMs: number): boolean {
  return ((isInTree ?? true) && !isPruned) || nowMs < graftedUntilMs;
}
