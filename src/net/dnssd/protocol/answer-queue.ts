import { isKnown } from "./answer.js";
import { type DnsRecord, recordKey } from "./records.js";

interface Waiting {
  readonly record: DnsRecord;
  readonly dueMs: number;
  /** Who asked, as long as it was one asker only: its late known answers may take the record off again. */
  readonly asker: string | undefined;
}

/** Answers of one interface that wait for their moment, and when each record was last multicast there. */
export class AnswerQueue {
  readonly #waiting = new Map<string, Waiting>();
  readonly #sentAtMs = new Map<string, number>();

  /** The moment the first answer is due, Infinity for none. */
  get nextAtMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#waiting.values()) next = Math.min(next, dueMs);
    return next;
  }

  /** @param repeatMs the shortest time after the record's last multicast */
  add(record: DnsRecord, dueMs: number, repeatMs: number, asker: string): void {
    const key = recordKey(record);
    const before = this.#waiting.get(key);
    const allowedMs = Math.max(dueMs, this.lastSentAtMs(record) + repeatMs);
    this.#waiting.set(key, {
      record,
      dueMs: Math.min(allowedMs, before?.dueMs ?? Number.POSITIVE_INFINITY),
      asker: before === undefined || before.asker === asker ? asker : undefined,
    });
  }

  /** Known answers that came after their question (RFC 6762, 7.2). */
  suppress(asker: string, known: readonly DnsRecord[]): void {
    for (const [key, waiting] of this.#waiting) {
      if (waiting.asker === asker && isKnown(waiting.record, known)) this.#waiting.delete(key);
    }
  }

  takeDue(nowMs: number): readonly DnsRecord[] {
    const due = [...this.#waiting.values()].filter((waiting) => waiting.dueMs <= nowMs);
    for (const { record } of due) this.#waiting.delete(recordKey(record));
    return due.map(({ record }) => record);
  }

  /** Notes a multicast; also of records that went along as additional ones. */
  sent(records: readonly DnsRecord[], nowMs: number): void {
    for (const record of records) this.#sentAtMs.set(recordKey(record), nowMs);
  }

  lastSentAtMs(record: DnsRecord): number {
    return this.#sentAtMs.get(recordKey(record)) ?? Number.NEGATIVE_INFINITY;
  }

  /** Forgets everything: the records are about to change. */
  clear(): void {
    this.#waiting.clear();
    this.#sentAtMs.clear();
  }
}
