/** The result of one worker, for its own receivers. */
interface ReceivedPart {
  /** Per sending client of the worker, in order. */
  readonly sent: readonly number[];
  /** Per client and sender, the number after the highest received. */
  readonly next: Uint32Array;
  readonly faults: readonly (Omit<PairReport, "lost" | "from" | "to"> & {
    readonly sender: number;
    readonly receiver: number;
    readonly skipped: number;
  })[];
  readonly closed: readonly number[];
}

/** One sender and one receiver, by client index, between which something went wrong. */
export interface PairReport {
  /** Absent when the payload is too broken to tell. */
  readonly from?: number;
  readonly to: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  readonly corrupt: number;
}

/** The account of every message of every pair. */
export interface Proof {
  /** Everything was sent and arrived exactly once, in order, to the last bit. */
  readonly delivered: boolean;
  readonly pairs: number;
  readonly expected: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  readonly corrupt: number;
  /** Messages not sent because the run or the connection ended. */
  readonly unsent: number;
  /** Clients whose connection ended during the run, by index. */
  readonly closed: readonly number[];
  /** Worst first. */
  readonly faulty: readonly PairReport[];
  /** Faulty pairs beyond those listed. */
  readonly faultyLeftOff: number;
}

const FAULTY_MAX = 10_000;

/** Joins the results of all workers. @param healthy how many clients take part; they are the first ones */
export function prove(
  parts: readonly ReceivedPart[],
  run: {
    readonly clients: number;
    readonly healthy: number;
    readonly messages: number;
    readonly echoes: boolean;
  },
): Proof {
  const { healthy, messages, echoes } = run;
  const sent = parts.flatMap((part) => part.sent);
  while (sent.length < healthy) sent.push(0);
  const pairs = new Map<string, PairReport>();
  let receiver = 0;
  for (const part of parts) {
    const receivers = part.next.length / run.clients;
    for (const { sender, receiver: to, skipped, ...counts } of part.faults) {
      const from = sender < 0 ? {} : { from: sender };
      pairs.set(`${sender} ${to}`, { ...from, to, lost: skipped, ...counts });
    }
    for (let place = 0; place < receivers; place += 1, receiver += 1) {
      for (let from = 0; from < healthy; from += 1) {
        if (from === receiver && !echoes) continue;
        const missing = sent[from]! - part.next[place * run.clients + from]!;
        if (missing <= 0) continue;
        const key = `${from} ${receiver}`;
        const pair = pairs.get(key) ?? noFaults(from, receiver);
        pairs.set(key, { ...pair, lost: pair.lost + missing });
      }
    }
  }
  const faulty = [...pairs.values()].filter((pair) => badness(pair) > 0);
  faulty.sort((a, b) => badness(b) - badness(a) || a.to - b.to || (a.from ?? -1) - (b.from ?? -1));
  const total = (field: "lost" | "duplicated" | "outOfOrder" | "corrupt") =>
    faulty.reduce((sum, pair) => sum + pair[field], 0);
  const unsent = sent.reduce((sum, count) => sum + messages - count, 0);
  const pairCount = healthy * (healthy - (echoes ? 0 : 1));
  return {
    delivered: faulty.length === 0 && unsent === 0,
    pairs: pairCount,
    expected: pairCount * messages,
    lost: total("lost"),
    duplicated: total("duplicated"),
    outOfOrder: total("outOfOrder"),
    corrupt: total("corrupt"),
    unsent,
    closed: parts.flatMap(({ closed }) => closed),
    faulty: faulty.slice(0, FAULTY_MAX),
    faultyLeftOff: Math.max(0, faulty.length - FAULTY_MAX),
  };
}

function badness({ lost, duplicated, outOfOrder, corrupt }: PairReport): number {
  return lost + duplicated + outOfOrder + corrupt;
}

function noFaults(from: number, to: number): PairReport {
  return { from, to, lost: 0, duplicated: 0, outOfOrder: 0, corrupt: 0 };
}

/** Faults from one sender to one receiver. */
interface PairFaults {
  /** Skipped and not received since, without messages after the last one received. */
  skipped: number;
  /** Received a second time. */
  duplicated: number;
  /** Received after a later one. */
  outOfOrder: number;
  /** A wrong bit, length or sender, or a message for another client. */
  corrupt: number;
}

/** The deliveries to one client, from each sender: exactly once and in order, or the faults. */
export class DeliveryLog {
  /** Per sender, the sequence number after the highest received. */
  readonly next: Uint32Array;
  readonly #faults = new Map<number, PairFaults>();
  readonly #gaps = new Map<number, Gaps>();

  /** @param self index of the client itself, when it must not receive its own messages */
  constructor(
    private readonly senders: number,
    private readonly messages: number,
    private readonly self = -1,
  ) {
    this.next = new Uint32Array(senders);
    // No sequence number is that high: its own messages never take the fast path.
    if (self >= 0) this.next[self] = 2 ** 32 - 1;
  }

  /** Records a sound payload. In order, this costs two array accesses. @returns whether it came for the first time */
  delivered(sender: number, sequence: number): boolean {
    if (sequence !== this.next[sender] || sequence >= this.messages)
      return this.#deliveredOddly(sender, sequence);
    this.next[sender] = sequence + 1;
    return true;
  }

  /** @param sender as in the payload; it may be wrong too */
  corrupt(sender: number): void {
    this.#of(sender < this.senders ? sender : -1).corrupt += 1;
  }

  /** Faults by sender; -1 where the sender is unknown. */
  faults(): Map<number, PairFaults> {
    for (const [sender, gaps] of this.#gaps) this.#of(sender).skipped = gaps.count;
    return this.#faults;
  }

  #deliveredOddly(sender: number, sequence: number): boolean {
    const next = this.next[sender];
    if (next === undefined || sequence >= this.messages || sender === this.self) {
      // A sound payload that this run does not send to this client.
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

/** Skipped sequence numbers, as ranges in order: a lost second of traffic is one range. */
class Gaps {
  readonly #ranges: [from: number, to: number][] = [];
  count = 0;

  /** Adds `from` to before `to`, which are beyond all skipped so far. */
  skip(from: number, to: number): void {
    this.#ranges.push([from, to]);
    this.count += to - from;
  }

  /** @returns false when that number was not missing */
  fill(sequence: number): boolean {
    const index = this.#ranges.findLastIndex(([from]) => from <= sequence);
    const range = this.#ranges[index];
    if (range === undefined || sequence >= range[1]) return false;
    const [from, to] = range;
    const rest: [number, number][] = [
      [from, sequence],
      [sequence + 1, to],
    ];
    this.#ranges.splice(index, 1, ...rest.filter(([first, end]) => first < end));
    this.count -= 1;
    return true;
  }
}
