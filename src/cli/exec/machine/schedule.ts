import { LIMITS } from "../../../core/limits.js";
import type { Machine, Random } from "../../../core/machine.js";
import { type Backoff, backoffMs } from "../../../core/rates.js";
import type { Item, NodeEvent } from "../../../node/broadcast.js";
import type { Beginning, StateRecord, Task } from "./records.js";

/** The facts that a schedule is told. */
export type ScheduleInput =
  /** A node answers; events of it follow. */
  | {
      readonly type: "connected";
      readonly clockMs: number;
      readonly cluster: string;
      readonly retentionMs: number;
    }
  | { readonly type: "disconnected" }
  | { readonly type: "event"; readonly event: NodeEvent }
  /** The item that the node shows under the id of a task; nothing when it has none. */
  | { readonly type: "fetched"; readonly digest: string; readonly item: Item | undefined }
  /** No node answered that question. */
  | { readonly type: "unfetched"; readonly digest: string }
  /** A command has ended. @param fault why it failed; absent when it succeeded */
  | { readonly type: "ended"; readonly digest: string; readonly fault?: string | undefined }
  | { readonly type: "woke" }
  /** Nothing new is to start. */
  | { readonly type: "stopped" };

/** The effects of a schedule, to be carried out one after the other. */
export type ScheduleEffect =
  /** Make the state file: all that `beginning` and `records` say. */
  | { readonly type: "create" }
  | { readonly type: "write"; readonly record: StateRecord }
  /** Ask for the item of that id, and come back with `fetched` or `unfetched`. */
  | { readonly type: "fetch"; readonly task: Task }
  /** Run the command, once all that was written is on disk; come back with `ended`. */
  | { readonly type: "start"; readonly task: Task; readonly raw: string }
  | { readonly type: "report"; readonly report: Report };

/** The messages for the user, as text or JSON. */
export type Report =
  | { readonly type: "begun"; readonly waiting: number }
  | { readonly type: "started"; readonly task: Task; readonly attempt: number }
  | { readonly type: "finished"; readonly task: Task; readonly attempt: number }
  /** @param againInMs absent when it is not tried again in this run */
  | {
      readonly type: "failed";
      readonly task: Task;
      readonly attempt: number;
      readonly fault: string;
      readonly againInMs?: number;
    }
  /** Its time is over, and its command has not succeeded. */
  | { readonly type: "expired"; readonly task: Task; readonly attempts: number }
  /** Another item of its id is the visible one, so its command does not run any more. */
  | { readonly type: "replaced"; readonly task: Task; readonly attempts: number }
  /** The node does not show it (yet). */
  | { readonly type: "missing"; readonly task: Task; readonly againInMs: number }
  /** Nothing was heard for longer than items live. */
  | {
      readonly type: "gap";
      readonly fromMs: number;
      readonly untilMs: number;
      readonly retentionMs: number;
    };

export interface ScheduleOptions {
  /** Commands that run at the same time; 1 at least. */
  readonly jobs: number;
  readonly random: Random;
  /** Epoch ms: begin with the items stamped since then; absent: with what comes from now on. */
  readonly sinceMs?: number | undefined;
  readonly topic?: string | undefined;
}

/** A command that fails is tried again after a second or so, then ever later, but each few minutes. */
const RETRYING: Backoff = { firstMs: 2_000, mostMs: 300_000 };

/** How far back a watcher looks that begins now: clocks of nodes may differ by so much. What is there then is left out. */
const FROM_NOW_MS = LIMITS.clockSkewMsMax;
const FROM_NOW = "2m";

/** A node's clock is told in whole seconds, cut off. */
const CLOCK_STEP_MS = 1_000;

/** Bytes of raw that are kept for commands to come; of what is beyond, only the id is kept, and raw fetched in its turn. */
const RAW_BYTES_MAX = 8_388_608;

/**
 * For how long after its retention a finished item is remembered: a node whose clock has jumped goes by its old time for
 * 10 min, and clocks differ.
 */
const REMEMBERED_MS = LIMITS.clockHoldMs + 2 * LIMITS.clockSkewMsMax;

/** A node that does not know the place begins to list within this time, also when it has much to do. */
const LISTS_WITHIN_MS = 10_000;

