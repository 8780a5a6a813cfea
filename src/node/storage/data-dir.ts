import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, lstat, mkdir, open, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { HubcastError } from "../../core/errors.js";
import type { NodeLogger } from "../option-kinds.js";

/** Of everything in a data directory. Format 1 kept its items in an LMDB database. */
const FORMAT = 2;

const MARK = "hubcast.json";
const KEY = "node.key";
const DATABASE = "items.sqlite";
const LOCK = "lock";
const PID = "pid";
/** Files that a killed first start may leave behind, or that file systems put into an empty volume. */
const OWN_NAMES = new Set([`${MARK}.new`, KEY, `${KEY}.new`, LOCK, PID]);
const OWN_DATABASE = new RegExp(`^${DATABASE}\\.new(-wal|-shm|-journal)?$`);
/** Its files, and those of SQLite beside it. */
const WRITTEN = new RegExp(`^${DATABASE}(-wal|-shm)?$`);
const SYSTEM_NAMES = new Set(["lost+found"]);

const KEY_BYTES = 32;

/** The files of a data directory, as the thread that owns them sees them. */
export interface StorageFiles {
  /** An empty file. A lock on it is a lock on the directory. */
  readonly lock: string;
  readonly database: string;
  /** A database that is being written; renamed to `database` once it is whole. */
  readonly newDatabase: string;
  /** A database that was too damaged to go on with; its readable items are in `database`. */
  readonly damagedDatabase: string;
}

/**
 * A data directory, apart from what is in its database:
 *
 *     hubcast.json     what this is, its format, its cluster; a directory with it was completed once
 *     node.key         seed of the node's Ed25519 key, 64 hex digits, for its owner only; makes the node's id
 *     items.sqlite     the items (sqlite-thread.ts); items.sqlite-wal and items.sqlite-shm are SQLite's own
 *     lock, pid        locked while a node runs; which process that is
 */
export class DataDirectory {
  readonly files: StorageFiles;

  constructor(
    readonly path: string,
    private readonly options: { readonly cluster: string; readonly logger: NodeLogger },
  ) {
    const database = join(path, DATABASE);
    this.files = {
      lock: join(path, LOCK),
      database,
      newDatabase: `${database}.new`,
      damagedDatabase: `${database}.damaged`,
    };
  }

