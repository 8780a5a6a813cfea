import { mkdir, open, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { HubcastError } from "../core/errors.js";
import { startStep } from "../runtime/start-step.js";
import type { CompleteNodeOptions } from "./options.js";
import { openStorage } from "./storage/index.js";

/** The storage of a node, with the data directory made where there is none. @throws dataDirUnusable and its like, deadline */
export async function openDataDirectory(options: CompleteNodeOptions): ReturnType<typeof openStorage> {
  const { dataDir, logger } = options;
  if (dataDir === undefined) return await openStorage(options);
  await startStep(`making the data directory ${dataDir}`, makeDirectory(dataDir), { logger });
  return await startStep(`opening the data directory ${dataDir}`, openStorage(options), {
    logger,
    late: ({ storage }) => storage.close(),
  });
}

/**
 * Makes a data directory and those above it that are missing, for their owner only. What exists stays as it is; what
 * else is wrong with the path, the storage says. Node's own recursive mkdir never ends where a directory exists and
 * nothing can be found or made in it, as in /proc or below an automounter.
 * @throws dataDirUnusable
 */
async function makeDirectory(path: string): Promise<void> {
  const missing: string[] = [];
  for (let place = resolve(path); await isMissing(place); place = dirname(place)) missing.unshift(place);
  for (const directory of missing) {
    try {
      await mkdir(directory, { mode: 0o700 });
      await syncDirectory(dirname(directory));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT") return;
      throw new HubcastError("dataDirUnusable", `cannot make the data directory ${path}: ${message}`, {
        suggestions: ["Pass a --data-dir where directories can be made."],
        cause: error,
      });
    }
  }
}

async function isMissing(path: string): Promise<boolean> {
  return await stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT",
  );
}

/** Only then a directory that was made outlives a power failure. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
