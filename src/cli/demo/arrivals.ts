import type { Item } from "../../node/broadcast.js";
import type { NodeProcess } from "./node-process.js";

export interface Arrival {
  readonly item: Item;
  /** When its event reached this process: on the clock of `performance.now()`, and on that of the wall. */
  readonly at: number;
  readonly atMs: number;
}

/** The items that a node tells its subscribers of, from now on, and when each arrived here. */
export class Arrivals implements Disposable {
  readonly #seen = new Map<string, Arrival>();
  readonly #waiting = new Map<string, (arrival: Arrival) => void>();
  readonly #stop = new AbortController();
  #failed: Promise<never>;

  /** Resolves when the subscription is in place, so that nothing posted afterwards is missed. */
  static async of(node: NodeProcess): Promise<Arrivals> {
    const arrivals = new Arrivals();
    await new Promise<void>((resolve, reject) => {
      arrivals.#failed = arrivals.#follow(node, resolve);
      arrivals.#failed.catch(reject);
    });
    return arrivals;
  }

  private constructor() {
    this.#failed = new Promise(() => {});
  }

  /** Resolves when the item of that id has arrived. */
  async arrived(id: string): Promise<Arrival> {
    const seen = this.#seen.get(id);
    if (seen) return seen;
    const arrival = new Promise<Arrival>((resolve) => this.#waiting.set(id, resolve));
    return await Promise.race([arrival, this.#failed]);
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #follow(node: NodeProcess, caughtUp: () => void): Promise<never> {
    // `caught-up` is the proof that the node counts us among its subscribers.
    for await (const event of node.asked.events({ sinceMs: Date.now(), signal: this.#stop.signal })) {
      if (event.type === "caught-up") caughtUp();
      if (event.type !== "item") continue;
      const arrival = { item: event.item, at: performance.now(), atMs: Date.now() };
      this.#seen.set(event.item.id, arrival);
      this.#waiting.get(event.item.id)?.(arrival);
    }
    throw new Error(`node ${node.number} ended its events`);
  }
}
