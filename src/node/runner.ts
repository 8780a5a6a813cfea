import type { Machine } from "../core/machine.js";

/** setTimeout takes at most 2^31-1 ms; a machine that sleeps longer is woken for nothing once in 24 days. */
const SLEEP_MS_MAX = 2_147_483_647;

export interface RunnerOptions<Input, Effect> {
  readonly machine: Machine<Input, Effect>;
  /** The input that says: the instant of `wakeAtMs` has come. */
  readonly woke: Input;
  /** Carries out one effect; must not throw. */
  readonly perform: (effect: Effect) => void;
  readonly now?: () => number;
}

/** Runs a machine in real time: carries out its effects in order, and keeps its one timer. */
export class Runner<Input, Effect> {
  #timer: NodeJS.Timeout | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #stopped = false;
  readonly #now: () => number;

  constructor(private readonly options: RunnerOptions<Input, Effect>) {
    this.#now = options.now ?? Date.now;
  }

  handle(input: Input): void {
    if (this.#stopped) return;
    for (const effect of this.options.machine.handle(input, this.#now())) this.options.perform(effect);
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
    const delayMs = Math.min(Math.max(0, wakeAtMs - this.#now()), SLEEP_MS_MAX);
    this.#timer = setTimeout(() => {
      this.#armedForMs = Number.POSITIVE_INFINITY;
      this.handle(this.options.woke);
    }, delayMs);
  }
}
