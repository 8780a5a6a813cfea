import { describe, expect, test } from "vitest";
import type { StateRecord } from "../../../src/cli/exec/machine/records.js";
import {
  Schedule,
  type ScheduleEffect,
  type ScheduleInput,
  type ScheduleOptions,
} from "../../../src/cli/exec/machine/schedule.js";
import type { Item } from "../../../src/node/broadcast.js";

const HOUR = 3_600_000;
/** When all of this begins: epoch ms, a whole second. */
const START = 1_800_000_000_000;

const digestOf = (id: string) => Buffer.from(id).toString("hex").padEnd(64, "0");

/** An item whose digest is told by its id. */
function item(id: string, timestampMs = START, raw = `raw of ${id}`): Item {
  return { id, raw, signature: "0".repeat(32), timestampMs, digest: digestOf(id) };
}

/** A schedule with a clock, and what it ordered since it was last looked at, in words. */
class Bench {
  nowMs = START;
  readonly schedule: Schedule;
  readonly written: StateRecord[];
  /** Digests of what was started and has not ended. */
  readonly running = new Set<string>();
  #orders: string[] = [];
  #events = 0;

  constructor(options: Partial<ScheduleOptions> = {}, kept: readonly StateRecord[] | undefined = undefined) {
    this.written = [...(kept ?? [])];
    this.schedule = new Schedule(
      { jobs: 1, random: () => 0.5, sinceMs: START - HOUR, ...options },
      kept && { beginning: { cluster: "c", sinceMs: START - HOUR }, records: kept },
    );
  }

  connect(retentionMs = 24 * HOUR): this {
    return this.put({ type: "connected", clockMs: this.nowMs, cluster: "c", retentionMs });
  }

  put(input: ScheduleInput): this {
    for (const effect of this.schedule.handle(input, this.nowMs)) {
      if (effect.type === "start") this.running.add(effect.task.digest);
      if (effect.type === "write") this.written.push(effect.record);
      if (effect.type === "create") this.written.splice(0, Infinity, ...this.schedule.records());
      const words = wordsOf(effect);
      if (words) this.#orders.push(words);
    }
    return this;
  }

  /** Items that come live. */
  live(...items: Item[]): this {
    for (const each of items)
      this.put({ type: "event", event: { type: "item", eventId: `e-${this.#events++}`, item: each } });
    return this;
  }

  /** A node lists all that it holds. */
  listed(...items: Item[]): this {
    for (const each of items) this.put({ type: "event", event: { type: "item", item: each } });
    return this.put({ type: "event", event: { type: "caught-up", eventId: `e-${this.#events}` } });
  }

  replaced(by: Item, previous: Item): this {
    const eventId = `e-${this.#events++}`;
    return this.put({ type: "event", event: { type: "replaced", eventId, item: by, previous } });
  }

  expired(gone: Item): this {
    const eventId = `e-${this.#events++}`;
    return this.put({ type: "event", event: { type: "expired", eventId, item: gone } });
  }

  ended(id: string, fault?: string): this {
    this.running.delete(digestOf(id));
    return this.put({ type: "ended", digest: digestOf(id), fault });
  }

  /** All that runs fails. */
  fail(): this {
    for (const digest of [...this.running]) {
      this.running.delete(digest);
      this.put({ type: "ended", digest, fault: "x" });
    }
    return this;
  }

  fetched(id: string, found: Item | undefined): this {
    return this.put({ type: "fetched", digest: digestOf(id), item: found });
  }

  unfetched(id: string): this {
    return this.put({ type: "unfetched", digest: digestOf(id) });
  }

  /** Lets time pass, to the instant of each wish to be woken. */
  pass(ms: number): this {
    const endMs = this.nowMs + ms;
    while (this.schedule.wakeAtMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.schedule.wakeAtMs);
      this.put({ type: "woke" });
    }
    this.nowMs = endMs;
    return this;
  }

  /** The same watcher in another process, with what was written. */
  restarted(options: Partial<ScheduleOptions> = {}): Bench {
    const other = new Bench(options, this.written);
    other.nowMs = this.nowMs;
    return other;
  }

  get orders(): readonly string[] {
    const orders = this.#orders;
    this.#orders = [];
    return orders;
  }

  get starts(): readonly string[] {
    return this.orders.filter((order) => /^(start|fetch) /.test(order));
  }
}

