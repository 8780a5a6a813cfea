/** How busy a process was while the run lasted, each 0 to 1. */
export interface Busy {
  /** Of its event loop. */
  readonly loop: number;
  /** Of one processor. */
  readonly cpu: number;
}

export interface Verdict {
  readonly bottleneck: "generator" | "hub" | "neither";
  /** A sentence. */
  readonly why: string;
}

/** From here on a process counts as busy all the time. */
const SATURATED = 0.9;
/** A loop that is busy while its process gets less than this of a processor waits for one. */
const STARVED = 0.65;
/** A schedule is kept when 99 of 100 messages go no later than this. A guess: a timer of Node is 1 ms late anyway. */
const LATE_MS = 20;

/**
 * What kept the run from being faster.
 * @param hub absent when it is not our own process
 * @param lateMs how late 99 % of messages went; absent where there was no schedule to keep
 */
export function verdict(
  workers: readonly Busy[],
  hub: Busy | undefined,
  lateMs: number | undefined,
): Verdict {
  const worker = workers.reduce((most, busy) => (busy.loop > most.loop ? busy : most), { loop: 0, cpu: 0 });
  const kept = lateMs !== undefined && lateMs <= LATE_MS;
  const busiest = hub && hub.loop >= worker.loop ? hub : worker;
  const isHub = busiest === hub;
  const figures = `event loops: ${hub ? `hub ${percent(hub.loop)}, ` : ""}busiest worker ${percent(worker.loop)}`;
  if (busiest.loop >= SATURATED) {
    const who = isHub ? "the hub" : "a worker";
    if (busiest.cpu < STARVED) {
      const got = `${who} wanted to run all the time and got ${percent(busiest.cpu)} of a processor`;
      return { bottleneck: "neither", why: `${got}: the machine had too much to do (${figures})` };
    }
    const advice = isHub ? "" : "; more --workers may help, if there are processors for them";
    return {
      bottleneck: isHub ? "hub" : "generator",
      why: `${who} was busy all the time (${figures})${advice}`,
    };
  }
  if (kept) {
    return { bottleneck: "neither", why: `the schedule was kept, and nobody was at the limit (${figures})` };
  }
  if (hub === undefined) {
    return {
      bottleneck: "hub",
      why: `workers had time left (${figures}): the hub or the way to it was the limit`,
    };
  }
  return { bottleneck: "neither", why: `nobody was busy all the time (${figures})` };
}

function percent(share: number): string {
  return `${Math.round(Math.min(1, share) * 100)} %`;
}
