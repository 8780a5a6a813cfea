import { LIMITS } from "../../core/limits.js";
import { BATCH_BYTES, decodeBatch, type Item, ItemDecodeError } from "./item.js";
import { decodeRecord, type MemberRecord } from "./member.js";
import type {
  BatchContent,
  EncodedEntry,
  PublishKind,
  RegistryEntry,
  ReplicaEffect,
  ReplicaInput,
} from "./messages.js";
import { isAuthored } from "./signature.js";
import {
  type BatchFrame,
  batchFrame,
  decodeFrame,
  decodeNews,
  decodeQuestion,
  decodeRecords,
  type Frame,
  FrameDecodeError,
  isTold,
  PROTOCOL_VERSION,
  payloadOf,
} from "./wire.js";

/** Checks signatures, outside of the machine: of authors on other threads, for instance. */
export interface Verification {
  /** @returns whether each is valid, in their order; at once when none takes long */
  items(items: readonly Item[]): readonly boolean[] | Promise<readonly boolean[]>;
  /** Whether a record is signed by its member. */
  record(record: MemberRecord): boolean;
  /** So much waits to be checked that what can come another way should. */
  readonly isOverloaded: boolean;
}

/** Reads bytes. A simulation reads bytes once that reach many nodes. */
export interface Decoding {
  /** @throws FrameDecodeError */
  frame(bytes: Uint8Array): Frame;
  /** The items of a batch frame, or of an `items` frame. @throws ItemDecodeError */
  items(frame: BatchFrame | Extract<Frame, { readonly t: "items" }>): readonly Item[];
  record(bytes: Uint8Array): MemberRecord | undefined;
}

export const DECODING: Decoding = {
  frame: decodeFrame,
  items: (frame) =>
    frame.t === "batch"
      ? decodeBatch(payloadOf(frame), BATCH_BYTES + LIMITS.batchBytesMax)
      : decodeBatch(frame.batch),
  record: decodeRecord,
};

/** Records verified lately. Each comes on several links, and to read and to verify it costs 0.15 ms. */
export class VerifiedRecords {
  /** By the beginning of their signature, oldest first. */
  readonly #records = new Map<string, MemberRecord>();

  constructor(private readonly verify: (record: MemberRecord) => boolean) {}

  /** @returns undefined when the bytes are no record */
  read(bytes: Uint8Array): MemberRecord | undefined {
    const known = this.#records.get(keyOf(bytes));
    return known && Buffer.compare(known.bytes, bytes) === 0 ? known : decodeRecord(bytes);
  }

