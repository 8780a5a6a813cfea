import { hash } from "node:crypto";
import { once } from "node:events";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { HubcastError } from "../../core/errors.js";
import type { NodeLogger } from "../option-kinds.js";
import { type Item, itemFault } from "../replica/item.js";
import { verifySignature } from "../replica/signature.js";
import { DataDirectory, damaged, type StorageFiles, unusable } from "./data-dir.js";
import type { Storage, StorageChange } from "./port.js";

export interface SqliteStorageOptions {
  /** The cluster whose items these are; a directory belongs to one. */
  readonly cluster: string;
  readonly logger: NodeLogger;
}

/** Storage that outlives `kill -9` and power loss. */
export interface SqliteStorage extends Storage {
  /** 32 bytes, the seed of the node's key: it keeps its id from start to start. */
  readonly privateKey: Uint8Array;
}

/**
 * Requests to the thread that owns the files: each but `close` has one reply, in order. Items go over
 * as flat lists, five fields each (id, raw, signature, timestampMs, digest): to read one takes the main thread 0.25 us,
 * half of what records in a transferred buffer take.
 */
export type StorageRequest =
  /** Writes an empty database that waits for `open`. Replied to by `done`. */
  | { readonly type: "create" }
  /** Replied to by `opened`. @param secret the key of the MAC of items that this node verified */
  | { readonly type: "open"; readonly secret: string }
  /** Asks for the next stored items, from the first one on. Replied to by `items`. */
  | { readonly type: "next" }
  /** Replied to by `done` once it is synced; joined with others that wait, in their order. */
  | ({ readonly type: "commit" } & StorageWrite)
  /** Finishes what was asked for and gives every file back. The thread ends. */
  | { readonly type: "close" };

export type StorageReply =
  /** Also the first message of a thread: the lock on the directory is its own. */
  | { readonly type: "done" }
  /** `keptAs`: the database was damaged, and what could be read was taken over into a new one. */
  | { readonly type: "opened"; readonly position: string | undefined; readonly keptAs: string | undefined }
  | StoredItems
  /** It did not work, and nothing was added. */
  | { readonly type: "failed"; readonly fault: StorageFault };

interface StoredItems {
  readonly type: "items";
  readonly items: readonly (string | number)[];
  /** Where items begin in `items` without a MAC of this node. */
  readonly withoutMac: readonly number[];
  /** Digests of items that are marked. */
  readonly unlogged: readonly string[];
  /** With the last items: how many others are missing, or not what was stored. */
  readonly leftOut: number;
  readonly isLast: boolean;
}

interface StorageWrite {
  readonly add: readonly (string | number)[];
  readonly remove: Keys;
  /** Items that the cluster's log lacks, and those that it has by now. */
  readonly mark: Keys;
  readonly unmark: Keys;
  readonly position: string | undefined;
}

/** Of items: timestampMs and digest, one item behind the other. */
export type Keys = readonly (string | number)[];

export interface StorageFault {
  /** As SQLite or the system words it. */
  readonly message: string;
  /** SQLite's primary result code; 0 when it was not SQLite. */
  readonly code: number;
}

/** SQLite: a table is missing, corrupt, no database. */
const DAMAGED = new Set([1, 11, 26]);
const BUSY = 5;
const FULL = 13;

/**
 * Opens a data directory, or makes one. One process has it at a time.
 * @throws dataDirInUse, dataDirForeign, dataDirDamaged, dataDirUnusable; nothing is changed or left open then
 */
