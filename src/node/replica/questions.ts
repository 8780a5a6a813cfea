import { LIMITS } from "../../core/limits.js";
import { slicesOf } from "../../core/machine.js";
import type { ReplicaContext } from "./context.js";
import { HASH_BYTES, memberHash } from "./member.js";
import type { AskedCounts, AskedReceipt, Receipt } from "./messages.js";
import type { Member } from "./roster.js";
import {
  type AnswersFrame,
  COUNT_BYTES,
  HELD_BYTES,
  packDigests,
  type Question,
  unpackDigests,
} from "./wire.js";

/** A receipt that is waited for. */
interface OpenReceipt {
  readonly request: number;
  readonly digest: string;
  readonly wanted: number;
  readonly askedAtMs: number;
  readonly deadlineMs: number;
  /** Members that have not answered, by hash. */
  readonly missing: Map<string, Member>;
  readonly of: number;
  readonly holders: { readonly id: string; readonly name: string; readonly afterMs: number }[];
  readonly refused: { readonly id: string; readonly name: string }[];
  /** When those missing are asked again. */
  askAgainAtMs: number;
  asked: number;
}

interface OpenCount {
  readonly request: number;
  /** Members compare their items between these instants, epoch ms. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly deadlineMs: number;
  /** Ids of members that have not answered, by hash. */
  readonly missing: Map<string, string>;
}

/** A question that passed here, or began here. */
interface Asked {
  /** Sends answers back; absent: this node asked. */
  readonly reply: Reply | undefined;
  /** The questions of this node. */
  readonly digests: readonly string[];
  readonly count: OpenCount | undefined;
  held: Buffer[];
  refused: Buffer[];
  counts: Buffer[];
}

/** Where answers go. */
type Reply = (answers: AnswersFrame) => void;

/** Members that have not answered are asked again after this long, then after twice as long: the path may have broken. */
const ASK_AGAIN_MS = 500;

/**
 * Questions to all members: who holds an item, and how many items each holds. A question is gossiped like a batch; answers go
 * back on the links by which it came, those of a commit together, and where members answer by way of others those of a
 * moment, so that a node gets few frames however many members answer (protocol.md#questions).
 */
export class Questions {
  readonly #receipts = new Map<number, OpenReceipt>();
  readonly #receiptsOf = new Map<string, OpenReceipt[]>();
  readonly #counts = new Map<number, OpenCount>();
  readonly #asked = new Map<string, Asked>();
  /** Items not held yet, and the questions that wait for them: id and index. Bounded; the oldest are dropped. */
  readonly #awaited = new Map<string, [id: string, index: number][]>();
  #awaitedCount = 0;
  /** Questions with answers that are to be sent on. */
  readonly #answering = new Set<string>();
  #toAsk = new Set<string>();
  #askAtMs = Number.POSITIVE_INFINITY;
  #askedAtMs = 0;
  #answerAtMs = Number.POSITIVE_INFINITY;
  #answeredAtMs = 0;
  /** Begins at random: peers remember questions of an earlier run of this node, and leave out those that are the same. */
  #lastNumber: number | undefined;
  #hash: Buffer | undefined;
  #lookAtMs = Number.POSITIVE_INFINITY;
  /** This node says goodbye: nobody is waited for any more. */
  #isClosed = false;

  constructor(private readonly context: ReplicaContext) {}

  get wakeAtMs(): number {
    return Math.min(this.#askAtMs, this.#answerAtMs, this.#lookAtMs);
  }

  /** The hash of this node, packed. Its id is known when it is first asked. */
  get #self(): Buffer {
    this.#hash ??= Buffer.from(memberHash(this.context.options.id), "hex");
    return this.#hash;
  }