  /**
   * Looks whether the directory is ours or empty, and makes it if there is none. Changes nothing in one that exists.
   * @returns whether it was completed before
   * @throws dataDirForeign, dataDirDamaged, dataDirUnusable
   */
  async inspect(): Promise<boolean> {
    return await this.#attempt(async () => {
      const created = await mkdir(this.path, { recursive: true, mode: 0o700 });
      if (created) await syncDirectory(dirname(created));
      const names = await readdir(this.path);
      if (names.includes(MARK)) {
        this.#checkMark(await readFile(join(this.path, MARK), "utf8"));
        // SQLite would read what it may not write, and fail at the first commit.
        for (const name of names.filter((each) => WRITTEN.test(each)))
          await access(join(this.path, name), constants.W_OK);
        if (names.includes(DATABASE) || names.includes(`${DATABASE}.new`)) return true;
        throw damaged(this.path, `${DATABASE} is missing`);
      }
      const strange = names.find(
        (name) => !OWN_NAMES.has(name) && !OWN_DATABASE.test(name) && !SYSTEM_NAMES.has(name),
      );
      if (strange === undefined) return false;
      throw foreign(this.path, `it has ${JSON.stringify(strange)} in it, and no ${MARK}`);
    });
  }

  /**
   * The seed of this node's key; made if there is none. Only with the lock held.
   * @param isComplete the directory was completed before, so there should be one
   * @throws dataDirDamaged when it cannot be read as one
   */
  async privateKey(isComplete: boolean): Promise<Uint8Array> {
    return await this.#attempt(async () => {
      await this.#warnOfWriters();
      const path = join(this.path, KEY);
      const text = await readFile(path, "utf8").catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
        if (await isThere(path))
          throw damaged(this.path, `${KEY} is a link to a file that is missing, and perhaps not mounted yet`);
        return undefined;
      });
      if (text === undefined) {
        const key = randomBytes(KEY_BYTES);
        await this.#writeWhole(KEY, `${key.toString("hex")}\n`, 0o600);
        if (isComplete)
          this.options.logger.warn(
            { file: path },
            "node.key is gone: this node has a new id, and peers list the old one as lost; to keep the old id, stop the node and restore the file",
          );
        return key;
      }
      const digits = text.trim();
      if (digits.length !== 2 * KEY_BYTES || !/^[0-9a-f]*$/i.test(digits))
        throw damaged(
          this.path,
          `${KEY} is not ${2 * KEY_BYTES} hex digits; without it the node takes a new id`,
        );
      await this.#warnOfReaders(path);
      return Buffer.from(digits, "hex");
    });
  }

  /** Says that everything is there now. */
  async complete(): Promise<void> {
    const mark = { program: "hubcast", format: FORMAT, cluster: this.options.cluster };
    await this.#attempt(() => this.#writeWhole(MARK, `${JSON.stringify(mark)}\n`, 0o644));
  }

  /** Notes who holds the lock; only an error message depends on it. */
  async signPid(): Promise<void> {
    await writeFile(join(this.path, PID), `${process.pid}\n`).catch(() => {});
  }

  /** Process id of who holds the lock. */
  async holder(): Promise<string | undefined> {
    const text = await readFile(join(this.path, PID), "utf8").catch(() => "");
    return /^\d+$/m.exec(text)?.[0];
  }

  #checkMark(text: string): void {
    const mark = parse(text);
    if (mark?.program !== "hubcast") throw damaged(this.path, `${MARK} is not what hubcast wrote`);
    if (mark.format === 1)
      throw foreign(this.path, "it was written by an earlier hubcast (format 1, LMDB)", [
        "Nothing was changed in it. Pass another --data-dir: peers bring back what they hold. To keep the node's id, copy node.key into the new directory first.",
      ]);
    if (mark.format !== FORMAT)
      throw foreign(this.path, `its format is ${mark.format}, this hubcast knows ${FORMAT}`);
    const { cluster } = this.options;
    if (mark.cluster !== cluster)
      throw foreign(this.path, `it belongs to cluster ${mark.cluster}, not ${cluster}`);
  }

  /** A reader of the key can impersonate this node. */
  async #warnOfReaders(path: string): Promise<void> {
    const { mode } = await stat(path);
    if (process.platform === "win32" || (mode & 0o077) === 0) return;
    this.options.logger.warn(
      { file: path, mode: (mode & 0o777).toString(8).padStart(4, "0") },
      "node.key is open to other users, who can pass for this node: chmod 600 the file",
    );
  }

  async #warnOfWriters(): Promise<void> {
    const { mode, uid } = await stat(this.path);
    const isOurs = uid === 0 || uid === process.getuid?.();
    if (process.platform === "win32" || (isOurs && (mode & 0o002) === 0)) return;
    this.options.logger.warn(
      { directory: this.path, mode: (mode & 0o777).toString(8).padStart(4, "0"), uid },
      "other users can write to the data directory, and put another node.key there: make it your own, chmod 700",
    );
  }

  /** All of it or nothing, also when the power fails. */
  async #writeWhole(name: string, text: string, mode: number): Promise<void> {
    const path = join(this.path, name);
    const file = await open(`${path}.new`, "w", mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
    await syncDirectory(this.path);
  }

  async #attempt<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (typeof (error as NodeJS.ErrnoException).syscall !== "string") throw error;
      throw unusable(this.path, error as NodeJS.ErrnoException);
    }
  }
}

/** Whether there is anything of that name, also a link to nothing. */
async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

/** The directory is ours, but what is in it is not whole. @param what completes the sentence "...: " */
export function damaged(dir: string, what: string): HubcastError {
  return new HubcastError("dataDirDamaged", `the data directory ${dir} is damaged: ${what}`, {
    suggestions: [
      "Nothing was changed in it. Restore it from a copy, or move it away and start with an empty one: peers bring back what they hold.",
    ],
  });
}

/** The directory holds something else. @param what completes the sentence "...: " */
function foreign(dir: string, what: string, suggestions = FOREIGN): HubcastError {
  return new HubcastError("dataDirForeign", `${dir} is not a data directory of this node: ${what}`, {
    suggestions,
  });
}

const FOREIGN = ["Nothing was changed in it. Pass a --data-dir that is empty, or does not exist yet."];

/** The system does not let us use the directory. @param cause errno text in `code`, where it is one of the system's */
export function unusable(dir: string, cause: Error & { readonly code?: string | undefined }): HubcastError {
  return new HubcastError("dataDirUnusable", `cannot use the data directory ${dir}: ${cause.message}`, {
    suggestions: [suggestionFor(cause.code)],
    cause,
  });
}

function suggestionFor(code: string | undefined): string {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "Free space on that disk.";
    case "ENOTDIR":
    case "EEXIST":
      return "Pass a --data-dir that is a directory, or does not exist yet.";
    default:
      return "Give the user that runs the node permission to read and write it.";
  }
}

/**
 * Makes a data directory and those above it that are missing, for their owner only. What exists stays as it is; what
 * else is wrong with the path, the storage says. Node's own recursive mkdir never ends where a directory exists and
 * nothing can be found or made in it, as in /proc or below an automounter.
 * @throws dataDirUnusable
 */
export async function makeDirectory(path: string): Promise<void> {
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

/** A new name in a directory outlives a power failure once the directory is synced. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
