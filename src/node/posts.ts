import { ERRORS, HubcastError } from "../core/errors.js";
import { PostGathering } from "../runtime/turns.js";
import type { BulkLine, PostResult } from "./broadcast.js";
import { uuidv7 } from "./ids.js";
import { SerialQueues } from "./replica/inbox.js";
import { type Item, type ItemDraft, itemFault, withDigest } from "./replica/item.js";
import type { PostOutcome, RefusalCode } from "./replica/messages.js";
import {
  integritySignature,
  isAuthored,
  normaliseSignature,
  schemeOf,
  verifySignature,
} from "./replica/signature.js";
import type { OpenReceipt, ReplicaShell } from "./replica-shell.js";

const NONE: ReadonlySet<Item> = new Set();

/** How far ahead of the node's clock it stamps what is posted in one moment: so many lines keep their order. */
const STAMP_AHEAD_MS_MAX = 1_000;

interface GatheredPost {
  readonly item: Item;
  readonly receipt: OpenReceipt | undefined;
}

/** Makes items of drafts, has them verified, and hands them to the replica. */
export class Posts {
  readonly #queues = new SerialQueues();
  #stampedMs = 0;
  readonly #gathering: PostGathering<GatheredPost, PostOutcome>;

  constructor(private readonly shell: ReplicaShell) {
    this.#gathering = new PostGathering((posts) =>
      shell.submit(
        posts.map(({ item }) => item),
        posts.map(({ receipt }) => receipt),
      ),
    );
  }

  /** @param receipt asked for when the item is durable @throws invalidItem, or the error that refuses the item */
  async accept(draft: ItemDraft, receipt?: OpenReceipt): Promise<Omit<PostResult, "visible">> {
    const item = completeDraft(draft, this.#stampMs(this.shell.clockMs()));
    if (isAuthored(item.signature) && (await this.#unproven([item])).size > 0) throw notSigned();
    return resultOf(await this.#gathering.add({ item, receipt }));
  }

  async acceptMany(drafts: readonly ItemDraft[]): Promise<readonly BulkLine[]> {
    const nowMs = this.shell.clockMs();
    const lines: BulkLine[] = new Array(drafts.length);
    const items: Item[] = [];
    const places: number[] = [];
    for (const [place, draft] of drafts.entries()) {
      try {
        items.push(completeDraft(draft, this.#stampMs(nowMs)));
        places.push(place);
      } catch (error) {
        if (!(error instanceof HubcastError)) throw error;
        lines[place] = { id: draft.id ?? "", status: "invalid", code: error.code };
      }
    }
    if (items.length > 0)
      for (const [index, line] of (await this.#submitMany(items)).entries()) lines[places[index]!] = line;
    return lines;
  }

  /** Items are listed by their time, and those of one time in no order of their posts: each gets a millisecond of its own. */
  #stampMs(nowMs: number): number {
    this.#stampedMs = Math.min(Math.max(nowMs, this.#stampedMs + 1), nowMs + STAMP_AHEAD_MS_MAX);
    return this.#stampedMs;
  }

  /** Keeps the order of batches: one without signatures of authors waits for an earlier one that is being verified. */
  #submitMany(items: readonly Item[]): Promise<readonly BulkLine[]> {
    const unproven = this.#unproven(items);
    const { promise, resolve, reject } = Promise.withResolvers<readonly BulkLine[]>();
    if (unproven instanceof Promise) unproven.catch(reject);
    this.#queues.add("bulk", unproven, (bad) => {
      const proven = bad.size === 0 ? items : items.filter((item) => !bad.has(item));
      this.shell.submit(proven).then((outcomes) => {
        let next = 0;
        const line = (item: Item): BulkLine =>
          bad.has(item) ? { id: item.id, status: "invalid", code: "invalidItem" } : lineOf(outcomes[next++]!);
        resolve(items.map(line));
      }, reject);
    });
    return promise;
  }

  /** The items that their author did not sign; returned at once when there is nothing to check. */
  #unproven(items: readonly Item[]): ReadonlySet<Item> | Promise<ReadonlySet<Item>> {
    const { holdings, commits } = this.shell.replica;
    const authored = items.filter(
      ({ signature, digest }) => isAuthored(signature) && !holdings.has(digest) && !commits.has(digest),
    );
    if (authored.length === 0) return NONE;
    const bad = (verdicts: readonly boolean[]) => new Set(authored.filter((_, index) => !verdicts[index]));
    const verdicts = this.shell.verifier.check(authored);
    return verdicts instanceof Promise ? verdicts.then(bad) : bad(verdicts);
  }
}

/**
 * Makes an item of a draft: fills in what is absent, and verifies the rest, except what an author signed (`isAuthored`):
 * that takes long, and is the caller's to have checked.
 * @param nowMs stamps a draft that brings no time of its own, epoch ms
 * @throws invalidItem when a field breaks a rule or the signature does not fit
 */
function completeDraft(draft: ItemDraft, nowMs: number): Item {
  const { id = uuidv7(nowMs), raw, signature, timestampMs = nowMs } = draft;
  const fields = {
    id,
    raw,
    // An ill-formed raw has no bytes to sign; the fault below says so.
    signature: signature === undefined ? integritySignature(raw) : normaliseSignature(signature),
    timestampMs,
  };
  const fault = itemFault(fields) ?? (signature === undefined ? undefined : signatureFault(fields, draft));
  if (fault) throw invalid(fault);
  return withDigest(fields);
}

/** The error for an item whose author did not sign it. */
function notSigned(): HubcastError {
  return invalid("signature is not that of its key over id, timestampMs and raw");
}

function signatureFault(fields: Omit<Item, "digest">, draft: ItemDraft): string | undefined {
  const scheme = schemeOf(fields.signature);
  if (scheme === "ed25519") {
    return draft.timestampMs === undefined
      ? "signature needs the timestampMs that its author signed"
      : undefined;
  }
  if (verifySignature(fields)) return undefined;
  return scheme ? `signature is not the ${scheme} of raw` : "signature is of no known scheme";
}

function invalid(fault: string): HubcastError {
  const suggestions = fault.startsWith("signature") ? SIGNATURE_SUGGESTIONS : [];
  return new HubcastError("invalidItem", fault, { suggestions });
}

const SIGNATURE_SUGGESTIONS = [
  "Leave signature out to have it computed, or send the MD5 of raw as 32 hex digits, or sha256:HEX.",
  "Authors sign as docs/protocol-signatures.md says: hubcast broadcast post --sign-key FILE",
];

const REFUSAL_ADVICE: { readonly [Code in RefusalCode]?: readonly string[] } = {
  refusedByPolicy: ["Sign it with a key that the node trusts: hubcast broadcast post --sign-key FILE"],
  refusedTopic: [
    "Post it under a topic that the node's trust file has behind the key: hubcast broadcast post --topic TOPIC --sign-key FILE",
  ],
  storageFailed: [
    "Free space on the disk of --data-dir, or wait until items expire: the node then takes items again by itself.",
  ],
  natsAway: [
    "Post it again, under the same id, when NATS is back; a node with --data-dir takes posts meanwhile.",
  ],
  natsFull: ["Wait until items expire, or give the stream more room."],
};

/** The result of a post, without the digest that is visible now. @throws the error that refuses the item */
function resultOf(outcome: PostOutcome): Omit<PostResult, "visible"> {
  const { id, digest, timestampMs } = outcome.item;
  switch (outcome.status) {
    case "accepted":
    case "held":
      return { id, digest, timestampMs, status: outcome.status };
    case "conflict":
      throw new HubcastError(
        "conflict",
        `the id ${JSON.stringify(id)} is held with another raw or signature`,
        {
          suggestions: ["Items never change: post under a new id, and the old one expires."],
        },
      );
    case "refused":
      throw new HubcastError(outcome.code, ERRORS[outcome.code].meaning, {
        suggestions: REFUSAL_ADVICE[outcome.code] ?? [],
      });
  }
}

/** The same for a line among many. */
function lineOf(outcome: PostOutcome): BulkLine {
  const { id } = outcome.item;
  switch (outcome.status) {
    case "accepted":
    case "held":
      return { id, status: outcome.status };
    case "conflict":
      return { id, status: "conflict", code: "conflict" };
    case "refused":
      return { id, status: "refused", code: outcome.code };
  }
}