export async function openSqliteStorage(dir: string, options: SqliteStorageOptions): Promise<SqliteStorage> {
  const directory = new DataDirectory(dir, options);
  // Once without the lock, whose file would be a change in what may not be ours; and once with it.
  await directory.inspect();
  const thread = new StorageThread(directory.files);
  try {
    await thread.locked().catch(async ({ fault }: ThreadError) => {
      throw lockError(dir, fault, await directory.holder());
    });
    const isComplete = await directory.inspect();
    const asked = (request: Parameters<StorageThread["ask"]>[0]) =>
      thread.ask(request).catch(({ fault }: ThreadError) => {
        throw databaseError(dir, fault);
      });
    const privateKey = await directory.privateKey(isComplete);
    if (!isComplete) {
      await asked({ type: "create" });
      await directory.complete();
    }
    const secret = hash("sha256", `hubcast/1/stored\0${Buffer.from(privateKey).toString("hex")}`);
    const opened = (await asked({ type: "open", secret })) as Extract<StorageReply, { type: "opened" }>;
    if (opened.keptAs !== undefined)
      options.logger.error(
        { damaged: opened.keptAs },
        "the database was damaged: what can be read was taken over into a new one, and the old one is kept",
      );
    await directory.signPid();
    return new OpenStorage(dir, thread, privateKey, options.logger, opened.position);
  } catch (error) {
    await thread.close();
    throw error;
  }
}

class OpenStorage implements SqliteStorage {
  readonly isDurable = true;
  leftOut = 0;
  readonly unlogged = new Set<string>();
  #closing: Promise<void> | undefined;

  constructor(
    private readonly dir: string,
    private readonly thread: StorageThread,
    readonly privateKey: Uint8Array,
    private readonly logger: NodeLogger,
    public position: string | undefined,
  ) {}

  async *load(): AsyncGenerator<readonly Item[]> {
    const unproven: Item[] = [];
    for (let next: Promise<StoredItems> | undefined = this.#next(); next; ) {
      const stored: StoredItems = await next;
      // The thread reads on while these are taken in.
      next = stored.isLast ? undefined : this.#next();
      next?.catch(() => {});
      for (const digest of stored.unlogged) this.unlogged.add(digest);
      this.leftOut += stored.leftOut;
      yield this.#itemsOf(stored, unproven);
    }
    this.leftOut += unproven.length;
    if (this.leftOut === 0) return;
    this.logger.error(
      { items: this.leftOut },
      "stored items are damaged, and left out; peers that hold them bring them back",
    );
    if (unproven.length > 0) this.commit({ add: [], remove: unproven }).catch(() => {});
  }

  async commit({ add, remove, position, unlogged = [], logged = [] }: StorageChange): Promise<void> {
    const request = {
      type: "commit",
      add: add.flatMap(({ id, raw, signature, timestampMs, digest }) => [
        id,
        raw,
        signature,
        timestampMs,
        digest,
      ]),
      remove: keysOf(remove),
      mark: keysOf(unlogged),
      unmark: keysOf(logged),
      position,
    } as const;
    try {
      await this.thread.ask(request);
    } catch (error) {
      throw commitError((error as ThreadError).fault);
    }
    this.position = position ?? this.position;
    for (const { digest } of remove) this.unlogged.delete(digest);
    for (const { digest } of unlogged) this.unlogged.add(digest);
    for (const { digest } of logged) this.unlogged.delete(digest);
  }

  close(): Promise<void> {
    this.#closing ??= this.thread.close();
    return this.#closing;
  }

  async #next(): Promise<StoredItems> {
    try {
      return (await this.thread.ask({ type: "next" })) as StoredItems;
    } catch (error) {
      throw databaseError(this.dir, (error as ThreadError).fault);
    }
  }

  #itemsOf({ items: fields, withoutMac }: StoredItems, unproven: Item[]): Item[] {
    const items: Item[] = [];
    let next = 0;
    for (let at = 0; at < fields.length; at += 5) {
      const [id, raw, signature, timestampMs, digest] = fields.slice(at, at + 5) as [
        string,
        string,
        string,
        number,
        string,
      ];
      const item = { id, raw, signature, timestampMs, digest };
      const hasMac = at !== withoutMac[next];
      if (!hasMac) next++;
      // No MAC of this node: written by others, or under a key that was lost.
      if (hasMac || (itemFault(item) === undefined && verifySignature(item))) items.push(item);
      else unproven.push(item);
    }
    return items;
  }
}

/** A failure that the thread reports. */
class ThreadError extends Error {
  override readonly name = "ThreadError";

