/** One load, the same for every server. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly clients: number;
  readonly messages: number;
  readonly size: number;
  readonly intervalMs: number;
  readonly lists?: "different";
  /** Processes of the generator; 1 without. Two where one could not load the server fully. */
  readonly workers?: number;
  /** A bare `net` loop with as many sockets and bytes runs beside it. */
  readonly besideCopyLoop?: true;
  /** The last client stops reading: what the others notice, against runs in which it reads. */
  readonly stops?: true;
  /** Only memory for each client counts. */
  readonly idle?: true;
  /** Servers of which a run would take minutes, or that have nothing comparable. */
  readonly without?: readonly string[];
}

/** The bounds that the hub has to keep, as its design says. */
export function scenarios(size: "quick" | "usual" | "full"): Scenario[] {
  const n = <T>(quick: T, usual: T, full: T): T => ({ quick, usual, full })[size];
  return [
    {
      name: "128B",
      title: "100 clients, 128 B, as fast as it goes",
      clients: 100,
      messages: n(100, 400, 400),
      size: 128,
      intervalMs: 0,
      workers: 2,
    },
    {
      name: "10KiB",
      title: "100 clients, 10 KiB, as fast as it goes",
      clients: 100,
      messages: n(20, 100, 100),
      size: 10_240,
      intervalMs: 0,
    },
    {
      name: "paced",
      title: "100 clients, 1 KiB, 10 a second each",
      clients: 100,
      messages: n(20, 60, 300),
      size: 1_024,
      intervalMs: 100,
    },
    {
      name: "different",
      title: "100 clients, 128 B, receivers in another order in every frame",
      clients: 100,
      messages: n(100, 400, 400),
      size: 128,
      intervalMs: 0,
      lists: "different",
      workers: 2,
    },
    {
      name: "large",
      title: "255 clients, 1,024,000 B, as fast as it goes",
      clients: n(64, 255, 255),
      messages: n(2, 1, 4),
      size: 1_024_000,
      intervalMs: 0,
      workers: 2,
      besideCopyLoop: true,
      without: ["nats-server", "redis-server", "mosquitto"],
    },
    {
      name: "stops-paced",
      title: "100 clients, 10 KiB, 10 a second each; one stops reading",
      clients: 100,
      messages: n(50, 150, 300),
      size: 10_240,
      intervalMs: 100,
      stops: true,
    },
    {
      name: "stops-fast",
      title: "100 clients, 10 KiB, as fast as it goes; one stops reading",
      clients: 100,
      messages: n(50, 400, 800),
      size: 10_240,
      intervalMs: 0,
      stops: true,
    },
    {
      name: "idle",
      title: "clients that say nothing",
      clients: n(2_000, 10_000, 10_000),
      messages: 0,
      size: 24,
      intervalMs: 0,
      idle: true,
    },
  ];
}
