/** Where a hub takes the ids of its clients from. */
export interface IdSource {
  /** How many there are left for now. */
  readonly left: number;
  /** One that was never given before. Only while some are left. */
  next(): number;
}

/** 1, 2, 3 ...: of a hub that is alone. */
export class IdCounter implements IdSource {
  readonly left = Number.POSITIVE_INFINITY;
  #last = 0;

  next(): number {
    this.#last += 1;
    return this.#last;
  }
}

/** Ids from blocks that this hub alone has. */
export class IdBlocks implements IdSource {
  left = 0;
  readonly #blocks: { next: number; readonly end: number }[] = [];

  /** @param first the first id of the block. @param end the one behind its last */
  add(first: number, end: number): void {
    if (end <= first) return;
    this.#blocks.push({ next: first, end });
    this.left += end - first;
  }

  next(): number {
    const block = this.#blocks[0]!;
    const id = block.next;
    block.next += 1;
    this.left -= 1;
    if (block.next === block.end) this.#blocks.shift();
    return id;
  }
}
