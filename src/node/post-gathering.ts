import type { Item } from "./replica/item.js";
import type { PostOutcome } from "./replica/messages.js";

/**
 * Gathers the single posts of one turn of the event loop, so that replica and storage take them as one: with many
 * clients a turn brings dozens. A lone post waits for nothing but the end of its turn.
 */
export class PostGathering {
  #items: Item[] = [];
  #answer: ((outcome: PostOutcome) => void)[] = [];

  constructor(private readonly submit: (items: readonly Item[]) => Promise<readonly PostOutcome[]>) {}

  add(item: Item): Promise<PostOutcome> {
    if (this.#items.length === 0) setImmediate(() => this.#hand());
    this.#items.push(item);
    return new Promise((resolve) => this.#answer.push(resolve));
  }

  async #hand(): Promise<void> {
    const items = this.#items;
    const answer = this.#answer;
    this.#items = [];
    this.#answer = [];
    for (const [index, outcome] of (await this.submit(items)).entries()) answer[index]!(outcome);
  }
}