  /** Whether a record is signed by its member. */
  accepts(record: MemberRecord): boolean {
    const key = keyOf(record.bytes);
    if (this.#records.get(key) === record) return true;
    if (!this.verify(record)) return false;
    this.#records.delete(key);
    this.#records.set(key, record);
    if (this.#records.size > LIMITS.recordsVerifiedMax)
      this.#records.delete(this.#records.keys().next().value!);
    return true;
  }
}

function keyOf(record: Uint8Array): string {
  return Buffer.from(record.buffer, record.byteOffset, Math.min(record.length, 16)).toString("latin1");
}

/** The queries of the inbox to the replica. */
interface Known {
  /** Held, pending and refused items were verified before. */
  knows(digest: string): boolean;
  knowsRecord(record: MemberRecord): boolean;
  /** A later record of the same session is known. */
  isOutdated(record: MemberRecord): boolean;
  /** Requests for items that the peer of a link has not answered; 0 where the link is not up. */
  requestsOn(link: number): number;
}

/**
 * Turns bytes from peers into inputs of the replica: decodes, and verifies each item and record once. What cannot be
 * decoded or fails its signature never gets past here. Frames of one link keep their order.
 */
export class Inbox {
  readonly #queues = new SerialQueues();
  /** Answers with items that are being verified, by link. */
  readonly #checking = new Map<number, number>();
  /** Batches that nobody looked at, because too much waited to be verified; reconciliation brings them. */
  skipped = 0;

  constructor(
    private readonly known: Known,
    private readonly verification: Verification,
    private readonly handle: (input: ReplicaInput) => void,
    private readonly decoding: Decoding = DECODING,
  ) {}

  /** A link came or went: known only behind what it brought before. */
  link(input: Extract<ReplicaInput, { type: "linkUp" | "linkDown" }>): void {
    this.#queues.add(input.link, input, this.handle);
  }

  /** A frame came on a link. */
  frame(link: number, bytes: Uint8Array): void {
    const input = this.#frame(link, bytes);
    if (!(input instanceof Promise) && isSignOfLife(input)) this.handle(input);
    else this.#queues.add(link, input, this.handle);
  }

  /** Another member published something for all. What cannot be read, or is not signed by its member, is left out. */
  published(kind: PublishKind, bytes: Uint8Array): void {
    this.#read(() => {
      switch (kind) {
        case "members":
          return { type: "membersHeard", records: this.#records(decodeRecords(bytes)) };
        case "news": {
          const news = decodeNews(bytes);
          return { type: "newsHeard", news: { ...news, records: this.#records(news.records) } };
        }
        case "question":
          return {
            type: "questionHeard",
            id: batchFrame(kind, bytes).id,
            question: decodeQuestion(bytes),
          };
      }
    });
  }

  /** A member sent a frame to this one, by a broker. */
  told(peer: string, bytes: Uint8Array): void {
    this.#read(() => {
      const frame = this.decoding.frame(bytes);
      return isTold(frame) ? { type: "told", peer, frame } : undefined;
    });
  }

  /** The registry was read. @param pause lets other work go first */
  registry(entries: readonly EncodedEntry[], pause: () => Promise<unknown>): void {
    this.#queues.add("registry", this.#registry(entries, pause), this.handle);
  }

  /** Carries out a `verify` effect. */
  verify({ frame }: Extract<ReplicaEffect, { type: "verify" }>): void {
    const { id: batch } = frame;
    const content = this.#content(frame);
    const tell = (found: BatchContent | "overloaded" | undefined) =>
      this.handle(
        found === undefined || found === "overloaded"
          ? { type: "batchRejected", batch, overloaded: found === "overloaded" }
          : { type: "batchVerified", batch, content: found },
      );
    if (content instanceof Promise) content.then(tell, () => tell("overloaded"));
    else tell(content);
  }

  #content(frame: BatchFrame): BatchContent | "overloaded" | undefined | Promise<BatchContent | undefined> {
    try {
      switch (frame.kind) {
        case "items":
          return this.#batch(this.decoding.items(frame));
        case "question":
          return { kind: "question", question: decodeQuestion(payloadOf(frame)) };
      }
    } catch (error) {
      if (error instanceof FrameDecodeError || error instanceof ItemDecodeError) return undefined;
      throw error;
    }
  }

