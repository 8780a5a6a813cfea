import { Gaps } from "./gaps.js";

/** What went wrong from one sender to one receiver. */
export interface PairFaults {
  /** Skipped, and not come since. Messages after the last that came are not in here. */
  skipped: number;
  /** Came a second time. */
  duplicated: number;
  /** Came after a later one. */
  outOfOrder: number;
  /** A bit is wrong, or the length; or the message was for somebody else. */
  corrupt: number;
}

/** What one client received, from each sender: exactly once, in order, or what instead. */
export class Ledger {
  /** Per sender, the sequence number after the highest that came. */
  readonly next: Uint32Array;
  readonly #faults = new Map<number, PairFaults>();
  readonly #gaps = new Map<number, Gaps>();

  /** @param self index of the client itself, when nothing of its own should come to it */
  constructor(
    private readonly senders: number,
    private readonly messages: number,
    private readonly self = -1,
  ) {
    this.next = new Uint32Array(senders);
    // No sequence number is that high: its own messages never take the short way.
    if (self >= 0) this.next[self] = 2 ** 32 - 1;
  }

  /** A sound payload came. In order, this costs two array accesses. @returns whether it came for the first time */
  delivered(sender: number, sequence: number): boolean {
    if (sequence !== this.next[sender] || sequence >= this.messages)
      return this.#deliveredOddly(sender, sequence);
    this.next[sender] = sequence + 1;
    return true;
  }

  /** @param sender as the payload says; it may be wrong too */
  corrupt(sender: number): void {
    this.#of(sender < this.senders ? sender : -1).corrupt += 1;
  }

  /** Senders with which something is wrong; -1 stands for "cannot be told". */
  faults(): Map<number, PairFaults> {
    for (const [sender, gaps] of this.#gaps) this.#of(sender).skipped = gaps.count;
    return this.#faults;
  }

  #deliveredOddly(sender: number, sequence: number): boolean {
    const next = this.next[sender];
    if (next === undefined || sequence >= this.messages || sender === this.self) {
      // Sound, yet nothing that this run sends to this client.
      this.corrupt(sender);
      return false;
    }
    if (sequence > next) {
      this.#gapsOf(sender).skip(next, sequence);
      this.next[sender] = sequence + 1;
      return true;
    }
    const missing = this.#gaps.get(sender)?.fill(sequence) === true;
    if (missing) this.#of(sender).outOfOrder += 1;
    else this.#of(sender).duplicated += 1;
    return missing;
  }

  #of(sender: number): PairFaults {
    let faults = this.#faults.get(sender);
    if (faults === undefined) {
      faults = { skipped: 0, duplicated: 0, outOfOrder: 0, corrupt: 0 };
      this.#faults.set(sender, faults);
    }
    return faults;
  }

  #gapsOf(sender: number): Gaps {
    let gaps = this.#gaps.get(sender);
    if (gaps === undefined) {
      gaps = new Gaps();
      this.#gaps.set(sender, gaps);
    }
    return gaps;
  }
}
