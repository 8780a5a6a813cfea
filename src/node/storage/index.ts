import { startStep } from "../../runtime/start-step.js";
import type { CompleteNodeOptions } from "../options.js";
import type { Item } from "../replica/item.js";
import type { Replica } from "../replica/replica.js";
import { makeDirectory } from "./data-dir.js";
import type { Storage } from "./port.js";

/**
 * The storage that the options ask for, and the node's key where one is kept. Makes the data directory if there is none.
 * @throws dataDirInUse and its like, deadline
 */
export async function openStorage(
  options: CompleteNodeOptions,
): Promise<{ storage: Storage; privateKey?: Uint8Array }> {
  const { dataDir, logger } = options;
  if (dataDir === undefined) return { storage: memoryStorage() };
  await startStep(`making the data directory ${dataDir}`, makeDirectory(dataDir), { logger });
  return await startStep(`opening the data directory ${dataDir}`, openDataDir(dataDir, options), {
    logger,
    late: ({ storage }) => storage.close(),
  });
}

async function openDataDir(dataDir: string, { cluster, logger }: CompleteNodeOptions) {
  const { openSqliteStorage } = await import("./sqlite.js");
  const storage = await openSqliteStorage(dataDir, { cluster, logger });
  return { storage, privateKey: storage.privateKey };
}

/** Hands what is stored to a replica; a million items take some seconds. @returns those that the cluster's log lacks */
export async function loadInto(
  replica: Replica,
  storage: Storage,
  signal: AbortSignal | undefined,
): Promise<readonly Item[]> {
  const unlogged: Item[] = [];
  for await (const items of inTime(storage.load())) {
    signal?.throwIfAborted();
    replica.load(items);
    if (storage.unlogged.size > 0)
      unlogged.push(...items.filter(({ digest }) => storage.unlogged.has(digest)));
  }
  return unlogged;
}

/** However many there are, the next ones come in time. */
async function* inTime<T>(pages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = pages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await startStep("loading items from the data directory", iterator.next());
      if (done) return;
      yield value;
    }
  } finally {
    iterator.return?.().catch(() => {});
  }
}

const DONE = Promise.resolve();

/** Keeps nothing beyond the process: the replica's own memory is the store. */
export function memoryStorage(): Storage {
  return {
    isDurable: false,
    position: undefined,
    unlogged: new Set(),
    leftOut: 0,
    async *load() {},
    commit: () => DONE,
    close: () => DONE,
  };
}