  #batch(
    items: readonly Item[],
  ): BatchContent | "overloaded" | undefined | Promise<BatchContent | undefined> {
    const unknown = items.filter(({ digest }) => !this.known.knows(digest));
    if (this.verification.isOverloaded && unknown.some(({ signature }) => isAuthored(signature))) {
      this.skipped++;
      return "overloaded";
    }
    const content = (verdicts: readonly boolean[]): BatchContent | undefined =>
      verdicts.includes(false) ? undefined : { kind: "items", items };
    const verdicts = this.verification.items(unknown);
    return verdicts instanceof Promise ? verdicts.then(content) : content(verdicts);
  }

  async #registry(
    all: readonly EncodedEntry[],
    pause: () => Promise<unknown>,
  ): Promise<Extract<ReplicaInput, { type: "registryRead" }>> {
    // Members renew theirs: an entry that is older than those of a whole roster is of one that is gone.
    const newest = [...all].sort((a, b) => a.ageMs - b.ageMs).slice(0, LIMITS.rosterMembersMax + 1);
    const entries: RegistryEntry[] = [];
    for (const [index, { id, record: bytes, ageMs }] of newest.entries()) {
      if (index > 0 && index % LIMITS.recordsPerFrameMax === 0) await pause();
      const record = this.decoding.record(bytes);
      if (record?.id === id && this.#isSigned(record)) entries.push({ record, ageMs });
    }
    return { type: "registryRead", entries };
  }

  #read(read: () => ReplicaInput | undefined): void {
    try {
      const input = read();
      if (input) this.handle(input);
    } catch (error) {
      if (!(error instanceof FrameDecodeError)) throw error;
    }
  }

  #records(all: readonly Uint8Array[]): MemberRecord[] {
    return all.flatMap((bytes) => this.#record(bytes) ?? []);
  }

  #frame(link: number, bytes: Uint8Array): ReplicaInput | Promise<ReplicaInput> {
    try {
      const frame = this.decoding.frame(bytes);
      switch (frame.t) {
        case "hello": {
          if (frame.v !== PROTOCOL_VERSION) {
            const said = frame.record instanceof Uint8Array ? this.#record(frame.record) : undefined;
            return { type: "otherVersion", link, v: frame.v, ...(said && { record: said }) };
          }
          const record = this.#record(frame.record);
          return record ? { type: "helloReceived", link, frame, record } : { type: "garbled", link };
        }
        case "records": {
          const records = frame.records.map((one) => this.#toldRecord(one));
          if (records.includes(undefined)) return { type: "garbled", link };
          const { lost, want } = frame;
          return {
            ...{ type: "recordsReceived", link, lost, want, bytes: bytes.length },
            records: records as MemberRecord[],
          };
        }
        case "items":
          return this.#items(link, frame, bytes.length);
        default:
          return { type: "frameReceived", link, frame, bytes: bytes.length };
      }
    } catch (error) {
      if (error instanceof FrameDecodeError || error instanceof ItemDecodeError)
        return { type: "garbled", link };
      throw error;
    }
  }

  #items(
    link: number,
    frame: Extract<Frame, { readonly t: "items" }>,
    bytes: number,
  ): ReplicaInput | Promise<ReplicaInput> {
    const checking = this.#checking.get(link) ?? 0;
    // To verify what nobody asked for would keep others waiting: the replica cuts the link.
    if (checking >= this.known.requestsOn(link))
      return { type: "itemsReceived", link, served: 0, items: [], invalid: 0, bytes };
    const items = this.decoding.items(frame);
    const unknown = items.filter(({ digest }) => !this.known.knows(digest));
    const input = (verdicts: readonly boolean[]): ReplicaInput => {
      const bad = new Set(unknown.filter((_, index) => !verdicts[index]));
      const valid = bad.size === 0 ? items : items.filter((item) => !bad.has(item));
      const { served } = frame;
      return { type: "itemsReceived", link, served, items: valid, invalid: bad.size, bytes };
    };
    const verdicts = this.verification.items(unknown);
    if (!(verdicts instanceof Promise)) return input(verdicts);
    this.#checking.set(link, checking + 1);
    return verdicts.then(input).finally(() => this.#checked(link));
  }

  #checked(link: number): void {
    const checking = this.#checking.get(link)! - 1;
    if (checking > 0) this.#checking.set(link, checking);
    else this.#checking.delete(link);
  }

  /** One that a peer passes on. Whether an outdated one is signed does not matter: nothing comes of it. */
  #toldRecord(bytes: Uint8Array): MemberRecord | undefined {
    const record = this.decoding.record(bytes);
    return record && (this.known.isOutdated(record) || this.#isSigned(record)) ? record : undefined;
  }

  /** @returns undefined for what is no record, or not signed by its member */
  #record(bytes: Uint8Array): MemberRecord | undefined {
    const record = this.decoding.record(bytes);
    return record && this.#isSigned(record) ? record : undefined;
  }

  #isSigned(record: MemberRecord): boolean {
    return this.known.knowsRecord(record) || this.verification.record(record);
  }
}

/** Handled at once, in front of frames that came before it: a node that is busy checking items must not pass for a dead one. */
function isSignOfLife(input: ReplicaInput): boolean {
  return input.type === "frameReceived" && (input.frame.t === "ping" || input.frame.t === "pong");
}

/**
 * Keeps order behind something slow: what comes later in the same queue waits for it. A queue with nothing slow in it
 * costs nothing: everything runs at once.
 */
export class SerialQueues {
  readonly #tails = new Map<string | number, Promise<void>>();

  /** @param fact acted on when it is there and all before it in the queue were; one that rejects is left out */
  add<Fact>(queue: string | number, fact: Fact | Promise<Fact>, act: (fact: Fact) => void): void {
    const before = this.#tails.get(queue);
    if (!before && !(fact instanceof Promise)) {
      act(fact);
      return;
    }
    const tail = Promise.allSettled([fact, before]).then(([result]) => {
      if (this.#tails.get(queue) === tail) this.#tails.delete(queue);
      if (result.status === "fulfilled") act(result.value as Fact);
    });
    this.#tails.set(queue, tail);
  }
}
