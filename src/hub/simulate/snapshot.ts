/** How far a run is: what is shown while it lasts. */
export interface Snapshot {
  /** `baseline` and `chaos` are the two runs of `--chaos`; without, there is `load` alone. */
  readonly run: "load" | "baseline" | "chaos";
  readonly phase: "connecting" | "meeting" | "running" | "finishing";
  readonly elapsedMs: number;
  readonly clients: number;
  readonly sent: number;
  readonly toSend: number;
  readonly deliveries: number;
  readonly expected: number;
  /** Over the last second. */
  readonly deliveriesPerSecond: number;
  readonly bytesPerSecond: number;
  /** Of the last second, against the intended send time. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Clients that the hub has closed. */
  readonly closed: number;
  /** Only of a hub that was started for the run; `loop` is the share of time its event loop worked, so far. */
  readonly hub?: { readonly rssBytes: number; readonly loop: number };
}