/** How often it is noted that nothing was missed, and looked for what has expired. */
const TICK_MS_MAX = 60_000;

/** An item whose command has not succeeded yet. */
interface Entry {
  readonly task: Task;
  /** By which it stands in line: arrivals are numbered. */
  readonly turn: number;
  state: "waiting" | "fetching" | "running" | "retrying";
  /** Its command ran so often. */
  attempts: number;
  /** The node did not show it so often. */
  misses: number;
  /** Of one that is tried again: when (epoch ms). */
  dueAtMs: number;
  raw: string | undefined;
  /** Why it is not to be tried again, of one that is running. */
  end: "expired" | "replaced" | undefined;
}

/**
 * Decides which item's command starts next, what is finished, and what a state file must say so that another process can
 * go on. Items start in the order of arrival; one whose command failed is tried again with back-off, in front of what
 * has not started yet.
 */
export class Schedule implements Machine<ScheduleInput, ScheduleEffect> {
  readonly #options: ScheduleOptions;
  /** By digest, in the order of arrival. */
  readonly #entries = new Map<string, Entry>();
  /** In line: in the order of turns from `#head` on. Entries that wait no more are passed over. */
  #line: Entry[] = [];
  #head = 0;
  readonly #retrying = new Set<Entry>();
  /** Digest to timestamp (epoch ms) of what never runs again. */
  readonly #done = new Map<string, number>();
  #turns = 0;
  #active = 0;
  #rawBytes = 0;

  #cluster: string | undefined;
  #sinceMs: number | undefined;
  #hasBegun: boolean;
  #place: string | undefined;
  /** Nothing was missed until then; epoch ms. */
  #seenMs: number | undefined;
  #retentionMs = Number.POSITIVE_INFINITY;
  #connection: "none" | "connected" | "listing" = "none";
  #connectedAtMs = 0;

  /** Of two kinds that wait neither keeps the other waiting for good. */
  #lastWasRetry = false;
  #isStopped = false;
  #effects: ScheduleEffect[] = [];
  #tickAtMs = 0;
  /** No item is asked for before then: no node answers. */
  #pausedUntilMs = 0;
  #pauses = 0;

  /** @param kept what a state file says; absent for a first start */
  constructor(options: ScheduleOptions, kept?: { beginning: Beginning; records: Iterable<StateRecord> }) {
    this.#options = options;
    this.#sinceMs = kept?.beginning.sinceMs ?? options.sinceMs;
    this.#cluster = kept?.beginning.cluster;
    this.#hasBegun = kept !== undefined;
    for (const record of kept?.records ?? []) this.#recall(record);
    this.#line = [...this.#entries.values()];
  }

  /** Of the nodes; known from a state file, or when one has answered. */
  get cluster(): string | undefined {
    return this.#cluster;
  }

  /** The first line of a state file; absent until the schedule has begun. */
  get beginning(): Beginning {
    const { topic } = this.#options;
    return {
      cluster: this.#cluster!,
      sinceMs: this.#sinceMs!,
      ...(topic !== undefined && { topic }),
    };
  }