  constructor(readonly fault: StorageFault) {
    super(fault.message);
  }
}

/** This side of the thread that owns the files. */
class StorageThread {
  readonly #worker: Worker;
  readonly #askers: { resolve(reply: StorageReply): void; reject(error: ThreadError): void }[] = [];
  #ended: StorageFault | undefined;

  constructor(files: StorageFiles) {
    // This file's own extension: .js as built, .ts when tests run the source.
    const entry = new URL(`./sqlite-thread${extname(import.meta.url)}`, import.meta.url);
    // On Node 22 the SQLite module warns, once, that it is new.
    this.#worker = new Worker(entry, {
      workerData: files,
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    this.#worker.on("message", (replies: StorageReply[]) => {
      for (const reply of replies) this.#replied(reply);
    });
    this.#worker.on("error", (error: Error) => this.#end(error.message));
    this.#worker.on("exit", () => this.#end("the storage is closed"));
  }

  /** Resolves when the lock on the directory is ours. @throws ThreadError; the thread is gone then */
  async locked(): Promise<void> {
    await this.#reply();
  }

  /** @throws ThreadError */
  async ask(request: Exclude<StorageRequest, { type: "close" }>): Promise<StorageReply> {
    if (this.#ended) throw new ThreadError(this.#ended);
    this.#worker.postMessage(request);
    return await this.#reply();
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    const exit = once(this.#worker, "exit");
    this.#worker.postMessage({ type: "close" } satisfies StorageRequest);
    await exit;
  }

  #reply(): Promise<StorageReply> {
    return new Promise((resolve, reject) => void this.#askers.push({ resolve, reject }));
  }

  #replied(reply: StorageReply): void {
    const asker = this.#askers.shift();
    if (reply.type === "failed") asker?.reject(new ThreadError(reply.fault));
    else asker?.resolve(reply);
  }

  #end(message: string): void {
    this.#ended ??= { message, code: 0 };
    for (const asker of this.#askers.splice(0)) asker.reject(new ThreadError(this.#ended));
  }
}

function keysOf(items: readonly Item[]): Keys {
  return items.flatMap(({ timestampMs, digest }) => [timestampMs, digest]);
}

/** Why the lock on a data directory was not to be had. @param holder process id of who has it, where that is known */
function lockError(dir: string, fault: StorageFault, holder: string | undefined): HubcastError {
  if (fault.code !== BUSY) return unusable(dir, new Error(fault.message));
  const who = holder ? `process ${holder}` : "another process";
  return new HubcastError("dataDirInUse", `the data directory ${dir} is in use by ${who}`, {
    suggestions: ["Stop that node, or pass another --data-dir: every node has its own."],
  });
}

/** Why the database of a data directory could not be opened or read. */
function databaseError(dir: string, { code, message }: StorageFault): HubcastError {
  if (DAMAGED.has(code)) return damaged(dir, `items.sqlite ${message}`);
  if (code === BUSY)
    return new HubcastError("dataDirInUse", `cannot use the data directory ${dir}: items.sqlite ${message}`, {
      suggestions: ["End that program, and start the node again. Nothing was lost meanwhile."],
    });
  const cause = new Error(message);
  return unusable(dir, code === FULL ? Object.assign(cause, { code: "ENOSPC" }) : cause);
}

/** A commit failed; nothing was added. */
function commitError({ code, message }: StorageFault): HubcastError {
  const [what, todo] = FAILURES[code] ?? [
    "the disk of --data-dir fails",
    "Look at that disk, then start the node again: what can be read is kept.",
  ];
  return new HubcastError("storageFailed", `${what}: ${message}`, { suggestions: [todo] });
}

const FAILURES: Readonly<Record<number, readonly [what: string, todo: string]>> = {
  [FULL]: [
    "the disk of --data-dir is full",
    "Free space on that disk, or wait until items expire: the node then takes items again by itself.",
  ],
  [BUSY]: ["another program changes the database of --data-dir", "End that program, or what it does there."],
};