function wordsOf(effect: ScheduleEffect): string | undefined {
  switch (effect.type) {
    case "start":
    case "fetch":
      return `${effect.type} ${effect.task.id}`;
    case "report": {
      const { report } = effect;
      if (report.type === "started" || report.type === "begun") return undefined;
      if (report.type === "gap") return `gap of ${(report.untilMs - report.fromMs) / HOUR} h`;
      const again = "againInMs" in report ? `, again in ${report.againInMs}` : "";
      return `${report.type} ${report.task.id}${again}`;
    }
    default:
      return undefined;
  }
}

const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => item(id)) as [Item, Item, Item, Item];

describe("commands start", () => {
  test.each([
    [1, ["start a"], ["finished a", "start b"]],
    [2, ["start a", "start b"], ["finished a", "start c"]],
    [9, ["start a", "start b", "start c"], ["finished a"]],
  ])("in the order of arrival, %s at a time", (jobs, first, second) => {
    const bench = new Bench({ jobs }).connect().live(a, b, c);
    expect(bench.orders).toEqual(first);
    expect(bench.ended("a").orders).toEqual(second);
  });

  test("with what they are told: raw, and the author's key", () => {
    const key = "ab".repeat(32);
    const signed = { ...item("t/x"), signature: `ed25519:${key}:${"00".repeat(64)}` };
    const bench = new Bench().connect();
    const event = { type: "item", eventId: "e-0", item: signed } as const;
    const [, start] = bench.schedule.handle({ type: "event", event }, START);
    const task = { id: "t/x", digest: signed.digest, timestampMs: START, key };
    expect(start).toEqual({ type: "start", task, raw: "raw of t/x" });
  });

  test("once for an item that is told twice, running, waiting or done", () => {
    const bench = new Bench().connect().live(a, b).live(a, b).ended("a").ended("b").listed(a, b);
    expect(bench.starts).toEqual(["start a", "start b"]);
  });

  test("not before a node has said which cluster it is of", () => {
    const bench = new Bench().connect().live(a, b).restarted();
    expect(bench.schedule.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    expect(bench.connect().starts).toEqual(["fetch a"]);
  });

  test("no more when it is stopped; what waits is still written down", () => {
    const bench = new Bench().connect().live(a, b).put({ type: "stopped" }).live(c).ended("a");
    expect(bench.orders).toEqual(["start a", "finished a"]);
    expect(bench.schedule.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
    expect(bench.restarted().connect().starts).toEqual(["fetch b"]);
  });
});

describe("a command that fails", () => {
  test("is tried again, ever later, while the others go on", () => {
    const bench = new Bench().connect().live(a, b).ended("a", "exit code 1");
    expect(bench.orders).toEqual(["start a", "failed a, again in 1000", "start b"]);
    expect(bench.pass(1_000).orders).toEqual([]);
    expect(bench.ended("b").orders).toEqual(["finished b", "start a"]);
    expect(bench.ended("a", "exit code 1").orders).toEqual(["failed a, again in 2000"]);
    expect(bench.pass(1_999).orders).toEqual([]);
    expect(bench.pass(1).orders).toEqual(["start a"]);
    for (const _ of Array(20)) bench.ended("a", "exit code 1").pass(150_000);
    expect(bench.orders.slice(-3)).toEqual(["start a", "failed a, again in 150000", "start a"]);
  });

  test("keeps those behind it waiting for one start at most, however many fail", () => {
    const bench = new Bench().connect().live(a, b, c);
    bench.ended("a", "x").ended("b", "x").pass(5_000).live(d);
    expect(bench.starts).toEqual(["start a", "start b", "start c"]);
    expect(bench.ended("c", "x").starts).toEqual(["start a"]);
    expect(bench.ended("a", "x").starts).toEqual(["start d"]);
  });

  test("while it is being stopped is no more tried, and runs after the next start", () => {
    const bench = new Bench().connect().live(a).put({ type: "stopped" }).ended("a", "ended by SIGTERM");
    expect(bench.orders).toEqual(["start a", "failed a"]);
    expect(bench.restarted().connect().starts).toEqual(["fetch a"]);
  });
});

describe("an item that expires", () => {
  test("while it waits is reported, and does not run", () => {
    const bench = new Bench().connect().live(a, b).expired(b).ended("a");
    expect(bench.orders).toEqual(["start a", "expired b", "finished a"]);
  });

  test("while its command runs may still be done", () => {
    expect(new Bench().connect().live(a).expired(a).ended("a").orders).toEqual(["start a", "finished a"]);
    expect(new Bench().connect().live(a).expired(a).ended("a", "x").orders).toEqual([
      ...["start a", "failed a", "expired a"],
    ]);
  });

  test("while no node is there is reported as well", () => {
    const bench = new Bench({ jobs: 2 }).connect().live(a, b).put({ type: "disconnected" });
    for (const _ of Array(300)) bench.fail().pass(HOUR / 10);
    expect(bench.orders.filter((order) => /expired/.test(order))).toEqual(["expired a", "expired b"]);
  });

  test("between two runs is reported by the second", () => {
    const bench = new Bench().connect().live(a, b).restarted();
    bench.nowMs += 25 * HOUR;
    expect(bench.connect().orders).toEqual(["expired a", "expired b"]);
    expect(bench.restarted().connect().orders).toEqual([]);
  });
});

describe("an item that replaces another of its id", () => {
  const loser = item("n");
  const winner = { ...item("n", START - 1), digest: digestOf("w") };

  test("takes its turn", () => {
    const bench = new Bench().connect().live(a, loser, b).replaced(winner, loser).ended("a");
    expect(bench.orders).toEqual(["start a", "replaced n", "finished a", "start n"]);
    expect(bench.ended("w").starts).toEqual(["start b"]);
  });

  test("runs after it, when that runs or is done", () => {
    const bench = new Bench().connect().live(loser).replaced(winner, loser).ended("n", "x");
    expect(bench.orders).toEqual(["start n", "failed n", "replaced n", "start n"]);
    const done = new Bench().connect().live(loser).ended("n").replaced(winner, loser);
    expect(done.orders).toEqual(["start n", "finished n", "start n"]);
  });

  test("runs once, when the node shows it in the place of the other", () => {
    const bench = new Bench().connect().live(a, loser, b).restarted().connect();
    expect(bench.orders).toEqual(["fetch a"]);
    bench.fetched("a", a).ended("a").fetched("n", winner);
    expect(bench.orders).toEqual(["start a", "finished a", "fetch n", "replaced n", "start n"]);
    expect(bench.replaced(winner, loser).ended("w").starts).toEqual(["fetch b"]);
  });

  test("is waited for by its node, while that shows the other", () => {
    const bench = new Bench().connect().live(a, winner).restarted().connect();
    bench.fetched("a", a).ended("a").fetched("w", loser);
    expect(bench.orders.slice(-2)).toEqual(["fetch n", "missing n, again in 1000"]);
    expect(bench.pass(1_000).orders).toEqual(["fetch n"]);
    expect(bench.fetched("w", winner).starts).toEqual(["start n"]);
  });
});

describe("raw", () => {
  const large = (id: string) => item(id, START, "x".repeat(1_000_000));
  const many = Array.from({ length: 20 }, (_, index) => large(`l${index}`));

  test("of what waits is kept up to a limit, and fetched in its turn beyond", () => {
    const bench = new Bench().connect().live(...many);
    expect(bench.orders).toEqual(["start l0"]);
    for (let index = 0; index < 4; index++) bench.ended(`l${index}`);
    expect(bench.starts.at(-1)).toBe("fetch l4");
    expect(bench.fetched("l4", many[4]).starts).toEqual(["start l4"]);
    // Finished commands have made room again.
    for (let index = 4; index < 19; index++)
      bench.ended(`l${index}`).fetched(`l${index + 1}`, many[index + 1]);
    expect(bench.live(large("new")).ended("l19").starts.at(-1)).toBe("start new");
  });

  test("is fetched again and again, in the order of arrival, when no node answers", () => {
    const bench = new Bench({ jobs: 2 }).connect().live(a, b, c).restarted({ jobs: 2 }).connect();
    expect(bench.unfetched("b").unfetched("a").orders).toEqual(["fetch a", "fetch b"]);
    expect(bench.pass(10_000).starts).toEqual(["fetch a", "fetch b"]);
    bench.unfetched("a").unfetched("b").put({ type: "disconnected" }).connect();
    expect(bench.starts).toEqual(["fetch a", "fetch b"]);
  });

  test("that is here runs also without a node", () => {
    const bench = new Bench().connect().live(a, b).put({ type: "disconnected" }).ended("a");
    expect(bench.orders).toEqual(["start a", "finished a", "start b"]);
  });
});

describe("a first start", () => {
  test("begins now: what was there before never runs, stamped within the difference of clocks or not", () => {
    const bench = new Bench({ sinceMs: undefined });
    expect(bench.schedule.next).toEqual({ since: "2m" });
    bench
      .connect()
      .listed(a, item("ahead", START + 60_000))
      .live(b, item("old", START - 300_000));
    expect(bench.starts).toEqual(["start b"]);
    expect(bench.schedule.next).toEqual({ after: "e-1", since: START + 1_000 - 120_000 });
    const other = bench
      .restarted()
      .connect()
      .listed(a, item("ahead", START + 60_000), b, c);
    expect(other.starts).toEqual(["fetch b"]);
  });

  test("that is cut off before it has begun begins anew", () => {
    const bench = new Bench({ sinceMs: undefined }).connect();
    bench.put({ type: "event", event: { type: "item", item: a } }).put({ type: "disconnected" });
    expect(bench.written).toEqual([]);
    expect(bench.schedule.next).toEqual({ since: "2m" });
    bench.nowMs += 1_000;
    expect(bench.connect().listed(a, b).live(c).starts).toEqual(["start c"]);
  });

  test("with since begins there", () => {
    const bench = new Bench().connect();
    expect(bench.schedule.next).toEqual({ after: undefined, since: START - HOUR });
    expect(bench.listed(a, item("old", START - 2 * HOUR)).starts).toEqual(["start a"]);
    expect(bench.ended("a").starts).toEqual([]);
  });
});

describe("another run", () => {
  test("goes on behind the last event, with what waits in the order of arrival", () => {
    const bench = new Bench().connect().live(a, b, c).ended("a").restarted();
    expect(bench.schedule.next).toEqual({ after: "e-2", since: START - HOUR });
    expect(bench.connect().starts).toEqual(["fetch b"]);
    expect(bench.fetched("b", b).ended("b").starts).toEqual(["start b", "fetch c"]);
  });

  test("on a node that does not know the place skips what is finished", () => {
    const bench = new Bench().connect().live(a, b, c).ended("a").restarted().connect();
    bench.listed(a, b, c, d).fetched("b", b).ended("b").ended("c").ended("d");
    expect(bench.starts).toEqual(["fetch b", "start b", "start c", "start d"]);
    expect(bench.schedule.next.after).toBe("e-0");
  });

  test("that is killed while a node lists lists again", () => {
    const bench = new Bench().connect().live(a).restarted().connect();
    bench.put({ type: "event", event: { type: "item", item: b } });
    expect(bench.restarted().schedule.next.after).toBe("e-0");
  });

  test("has all of it from a file that was written anew", () => {
    const before = new Bench().connect().live(a, b, c).ended("a");
    const bench = new Bench({}, [...before.schedule.records()]);
    expect(bench.schedule.next).toEqual({ after: "e-2", since: START - HOUR });
    expect(bench.connect().listed(a, b, c).fetched("b", b).ended("b").starts).toEqual([
      ...["fetch b", "start b", "start c"],
    ]);
  });

  test.each([
    [23, []],
    [25, ["gap of 25 h"]],
  ])("after %s h says what may have been missed", (hours, orders) => {
    const bench = new Bench().connect().listed().restarted();
    bench.nowMs += hours * HOUR;
    expect(bench.connect().listed().orders).toEqual(orders);
  });

  test("after a long time in which nothing came, but a node was there, misses nothing", () => {
    const bench = new Bench()
      .connect()
      .listed()
      .pass(30 * HOUR)
      .restarted();
    expect(bench.connect().listed().orders).toEqual([]);
    expect(
      bench
        .put({ type: "disconnected" })
        .pass(25 * HOUR)
        .connect()
        .listed().orders,
    ).toEqual(["gap of 25 h"]);
  });

  test("remembers what is finished until it has expired, and then forgets it", () => {
    const bench = new Bench().connect().listed().live(a).ended("a");
    const finished = () => [...bench.schedule.records()].filter(({ type }) => type === "done");
    bench.pass(24 * HOUR + 600_000);
    expect(finished()).toHaveLength(1);
    bench.pass(HOUR);
    expect(finished()).toEqual([]);
    expect(bench.schedule.recordCount).toBe(1);
  });
});
