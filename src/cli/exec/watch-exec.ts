import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HubcastError } from "../../core/errors.js";
import { unlessAborted } from "../../core/options.js";
import { shown } from "../../core/text.js";
import { topicOf } from "../../core/topic.js";
import { formatDuration } from "../../core/units.js";
import type { EventsOptions } from "../../node/broadcast.js";
import type { HttpNode } from "../../node/client.js";
import { WakeTimer } from "../../runtime/runner.js";
import { localTime, type Output } from "../output.js";
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

/** Carries out the effects of a schedule. */
class Execution {
  readonly #work = new Set<Promise<void>>();
  readonly #fault = new AbortController();
  /** Aborts when nothing new is to start. */
  readonly #stopping: AbortSignal;
  /** The node's clock minus that of this process, ms. */
  #aheadMs = 0;
  readonly #timer = new WakeTimer({
    now: Date.now,
    dueAtMs: () => this.schedule.wakeAtMs - this.#aheadMs,
    wake: () => this.#handle({ type: "woke" }),
  });

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
      if (error !== this.#stopping.reason) this.#fault.abort(error);
    }
    this.#handle({ type: "stopped" });
    await Promise.allSettled(this.#work);
    this.#timer.stop();
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
    const { cluster, retentionMs } = await unlessAborted(this.node.status(), this.#stopping);
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
    this.#timer.plan();
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

/** Columns of an id in a line. */
const ID_COLUMNS = 60;

/** Tells people and programs what becomes of the commands. Their own output goes past it. */
export function show(report: Report, output: Output): void {
  output.document(documentOf(report));
  if (report.type === "begun") {
    const waiting = report.waiting > 0 ? `; ${report.waiting} are waiting` : "";
    output.note(`the command runs for each item${waiting}; Ctrl-C ends`);
    return;
  }
  if (report.type === "gap") {
    const { fromMs, untilMs, retentionMs } = report;
    const [silence, life] = [untilMs - fromMs, retentionMs].map(formatDuration);
    output.warning(
      `nothing was heard from ${localTime(fromMs)} to ${localTime(untilMs)} (${silence}), longer than items are kept (${life}): the command did not run for what came and expired meanwhile`,
    );
    return;
  }
  const id = shown(report.task.id, ID_COLUMNS);
  switch (report.type) {
    case "started":
      output.detail(`the command starts for ${id}${attemptWords(report.attempt)}`);
      break;
    case "finished":
      output[report.attempt > 1 ? "note" : "detail"](
        `the command is done for ${id}${attemptWords(report.attempt)}`,
      );
      break;
    case "failed": {
      const { attempt, fault, againInMs } = report;
      const again = againInMs === undefined ? "" : `; again in ${formatDuration(againInMs)}`;
      output.warning(`the command failed for ${id}${attemptWords(attempt)}: ${fault}${again}`);
      break;
    }
    case "expired": {
      const tried = report.attempts === 0 ? "did not run" : `failed (${attempts(report.attempts)})`;
      output.warning(`${id} has expired, and the command ${tried}: it does not run any more`);
      break;
    }
    case "replaced":
      output.detail(`another item replaces ${id}: the command runs for that one`);
      break;
    case "missing":
      output.note(`the node does not show ${id}; asking again in ${formatDuration(report.againInMs)}`);
  }
}

function documentOf(report: Report): object {
  if (!("task" in report)) return report;
  const { type, task, ...rest } = report;
  return { type, ...{ id: task.id, digest: task.digest, timestampMs: task.timestampMs }, ...rest };
}

function attemptWords(attempt: number): string {
  return attempt > 1 ? ` (attempt ${attempt})` : "";
}

function attempts(count: number): string {
  return count === 1 ? "1 attempt" : `${count} attempts`;
}

/** Where what a command writes goes to: 1 is the standard output of this process, 2 its standard error. */
type CommandOutput = 1 | 2;

/**
 * Runs one command line at a time for each of its callers, each in a process group of its own: a Ctrl-C of the terminal,
 * which all of a group get, does not reach it.
 */
export class Commands {
  readonly #running = new Set<ChildProcess>();

  constructor(
    private readonly line: string,
    private readonly output: CommandOutput,
  ) {}

  get count(): number {
    return this.#running.size;
  }

  /**
   * Runs the line by the shell of the system, with raw on its standard input and the rest in its environment.
   * @returns why it failed, when it has ended; nothing when it succeeded
   */
  async run(task: Task, raw: string): Promise<string | undefined> {
    let child: ChildProcess;
    let input: number | undefined;
    try {
      input = inputOf(raw);
      child = spawn(this.line, {
        shell: true,
        detached: true,
        stdio: [input, this.output, 2],
        env: { ...process.env, ...environmentOf(task) },
      });
    } catch (error) {
      return cannotStart(error as Error);
    } finally {
      if (input !== undefined) closeSync(input);
    }
    this.#running.add(child);
    try {
      return await new Promise((resolve) => {
        child.on("error", (error) => resolve(cannotStart(error)));
        child.on("exit", (code, signal) => resolve(code === 0 ? undefined : faultOf(code, signal)));
      });
    } finally {
      this.#running.delete(child);
    }
  }

  /** Passes a signal on to all that run, with what they have started. */
  signal(name: NodeJS.Signals): void {
    for (const { pid } of this.#running) {
      try {
        if (pid !== undefined) process.kill(-pid, name);
      } catch {
        // The command has just ended.
      }
    }
  }
}

/**
 * A file without a name that a command can read from its beginning. Not a pipe: if this process were killed, the command
 * would take what it got until then for the whole.
 */
function inputOf(raw: string): number {
  const path = join(tmpdir(), `hubcast-${randomUUID()}`);
  const file = openSync(path, "wx+", 0o600);
  try {
    unlinkSync(path);
    const bytes = Buffer.from(raw);
    // Written at places, which leaves the place of the reader at 0.
    for (let written = 0; written < bytes.length; )
      written += writeSync(file, bytes, written, bytes.length - written, written);
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** All of them are set, so that none is one of another command around this one. */
function environmentOf({ id, timestampMs, digest, key = "" }: Task): Record<string, string> {
  return {
    HUBCAST_ID: id,
    HUBCAST_TOPIC: topicOf(id) ?? "",
    HUBCAST_TIMESTAMP_MS: String(timestampMs),
    HUBCAST_DIGEST: digest,
    HUBCAST_KEY: key,
  };
}

function cannotStart({ message }: Error): string {
  return `it cannot be started: ${message}`;
}

function faultOf(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ? `ended by ${signal}` : `exit code ${code}`;
}
