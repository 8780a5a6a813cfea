import { stat } from "node:fs/promises";
import type { NodeLogger } from "../../options.js";
import type { Item } from "../../protocol/item.js";
import { verifySignature } from "../../protocol/signature.js";
import type { Storage, StorageChange } from "../port.js";
import { DataDirectory } from "./directory.js";
import { commitError, damaged, databaseError, foreign, lockError, unusable } from "./faults.js";
import { GroupCommit } from "./group-commit.js";
import type { StorageReply } from "./messages.js";
import { databaseFault } from "./pages.js";
import { decodeRecords, digestsIn, encodeKeys, encodeRecords } from "./records.js";
import { Seal } from "./seal.js";
import { StorageThread, type ThreadError } from "./storage-thread.js";

export interface LmdbStorageOptions {
  /** The cluster whose items these are; a directory belongs to one. */
  readonly cluster: string;
  readonly logger: NodeLogger;
}

/** Storage that outlives `kill -9` and power loss. */
export interface LmdbStorage extends Storage {
  /** 32 bytes, the seed of the node's key: it keeps its id from start to start. */
  readonly privateKey: Uint8Array;
  /** Records that `load` left out, because they are no longer what was stored. */
  readonly skipped: number;
}

/**
 * Opens a data directory, or makes one. One process has it at a time.
 * @throws dataDirInUse, dataDirForeign, dataDirDamaged, dataDirUnusable; nothing is changed or left open then
 */
export async function openLmdbStorage(dir: string, options: LmdbStorageOptions): Promise<LmdbStorage> {
  const directory = new DataDirectory(dir, options.cluster);
  // Once without the lock, whose file would be a change in what may not be ours; and once with it.
  if (!(await directory.inspect())) await checkDatabase(directory, false);
  const thread = new StorageThread({ lock: directory.lock, database: directory.database });
  try {
    await thread.locked().catch(async ({ fault }: ThreadError) => {
      throw lockError(dir, fault, await directory.holder());
    });
    const isComplete = await directory.inspect();
    await checkDatabase(directory, isComplete);
    await directory.makeRoom();
    const opened = await thread.ask({ type: "open" }).catch(({ fault }: ThreadError) => {
      throw databaseError(dir, fault);
    });
    // Items come after the mark: with items and without a mark it is not ours.
    if (!isComplete && opened.type === "opened" && opened.entries > 0) {
      throw foreign(dir, "it has items, but no hubcast.json");
    }
    const privateKey = await directory.privateKey();
    if (!isComplete) await directory.complete();
    await directory.signPid();
    const { position, marked } = opened as Extract<StorageReply, { type: "opened" }>;
    return new OpenStorage(dir, thread, privateKey, options.logger, position, new Set(digestsIn(marked)));
  } catch (error) {
    await thread.close();
    throw error;
  }
}

/** @throws dataDirDamaged, or dataDirForeign where nothing says that the file is ours */
async function checkDatabase({ path, database }: DataDirectory, isComplete: boolean): Promise<void> {
  const bytes = await stat(database).then(
    ({ size }) => size,
    () => 0,
  );
  // None yet, or one whose first page was never written.
  if (bytes === 0 && !isComplete) return;
  const fault = await databaseFault(database).catch((error: Error) => {
    throw unusable(path, error);
  });
  if (fault) throw (isComplete ? damaged : foreign)(path, `items.mdb ${fault}`);
}

class OpenStorage implements LmdbStorage {
  readonly isDurable = true;
  skipped = 0;
  readonly #group = new GroupCommit((change) => this.#write(change));
  /** Removals that failed, on a full disk for example: what expired must go some time. */
  #unremoved: readonly Item[] = [];
  #closing: Promise<void> | undefined;
  readonly #seal: Seal;

  constructor(
    private readonly dir: string,
    private readonly thread: StorageThread,
    readonly privateKey: Uint8Array,
    private readonly logger: NodeLogger,
    public position: string | undefined,
    readonly unlogged: Set<string>,
  ) {
    this.#seal = new Seal(privateKey);
  }

  async *load(): AsyncGenerator<readonly Item[]> {
    let next = this.#ask({ type: "read", after: undefined });
    for (;;) {
      const reply = await next;
      if (reply.type !== "records" || reply.last === undefined) break;
      // The thread reads on while these are taken in.
      next = this.#ask({ type: "read", after: reply.last });
      next.catch(() => {});
      yield this.#itemsOf(reply.records);
    }
    await this.#ask({ type: "readEnded" });
    if (this.skipped > 0) {
      this.logger.error({ skipped: this.skipped }, "stored items are damaged, and left out");
    }
  }

  commit(change: StorageChange): Promise<void> {
    return this.#group.commit(change);
  }

  close(): Promise<void> {
    this.#closing ??= this.#group.settled().then(() => this.thread.close());
    return this.#closing;
  }

  #ask(request: Parameters<StorageThread["ask"]>[0]): Promise<StorageReply> {
    return this.thread.ask(request).catch((error: ThreadError) => {
      throw databaseError(this.dir, error.fault);
    });
  }

  #itemsOf(records: Uint8Array): Item[] {
    const items: Item[] = [];
    for (const stored of decodeRecords(records, this.#seal)) {
      if ("fault" in stored) this.#skip(stored.key, stored.fault);
      // Not sealed by this node: written by others, or under a key that was lost.
      else if (stored.proven || verifySignature(stored.item)) items.push(stored.item);
      else this.#skip(stored.key, "its signature fails");
    }
    return items;
  }

  /** One bad record is no reason to stay down: peers that hold the item bring it back under the same key. */
  #skip(key: string, fault: string): void {
    this.skipped++;
    this.logger.debug({ key, fault }, "a stored item is damaged");
  }

  async #write({ add, remove, position, unlogged = [], logged = [] }: StorageChange): Promise<void> {
    const removed = this.#unremoved.length > 0 ? this.#alsoUnremoved(add, remove) : remove;
    const unmarked = [...logged, ...removed].filter(({ digest }) => this.unlogged.has(digest));
    const write = {
      put: encodeRecords(add, this.#seal),
      remove: encodeKeys(removed),
      mark: encodeKeys(unlogged),
      unmark: encodeKeys(unmarked),
    };
    try {
      await this.thread.ask({ type: "commit", ...write, position }, Object.values(write));
      this.#unremoved = [];
      this.position = position ?? this.position;
      for (const { digest } of unlogged) this.unlogged.add(digest);
      for (const { digest } of unmarked) this.unlogged.delete(digest);
    } catch (error) {
      this.#unremoved = removed;
      throw commitError((error as ThreadError).fault);
    }
  }

  #alsoUnremoved(add: readonly Item[], remove: readonly Item[]): readonly Item[] {
    const added = new Set(add.map(({ digest }) => digest));
    return [...this.#unremoved.filter(({ digest }) => !added.has(digest)), ...remove];
  }
}
