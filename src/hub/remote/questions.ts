import type { HubcastError } from "../../core/errors.js";

interface Question<T> {
  readonly resolve: (answer: T) => void;
  readonly reject: (error: HubcastError) => void;
}

/** Questions on the way: the hub answers those of one kind in the order they were asked. */
export class Questions<T> {
  #asked: Question<T>[] = [];

  get size(): number {
    return this.#asked.length;
  }

  /** @param ask sends the question. The promise rejects when `signal` aborts; the answer is then let go. */
  async ask(ask: () => void, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    return await new Promise<T>((resolve, reject) => {
      const onAbort = (): void => reject(signal?.reason);
      const settled = (): void => signal?.removeEventListener("abort", onAbort);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#asked.push({
        resolve: (answer) => {
          settled();
          resolve(answer);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      ask();
    });
  }

  /** The oldest question has its answer. */
  answer(answer: T): void {
    this.#asked.shift()?.resolve(answer);
  }

  /** The oldest question is refused. */
  refuse(error: HubcastError): void {
    this.#asked.shift()?.reject(error);
  }

  /** The connection is gone: none is ever answered. */
  fail(error: HubcastError): void {
    for (const question of this.#asked.splice(0)) question.reject(error);
  }
}