  /** All that a state file has to say now. */
  *records(): Generator<StateRecord, void, undefined> {
    for (const [digest, timestampMs] of this.#done) yield { type: "done", digest, timestampMs };
    // A winner stands in line for the one that it replaced.
    const entries = [...this.#entries.values()].sort((a, b) => a.turn - b.turn);
    for (const { task } of entries) yield { type: "waits", task };
    if (this.#seenMs !== undefined) yield { type: "place", place: this.#place, seenMs: this.#seenMs };
  }

  /** How many records there are. */
  get recordCount(): number {
    return this.#done.size + this.#entries.size + 1;
  }

  /** Where a node is to go on: behind that event, or where it is not known, with what is stamped since then. */
  get next(): { readonly after?: string | undefined; readonly since: number | string } {
    if (!this.#hasBegun && this.#options.sinceMs === undefined) return { since: FROM_NOW };
    return { after: this.#place, since: this.#sinceMs! };
  }

  /** Commands that have not succeeded yet. */
  get waiting(): number {
    return this.#entries.size;
  }

  get wakeAtMs(): number {
    if (this.#isStopped || !this.#isKnown) return Number.POSITIVE_INFINITY;
    let atMs = this.#tickAtMs;
    if (this.#active >= this.#options.jobs) return atMs;
    for (const { dueAtMs, raw } of this.#retrying)
      atMs = Math.min(atMs, raw === undefined ? Math.max(dueAtMs, this.#pausedUntilMs) : dueAtMs);
    if (this.#first()) atMs = Math.min(atMs, this.#pausedUntilMs);
    return atMs;
  }

  /** Whether a node has answered: before, nobody knows whether it is one of the right cluster. */
  get #isKnown(): boolean {
    return this.#retentionMs !== Number.POSITIVE_INFINITY;
  }

  handle(input: ScheduleInput, nowMs: number): readonly ScheduleEffect[] {
    this.#effects = [];
    this.#take(input, nowMs);
    if (nowMs >= this.#tickAtMs) this.#tick(nowMs);
    this.#startNext(nowMs);
    return this.#effects;
  }

  #take(input: ScheduleInput, nowMs: number): void {
    switch (input.type) {
      case "connected":
        this.#cluster = input.cluster;
        if (this.#hasBegun && !this.#isKnown) this.#report({ type: "begun", waiting: this.#entries.size });
        this.#retentionMs = input.retentionMs;
        this.#connection = "connected";
        this.#connectedAtMs = nowMs;
        this.#pausedUntilMs = 0;
        this.#pauses = 0;
        if (this.#hasBegun) return;
        if (this.#options.sinceMs !== undefined) this.#begin(nowMs);
        else this.#sinceMs = input.clockMs + CLOCK_STEP_MS - FROM_NOW_MS;
        return;
      case "disconnected":
        this.#connection = "none";
        return;
      case "event":
        this.#takeEvent(input.event, nowMs);
        return;
      case "fetched":
        this.#fetched(input.digest, input.item, nowMs);
        return;
      case "unfetched":
        this.#unfetched(input.digest, nowMs);
        return;
      case "ended":
        this.#ended(input.digest, input.fault, nowMs);
        return;
      case "stopped":
        this.#isStopped = true;
        return;
      case "woke":
    }
  }

  #takeEvent(event: NodeEvent, nowMs: number): void {
    const isListed = event.type === "caught-up" || (event.type === "item" && event.eventId === undefined);
    if (isListed && this.#connection === "connected") {
      // The node did not know the place, so it lists what it holds: nobody knows what came and went meanwhile.
      this.#connection = "listing";
      const seenMs = this.#seenMs;
      if (seenMs !== undefined && nowMs - seenMs > this.#retentionMs)
        this.#report({ type: "gap", fromMs: seenMs, untilMs: nowMs, retentionMs: this.#retentionMs });
    }
    switch (event.type) {
      case "item":
        this.#arrived(event.item, event.eventId);
        break;
      case "replaced":
        this.#arrived(event.item, event.eventId, this.#replaced(event.previous.digest));
        break;
      case "expired": {
        const entry = this.#entries.get(event.item.digest);
        if (entry) this.#end(entry, "expired");
        break;
      }
      case "caught-up":
        this.#place = event.eventId;
        this.#connection = "connected";
        if (!this.#hasBegun) this.#begin(nowMs);
        else this.#see(nowMs);
        break;
      case "peer":
    }
    this.#place = event.eventId ?? this.#place;
  }

  /** @param turn of the item that it replaces, if that waits */
  #arrived(item: Item, eventId: string | undefined, turn?: number): void {
    const { digest, id, timestampMs, raw } = item;
    if (timestampMs < this.#sinceMs! || this.#done.has(digest)) return;
    if (!this.#hasBegun) {
      this.#done.set(digest, timestampMs);
      return;
    }
    const known = this.#entries.get(digest);
    if (known) {
      if (known.raw === undefined) this.#keepRaw(known, raw);
      return;
    }
    const key = /^ed25519:([0-9a-f]+):/.exec(item.signature)?.[1];
    const task: Task = { digest, id, timestampMs, ...(key !== undefined && { key }) };
    const entry = this.#add(task, turn);
    this.#keepRaw(entry, raw);
    this.#stand(entry);
    this.#write({ type: "waits", task, place: eventId });
  }

  #add(task: Task, turn = this.#turns++): Entry {
    const entry: Entry = {
      ...{ task, turn, state: "waiting", attempts: 0, misses: 0 },
      ...{ dueAtMs: 0, raw: undefined, end: undefined },
    };
    this.#entries.set(task.digest, entry);
    return entry;
  }

  #keepRaw(entry: Entry, raw: string): void {
    const bytes = 2 * raw.length;
    if (this.#rawBytes + bytes > RAW_BYTES_MAX) return;
    entry.raw = raw;
    this.#rawBytes += bytes;
  }

  /** Puts one that waits where its turn is: at the end, but for what was in line before. */
  #stand(entry: Entry): void {
    let at = this.#line.length;
    while (at > this.#head && this.#line[at - 1]!.turn > entry.turn) at--;
    this.#line.splice(at, 0, entry);
  }

  /** The first in line. */
  #first(): Entry | undefined {
    while (this.#head < this.#line.length && !this.#isInLine(this.#line[this.#head]!)) this.#head++;
    if (this.#head > 1_000 && this.#head * 2 > this.#line.length) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
    return this.#line[this.#head];
  }

  #isInLine(entry: Entry): boolean {
    return entry.state === "waiting" && this.#entries.get(entry.task.digest) === entry;
  }

  #startNext(nowMs: number): void {
    while (!this.#isStopped && this.#isKnown && this.#active < this.#options.jobs) {
      const due = this.#due(nowMs);
      const first = this.#first();
      // Without its raw the first waits for a node; those behind it wait for their turn.
      const next = first && (first.raw !== undefined || nowMs >= this.#pausedUntilMs) ? first : undefined;
      const entry = this.#lastWasRetry ? (next ?? due) : (due ?? next);
      if (!entry) return;
      if (this.#hasExpired(entry, nowMs)) {
        this.#end(entry, "expired");
        continue;
      }
      this.#lastWasRetry = entry === due;
      this.#retrying.delete(entry);
      if (entry === first) this.#head++;
      this.#active++;
      if (entry.raw !== undefined) this.#start(entry, entry.raw);
      else {
        entry.state = "fetching";
        this.#effects.push({ type: "fetch", task: entry.task });
      }
    }
  }

  /** The one that was to be tried again first, if it is time, and its raw is there or can be asked for. */
  #due(nowMs: number): Entry | undefined {
    let first: Entry | undefined;
    for (const entry of this.#retrying) {
      if (entry.dueAtMs > nowMs || (entry.raw === undefined && nowMs < this.#pausedUntilMs)) continue;
      if (!first || entry.dueAtMs < first.dueAtMs) first = entry;
    }
    return first;
  }

  #start(entry: Entry, raw: string): void {
    entry.state = "running";
    entry.attempts++;
    this.#effects.push({ type: "start", task: entry.task, raw });
    this.#report({ type: "started", task: entry.task, attempt: entry.attempts });
  }

  #fetched(digest: string, item: Item | undefined, nowMs: number): void {
    const entry = this.#entries.get(digest);
    this.#active--;
    // It has expired meanwhile.
    if (entry?.state !== "fetching" || this.#isStopped) return;
    if (item?.digest === digest) {
      this.#keepRaw(entry, item.raw);
      this.#active++;
      this.#start(entry, item.raw);
      return;
    }
    const { timestampMs } = entry.task;
    const isReplaced =
      item && (item.timestampMs < timestampMs || (item.timestampMs === timestampMs && item.digest < digest));
    if (isReplaced) {
      this.#arrived(item, undefined, this.#replaced(digest));
    } else if (this.#hasExpired(entry, nowMs)) this.#end(entry, "expired");
    else {
      // A node that has just started may not have it yet.
      const againInMs = this.#retry(entry, entry.misses++, nowMs);
      this.#report({ type: "missing", task: entry.task, againInMs });
    }
  }

  #unfetched(digest: string, nowMs: number): void {
    const entry = this.#entries.get(digest);
    this.#active--;
    this.#pausedUntilMs = nowMs + backoffMs(this.#pauses++, this.#options.random);
    if (entry?.state !== "fetching") return;
    entry.state = "waiting";
    this.#stand(entry);
  }

  #ended(digest: string, fault: string | undefined, nowMs: number): void {
    const entry = this.#entries.get(digest)!;
    const { task, attempts: attempt } = entry;
    this.#active--;
    if (fault === undefined) {
      this.#remove(entry);
      this.#done.set(digest, task.timestampMs);
      this.#write({ type: "done", digest, timestampMs: task.timestampMs });
      this.#report({ type: "finished", task, attempt });
      return;
    }
    const end = entry.end ?? (this.#hasExpired(entry, nowMs) ? "expired" : undefined);
    if (end === undefined && !this.#isStopped) {
      const againInMs = this.#retry(entry, attempt - 1, nowMs);
      this.#report({ type: "failed", task, attempt, fault, againInMs });
      return;
    }
    this.#report({ type: "failed", task, attempt, fault });
    entry.state = "waiting";
    if (end) this.#end(entry, end);
  }

  /** @returns after how long it is tried again, ms */
  #retry(entry: Entry, attempt: number, nowMs: number): number {
    const againInMs = Math.ceil(backoffMs(attempt, this.#options.random, RETRYING));
    entry.state = "retrying";
    entry.dueAtMs = nowMs + againInMs;
    this.#retrying.add(entry);
    return againInMs;
  }

  #hasExpired({ task }: Entry, nowMs: number): boolean {
    return nowMs >= task.timestampMs + this.#retentionMs;
  }

  /** It waits no more. One that runs may still succeed. @returns whether it had not begun, or was to be tried again */
  #end(entry: Entry, end: "expired" | "replaced"): boolean {
    const { task, state, attempts } = entry;
    if (state === "running") {
      entry.end = end;
      return false;
    }
    this.#remove(entry);
    this.#write({ type: "dropped", digest: task.digest });
    this.#report({ type: end, task, attempts });
    return true;
  }

  /** @returns its turn, if its command does not run: the winner takes it */
  #replaced(digest: string): number | undefined {
    const entry = this.#entries.get(digest);
    return entry && this.#end(entry, "replaced") ? entry.turn : undefined;
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.task.digest);
    this.#retrying.delete(entry);
    if (entry.raw !== undefined) this.#rawBytes -= 2 * entry.raw.length;
    entry.raw = undefined;
  }

  #begin(nowMs: number): void {
    this.#hasBegun = true;
    this.#seenMs = nowMs;
    this.#effects.push({ type: "create" });
    this.#report({ type: "begun", waiting: this.#entries.size });
  }

  #tick(nowMs: number): void {
    const tickMs = Math.min(TICK_MS_MAX, Math.max(this.#retentionMs / 10, 1_000));
    this.#tickAtMs = nowMs + tickMs;
    const isBehindPlace = this.#connection === "connected" && nowMs >= this.#connectedAtMs + LISTS_WITHIN_MS;
    if (isBehindPlace && this.#hasBegun) this.#see(nowMs);
    for (const entry of this.#entries.values())
      if (this.#hasExpired(entry, nowMs)) this.#end(entry, "expired");
    const forgetMs = nowMs - this.#retentionMs - REMEMBERED_MS;
    for (const [digest, timestampMs] of this.#done) if (timestampMs < forgetMs) this.#done.delete(digest);
  }

  #see(nowMs: number): void {
    this.#seenMs = nowMs;
    this.#write({ type: "place", place: this.#place, seenMs: nowMs });
  }

  #recall(record: StateRecord): void {
    switch (record.type) {
      case "waits":
        this.#place = record.place ?? this.#place;
        if (!this.#done.has(record.task.digest)) this.#add(record.task);
        break;
      case "done":
        this.#entries.delete(record.digest);
        this.#done.set(record.digest, record.timestampMs);
        break;
      case "dropped":
        this.#entries.delete(record.digest);
        break;
      case "place":
        this.#place = record.place ?? this.#place;
        this.#seenMs = record.seenMs;
    }
  }

  #write(record: StateRecord): void {
    if (this.#hasBegun) this.#effects.push({ type: "write", record });
  }

  #report(report: Report): void {
    this.#effects.push({ type: "report", report });
  }
}
