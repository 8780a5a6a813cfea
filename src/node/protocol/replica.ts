import type { Machine } from "../../core/machine.js";
import { refuseFromPeer, refusePosted } from "./admission.js";
import { Commits, type Origin } from "./commits.js";
import type { ReplicaContext, ReplicaFigures, ReplicaOptions } from "./context.js";
import { Holdings, startOf } from "./holdings.js";
import type { Item } from "./item.js";
import type { CommitRefusal, PostOutcome, ReplicaChange, ReplicaEffect, ReplicaInput } from "./messages.js";
import { PeerTable } from "./peer-table.js";
import { Receipts } from "./receipts.js";
import { Refusals } from "./refusals.js";
import { Sync } from "./sync.js";
import type { ViewChange } from "./view.js";
import { Wants } from "./wants.js";

/** Items removed in one step; the rest follow at once, in the next. */
const REMOVE_STEP = 1_000;

/**
 * One node's copy of the replicated set, as a machine: the union of all valid, unexpired items, which only grows
 * and expires, so that nodes that have seen the same items hold the same set. It takes in what is posted and what
 * peers bring, keeps the rules, and talks to peers until the sets are equal. The node runs it over sockets and a
 * disk, the simulator over a virtual network.
 */
export class Replica implements Machine<ReplicaInput, ReplicaEffect>, ReplicaContext {
  readonly holdings: Holdings;
  readonly commits = new Commits();
  readonly peers = new PeerTable();
  readonly wants = new Wants();
  readonly figures: ReplicaFigures = {
    posted: 0,
    rounds: 0,
    roundsFailed: 0,
    itemsReceivedBySync: 0,
    itemsSentBySync: 0,
    refused: 0,
  };
  starting = true;
  /** An item of a peer did not fit in. Until something expires none of its size will, and none is asked for. */
  #lacksRoom = false;
  readonly #refusals = new Refusals();
  readonly #receipts = new Receipts(this);
  readonly #sync = new Sync(this);
  #effects: ReplicaEffect[] = [];

  constructor(readonly options: ReplicaOptions) {
    const word = () => Math.floor(options.random() * 0x1_0000_0000);
    this.holdings = new Holdings([word(), word()]);
  }

  /** Takes over what the storage kept. @param items verified when they were stored */
  load(items: readonly Item[]): void {
    for (const item of items) if (!this.holdings.has(item.digest)) this.holdings.add(item);
  }

  get wakeAtMs(): number {
    const oldest = this.holdings.set.first();
    const expiresAtMs = oldest ? oldest.timestampMs + this.options.retentionMs : Number.POSITIVE_INFINITY;
    return Math.min(expiresAtMs, this.#sync.wakeAtMs);
  }

  handle(input: ReplicaInput, nowMs: number): readonly ReplicaEffect[] {
    this.#effects = [];
    switch (input.type) {
      case "posted":
        this.#post(input.request, input.items, nowMs);
        break;
      case "gossiped":
        this.#gossiped(input.message, input.items, nowMs);
        break;
      case "committed":
        this.#committed(input.commit);
        break;
      case "commitFailed":
        this.#commitFailed(input.commit, input.code ?? "storageFailed");
        break;
      case "receiptAsked":
        this.#receipts.ask(input.digest);
        break;
      case "policyChanged":
        this.#refusals.clear();
        this.#drop([...this.holdings.set.range(startOf(0))]);
        this.#sync.handle(input, nowMs);
        break;
      case "woke":
        this.#expire(nowMs);
        this.#refusals.forgetExpired(nowMs);
        this.#sync.handle(input, nowMs);
        break;
      default:
        this.#sync.handle(input, nowMs);
    }
    return this.#effects;
  }

  emit = (effect: ReplicaEffect): void => {
    this.#effects.push(effect);
  };

  knows = (digest: string): boolean =>
    this.holdings.has(digest) || this.commits.has(digest) || this.#refusals.has(digest);

  isFull(): boolean {
    const { itemsMax, itemBytesMax } = this.options;
    return (
      this.#lacksRoom ||
      this.holdings.size + this.commits.size >= itemsMax ||
      this.holdings.bytes + this.commits.bytes >= itemBytesMax
    );
  }

  /** A peer asks to be told when this node holds an item. */
  confirm(peer: string, digest: string): void {
    this.#receipts.asked(peer, digest);
  }

  take(items: readonly Item[], origin: Origin, nowMs: number): { fresh: number; commit: number } {
    let fresh = 0;
    for (const item of items) {
      if (this.knows(item.digest)) continue;
      const refusal = refuseFromPeer(this, item, nowMs);
      if (!refusal) {
        this.commits.add(item, origin);
        fresh++;
      } else {
        this.figures.refused++;
        if (refusal === "nodeFull") this.#lacksRoom = true;
        // Policy is for good; the clock and a full store may change.
        if (refusal === "refusedByPolicy")
          this.#refusals.add(item.digest, item.timestampMs + this.options.retentionMs);
      }
    }
    return { fresh, commit: this.#commit() };
  }

  #post(request: number, items: readonly Item[], nowMs: number): void {
    let restsOn = 0;
    const outcomes = items.map((item): PostOutcome => {
      const pending = this.commits.byId(item.id);
      const standing = this.holdings.view.get(item.id) ?? pending?.item;
      if (standing) {
        // The answer says that the item standing here is kept, so it waits until that is true.
        if (standing === pending?.item) restsOn = Math.max(restsOn, pending.commit);
        const same = standing.raw === item.raw && standing.signature === item.signature;
        return { status: same ? "held" : "conflict", item: standing };
      }
      const code = refusePosted(this, item, nowMs);
      if (code) return { status: "refused", code, item };
      this.commits.add(item, "post");
      return { status: "accepted", item };
    });
    const commit = Math.max(this.#commit([], true), restsOn);
    if (commit === 0) this.emit({ type: "answer", request, outcomes });
    else this.commits.answerAfter(commit, { request, outcomes });
  }

  #gossiped(message: number, items: readonly Item[], nowMs: number): void {
    const { fresh, commit } = this.take(items, "gossip", nowMs);
    if (fresh === 0) this.emit({ type: "judge", message, verdict: "ignore" });
    else this.commits.judgeAfter(commit, message);
  }

  /** Commits what was added since the last commit. @returns its number; 0 when that was nothing */
  #commit(remove: readonly Item[] = [], posted = false): number {
    const add = this.commits.added;
    if (add.length === 0 && remove.length === 0) return 0;
    const commit = this.commits.begin();
    this.emit({ type: "commit", commit, add, remove, posted });
    return commit;
  }

