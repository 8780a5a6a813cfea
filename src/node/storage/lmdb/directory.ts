import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { damaged, foreign, unusable } from "./faults.js";

/** Of everything in a data directory. A directory with another one was written by another hubcast. */
const FORMAT = 1;

const MARK = "hubcast.json";
const KEY = "node.key";
const DATABASE = "items.mdb";
const LOCK = "lock";
const PID = "pid";
/** What a start that was killed halfway may leave behind, and what file systems put into an empty volume. */
const OWN_NAMES = new Set([`${MARK}.new`, KEY, `${KEY}.new`, DATABASE, `${DATABASE}-lock`, LOCK, PID]);
const SYSTEM_NAMES = new Set(["lost+found"]);

/** LMDB maps its lock file: one that is written out here cannot run into a full disk there. */
const LOCK_FILE_BYTES = 16_384;

const KEY_BYTES = 32;

/**
 * A data directory, apart from what is in its database:
 *
 *     hubcast.json     what this is, its format, its cluster; written last, so it says that all the others are there
 *     node.key         seed of the node's Ed25519 key, 64 hex digits, for its owner only; makes the node's id
 *     items.mdb        the items, an LMDB database; items.mdb-lock is LMDB's own
 *     lock, pid        locked while a node runs; which process that is
 */
export class DataDirectory {
  readonly database: string;
  readonly lock: string;

  constructor(
    readonly path: string,
    private readonly cluster: string,
  ) {
    this.database = join(path, DATABASE);
    this.lock = join(path, LOCK);
  }

  /**
   * Looks whether the directory is ours or empty, and makes it if there is none. Changes nothing in one that exists.
   * @returns whether its mark stands, that is: it was completed before
   * @throws dataDirForeign, dataDirDamaged, dataDirUnusable
   */
  async inspect(): Promise<boolean> {
    return await this.#attempt(async () => {
      const created = await mkdir(this.path, { recursive: true, mode: 0o700 });
      if (created) await syncDirectory(dirname(created));
      const names = await readdir(this.path);
      if (!names.includes(MARK)) {
        const strange = names.find((name) => !OWN_NAMES.has(name) && !SYSTEM_NAMES.has(name));
        if (strange === undefined) return false;
        throw foreign(this.path, `it has ${JSON.stringify(strange)} in it, and no ${MARK}`);
      }
      this.#checkMark(await readFile(join(this.path, MARK), "utf8"));
      if (!names.includes(DATABASE)) throw damaged(this.path, `${DATABASE} is missing`);
      return true;
    });
  }

  /**
   * The seed of this node's key; made if there is none. Only with the lock held.
   * @throws dataDirDamaged when it cannot be read as one
   */
  async privateKey(): Promise<Uint8Array> {
    return await this.#attempt(async () => {
      const path = join(this.path, KEY);
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
        return undefined;
      });
      if (text === undefined) {
        const key = randomBytes(KEY_BYTES);
        await this.#writeWhole(KEY, `${key.toString("hex")}\n`, 0o600);
        return key;
      }
      const key = Buffer.from(text.trim(), "hex");
      if (key.length === KEY_BYTES) return key;
      throw damaged(
        this.path,
        `${KEY} is not ${2 * KEY_BYTES} hex digits; without it the node takes a new id`,
      );
    });
  }

  /** Gets what the database needs ready. Only with the lock held. */
  async makeRoom(): Promise<void> {
    await this.#attempt(async () => {
      await writeFile(`${this.database}-lock`, Buffer.alloc(LOCK_FILE_BYTES), {
        flag: "wx",
        mode: 0o600,
      }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      });
    });
  }

  /** Says that everything is there now. */
  async complete(): Promise<void> {
    const mark = { program: "hubcast", format: FORMAT, cluster: this.cluster };
    await this.#attempt(() => this.#writeWhole(MARK, `${JSON.stringify(mark)}\n`, 0o644));
  }

  /** Leaves word of who holds the lock; nothing but an error message rests on it. */
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
    if (mark.format !== FORMAT) {
      throw foreign(this.path, `its format is ${mark.format}, this hubcast knows ${FORMAT}`);
    }
    if (mark.cluster !== this.cluster) {
      throw foreign(this.path, `it belongs to cluster ${mark.cluster}, not ${this.cluster}`);
    }
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