  /** Asks all members that are alive who holds these items. A `receipt` effect follows for each. */
  askReceipts(wanted: readonly AskedReceipt[], nowMs: number): void {
    const members = this.context.roster
      .alive()
      .filter(({ record }) => record.retentionMs === this.context.options.retentionMs)
      .map((member) => [member.record.hash, member] as const);
    for (const { request, digest, wait, timeoutMs } of wanted) {
      const receipt: OpenReceipt = {
        request,
        digest,
        wanted: wait === "all" ? members.length : wait,
        askedAtMs: nowMs,
        deadlineMs: this.#isClosed ? nowMs : nowMs + timeoutMs,
        missing: new Map(members),
        of: members.length,
        holders: [],
        refused: [],
        askAgainAtMs: nowMs + ASK_AGAIN_MS,
        asked: 1,
      };
      this.#receipts.set(request, receipt);
      const others = this.#receiptsOf.get(digest);
      if (others) others.push(receipt);
      else this.#receiptsOf.set(digest, [receipt]);
      if (!this.#finishReceipt(receipt, nowMs)) this.#toAsk.add(digest);
    }
    this.#askSoon(nowMs);
  }

  /** Its asker waits no longer: it is answered as it stands. */
  endReceipt(request: number): void {
    const receipt = this.#receipts.get(request);
    if (receipt) this.#answerReceipt(receipt);
  }

  /** Asks all members for count and fingerprint of what they hold. A `counted` effect follows. */
  askCounts({ request, timeoutMs, digest }: AskedCounts, nowMs: number): void {
    const { sinceMs, settledMs } = this.context.summarise(nowMs);
    const missing = new Map(this.context.roster.alive().map(({ record }) => [record.hash, record.id]));
    const window = { sinceMs, untilMs: settledMs };
    const count = { request, ...window, deadlineMs: nowMs + timeoutMs, missing };
    this.#counts.set(request, count);
    const fields = { ...this.#header(), ...window };
    if (missing.size === 0) this.#answerCount(count);
    else if (digest === undefined) this.#pose({ t: "count", ...fields }, [], count);
    else this.#pose({ t: "held", ...fields, digests: packDigests([digest]) }, [digest], count);
    this.#look(nowMs);
  }

  /** A question came by gossip. @returns whether it is to be passed on */
  posed(id: string, question: Question, reply: Reply, nowMs: number): boolean {
    if (question.asker === this.context.options.id) return false;
    const digests = question.t === "held" ? unpackDigests(question.digests) : [];
    const asked: Asked = { reply, digests: [], count: undefined, held: [], refused: [], counts: [] };
    this.#remember(id, asked);
    const self = this.#self;
    for (const [index, digest] of digests.entries()) {
      if (this.context.holdings.has(digest)) asked.held.push(heldEntry(self, index));
      else if (this.context.isRefused(digest)) asked.refused.push(heldEntry(self, index));
      else this.#await(digest, id, index);
    }
    const { sinceMs, untilMs } = question;
    if (sinceMs !== undefined && untilMs !== undefined) {
      const { holdings } = this.context;
      // Items that have just arrived count as well: by the window alone a holder would seem to lack them.
      const { count } = holdings.fingerprint(sinceMs);
      const { fingerprint } = holdings.fingerprint(sinceMs, untilMs);
      const entry = Buffer.alloc(COUNT_BYTES);
      self.copy(entry);
      entry.writeUInt32BE(count, HASH_BYTES);
      entry.write(fingerprint, HASH_BYTES + 4, "hex");
      asked.counts.push(entry);
    }
    if (asked.held.length + asked.refused.length + asked.counts.length > 0) this.#say([id], nowMs);
    return true;
  }

  /** Answers came, to a question of this node or of one in front of it. */
  answered(frame: AnswersFrame, nowMs: number): void {
    const id = Buffer.from(frame.question).toString("hex");
    const asked = this.#asked.get(id);
    if (!asked) return;
    if (asked.reply) {
      asked.held.push(Buffer.from(frame.held));
      asked.refused.push(Buffer.from(frame.refused));
      asked.counts.push(Buffer.from(frame.counts));
      this.#answerSoon([id], nowMs);
      return;
    }
    // The way there and back is free: what gathers needs to wait no longer.
    this.#askedAtMs = 0;
    for (const [hash, index] of heldEntries(frame.held)) this.#said(asked.digests[index], hash, true, nowMs);
    for (const [hash, index] of heldEntries(frame.refused))
      this.#said(asked.digests[index], hash, false, nowMs);
    if (asked.count) this.#counted(asked.count, Buffer.from(frame.counts), nowMs);
    this.#askSoon(nowMs);
  }

  /** Items of one commit are durable here: who waits to hear of them is told, in one frame for each question. */
  held(digests: readonly string[], nowMs: number): void {
    this.#tell(digests, true, nowMs);
  }

  /** This node does not take these items. */
  refused(digests: readonly string[], nowMs: number): void {
    this.#tell(digests, false, nowMs);
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#askAtMs) this.#askNow(nowMs);
    if (nowMs >= this.#answerAtMs) this.#answerNow(nowMs);
    if (nowMs >= this.#lookAtMs) this.#look(nowMs);
  }

  /** Answers everything that is open, as it stands, and at once what is asked later: a post may become durable after it. */
  close(): void {
    this.#isClosed = true;
    for (const receipt of [...this.#receipts.values()]) this.#answerReceipt(receipt);
    for (const count of [...this.#counts.values()]) this.#answerCount(count);
  }

  /** Looks at what is open: who must be asked again, who is lost, what is over. */
  look(nowMs: number): void {
    if (this.#receipts.size + this.#counts.size > 0) this.#look(nowMs);
  }

  #look(nowMs: number): void {
    this.#lookAtMs = Number.POSITIVE_INFINITY;
    for (const receipt of [...this.#receipts.values()]) {
      if (this.#finishReceipt(receipt, nowMs)) continue;
      if (nowMs >= receipt.askAgainAtMs) {
        receipt.askAgainAtMs = nowMs + ASK_AGAIN_MS * 2 ** receipt.asked++;
        this.#toAsk.add(receipt.digest);
      }
      this.#lookAtMs = Math.min(this.#lookAtMs, receipt.deadlineMs, receipt.askAgainAtMs);
    }
    this.#askSoon(nowMs);
    for (const count of [...this.#counts.values()]) {
      const isOver = [...count.missing.keys()].every(
        (hash) => this.context.roster.byHash(hash)?.state !== "alive",
      );
      if (isOver || nowMs >= count.deadlineMs) this.#answerCount(count);
      else this.#lookAtMs = Math.min(this.#lookAtMs, count.deadlineMs);
    }
  }

  /** @returns whether the receipt is over: enough hold the item, nobody is left who could, or time is up */
  #finishReceipt(receipt: OpenReceipt, nowMs: number): boolean {
    const isHopeless = [...receipt.missing.values()].every(({ state }) => state !== "alive");
    const isComplete = receipt.holders.length >= receipt.wanted;
    if (!isComplete && !isHopeless && nowMs < receipt.deadlineMs) {
      this.#lookAtMs = Math.min(this.#lookAtMs, receipt.deadlineMs, receipt.askAgainAtMs);
      return false;
    }
    this.#answerReceipt(receipt);
    return true;
  }

  #answerReceipt(receipt: OpenReceipt): void {
    this.#receipts.delete(receipt.request);
    const others = this.#receiptsOf.get(receipt.digest)!.filter((other) => other !== receipt);
    if (others.length > 0) this.#receiptsOf.set(receipt.digest, others);
    else this.#receiptsOf.delete(receipt.digest);
    const { holders, refused, wanted, of, missing } = receipt;
    const { roster } = this.context;
    const complete: Receipt = {
      of,
      complete: of > 0 && holders.length >= wanted,
      ...(of === 0 && { alone: true }),
      ...(roster.isSample && { membersEstimated: roster.total - 1 }),
      holders,
      missing: [...missing.values()].map(({ record: { id, name } }) => ({ id, name })),
      refused,
    };
    this.context.emit({ type: "receipt", request: receipt.request, receipt: complete });
  }

  #answerCount({ request, missing }: OpenCount): void {
    this.#counts.delete(request);
    this.context.emit({ type: "counted", request, silent: [...missing.values()] });
  }

  #said(digest: string | undefined, hash: string, isHeld: boolean, nowMs: number): void {
    for (const receipt of this.#receiptsOf.get(digest!) ?? []) {
      const member = receipt.missing.get(hash);
      if (!member) continue;
      receipt.missing.delete(hash);
      const { id, name } = member.record;
      if (isHeld) receipt.holders.push({ id, name, afterMs: nowMs - receipt.askedAtMs });
      else receipt.refused.push({ id, name });
      this.#finishReceipt(receipt, nowMs);
    }
  }

  #counted({ sinceMs, untilMs, missing }: OpenCount, entries: Buffer, nowMs: number): void {
    for (let at = 0; at < entries.length; at += COUNT_BYTES) {
      const hash = entries.toString("hex", at, at + HASH_BYTES);
      const member = this.context.roster.byHash(hash);
      if (!member) continue;
      const fingerprint = entries.toString("hex", at + HASH_BYTES + 4, at + COUNT_BYTES);
      const summary = {
        count: entries.readUInt32BE(at + HASH_BYTES),
        fingerprint,
        sinceMs,
        settledMs: untilMs,
        settledFingerprint: fingerprint,
      };
      member.holds(summary, nowMs);
      missing.delete(hash);
    }
    this.#look(nowMs);
  }

  #askSoon(nowMs: number): void {
    if (this.#toAsk.size === 0) return;
    this.#askAtMs = soon(this.#askedAtMs, nowMs);
    if (this.#askAtMs <= nowMs) this.#askNow(nowMs);
  }

  #askNow(nowMs: number): void {
    this.#askAtMs = Number.POSITIVE_INFINITY;
    this.#askedAtMs = nowMs;
    const digests = [...this.#toAsk];
    this.#toAsk.clear();
    for (const some of slicesOf(digests, LIMITS.digestsPerFrameMax))
      this.#pose({ t: "held", ...this.#header(), digests: packDigests(some) }, some, undefined);
  }

  #pose(question: Question, digests: readonly string[], count: OpenCount | undefined): void {
    const id = this.context.ask(question);
    this.#remember(id, { reply: undefined, digests, count, held: [], refused: [], counts: [] });
  }

  #header(): { asker: string; number: number } {
    const { id, random } = this.context.options;
    this.#lastNumber = (this.#lastNumber ?? Math.floor(random() * 2 ** 48)) + 1;
    return { asker: id, number: this.#lastNumber };
  }

  #await(digest: string, id: string, index: number): void {
    const waiting = this.#awaited.get(digest);
    if (waiting) waiting.push([id, index]);
    else this.#awaited.set(digest, [[id, index]]);
    this.#awaitedCount++;
    if (this.#awaitedCount > LIMITS.confirmationsMax) this.#takeAwaited(this.#awaited.keys().next().value!);
  }

  #takeAwaited(digest: string): readonly [id: string, index: number][] {
    const waiting = this.#awaited.get(digest);
    if (!waiting) return [];
    this.#awaited.delete(digest);
    this.#awaitedCount -= waiting.length;
    return waiting;
  }

  #tell(digests: readonly string[], isHeld: boolean, nowMs: number): void {
    if (this.#awaited.size === 0) return;
    const told = new Set<string>();
    for (const digest of digests)
      for (const [id, index] of this.#takeAwaited(digest)) {
        const asked = this.#asked.get(id);
        (isHeld ? asked?.held : asked?.refused)?.push(heldEntry(this.#self, index));
        told.add(id);
      }
    this.#say([...told], nowMs);
  }

  /** Says what this node holds or refuses: at once where no answers of others can join it, since all are linked. */
  #say(ids: readonly string[], nowMs: number): void {
    if (this.context.roster.isMesh) for (const id of ids) this.#answer(id);
    else this.#answerSoon(ids, nowMs);
  }

  #answerSoon(ids: readonly string[], nowMs: number): void {
    if (ids.length === 0) return;
    for (const id of ids) this.#answering.add(id);
    this.#answerAtMs = soon(this.#answeredAtMs, nowMs);
    if (this.#answerAtMs <= nowMs) this.#answerNow(nowMs);
  }

  #answerNow(nowMs: number): void {
    this.#answerAtMs = Number.POSITIVE_INFINITY;
    this.#answeredAtMs = nowMs;
    for (const id of this.#answering) this.#answer(id);
    this.#answering.clear();
  }

  /** Sends on what there is to say to a question. */
  #answer(id: string): void {
    const asked = this.#asked.get(id);
    if (!asked) return;
    const { reply, held, refused, counts } = asked;
    Object.assign(asked, { held: [], refused: [], counts: [] });
    if (reply) sendAnswers(reply, id, held, refused, counts);
  }

  #remember(id: string, asked: Asked): void {
    this.#asked.set(id, asked);
    if (this.#asked.size > LIMITS.questionsMax) this.#asked.delete(this.#asked.keys().next().value!);
  }
}

/** In frames of bounded length: behind this node there may be any number of members. */
function sendAnswers(reply: Reply, id: string, held: Buffer[], refused: Buffer[], counts: Buffer[]): void {
  const packed = {
    held: Buffer.concat(held),
    refused: Buffer.concat(refused),
    counts: Buffer.concat(counts),
  };
  const heldMax = HELD_BYTES * LIMITS.answersPerFrameMax;
  const countsMax = COUNT_BYTES * LIMITS.rosterMembersMax;
  for (let part = 0; ; part++) {
    const cut = (bytes: Buffer, most: number) => bytes.subarray(part * most, (part + 1) * most);
    const answers = {
      held: cut(packed.held, heldMax),
      refused: cut(packed.refused, heldMax),
      counts: cut(packed.counts, countsMax),
    };
    if (answers.held.length + answers.refused.length + answers.counts.length === 0) return;
    reply({ t: "answers", question: Buffer.from(id, "hex"), ...answers });
  }
}

/** At once when nothing went out lately, else with what gathers meanwhile. */
function soon(lastAtMs: number, nowMs: number): number {
  return Math.max(nowMs, lastAtMs + LIMITS.batchDelayMs);
}

function heldEntry(self: Buffer, index: number): Buffer {
  const entry = Buffer.alloc(HELD_BYTES);
  self.copy(entry);
  entry.writeUInt16BE(index, HASH_BYTES);
  return entry;
}

function heldEntries(packed: Uint8Array): [hash: string, index: number][] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: bytes.length / HELD_BYTES }, (_, entry) => {
    const at = entry * HELD_BYTES;
    return [bytes.toString("hex", at, at + HASH_BYTES), bytes.readUInt16BE(at + HASH_BYTES)];
  });
}
