import { HubcastError } from "../../core/errors.js";
import { formatDuration } from "../../core/units.js";
import type { Output } from "../output.js";
import { deadlineIn } from "./deadline.js";
import { Stage } from "./stage.js";
import { compareFingerprints } from "./steps/compare-fingerprints.js";
import { killTheFirst } from "./steps/kill-the-first.js";
import { listElsewhere } from "./steps/list-elsewhere.js";
import { measurePosts } from "./steps/measure-posts.js";
import { postAnItem } from "./steps/post-an-item.js";
import { relayAllToAll } from "./steps/relay-all-to-all.js";
import { startLate } from "./steps/start-late.js";
import { startThree } from "./steps/start-three.js";
import { stopAll } from "./steps/stop-all.js";

/** One thing that the demo shows. It throws when it does not come true. */
export interface Step {
  readonly title: string;
  /** @returns what was measured, for `--json` */
  run(stage: Stage): Promise<Figures>;
}

export type Figures = Readonly<Record<string, unknown>>;

/** In this order. A step finds the nodes as the step before left them. */
const STORY: readonly Step[] = [
  startThree,
  postAnItem,
  listElsewhere,
  measurePosts,
  killTheFirst,
  startLate,
  compareFingerprints,
  relayAllToAll,
  stopAll,
];

/** Each step takes a second or so, the first start on a busy machine some more; one that takes this long has failed. */
const STEP_DEADLINE_MS = 30_000;

/** Who asks a node that just died hears of it before this process hears of the death, which is the reason. */
const FAULT_MS = 100;

export interface DemoOptions {
  /** Path of bin/run.js. */
  readonly program: string;
  readonly output: Output;
  /** Aborts the demo, with an `interrupted` error as its reason. */
  readonly signal: AbortSignal;
}

export interface DemoReport {
  readonly cluster: string;
  readonly tookMs: number;
  readonly steps: readonly {
    readonly step: number;
    readonly title: string;
    readonly tookMs: number;
    readonly figures: Figures;
  }[];
}

/**
 * Plays the demo. However it ends, no process that it started is left.
 * @throws demoFailed when a step does not come true, and the reason of `signal`
 */
export async function runDemo({ program, output, signal }: DemoOptions): Promise<DemoReport> {
  const startedAtMs = performance.now();
  await using stage = new Stage(program, output);
  output.text(`Real processes on 127.0.0.1, in a cluster of their own: ${stage.cluster}.`);
  if (stage.typed !== "hubcast") output.text(`In the commands below, hubcast stands for: ${stage.typed}`);
  const interrupted = whenAborted(signal);
  const steps = [];
  for (const [index, step] of STORY.entries()) {
    output.text(`\n${output.painted("bold", `${index + 1}. ${step.title}`)}`);
    const stepAtMs = performance.now();
    const figures = await play(step, index + 1, stage, interrupted);
    steps.push({
      step: index + 1,
      title: step.title,
      tookMs: Math.round(performance.now() - stepAtMs),
      figures,
    });
  }
  const tookMs = Math.round(performance.now() - startedAtMs);
  output.text(
    `\n${output.painted("green", `All ${steps.length} steps came true`)} in ${formatDuration(tookMs)}.`,
  );
  return { cluster: stage.cluster, tookMs, steps };
}

async function play(step: Step, number: number, stage: Stage, interrupted: Promise<never>): Promise<Figures> {
  using deadline = deadlineIn(
    STEP_DEADLINE_MS,
    () => `not within ${formatDuration(STEP_DEADLINE_MS)}${stage.hope()}`,
  );
  try {
    return await Promise.race([step.run(stage), stage.faulted, deadline.passed, interrupted]);
  } catch (error) {
    if (error instanceof HubcastError && error.code === "interrupted") throw error;
    const cause = (await stage.faultWithin(FAULT_MS)) ?? error;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HubcastError("demoFailed", `step ${number} failed (${step.title}): ${why}`, {
      suggestions: [...stage.lastWords(), "Run hubcast demo --verbose to see all that the nodes say."],
      cause,
    });
  }
}

/** Rejects with the reason of the signal when it aborts. */
function whenAborted(signal: AbortSignal): Promise<never> {
  const aborted = new Promise<never>((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  return aborted;
}
