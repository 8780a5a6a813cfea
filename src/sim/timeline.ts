type Action = () => void;

/**
 * Virtual time: actions in order of their instant, those of one instant in the order they were asked for. Time has
 * whole milliseconds, so many actions share an instant: a binary heap orders the instants, a list each the actions.
 */
export class Timeline {
  readonly #actions = new Map<number, Action[]>();
  readonly #instants: number[] = [];

  constructor(public nowMs: number) {}

  /** @param atMs a whole number; in the past means now */
  at(atMs: number, action: Action): void {
    const instant = Math.max(atMs, this.nowMs);
    const actions = this.#actions.get(instant);
    if (actions) actions.push(action);
    else {
      this.#actions.set(instant, [action]);
      push(this.#instants, instant);
    }
  }

  after(delayMs: number, action: Action): void {
    this.at(this.nowMs + delayMs, action);
  }

  /** Advances time and runs all due actions, including those that they schedule on the way. */
  runUntil(untilMs: number): void {
    while (this.#instants.length > 0 && this.#instants[0]! <= untilMs) {
      const instant = pop(this.#instants);
      this.nowMs = instant;
      const actions = this.#actions.get(instant)!;
      // The list may grow meanwhile: an action may schedule another at this same instant.
      for (let index = 0; index < actions.length; index++) actions[index]!();
      this.#actions.delete(instant);
    }
    this.nowMs = untilMs;
  }
}

function push(heap: number[], value: number): void {
  let index = heap.push(value) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if (heap[parent]! <= value) break;
    heap[index] = heap[parent]!;
    index = parent;
  }
  heap[index] = value;
}

/** @param heap not empty */
function pop(heap: number[]): number {
  const least = heap[0]!;
  const value = heap.pop()!;
  if (heap.length === 0) return least;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= value) break;
    heap[index] = heap[child]!;
    index = child;
  }
  heap[index] = value;
  return least;
}
