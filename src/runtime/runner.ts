import type { Machine } from "../core/machine.js";
import { TIMER_MS_MAX } from "../core/options.js";

/** Epoch ms by a clock that is never set back. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

interface WakeOptions {
  /** Epoch ms, by the clock of `dueAtMs`. */
  readonly now: () => number;
  /** The instant at which something is to be done; Infinity: never. */
  readonly dueAtMs: () => number;
  /** Called when that instant has come. @param lateMs how long ago that was */
  readonly wake: (nowMs: number, lateMs: number) => void;
}

/** The one timer of a shell, for all machines that it runs. Moving the instant to a later time does not arm the timer anew. */
export class WakeTimer {
  #timer: NodeJS.Timeout | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;

  constructor(private readonly options: WakeOptions) {}

  /** To be called when `dueAtMs` may be another. */
  plan(): void {
    const { now, dueAtMs } = this.options;
    const atMs = dueAtMs();
    if (atMs >= this.#armedForMs) return;
    clearTimeout(this.#timer);
    this.#armedForMs = atMs;
    const delayMs = Math.min(Math.max(1, Math.ceil(atMs - now())), TIMER_MS_MAX);
    this.#timer = setTimeout(this.#onTimer, delayMs);
  }

  /** For good. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#armedForMs = Number.NEGATIVE_INFINITY;
  }

  readonly #onTimer = (): void => {
    this.#armedForMs = Number.POSITIVE_INFINITY;
    const { now, dueAtMs, wake } = this.options;
    const nowMs = now();
    const lateMs = nowMs - dueAtMs();
    if (lateMs >= 0) wake(nowMs, lateMs);
    this.plan();
  };
}

export interface RunnerOptions<Input, Effect> {
  readonly machine: Machine<Input, Effect>;
  /** The input that says: the instant of `wakeAtMs` has come. */
  readonly woke: () => Input;
  /** Carries out one effect; must not throw. */
  readonly perform: (effect: Effect) => void;
  /** Epoch ms, whole, by a clock that never jumps, nor goes back. */
  readonly now: () => number;
}

/** Runs a machine in real time: carries out its effects in order, and keeps its timer. */
export class Runner<Input, Effect> {
  readonly #timer: WakeTimer;
  #stopped = false;
  readonly #inputs: Input[] = [];
  #isHandling = false;

  constructor(private readonly options: RunnerOptions<Input, Effect>) {
    const { machine, now, woke } = options;
    this.#timer = new WakeTimer({ now, dueAtMs: () => machine.wakeAtMs, wake: () => this.handle(woke()) });
  }

  /** Hands an input to the machine. One that comes from within an effect waits until all effects before it are done. */
  handle(input: Input): void {
    if (this.#stopped) return;
    this.#inputs.push(input);
    if (this.#isHandling) return;
    this.#isHandling = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift())
        for (const effect of this.options.machine.handle(next, this.options.now()))
          this.options.perform(effect);
    } finally {
      this.#isHandling = false;
    }
    this.#timer.plan();
  }

  /** No input and no timer reaches the machine from here on. */
  stop(): void {
    this.#stopped = true;
    this.#timer.stop();
  }
}
