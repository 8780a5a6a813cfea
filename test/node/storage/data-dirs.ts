import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStorage, type SqliteStorage } from "../../../src/node/storage/sqlite.js";

/** Data directories under one temporary one; everything is closed and removed at the end. */
export class DataDirs implements AsyncDisposable {
  /** Errors and warnings that the storages logged. */
  readonly errors: string[] = [];
  readonly warnings: string[] = [];
  readonly #opened: SqliteStorage[] = [];
  readonly #dirs = new Map<SqliteStorage, string>();
  #last = 0;

  private constructor(readonly root: string) {}

  static async create(): Promise<DataDirs> {
    return new DataDirs(await mkdtemp(join(tmpdir(), "hubcast-sqlite-")));
  }

  /** A path where nothing is yet. */
  fresh(): string {
    return join(this.root, `data-${++this.#last}`);
  }

  async open(dir = this.fresh(), cluster = "default"): Promise<SqliteStorage> {
    const noteIn = (list: string[]) => (_: object, message: string) => void list.push(message);
    const logger = { debug() {}, info() {}, warn: noteIn(this.warnings), error: noteIn(this.errors) };
    const storage = await openSqliteStorage(dir, { cluster, logger });
    this.#opened.push(storage);
    this.#dirs.set(storage, dir);
    return storage;
  }

  /** Where that storage lies. */
  dirOf(storage: unknown): string {
    return this.#dirs.get(storage as SqliteStorage)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((storage) => storage.close()));
  }
}

/** Every file of a directory with a hash of what is in it. */
export async function contentOf(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir)).sort();
  const hashes = names.map(async (name) => {
    const bytes = await readFile(join(dir, name));
    return [name, createHash("sha256").update(bytes).digest("hex")] as const;
  });
  return Object.fromEntries(await Promise.all(hashes));
}
