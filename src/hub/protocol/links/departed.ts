import type { Lost } from "./remote-hub.js";

interface Departure {
  /** When it was last heard; epoch ms. */
  readonly sinceMs: number;
  readonly lost: Lost | undefined;
}

/** Hubs that are remembered after they fell silent: those that come back are told apart from new ones. */
const REMEMBERED_MAX = 64;

/** Hubs that fell silent. Most of them died, and never come back under their key. */
export class Departed {
  readonly #hubs = new Map<string, Departure>();

  remember(key: string, departure: Departure): void {
    this.#hubs.set(key, departure);
    if (this.#hubs.size > REMEMBERED_MAX) this.#hubs.delete(this.#hubs.keys().next().value!);
  }

  take(key: string): Departure | undefined {
    const departure = this.#hubs.get(key);
    this.#hubs.delete(key);
    return departure;
  }
}
