import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ErrorCode, HubcastError } from "../../core/errors.js";
import type { HubAddress, HubTls } from "../client/options.js";
import { endedEarly } from "./own-hub.js";
import type { Role } from "./proof/statistics.js";

/** The worker processes of one run. A failure of one ends the run. */
export class WorkerPool {
  readonly #workers: Worker[];

  /** @param shares one for each worker */
  constructor(
    private readonly shares: readonly Share[],
    onProgress: (worker: number, report: WorkerProgress) => void,
  ) {
    this.#workers = shares.map((_, index) => new Worker((report) => onProgress(index, report)));
  }

  /** @returns ids of all clients, in their order @throws unreachable, notHubcast */
  async open(): Promise<number[]> {
    const opened = await this.#each((worker, index) =>
      worker.ask({ type: "open", share: this.shares[index]! }, "opened"),
    );
    return opened.flatMap(({ ids }) => ids);
  }

  /** The barrier: resolves when all clients see all others. */
  async meet(ids: readonly number[]): Promise<void> {
    await this.#each((worker) => worker.ask({ type: "meet", ids }, "met"));
  }

  go(startUs: number): void {
    for (const worker of this.#workers) worker.tell({ type: "go", startUs });
  }

  async finish(): Promise<WorkerResult[]> {
    const results = await this.#each((worker) => worker.ask({ type: "finish" }, "result"));
    return results.map(({ result }) => result);
  }

  /** Rejects when a worker fails or ends on its own. */
  async failed(): Promise<never> {
    return await Promise.race(this.#workers.map((worker) => worker.failed));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  async #each<T>(work: (worker: Worker, index: number) => Promise<T>): Promise<T[]> {
    return await Promise.all(this.#workers.map(work));
  }
}

class Worker {
  readonly failed: Promise<never>;
  readonly #child: ChildProcess;
  readonly #answers = new Map<WorkerMessage["type"], (message: WorkerMessage) => void>();
  #stopping = false;

  constructor(onProgress: (report: WorkerProgress) => void) {
    this.#child = fork(new URL("./worker.js", import.meta.url), { serialization: "advanced" });
    const failed = Promise.withResolvers<never>();
    this.failed = failed.promise;
    this.failed.catch(() => {});
    this.#child.on("message", (said: WorkerMessage) => {
      if (said.type === "progress") onProgress(said);
      else if (said.type === "failed") {
        const { code, message, suggestions } = said;
        failed.reject(new HubcastError(code as ErrorCode, message, { suggestions }));
      } else this.#answers.get(said.type)?.(said);
    });
    this.#child.once("exit", (code, signal) => {
      if (!this.#stopping) failed.reject(endedEarly("a worker", code, signal));
    });
  }

  tell(command: WorkerCommand): void {
    this.#child.send(command, () => {});
  }

  async ask<T extends WorkerMessage["type"]>(
    command: WorkerCommand,
    answer: T,
  ): Promise<Extract<WorkerMessage, { type: T }>> {
    const answered = new Promise<WorkerMessage>((resolve) => {
      this.#answers.set(answer, resolve);
    });
    this.tell(command);
    return (await Promise.race([answered, this.failed])) as Extract<WorkerMessage, { type: T }>;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

/** Commands to a worker, in this order. */
export type WorkerCommand =
  | { readonly type: "open"; readonly share: Share }
  /** All ids of the run, by client index: wait until every client sees them. */
  | { readonly type: "meet"; readonly ids: readonly number[] }
  /** Send from that instant of the shared clock on. */
  | { readonly type: "go"; readonly startUs: number }
  /** Stop sending, wait until nothing is in flight, and return the result. */
  | { readonly type: "finish" };

/** The task of one worker. */
export interface Share {
  /** Addresses of the hubs: client i connects to the one at `i % addresses.length`. */
  readonly addresses: readonly HubAddress[];
  /** Clients show it in a hello of version 2; without, they speak version 1. */
  readonly token?: string;
  /** TLS options; without, plain TCP. */
  readonly tls?: HubTls;
  /** Indexes of its clients: from `first` to before `end`, of `clients`. */
  readonly first: number;
  readonly end: number;
  readonly clients: number;
  readonly messages: number;
  readonly size: number;
  readonly intervalUs: number;
  /** Identifies the run: payloads of others are corrupt. */
  readonly tag: number;
  /** By client index. In a baseline run the misbehaving ones behave, but send nothing either. */
  readonly roles: readonly Role[];
  readonly chaosOn: boolean;
  /** `different`: each frame of a sender lists its receivers in another order. */
  readonly lists: "same" | "different";
  /** Module that exports `wire`; without, the hub's protocol. */
  readonly wireUrl?: string;
}

/** Messages of a worker. */
export type WorkerMessage =
  | { readonly type: "opened"; readonly ids: readonly number[] }
  | { readonly type: "met" }
  | ({ readonly type: "progress" } & WorkerProgress)
  | { readonly type: "result"; readonly result: WorkerResult }
  | {
      readonly type: "failed";
      readonly code: string;
      readonly message: string;
      readonly suggestions: readonly string[];
    };

/** Sent ten times a second: counters since the start, latencies since the last report. */
export interface WorkerProgress {
  readonly sent: number;
  readonly sentBytes: number;
  readonly deliveries: number;
  readonly deliveredBytes: number;
  /** All messages of its clients are in the kernel; all deliveries to them have arrived. */
  readonly allSent: boolean;
  readonly allReceived: boolean;
  /** Connections that the hub has closed. */
  readonly closed: number;
  /** Histogram of latencies against the intended send time, in microseconds. */
  readonly latency: { readonly counts: Float64Array; readonly max: number };
  /** Since the start of the run. */
  readonly cpuUs: number;
  readonly activeMs: number;
  readonly wallMs: number;
}

export interface WorkerResult {
  /** Messages that each of its clients has sent. */
  readonly sent: readonly number[];
  /** Per client and sender, the number after the highest received: `next[client * clients + sender]`. */
  readonly next: Uint32Array;
  readonly faults: readonly {
    readonly sender: number;
    readonly receiver: number;
    readonly skipped: number;
    readonly duplicated: number;
    readonly outOfOrder: number;
    readonly corrupt: number;
  }[];
  /** Indexes of healthy clients whose connection ended. */
  readonly closed: readonly number[];
  readonly intended: { readonly counts: Float64Array; readonly max: number };
  readonly actual: { readonly counts: Float64Array; readonly max: number };
  /** How late messages went, against the schedule. */
  readonly lag: { readonly counts: Float64Array; readonly max: number };
  /** The longest that one of its clients could not write. */
  readonly pauseMaxUs: number;
  /** When the first message went and the last delivery came, on the shared clock. */
  readonly firstSentUs: number;
  readonly lastDeliveryUs: number;
}
