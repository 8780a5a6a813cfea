/** What one worker knows at the end, of the receivers that are its own. */
export interface ReceivedPart {
  /** Per sending client of the worker, in order. */
  readonly sent: readonly number[];
  /** Per client and sender, the number after the highest that came. */
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
  /** Absent when the payload was too broken to tell. */
  readonly from?: number;
  readonly to: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  readonly corrupt: number;
}

/** Whether everything arrived: the account of every message of every pair. */
export interface Proof {
  /** Everything was sent, and arrived exactly once, in order, to the last bit. */
  readonly delivered: boolean;
  readonly pairs: number;
  readonly expected: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  readonly corrupt: number;
  /** Messages that could not be sent: the run ended before, or the connection. */
  readonly unsent: number;
  /** Clients whose connection ended during the run, by index. */
  readonly closed: readonly number[];
  /** Worst first. */
  readonly faulty: readonly PairReport[];
  /** Faulty pairs beyond those listed. */
  readonly faultyLeftOff: number;
}

const FAULTY_MAX = 10_000;

/** Joins what all workers know. @param healthy how many clients take part; they are the first ones */
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
