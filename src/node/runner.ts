import type { Machine } from "../core/machine.js";
import { TIMER_MS_MAX } from "../core/options.js";

export interface RunnerOptions<Input, Effect> {
  readonly machine: Machine<Input, Effect>;
  /** The input that says: the instant of `wakeAtMs` has come. */
  readonly woke: () => Input;
  /** Carries out one effect; must not throw. */
  readonly perform: (effect: Effect) => void;
  /** Epoch ms, whole, by a clock that never jumps, nor goes back. */
  readonly now: () => number;
}

/** Runs a machine in real time: carries out its effects in order, and keeps its one timer. */
export class Runner<Input, Effect> {
  #timer: NodeJS.Timeout | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #stopped = false;
  readonly #inputs: Input[] = [];
  #isHandling = false;

  constructor(private readonly options: RunnerOptions<Input, Effect>) {}

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
    this.#arm();
  }

  /** No input and no timer reaches the machine from here on. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    const { wakeAtMs } = this.options.machine;
    if (this.#stopped || wakeAtMs === this.#armedForMs) return;
    clearTimeout(this.#timer);
    this.#armedForMs = wakeAtMs;
    const delayMs = Math.min(Math.max(0, wakeAtMs - this.options.now()), TIMER_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#armedForMs = Number.POSITIVE_INFINITY;
      this.handle(this.options.woke());
    }, delayMs);
  }
}
