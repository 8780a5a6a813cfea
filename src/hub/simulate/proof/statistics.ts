import { Histogram } from "../../../core/histogram.js";
import { formatMs } from "../../../core/units.js";

/** One interval of the run. */
export interface Moment {
  /** Its start, from the start of the run, and its length. */
  readonly atMs: number;
  readonly lengthMs: number;
  readonly deliveries: number;
  readonly bytes: number;
  /** Latencies of its deliveries in ms; 0 without any. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

interface Stretch {
  deliveries: number;
  bytes: number;
  readonly latency: Histogram;
}

/** Intervals that are kept. When there are more, adjacent ones are joined: a day of load takes no more than a minute. */
const STRETCHES_MAX = 240;

/** Throughput and latency over time. */
export class TimeSeries {
  #stretchMs = 100;
  #stretches: Stretch[] = [];

  /** Adds deliveries between two times, ms from the start, spread evenly over the intervals that they touch. */
  add(fromMs: number, toMs: number, came: { deliveries: number; bytes: number; latency: Histogram }): void {
    const lengthMs = Math.max(1e-3, toMs - fromMs);
    while (toMs >= STRETCHES_MAX * this.#stretchMs) this.#halve();
    const last = Math.floor(toMs / this.#stretchMs);
    for (let next = this.#stretches.length; next <= last; next += 1) this.#stretches.push(nothing());
    for (let index = Math.floor(fromMs / this.#stretchMs); index <= last; index += 1) {
      const begin = Math.max(fromMs, index * this.#stretchMs);
      const share = (Math.min(toMs, (index + 1) * this.#stretchMs) - begin) / lengthMs;
      const stretch = this.#stretches[index]!;
      stretch.deliveries += came.deliveries * share;
      stretch.bytes += came.bytes * share;
      if (share > 0) stretch.latency.add(came.latency);
    }
  }

  moments(): Moment[] {
    return this.#stretches.map(({ deliveries, bytes, latency }, index) => ({
      atMs: index * this.#stretchMs,
      lengthMs: this.#stretchMs,
      deliveries: Math.round(deliveries),
      bytes: Math.round(bytes),
      p50Ms: latency.quantile(0.5) / 1_000,
      p99Ms: latency.quantile(0.99) / 1_000,
      maxMs: latency.max / 1_000,
    }));
  }

  #halve(): void {
    const old = this.#stretches;
    this.#stretchMs *= 2;
    this.#stretches = [];
    for (let index = 0; index < old.length; index += 2) {
      const joined = old[index]!;
      const second = old[index + 1];
      if (second) {
        joined.deliveries += second.deliveries;
        joined.bytes += second.bytes;
        joined.latency.add(second.latency);
      }
      this.#stretches.push(joined);
    }
  }
}

function nothing(): Stretch {
  return { deliveries: 0, bytes: 0, latency: new Histogram() };
}

/** How busy a process was during the run, each 0 to 1. */
export interface Busy {
  /** The share of time in which its event loop worked. */
  readonly loop: number;
  /** The share of one processor that it used. */
  readonly cpu: number;
}

export interface Verdict {
  readonly bottleneck: "generator" | "hub" | "neither";
  /** A sentence. */
  readonly why: string;
}

/** A process above this share counts as busy all the time. */
const SATURATED = 0.9;
/** A loop that is busy while its process gets less of a processor than this waits for one. */
const STARVED = 0.65;
/** A schedule is kept when 99 of 100 messages go no later than this. A guess: a timer of Node is 1 ms late anyway. */
const LATE_MS = 20;

/** How well a paced load kept its schedule. */
export interface Paced {
  /** Share of the deliveries asked for in a second that were made in a second. */
  readonly kept: number;
  /** Lateness of 99 % of messages. */
  readonly lateMs: number;
}

/**
 * The bottleneck of the run.
 * @param hub absent when it is not our own process
 * @param paced absent without a schedule
 * @param processors of this machine
 */
export function verdict(
  workers: readonly Busy[],
  hub: Busy | undefined,
  paced: Paced | undefined,
  processors: number,
): Verdict {
  const worker = workers.reduce((most, busy) => (busy.loop > most.loop ? busy : most), { loop: 0, cpu: 0 });
  const busiest = hub && hub.loop >= worker.loop ? hub : worker;
  const bottleneck = busiest === hub ? "hub" : "generator";
  const who = busiest === hub ? "the hub" : "a worker";
  const figures = `event loops: ${hub ? `hub ${percent(hub.loop)}, ` : ""}busiest worker ${percent(worker.loop)}`;
  if (busiest.loop >= SATURATED) {
    if (busiest.cpu < STARVED) {
      const got = `${who} wanted to run all the time and got ${percent(busiest.cpu)} of a processor`;
      return { bottleneck: "neither", why: `${got}: the machine had too much to do (${figures})` };
    }
    const advice = bottleneck === "hub" ? "" : "; more --workers may help, if there are processors for them";
    return { bottleneck, why: `${who} was busy all the time (${figures})${advice}` };
  }
  if (paced && paced.lateMs <= LATE_MS)
    return { bottleneck: "neither", why: `the schedule was kept, and nobody was at the limit (${figures})` };
  if (hub === undefined) {
    return {
      bottleneck: "hub",
      why: `workers had time left (${figures}): the hub or the way to it was the limit`,
    };
  }
  if (!paced) return { bottleneck: "neither", why: `nobody was busy all the time (${figures})` };
  const missed =
    paced.kept < 0.99
      ? `the schedule was missed: ${Math.floor(100 * paced.kept)} % of what it asks for was delivered`
      : `messages were written up to ${formatMs(paced.lateMs)} ms late`;
  const used = workers.reduce((sum, { cpu }) => sum + cpu, hub.cpu);
  if (used >= SATURATED * processors)
    return {
      bottleneck: "neither",
      why: `${missed}, with all processors of this machine in use (${figures})`,
    };
  return { bottleneck, why: `${missed}, and ${who} had most to do, though not all the time (${figures})` };
}

function percent(share: number): string {
  return `${Math.round(Math.min(1, share) * 100)} %`;
}

/**
 * When each message is due: client after client, spread evenly over the interval, so that the load has no bursts of
 * its own. Microseconds from the start of the run.
 */
export class Schedule {
  /** @param intervalUs between two messages of one client; 0: no schedule, as fast as it goes */
  constructor(
    private readonly clients: number,
    private readonly messages: number,
    readonly intervalUs: number,
  ) {}

  get paced(): boolean {
    return this.intervalUs > 0;
  }

  /** @param client index among all clients */
  dueUs(client: number, sequence: number): number {
    return (sequence + client / this.clients) * this.intervalUs;
  }

  /** How many messages of a client are due by then. */
  dueCount(client: number, atUs: number): number {
    if (!this.paced) return this.messages;
    const count = Math.floor(atUs / this.intervalUs - client / this.clients) + 1;
    return Math.max(0, Math.min(this.messages, count));
  }
}

/** The behaviour of a client during the run. Chaotic ones receive, badly, and send no messages. */
export type Role = "healthy" | ChaosRole;
export type ChaosRole = "slowReader" | "staller" | "halfOpen" | "midFrameKiller";

/** In the order of their cost for a careless hub. */
const CHAOS_ROLES: readonly ChaosRole[] = ["staller", "slowReader", "halfOpen", "midFrameKiller"];

/**
 * The roles of all clients: the last ones are chaotic, the kinds in turn.
 * @param share of the clients that is chaotic, 0 to 1; at least one is when it is over 0, and two stay healthy
 */
export function rolesOf(clients: number, share: number): Role[] {
  const chaotic = share === 0 ? 0 : Math.min(clients - 2, Math.max(1, Math.round(clients * share)));
  return Array.from({ length: clients }, (_, index) => {
    const place = index - (clients - chaotic);
    return place < 0 ? "healthy" : CHAOS_ROLES[place % CHAOS_ROLES.length]!;
  });
}
