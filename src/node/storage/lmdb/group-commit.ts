import type { Item } from "../../protocol/item.js";
import type { StorageChange } from "../port.js";
import { recordBytes } from "./records.js";

/** A group takes no further change past this size: the first of many must not wait for the last. */
const GROUP_BYTES_MAX = 8_388_608;

interface Waiting {
  readonly change: StorageChange;
  resolve(): void;
  reject(error: Error): void;
}

/**
 * Joins changes into groups that are written in one transaction: one sync of the disk serves everybody who came
 * while the one before it ran. Changes keep their order, within groups and across them.
 */
export class GroupCommit {
  readonly #queue: Waiting[] = [];
  #writing: Promise<void> | undefined;

  /** @param write makes a group durable, or rejects and has kept nothing of it */
  constructor(private readonly write: (group: StorageChange) => Promise<void>) {}

  commit(change: StorageChange): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ change, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Resolves when nothing waits any more. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Everything that this turn of the event loop still brings goes into the first group.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const group = this.#takeGroup();
      try {
        await this.write(joined(group));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error as Error);
      }
    }
    this.#writing = undefined;
  }

  #takeGroup(): Waiting[] {
    let bytes = 0;
    const end = this.#queue.findIndex(({ change }, index) => {
      bytes += change.add.reduce((sum, item) => sum + recordBytes(item), 0);
      return bytes > GROUP_BYTES_MAX && index > 0;
    });
    return this.#queue.splice(0, end === -1 ? this.#queue.length : end);
  }
}

/** One change that does what all of them do, one after the other. */
function joined(group: readonly Waiting[]): StorageChange {
  if (group.length === 1) return group[0]!.change;
  const unlogged = new Map<string, Item>();
  const logged = new Map<string, Item>();
  let position: string | undefined;
  const add = new Map<string, Item>();
  const remove = new Map<string, Item>();
  for (const { change } of group) {
    for (const item of change.add) {
      add.set(item.digest, item);
      remove.delete(item.digest);
    }
    for (const item of change.remove) {
      remove.set(item.digest, item);
      add.delete(item.digest);
      unlogged.delete(item.digest);
    }
    for (const item of change.unlogged ?? []) {
      unlogged.set(item.digest, item);
      logged.delete(item.digest);
    }
    for (const item of change.logged ?? []) {
      logged.set(item.digest, item);
      unlogged.delete(item.digest);
    }
    position = change.position ?? position;
  }
  return {
    add: [...add.values()],
    remove: [...remove.values()],
    unlogged: [...unlogged.values()],
    logged: [...logged.values()],
    ...(position !== undefined && { position }),
  };
}
