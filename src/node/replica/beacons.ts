import type { ReplicaContext } from "./context.js";
import type { Link } from "./links.js";
import { memberHash } from "./member.js";
import type { BeaconFrame } from "./wire.js";

/** The root sends a beacon this often: a part of the tree that was cut off comes back with the next one... */
const BEACON_MS = 10_000;
/** ... after so long without one there is no root, and no tree... */
const BEACON_LOST_MS = 2.5 * BEACON_MS;
/** ... and no more are passed on than this, whoever makes them. */
const BEACON_MS_MIN = 1_000;
/** Greater than all hashes. */
const NO_ROOT = "~";

/**
 * The tree of gossip where the roster is a sample, in which no member knows the links of all: the member with the smallest
 * hash sends a beacon, which each member passes on once on every link. The link by which a member has it first leads to the
 * root; a link on which both ends had it already is outside of the tree. The tree has one teacher, so it does not fall
 * apart as one does that batches of many authors teach (docs/protocol.md#gossip).
 */
export class Beacons {
  #isSample = false;
  #last: BeaconFrame | undefined;
  /** When it came, or was sent, epoch ms. */
  #atMs = Number.NEGATIVE_INFINITY;
  /** Leads to the root; absent at the root. */
  #parent: Link | undefined;

  constructor(
    private readonly context: ReplicaContext,
    /** @param atMs the members may not agree on the tree for a while from then on */
    private readonly treeChanged: (atMs: number) => void,
  ) {}

  /** A beacon came. The first copy is passed on. */
  heard(link: Link, frame: BeaconFrame, nowMs: number): void {
    if (!this.#isSample) return;
    const { root, number } = this.#last ?? { root: NO_ROOT, number: 0 };
    const isNews = frame.root < root || (frame.root === root && frame.number > number);
    if (isNews && nowMs - this.#atMs >= BEACON_MS_MIN) this.#spread(frame, link, nowMs);
    else if (link !== this.#parent && frame.root === root && frame.number === number) link.isInTree = false;
  }

  /** The peer of a new link may lack the last beacon. */
  linkUp(link: Link): void {
    if (this.#last) this.context.send(link, this.#last);
  }

  linkDown(link: Link, nowMs: number): void {
    if (link !== this.#parent) return;
    this.#parent = undefined;
    this.treeChanged(nowMs);
  }

  tick(nowMs: number): void {
    const { roster, options } = this.context;
    const ageMs = nowMs - this.#atMs;
    if (this.#isSample !== roster.isSample || (this.#last && ageMs >= BEACON_LOST_MS)) {
      this.#isSample = roster.isSample;
      this.#last = undefined;
      this.#parent = undefined;
      for (const link of this.context.links.up()) link.isInTree = undefined;
      this.treeChanged(this.#isSample ? Number.POSITIVE_INFINITY : nowMs);
    }
    if (!this.#isSample || ageMs < BEACON_MS) return;
    const root = memberHash(options.id);
    if (root <= (this.#last?.root ?? NO_ROOT) && roster.isSmallest(root))
      this.#spread({ t: "beacon", root, number: nowMs }, undefined, nowMs);
  }

  /** All links are of the tree, until it shows that their ends had the beacon already. */
  #spread(frame: BeaconFrame, parent: Link | undefined, nowMs: number): void {
    if (!this.#last) this.treeChanged(nowMs);
    this.#last = frame;
    this.#atMs = nowMs;
    this.#parent = parent;
    for (const link of this.context.links.up()) {
      link.isInTree = true;
      if (link !== parent) this.context.send(link, frame);
    }
  }
}
