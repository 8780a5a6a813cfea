/**
 * Calls that wait for their turn: one at a time, in order, never from inside the code that posted them. An
 * engine posts everything it tells its node, so a listener may call the engine back without a thought.
 */
export class Mailbox {
  #waiting: (() => void)[] = [];
  #scheduled = false;

  post(call: () => void): void {
    this.#waiting.push(call);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#scheduled = false;
    const calls = this.#waiting;
    this.#waiting = [];
    for (let index = 0; index < calls.length; index++) {
      try {
        calls[index]!();
      } catch (error) {
        // The fault is the listener's: let it surface, but lose none of the calls behind it.
        for (const call of calls.slice(index + 1)) this.post(call);
        throw error;
      }
    }
  }
}
