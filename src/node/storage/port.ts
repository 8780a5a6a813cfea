import type { Item } from "../protocol/item.js";

/** Where accepted items rest. Engines: memory (default) and lmdb; one contract suite runs on both. */
export interface Storage {
  /** Everything stored, in any order, in batches. Called once, before the first commit. */
  load(): AsyncIterable<readonly Item[]>;

  /**
   * Adds and removes items in one step. Commits complete in the order they were asked for.
   * @returns resolves when the change would survive whatever the engine promises to survive (lmdb: `kill -9`,
   *   power loss); rejects with storageFailed, and then nothing of it was kept
   */
  commit(change: StorageChange): Promise<void>;

  /** Idempotent; resolves when everything asked for is done and every file is given back. */
  close(): Promise<void>;
}

export interface StorageChange {
  readonly add: readonly Item[];
  readonly remove: readonly Item[];
}
