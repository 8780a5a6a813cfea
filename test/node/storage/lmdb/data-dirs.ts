import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LmdbStorage, openLmdbStorage } from "../../../../src/node/storage/lmdb/index.js";

/** Data directories under one temporary one; everything is closed and removed at the end. */
export class DataDirs implements AsyncDisposable {
  /** What the storage logged as an error. */
  readonly errors: string[] = [];
  readonly #opened: LmdbStorage[] = [];
  readonly #dirs = new Map<LmdbStorage, string>();
  #last = 0;

  private constructor(readonly root: string) {}

  static async create(): Promise<DataDirs> {
    return new DataDirs(await mkdtemp(join(tmpdir(), "hubcast-lmdb-")));
  }

  /** A path where nothing is yet. */
  fresh(): string {
    return join(this.root, `data-${++this.#last}`);
  }

  async open(dir = this.fresh(), cluster = "default"): Promise<LmdbStorage> {
    const note = (_: object, message: string) => void this.errors.push(message);
    const logger = { debug() {}, info() {}, warn() {}, error: note };
    const storage = await openLmdbStorage(dir, { cluster, logger });
    this.#opened.push(storage);
    this.#dirs.set(storage, dir);
    return storage;
  }

  /** Where that storage lies. */
  dirOf(storage: unknown): string {
    return this.#dirs.get(storage as LmdbStorage)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#opened.map((storage) => storage.close()));
    await rm(this.root, { recursive: true, force: true });
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
