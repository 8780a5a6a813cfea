import type { CompleteNodeOptions } from "../options.js";
import { memoryStorage } from "./memory.js";
import type { Storage } from "./port.js";

/** The storage that the options ask for, and the node's key where one is kept. @throws dataDirInUse and its like */
export async function openStorage({
  dataDir,
  cluster,
  logger,
}: CompleteNodeOptions): Promise<{ storage: Storage; privateKey?: Uint8Array }> {
  if (dataDir === undefined) return { storage: memoryStorage() };
  const { openLmdbStorage } = await import("./lmdb/index.js");
  const storage = await openLmdbStorage(dataDir, { cluster, logger });
  return { storage, privateKey: storage.privateKey };
}
