import type { Item } from "../protocol/item.js";
import type { Replica } from "../protocol/replica.js";
import type { Storage } from "./port.js";

/** Hands what is stored to a replica; a million items take some seconds. @returns those that the cluster's log lacks */
export async function loadInto(
  replica: Replica,
  storage: Storage,
  signal: AbortSignal | undefined,
): Promise<readonly Item[]> {
  const unlogged: Item[] = [];
  for await (const items of storage.load()) {
    signal?.throwIfAborted();
    replica.load(items);
    if (storage.unlogged.size > 0)
      unlogged.push(...items.filter(({ digest }) => storage.unlogged.has(digest)));
  }
  return unlogged;
}
