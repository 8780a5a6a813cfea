import { HubcastError } from "../../core/errors.js";
import { TIMER_MS_MAX } from "../../core/options.js";
import type { EventsOptions } from "../../node/broadcast.js";
import type { HttpNode } from "../../node/client.js";
import type { Commands } from "./command.js";
import type { Task } from "./machine/records.js";
import { type Report, Schedule, type ScheduleInput, type ScheduleOptions } from "./machine/schedule.js";
import { StateFile } from "./state-file.js";

export interface ExecOptions extends Pick<ScheduleOptions, "jobs" | "sinceMs"> {
  readonly topic?: string | undefined;
  /** Path of the state file; absent: what is finished is forgotten at the end. */
  readonly state?: string | undefined;
  readonly commands: Commands;
  /** Stops: what runs is finished. */
  readonly signal: AbortSignal;
  readonly reconnect: boolean;
  readonly onConnection: NonNullable<EventsOptions["onConnection"]>;
  readonly report: (report: Report) => void;
}

/**
 * Runs a command for each item of a node, until `signal` aborts. Resolves when what ran then has ended.
 * @throws what the events of the node and the state file throw, once what runs has ended
 */
export async function watchExec(node: HttpNode, options: ExecOptions): Promise<void> {
  const opened = options.state === undefined ? undefined : await StateFile.open(options.state);
  await using file = opened?.file;
  const kept = opened?.kept;
  if (kept && kept.beginning.topic !== options.topic) {
    throw foreign(
      `${options.state} is of ${topicWords(kept.beginning.topic)}, not of ${topicWords(options.topic)}`,
    );
  }
  const schedule = new Schedule({ ...options, random: Math.random }, kept);
  if (kept) file!.replace(schedule);
  await new Execution(node, schedule, file, options).run();
}

/** Carries out what a schedule orders. */
class Execution {
  readonly #work = new Set<Promise<void>>();
  readonly #fault = new AbortController();
  /** Aborts when nothing new is to start. */
  readonly #stopping: AbortSignal;
  /** The node's clock minus that of this process, ms. */
  #aheadMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly node: HttpNode,
    private readonly schedule: Schedule,
    private readonly file: StateFile | undefined,
    private readonly options: ExecOptions,
  ) {
    this.#stopping = AbortSignal.any([options.signal, this.#fault.signal]);
  }

  async run(): Promise<void> {
    try {
      await this.#follow();
    } catch (error) {
      this.#fault.abort(error);
    }
    this.#handle({ type: "stopped" });
    await Promise.allSettled(this.#work);
    clearTimeout(this.#timer);
    this.#fault.signal.throwIfAborted();
    await this.file?.synced(this.schedule);
  }

  async #follow(): Promise<void> {
    const { topic, reconnect, onConnection } = this.options;
    const { schedule } = this;
    const place = { next: () => schedule.next, connected: (clockMs: number) => this.#connected(clockMs) };
    const events = this.node.follow(place, {
      ...(topic !== undefined && { topic }),
      ...{ reconnect, signal: this.#stopping },
      onConnection: (state, reason) => {
        if (state === "lost") this.#handle({ type: "disconnected" });
        onConnection(state, reason);
      },
    });
    for await (const event of events) this.#handle({ type: "event", event });
  }

  async #connected(clockMs: number): Promise<void> {
    const { cluster, retentionMs } = await this.node.status();
    const before = this.schedule.cluster;
    if (before !== undefined && cluster !== before) {
      const { state } = this.options;
      if (state !== undefined)
        throw foreign(`${state} is of cluster ${before}, and the node at ${this.node.url} of ${cluster}`);
      throw new HubcastError(
        "usage",
        `the node at ${this.node.url} is of cluster ${cluster}, not ${before}`,
        {
          suggestions: ["Name nodes of one cluster with --url."],
        },
      );
    }
    this.#aheadMs = clockMs - Date.now();
    this.#handle({ type: "connected", clockMs, cluster, retentionMs });
  }

  #handle(input: ScheduleInput): void {
    try {
      for (const effect of this.schedule.handle(input, Date.now() + this.#aheadMs)) {
        switch (effect.type) {
          case "create":
            this.file?.replace(this.schedule);
            break;
          case "write":
            this.file?.append(effect.record);
            break;
          case "fetch":
            this.#carryOut(this.#fetch(effect.task));
            break;
          case "start":
            this.#carryOut(this.#start(effect.task, effect.raw));
            break;
          case "report":
            this.options.report(effect.report);
        }
      }
    } catch (error) {
      this.#fault.abort(error);
    }
    this.#wake();
  }

  #wake(): void {
    clearTimeout(this.#timer);
    const { wakeAtMs } = this.schedule;
    if (wakeAtMs === Number.POSITIVE_INFINITY) return;
    const inMs = Math.min(Math.max(0, wakeAtMs - Date.now() - this.#aheadMs), TIMER_MS_MAX);
    this.#timer = setTimeout(() => this.#handle({ type: "woke" }), inMs);
  }

  #carryOut(work: Promise<void>): void {
    this.#work.add(work);
    work.catch((error) => this.#fault.abort(error)).finally(() => this.#work.delete(work));
  }

  async #start(task: Task, raw: string): Promise<void> {
    await this.file?.synced(this.schedule);
    if (this.#stopping.aborted) return;
    const fault = await this.options.commands.run(task, raw);
    this.#handle({ type: "ended", digest: task.digest, fault });
  }

  async #fetch({ id, digest }: Task): Promise<void> {
    let input: ScheduleInput;
    try {
      input = { type: "fetched", digest, item: await this.node.show(id, { signal: this.#stopping }) };
    } catch {
      // The events say what is wrong with the node.
      input = { type: "unfetched", digest };
    }
    this.#handle(input);
  }
}

function foreign(message: string): HubcastError {
  return new HubcastError("stateFileForeign", message, {
    suggestions: ["Nothing was changed in it. Name another file, or one that is not there yet: --state FILE"],
  });
}

function topicWords(topic: string | undefined): string {
  return topic === undefined ? "all topics" : `topic ${topic}`;
}