  #committed(commit: number): void {
    const { items, answers, messages } = this.commits.settle(commit);
    const changes: ReplicaChange[] = [];
    const publish: Item[] = [];
    for (const { item, origin } of items) {
      noteChange(changes, this.holdings.add(item));
      if (origin === "post") publish.push(item);
    }
    this.figures.posted += publish.length;
    for (const answer of answers) this.emit({ type: "answer", ...answer });
    if (publish.length > 0) this.emit({ type: "publish", items: publish });
    for (const message of messages) this.emit({ type: "judge", message, verdict: "accept" });
    if (changes.length > 0) this.emit({ type: "notify", changes });
    for (const { item } of items) this.#receipts.held(item.digest);
    if (items.some(({ origin }) => origin === "sync")) this.#sync.fetched();
    // The policy may have changed while they were on their way to the disk.
    if (this.options.policy.text !== "") this.#drop(items.map(({ item }) => item));
  }

  #commitFailed(commit: number, code: CommitRefusal): void {
    const { items, answers, messages } = this.commits.settle(commit);
    const lost = new Set(items.map(({ item }) => item));
    const revised = (outcome: PostOutcome): PostOutcome =>
      lost.has(outcome.item) ? { status: "refused", code, item: outcome.item } : outcome;
    for (const { request, outcomes } of answers)
      this.emit({ type: "answer", request, outcomes: outcomes.map(revised) });
    // What waits for a later commit may rest on this one, too.
    this.commits.revise(revised);
    for (const message of messages) this.emit({ type: "judge", message, verdict: "ignore" });
  }

  /** Gives up those that the policy does not accept, and refuses them from now on. */
  #drop(items: readonly Item[]): void {
    const { policy, retentionMs } = this.options;
    const refused = items.filter((item) => !policy.accepts(item));
    for (let start = 0; start < refused.length; start += REMOVE_STEP) {
      const remove = refused.slice(start, start + REMOVE_STEP);
      const changes: ReplicaChange[] = [];
      for (const item of remove) {
        noteChange(changes, this.holdings.remove(item));
        this.#refusals.add(item.digest, item.timestampMs + retentionMs);
      }
      this.#lacksRoom = false;
      this.#commit(remove);
      if (changes.length > 0) this.emit({ type: "notify", changes });
    }
  }

  #expire(nowMs: number): void {
    const remove: Item[] = [];
    const changes: ReplicaChange[] = [];
    while (remove.length < REMOVE_STEP) {
      const item = this.holdings.set.first();
      if (!item || item.timestampMs + this.options.retentionMs > nowMs) break;
      remove.push(item);
      noteChange(changes, this.holdings.remove(item));
    }
    if (remove.length === 0) return;
    this.#lacksRoom = false;
    this.#commit(remove);
    if (changes.length > 0) this.emit({ type: "notify", changes });
  }
}

/** Subscribers hear of what they can see: an item that comes or goes behind another is none of it. */
function noteChange(changes: ReplicaChange[], change: ViewChange): void {
  switch (change.type) {
    case "appeared":
      changes.push({ type: "item", item: change.item });
      break;
    case "replaced":
      changes.push(change);
      break;
    case "vanished":
      changes.push({ type: "expired", item: change.item });
      break;
    case "hidden":
      break;
  }
}
