import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ErrorCode, HubcastError } from "../../core/errors.js";
import type { HubOptions } from "../index.js";
import type { CloseReason } from "../protocol/close-reason.js";

/** What a hub's process has used since its start. */
export interface HubLoad {
  readonly cpuUs: number;
  /** Time in which its event loop worked, of all time. */
  readonly activeMs: number;
  readonly wallMs: number;
  readonly rssBytes: number;
  readonly rssPeakBytes: number;
  /** The most that its frames and queues took, by its own account. */
  readonly budgetPeakBytes: number;
  readonly closed: Readonly<Partial<Record<CloseReason, number>>>;
}

/** A hub whose use of the machine can be seen. */
export interface HubGauge {
  /** The last that is known. */
  readonly load: HubLoad | undefined;
  /** Newer than the call. */
  freshLoad(): Promise<HubLoad>;
  /** Rejects when the hub ends by itself. */
  readonly lost: Promise<never>;
}

type HubWord =
  | { readonly type: "ready"; readonly port: number }
  | { readonly type: "load"; readonly load: HubLoad }
  | { readonly type: "failed"; readonly code: ErrorCode; readonly message: string };

/** A hub that was started for a run, as a child process. */
export class OwnHub implements HubGauge {
  load: HubLoad | undefined;
  readonly lost: Promise<never>;
  #stopping = false;

  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
  ) {
    child.on("message", (word: HubWord) => {
      if (word.type === "load") this.load = word.load;
    });
    const lost = Promise.withResolvers<never>();
    child.once("exit", (code, signal) => {
      if (!this.#stopping) lost.reject(new HubcastError("bug", `the hub ended: ${signal ?? `code ${code}`}`));
    });
    this.lost = lost.promise;
    this.lost.catch(() => {});
  }

  static async start(options: Pick<HubOptions, "clientsMax">): Promise<OwnHub> {
    const child = fork(new URL("./hub-process.js", import.meta.url), [JSON.stringify(options)], {
      serialization: "advanced",
    });
    const ended = once(child, "exit").then(() => undefined);
    const said = await Promise.race([once(child, "message") as Promise<[HubWord]>, ended]);
    const word = said?.[0];
    if (word?.type === "ready") return new OwnHub(child, word.port);
    child.kill("SIGKILL");
    if (word?.type === "failed") throw new HubcastError(word.code, word.message);
    throw new HubcastError("bug", "the hub ended before it was ready");
  }

  async freshLoad(): Promise<HubLoad> {
    const next = once(this.child, "message").then(() => this.load!);
    return await Promise.race([next, this.lost]);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exited;
  }
}
