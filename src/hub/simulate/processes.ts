import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ErrorCode, HubcastError } from "../../core/errors.js";
import type { HubAddress, HubTls } from "../client/options.js";
import type { HubOptions } from "../index.js";
import type { CloseReason } from "../machine/frames.js";
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
    return await Promise.race(this.#workers.map((worker) => worker.lost));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  async #each<T>(work: (worker: Worker, index: number) => Promise<T>): Promise<T[]> {
    return await Promise.all(this.#workers.map(work));
  }
}

/** A process that was started for a run, and ends with it. */
class RunProcess {
  /** Rejects when it fails, or ends by itself. */
  readonly lost: Promise<never>;
  protected readonly fail: (error: HubcastError) => void;
  #stopping = false;

  /** @param what for people */
  constructor(
    protected readonly child: ChildProcess,
    what: string,
  ) {
    const lost = Promise.withResolvers<never>();
    this.lost = lost.promise;
    this.lost.catch(() => {});
    this.fail = lost.reject;
    child.once("exit", (code, signal) => {
      if (!this.#stopping) this.fail(endedEarly(what, code, signal));
    });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exited;
  }
}

/** A process of the simulator has ended before it was told to: by a signal, which comes from outside, or by itself. */
function endedEarly(what: string, code: number | null, signal: NodeJS.Signals | null): HubcastError {
  if (signal === null) return new HubcastError("bug", `${what} ended with code ${code}`);
  return new HubcastError("systemFailed", `${what} was ended by ${signal}`, {
    suggestions: [
      "SIGKILL that nobody sent is the system's, for lack of memory: use fewer clients, or smaller messages.",
    ],
  });
}

/** A worker opens thousands of connections, or checks its last deliveries, in a fraction of this. */
const ANSWER_MS = 120_000;

function silent(): HubcastError {
  return new HubcastError("systemFailed", `a worker has not answered for ${ANSWER_MS / 1_000} s`, {
    suggestions: ["Look whether it was stopped, and whether this machine has memory and processor left."],
  });
}

class Worker extends RunProcess {
  readonly #answers = new Map<WorkerMessage["type"], (message: WorkerMessage) => void>();

  constructor(onProgress: (report: WorkerProgress) => void) {
    super(fork(new URL("./worker.js", import.meta.url), { serialization: "advanced" }), "a worker");
    this.child.on("message", (said: WorkerMessage) => {
      if (said.type === "progress") onProgress(said);
      else if (said.type === "failed") {
        const { code, message, suggestions } = said;
        this.fail(new HubcastError(code as ErrorCode, message, { suggestions }));
      } else this.#answers.get(said.type)?.(said);
    });
  }

  tell(command: WorkerCommand): void {
    this.child.send(command, () => {});
  }

  async ask<T extends WorkerMessage["type"]>(
    command: WorkerCommand,
    answer: T,
  ): Promise<Extract<WorkerMessage, { type: T }>> {
    const answered = new Promise<WorkerMessage>((resolve) => {
      this.#answers.set(answer, resolve);
    });
    this.tell(command);
    const timer = setTimeout(() => this.fail(silent()), ANSWER_MS);
    try {
      return (await Promise.race([answered, this.lost])) as Extract<WorkerMessage, { type: T }>;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The hub of a run reports its load ten times a second, unless it hangs. */
const LOAD_MS = 2_000;

/** A hub that was started for a run. */
export class OwnHub extends RunProcess implements HubGauge {
  load: HubLoad | undefined;

  private constructor(
    child: ChildProcess,
    readonly port: number,
  ) {
    super(child, "the hub");
    child.on("message", (message: HubProcessMessage) => {
      if (message.type === "load") this.load = message.load;
    });
  }

  static async start(options: Pick<HubOptions, "clientsMax">): Promise<OwnHub> {
    const child = fork(new URL("./hub-process.js", import.meta.url), [JSON.stringify(options)], {
      serialization: "advanced",
    });
    const ended = once(child, "exit").then(() => undefined);
    const said = await Promise.race([once(child, "message") as Promise<[HubProcessMessage]>, ended]);
    const message = said?.[0];
    if (message?.type === "ready") return new OwnHub(child, message.port);
    child.kill("SIGKILL");
    if (message?.type === "failed") throw new HubcastError(message.code, message.message);
    throw new HubcastError("bug", "the hub ended before it was ready");
  }

  async freshLoad(): Promise<HubLoad | undefined> {
    const next = once(this.child, "message", { signal: AbortSignal.timeout(LOAD_MS) }).catch(() => {});
    await Promise.race([next, this.lost]);
    return this.load;
  }
}

/** The resource use of a hub's process since its start. */
export interface HubLoad {
  readonly cpuUs: number;
  /** Time in which its event loop worked, of all time. */
  readonly activeMs: number;
  readonly wallMs: number;
  readonly rssBytes: number;
  readonly rssPeakBytes: number;
  /** The peak of frames and queues, as the hub counts them. */
  readonly budgetPeakBytes: number;
  readonly closed: Readonly<Partial<Record<CloseReason, number>>>;
}

/** A hub whose resource use can be read. */
export interface HubGauge {
  /** The latest report. */
  readonly load: HubLoad | undefined;
  /** A report newer than the call; the latest, if any, when the hub gives none. */
  freshLoad(): Promise<HubLoad | undefined>;
  /** Rejects when the hub ends by itself. */
  readonly lost: Promise<never>;
}

type HubProcessMessage =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "load"; readonly load: HubLoad }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string };

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
