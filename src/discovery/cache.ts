import type { Random } from "../core/machine.js";
import { DNSSD } from "./limits.js";
import { type DnsRecord, recordKey, setKey } from "./records.js";

interface Entry {
  record: DnsRecord;
  heardAtMs: number;
  expiresAtMs: number;
  /** When its owner is asked again; Infinity once that was done for the last time. */
  refreshAtMs: number;
  refreshCount: number;
}

/** The records heard on one interface, each until its TTL ends. The caller bounds their names. */
export class RecordCache {
  readonly #sets = new Map<string, Map<string, Entry>>();
  /** Never later than the first entry's end, and the first moment to ask again. */
  #expireAtMs = Number.POSITIVE_INFINITY;
  #refreshAtMs = Number.POSITIVE_INFINITY;

  constructor(private readonly random: Random) {}

  /** The next moment at which records are taken out or asked for again, in steps that many share. */
  get nextAtMs(): number {
    return Math.min(
      stepAfter(this.#expireAtMs, DNSSD.expireStepMs),
      stepAfter(this.#refreshAtMs, DNSSD.refreshStepMs),
    );
  }

  /** Living records of a name and type, the newest first. */
  get(type: DnsRecord["type"], name: string): readonly DnsRecord[] {
    const entries = [...(this.#sets.get(setKey(type, name))?.values() ?? [])];
    return entries.sort((a, b) => b.heardAtMs - a.heardAtMs).map((entry) => entry.record);
  }

  /**
   * Takes in a record as heard now; a life of 0 is a goodbye. Past `setMax` the oldest of the set goes.
   * @returns whether the record was not there before
   */
  put(record: DnsRecord, setMax: number, nowMs: number): boolean {
    const key = setKey(record.type, record.name);
    const entries = this.#sets.get(key) ?? new Map<string, Entry>();
    const entry = entries.get(recordKey(record));
    if (record.ttlS === 0) {
      if (entry) this.#expireBy(entry, nowMs + DNSSD.goodbyeGraceMs);
      return false;
    }
    // PTR sets are shared: a cache flush must not remove the instances of other hosts.
    if (record.flush && record.type !== "PTR") this.#flush(entries, nowMs);
    if (!entry && entries.size >= setMax) dropOldest(entries);
    const ttlS = Math.min(record.ttlS, DNSSD.otherTtlS);
    const fresh: Entry = {
      record: { ...record, ttlS },
      heardAtMs: nowMs,
      expiresAtMs: nowMs + ttlS * 1_000,
      refreshAtMs: 0,
      refreshCount: 0,
    };
    this.#planRefresh(fresh);
    entries.set(recordKey(record), fresh);
    this.#sets.set(key, entries);
    return !entry;
  }

  /** Removes expired records. @returns the removed records */
  expire(nowMs: number): readonly DnsRecord[] {
    const removed: DnsRecord[] = [];
    if (nowMs < stepAfter(this.#expireAtMs, DNSSD.expireStepMs)) return removed;
    this.#expireAtMs = Number.POSITIVE_INFINITY;
    for (const [key, entries] of this.#sets) {
      for (const [recordKeyOf, entry] of entries) {
        if (entry.expiresAtMs <= nowMs) {
          entries.delete(recordKeyOf);
          removed.push(entry.record);
        } else {
          this.#expireAtMs = Math.min(this.#expireAtMs, entry.expiresAtMs);
        }
      }
      if (entries.size === 0) this.#sets.delete(key);
    }
    return removed;
  }

  /** Records whose owner should be asked again now; each is named once per 80, 85, 90 and 95 % of its life. */
  takeRefreshDue(nowMs: number): readonly DnsRecord[] {
    const due: DnsRecord[] = [];
    if (nowMs < stepAfter(this.#refreshAtMs, DNSSD.refreshStepMs)) return due;
    this.#refreshAtMs = Number.POSITIVE_INFINITY;
    for (const entries of this.#sets.values()) {
      for (const entry of entries.values()) {
        if (entry.refreshAtMs <= nowMs) {
          due.push(entry.record);
          entry.refreshCount++;
          this.#planRefresh(entry);
        }
        this.#refreshAtMs = Math.min(this.#refreshAtMs, entry.refreshAtMs);
      }
    }
    return due;
  }

  /** Records that a question carries so that they are not answered again: more than half their life is left. */
  known(type: DnsRecord["type"], name: string, nowMs: number): readonly DnsRecord[] {
    const known: DnsRecord[] = [];
    for (const { record, expiresAtMs } of this.#sets.get(setKey(type, name))?.values() ?? []) {
      const leftS = Math.floor((expiresAtMs - nowMs) / 1_000);
      if (leftS * 2 > record.ttlS) known.push({ ...record, ttlS: leftS, flush: false });
    }
    return known;
  }

  /** Removes a name with all its types. */
  removeName(name: string): void {
    for (const type of ["PTR", "SRV", "TXT", "A", "AAAA"]) this.#sets.delete(setKey(type, name));
  }

  removeRecord(record: DnsRecord): void {
    this.#sets.get(setKey(record.type, record.name))?.delete(recordKey(record));
  }

  /** 10.2: older records of the set are void in a second; records of the same burst belong together. */
  #flush(entries: Map<string, Entry>, nowMs: number): void {
    for (const entry of entries.values()) {
      if (nowMs - entry.heardAtMs > DNSSD.flushGraceMs) this.#expireBy(entry, nowMs + DNSSD.flushGraceMs);
    }
  }

  #expireBy(entry: Entry, atMs: number): void {
    entry.expiresAtMs = Math.min(entry.expiresAtMs, atMs);
    entry.refreshAtMs = Number.POSITIVE_INFINITY;
    this.#expireAtMs = Math.min(this.#expireAtMs, entry.expiresAtMs);
  }

  #planRefresh(entry: Entry): void {
    const percent = DNSSD.refreshAtPercent[entry.refreshCount];
    if (percent === undefined || entry.record.ttlS < DNSSD.refreshTtlSMin) {
      entry.refreshAtMs = Number.POSITIVE_INFINITY;
    } else {
      const jittered = percent + this.random() * DNSSD.refreshJitterPercent;
      entry.refreshAtMs = entry.heardAtMs + entry.record.ttlS * 10 * jittered;
    }
    this.#refreshAtMs = Math.min(this.#refreshAtMs, entry.refreshAtMs);
    this.#expireAtMs = Math.min(this.#expireAtMs, entry.expiresAtMs);
  }
}

function stepAfter(atMs: number, stepMs: number): number {
  return Math.ceil(atMs / stepMs) * stepMs;
}

function dropOldest(entries: Map<string, Entry>): void {
  const [oldest] = [...entries].sort(([, a], [, b]) => a.heardAtMs - b.heardAtMs);
  if (oldest) entries.delete(oldest[0]);
}
