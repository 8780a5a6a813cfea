import type { FastifyInstance } from "fastify";
import type { Registry } from "prom-client";

/** One metric, read at each scrape. Names that end in `_total` are counters, which only grow; others are gauges. */
export interface Figure {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  readonly read: () => number | Iterable<readonly [labels: Readonly<Record<string, string>>, value: number]>;
}

/**
 * A histogram of durations. It records nothing before the first scrape, so that a server that is never scraped pays
 * nothing.
 */
export class Timing {
  #observe: ((seconds: number) => void) | undefined;

  /** @param buckets upper bounds, seconds */
  constructor(
    readonly name: string,
    readonly help: string,
    readonly buckets: readonly number[],
  ) {}

  observe(ms: number): void {
    this.#observe?.(Math.max(0, ms) / 1_000);
  }

  /** Later observations go to that histogram. */
  open(observe: (seconds: number) => void): void {
    this.#observe = observe;
  }
}

/** Gauges that `prom-client` names like counters; the same figures exist without `_total`, by type. */
const MISNAMED = [
  "nodejs_active_handles_total",
  "nodejs_active_requests_total",
  "nodejs_active_resources_total",
];

/**
 * GET /metrics, for Prometheus: these figures and timings, and those of the process. Nothing is loaded or measured
 * before the first scrape.
 */
export function serveMetrics(
  app: FastifyInstance,
  figures: readonly Figure[],
  {
    timings = [],
    response = {},
    turn = async () => {},
  }: {
    readonly timings?: readonly Timing[];
    readonly response?: object;
    /** Waited for before each scrape: figures may take long. */
    readonly turn?: () => Promise<void>;
  } = {},
): void {
  let opened: Promise<Registry> | undefined;
  app.get(
    "/metrics",
    {
      config: { role: "read" },
      schema: { operationId: "getMetrics", summary: "Figures for Prometheus", tags: ["probes"], response },
    },
    async (_request, reply) => {
      opened ??= openRegistry(figures, timings);
      const registry = await opened;
      await turn();
      reply.headers({ "content-type": registry.contentType, "cache-control": "no-store" });
      return await registry.metrics();
    },
  );
}

/** Of an instant that may be absent: epoch seconds. @param ms epoch ms */
export function secondsOf(ms: number | undefined): ReturnType<Figure["read"]> {
  return ms === undefined ? [] : ms / 1_000;
}

/** A gauge with a sample for each reason: 1 while it holds. */
export function reasonsFigure(
  name: string,
  help: string,
  all: readonly string[],
  present: () => readonly string[],
): Figure {
  const read = () => {
    const reasons = present();
    return all.map((reason) => [{ reason }, Number(reasons.includes(reason))] as const);
  };
  return { name, help, labels: ["reason"], read };
}

async function openRegistry(figures: readonly Figure[], timings: readonly Timing[]): Promise<Registry> {
  const { Registry, Gauge, Counter, Histogram, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of MISNAMED) registry.removeSingleMetric(name);
  for (const { name, help, labels = [], read } of figures) {
    const Metric = name.endsWith("_total") ? Counter : Gauge;
    new Metric({
      name,
      help,
      labelNames: [...labels],
      registers: [registry],
      collect() {
        const value = read();
        this.reset();
        for (const [of, one] of typeof value === "number" ? [[{}, value] as const] : value) {
          if (this instanceof Gauge) this.set(of, one);
          else this.inc(of, one);
        }
      },
    });
  }
  for (const timing of timings) {
    const { name, help, buckets } = timing;
    const histogram = new Histogram({ name, help, buckets: [...buckets], registers: [registry] });
    timing.open((seconds) => histogram.observe(seconds));
  }
  return registry;
}
