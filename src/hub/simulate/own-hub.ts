import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type ErrorCode, HubcastError } from "../../core/errors.js";
import type { HubOptions } from "../index.js";
import type { CloseReason } from "../machine/frames.js";

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
  /** Newer than the call. */
  freshLoad(): Promise<HubLoad>;
  /** Rejects when the hub ends by itself. */
  readonly lost: Promise<never>;
}

type HubProcessMessage =
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
    child.on("message", (message: HubProcessMessage) => {
      if (message.type === "load") this.load = message.load;
    });
    const lost = Promise.withResolvers<never>();
    child.once("exit", (code, signal) => {
      if (!this.#stopping) lost.reject(endedEarly("the hub", code, signal));
    });
    this.lost = lost.promise;
    this.lost.catch(() => {});
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

/** A process of the simulator has ended before it was told to: by a signal, which comes from outside, or by itself. */
export function endedEarly(what: string, code: number | null, signal: NodeJS.Signals | null): HubcastError {
  if (signal === null) return new HubcastError("bug", `${what} ended with code ${code}`);
  return new HubcastError("systemFailed", `${what} was ended by ${signal}`, {
    suggestions: [
      "SIGKILL that nobody sent is the system's, for lack of memory: use fewer clients, or smaller messages.",
    ],
  });
}
