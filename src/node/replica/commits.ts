import { encodedLength, type Item } from "./item.js";
import type { PostedReceipt, PostOutcome } from "./messages.js";

/** Where a pending item came from, which decides what happens once it is durable. */
export type Origin = "post" | "gossip" | "sync";

interface PendingItem {
  readonly item: Item;
  /** Of its canonical encoding. */
  readonly bytes: number;
  readonly origin: Origin;
  readonly commit: number;
}

interface Waiting<T> {
  readonly commit: number;
  readonly value: T;
}

export interface Answer {
  readonly request: number;
  readonly outcomes: readonly PostOutcome[];
  readonly receipts?: readonly PostedReceipt[] | undefined;
}

/**
 * Items on their way to the storage, and who waits for them. An accepted item is pending until its commit is
 * durable; only then is it held, gossiped, answered. Answers that rest on a pending item (`held`, `conflict`) wait
 * for that item's commit too.
 */
export class Commits {
  readonly #byDigest = new Map<string, PendingItem>();
  /** The pending items of an id, in order of arrival: nearly always one. */
  readonly #byId = new Map<string, PendingItem | PendingItem[]>();
  #answers: Waiting<Answer>[] = [];
  readonly #messages: Waiting<number>[] = [];
  #added: Item[] = [];
  #next = 1;
  #bytes = 0;

  get size(): number {
    return this.#byDigest.size;
  }

  /** Bytes of the canonical encodings of all pending items. */
  get bytes(): number {
    return this.#bytes;
  }

  has(digest: string): boolean {
    return this.#byDigest.size > 0 && this.#byDigest.has(digest);
  }

  byDigest(digest: string): PendingItem | undefined {
    return this.#byDigest.get(digest);
  }

  /** The first pending item of an id. */
  byId(id: string): PendingItem | undefined {
    const found = this.#byId.get(id);
    return Array.isArray(found) ? found[0] : found;
  }

  /** Items added since the last commit began. */
  get added(): readonly Item[] {
    return this.#added;
  }

  /** Begins a commit of what was added. @returns its number */
  begin(): number {
    this.#added = [];
    return this.#next++;
  }

  /** Makes an item pending, as part of the commit that begins next. @param item one that is not pending */
  add(item: Item, origin: Origin): void {
    const pending = { item, bytes: encodedLength(item), origin, commit: this.#next };
    this.#added.push(item);
    this.#byDigest.set(item.digest, pending);
    this.#bytes += pending.bytes;
    const others = this.#byId.get(item.id);
    if (others === undefined) this.#byId.set(item.id, pending);
    else if (Array.isArray(others)) others.push(pending);
    else this.#byId.set(item.id, [others, pending]);
  }

  /** Holds back an answer until a commit is durable. */
  answerAfter(commit: number, answer: Answer): void {
    enqueue(this.#answers, commit, answer);
  }

  /** Holds back the verdict on a gossip message until a commit is durable. */
  settleAfter(commit: number, message: number): void {
    enqueue(this.#messages, commit, message);
  }

  /** Changes outcomes of answers that still wait. */
  revise(change: (outcome: PostOutcome) => PostOutcome): void {
    this.#answers = this.#answers.map(({ commit, value }) => ({
      commit,
      value: { ...value, outcomes: value.outcomes.map(change) },
    }));
  }

  /** Takes out what was waiting for commits up to and with this number, oldest first. */
  ended(commit: number): { items: PendingItem[]; answers: Answer[]; messages: number[] } {
    const items: PendingItem[] = [];
    // Insertion order is commit order, so the settled ones are at the front.
    for (const pending of this.#byDigest.values()) {
      if (pending.commit > commit) break;
      items.push(pending);
    }
    for (const pending of items) this.#forget(pending);
    return {
      items,
      answers: takeSettled(this.#answers, commit),
      messages: takeSettled(this.#messages, commit),
    };
  }

  #forget({ item, bytes }: PendingItem): void {
    this.#byDigest.delete(item.digest);
    this.#bytes -= bytes;
    const those = this.#byId.get(item.id);
    if (Array.isArray(those) && those.length > 1) those.shift();
    else this.#byId.delete(item.id);
  }
}

/** Keeps the queue in commit order: no entry is settled before its predecessor. */
function enqueue<T>(queue: Waiting<T>[], commit: number, value: T): void {
  queue.push({ commit: Math.max(commit, queue.at(-1)?.commit ?? 0), value });
}

function takeSettled<T>(queue: Waiting<T>[], commit: number): T[] {
  const open = queue.findIndex((waiting) => waiting.commit > commit);
  return queue.splice(0, open === -1 ? queue.length : open).map(({ value }) => value);
}
