import type { DatabaseSync } from "node:sqlite";

/** SQLite's code of a lock that another has. */
const SQLITE_BUSY = 5;

/**
 * Locks a file, which stays empty, for this process. SQLite's exclusive lock is the one lock of the operating system that
 * Node offers: it ends with the process, however that dies.
 * @returns undefined when another process has it
 */
export async function lockFile(path: string): Promise<Disposable | undefined> {
  const sqlite = await withoutWarning(() => import("node:sqlite"));
  let lock: DatabaseSync | undefined;
  try {
    lock = new sqlite.DatabaseSync(path);
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock?.close();
    if ((error as { readonly errcode?: unknown }).errcode === SQLITE_BUSY) return undefined;
    throw error;
  }
}

/** On Node 22 the SQLite module warns, once, that it is new. */
async function withoutWarning<T>(load: () => Promise<T>): Promise<T> {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return await load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
