type Action = () => void;

/**
 * Virtual time: actions in order of their instant, those of one instant in the order they were asked for. Time has
 * whole milliseconds, so many actions share an instant.
 */
export class Timeline {
  readonly #actions = new Map<number, Action[]>();

  constructor(public nowMs: number) {}

  /** @param atMs a whole number; in the past means now */
  at(atMs: number, action: Action): void {
    const instant = Math.max(atMs, this.nowMs);
    const actions = this.#actions.get(instant);
    if (actions) actions.push(action);
    else this.#actions.set(instant, [action]);
  }

  after(delayMs: number, action: Action): void {
    this.at(this.nowMs + delayMs, action);
  }

  /** Advances time and runs all due actions, including those that they schedule on the way. */
  runUntil(untilMs: number): void {
    for (let instant = this.nowMs; instant <= untilMs; instant++) {
      this.nowMs = instant;
      const actions = this.#actions.get(instant) ?? [];
      // The list may grow meanwhile: an action may schedule another at this same instant.
      for (let index = 0; index < actions.length; index++) actions[index]!();
      this.#actions.delete(instant);
    }
  }
}
