import type { Item } from "../replica/item.js";

/** Where accepted items rest. Engines: memory (default) and sqlite; one contract suite runs on both. */
export interface Storage {
  /** Commits survive the end of the process. */
  readonly isDurable: boolean;
  /** The position that was committed last, by this process or one before it. */
  readonly position: string | undefined;
  /** Digests of the stored items that are marked as unlogged; known once everything is loaded. */
  readonly unlogged: ReadonlySet<string>;
  /** Stored items that were found damaged and that `load` left out; known once everything is loaded. */
  readonly leftOut: number;

  /** Everything stored, in any order, in batches. Called once, before the first commit. */
  load(): AsyncIterable<readonly Item[]>;

  /**
   * Adds and removes items in one step. Commits complete in the order they were asked for.
   * @returns resolves when the change would survive whatever the engine promises to survive (sqlite: `kill -9`,
   *   power loss); rejects with storageFailed, and then nothing was added
   */
  commit(change: StorageChange): Promise<void>;

  /** Idempotent; resolves when everything asked for is done and every file is given back. */
  close(): Promise<void>;
}

export interface StorageChange {
  readonly add: readonly Item[];
  readonly remove: readonly Item[];
  /** Place in the cluster's log (cluster/port.ts) that is reached with this change. */
  readonly position?: string;
  /** Stored items, or items of `add`, that the cluster's log still lacks. */
  readonly unlogged?: readonly Item[];
  /** Of those, the ones that it has by now. */
  readonly logged?: readonly Item[];
}
