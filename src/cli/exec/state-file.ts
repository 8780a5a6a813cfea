import {
  closeSync,
  fdatasync,
  fsyncSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { HubcastError } from "../../core/errors.js";
import {
  type Beginning,
  beginningIn,
  beginningLine,
  recordIn,
  recordLine,
  type StateRecord,
} from "./machine/records.js";

/** Lines that the file may have beyond those that it needs, before it is written anew. */
const SPARE_LINES = 10_000;

/** Bytes of one write. */
const PIECE_LENGTH = 65_536;

const LINE_BREAK = 10;

const sync = promisify(fdatasync);

export interface KeptState {
  readonly beginning: Beginning;
  readonly records: readonly StateRecord[];
}

/** The whole content of a state file. */
interface WholeState {
  readonly beginning: Beginning;
  readonly recordCount: number;
  records(): Iterable<StateRecord>;
}

/**
 * The file of `watch --state`: lines that are appended, and a lock beside it, so that one process has it at a time. It is
 * made, and made smaller, as another file that takes its name: a process that is killed leaves the one or the other, and
 * at most half a line at the end, which counts as not written.
 */
export class StateFile implements AsyncDisposable {
  #file: number | undefined;
  #lines = 0;
  /** Bytes of whole lines: where the next one begins, over what a failed write has left. */
  #length = 0;
  /** Lines were added since the last `#syncing` began. */
  #isChanged = false;
  #syncing: Promise<void> = Promise.resolve();

  /**
   * @returns the file, locked, and what is in it; nothing of one that is still to be made
   * @throws usage, stateFileInUse, stateFileForeign, stateFileDamaged, systemFailed
   */
  static async open(
    path: string,
  ): Promise<{ readonly file: StateFile; readonly kept: KeptState | undefined }> {
    let place: string;
    let lock: Disposable | undefined;
    try {
      place = placeOf(path);
      if (statSync(place, { throwIfNoEntry: false })?.isDirectory()) {
        throw new HubcastError("usage", `--state: ${path} is a directory`, {
          suggestions: ["Name a file, or one that is not there yet: --state FILE"],
        });
      }
      lock = await lockFile(`${place}.lock`);
    } catch (cause) {
      throw failed("lock", path, cause);
    }
    if (!lock) {
      throw new HubcastError("stateFileInUse", `another watcher has ${path}`, {
        suggestions: ["Give each watcher a file of its own: --state FILE"],
      });
    }
    try {
      return { file: new StateFile(place, lock), kept: read(place) };
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  private constructor(
    private readonly path: string,
    private readonly lock: Disposable,
  ) {}

  /** Writes the file anew, with what it needs and no more; on disk when this returns. Not while it is synced. */
  replace(state: WholeState): void {
    const path = `${this.path}.new`;
    let file: number | undefined;
    let [lines, length] = [1, 0];
    try {
      file = openSync(path, "w", 0o600);
      let piece = `${beginningLine(state.beginning)}\n`;
      for (const record of state.records()) {
        lines++;
        piece += `${recordLine(record)}\n`;
        if (piece.length < PIECE_LENGTH) continue;
        length += writeWhole(file, piece, length);
        piece = "";
      }
      length += writeWhole(file, piece, length);
      fsyncSync(file);
      renameSync(path, this.path);
      syncDirectory(dirname(this.path));
    } catch (cause) {
      if (file !== undefined) closeSync(file);
      rmSync(path, { force: true });
      throw failed("write", this.path, cause);
    }
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = file;
    this.#lines = lines;
    this.#length = length;
    this.#isChanged = false;
  }

  /** Adds a line: from then on the end of this process does not lose it, and from the next `synced` on nothing does. */
  append(record: StateRecord): void {
    try {
      this.#length += writeWhole(this.#file!, `${recordLine(record)}\n`, this.#length);
    } catch (cause) {
      throw failed("write", this.path, cause);
    }
    this.#lines++;
    this.#isChanged = true;
  }

  /** Resolves when all lines are on disk. */
  async synced(state: WholeState): Promise<void> {
    if (this.#isChanged) {
      const isLong = this.#lines > 2 * state.recordCount + SPARE_LINES;
      this.#isChanged = false;
      this.#syncing = isLong ? this.#syncing.then(() => this.replace(state)) : this.#sync();
    }
    await this.#syncing;
  }

  async #sync(): Promise<void> {
    await sync(this.#file!).catch((cause) => {
      throw failed("write", this.path, cause);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#syncing.catch(() => {});
    if (this.#file !== undefined) closeSync(this.#file);
    this.lock[Symbol.dispose]();
  }
}

/** The file itself, there or not, where links lead: two names of one file have one lock. */
function placeOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  let target: string | undefined;
  try {
    target = readlinkSync(path);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
  if (target !== undefined) return placeOf(resolve(dirname(path), target));
  return join(realpathSync(dirname(path)), basename(path));
}

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

function failed(what: "lock" | "read" | "write", path: string, cause: unknown): HubcastError {
  if (cause instanceof HubcastError) return cause;
  return new HubcastError("systemFailed", `cannot ${what} ${path}: ${(cause as Error).message}`, {
    suggestions: ["Free room there, or name a place that this account may write to: --state FILE"],
    cause,
  });
}

function read(path: string): KeptState | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw failed("read", path, error);
  }
  const lines = linesIn(bytes);
  const first = lines.next();
  const beginning = first.done
    ? { fault: bytes.length === 0 ? "it is empty" : "its first line is not that of a state file" }
    : beginningIn(first.value);
  if ("fault" in beginning) {
    throw new HubcastError("stateFileForeign", `${path} is no state file: ${beginning.fault}`, {
      suggestions: [
        "Nothing was changed in it. Name another file, or one that is not there yet: --state FILE",
      ],
    });
  }
  const records: StateRecord[] = [];
  for (const line of lines) {
    const record = recordIn(line);
    if (!record) {
      throw new HubcastError(
        "stateFileDamaged",
        `${path} is damaged: line ${records.length + 2} is not what hubcast wrote`,
        {
          suggestions: [
            "Remove that line, and its item may run again; or name another file: --state FILE, with --since INSTANT for what was missed.",
          ],
        },
      );
    }
    records.push(record);
  }
  return { beginning, records };
}

/** Half a line at the end is one that was being written when the process was killed, or the disk was full. */
function* linesIn(bytes: Buffer): Generator<string, void, undefined> {
  let start = 0;
  for (let end = bytes.indexOf(LINE_BREAK); end >= 0; end = bytes.indexOf(LINE_BREAK, start)) {
    yield bytes.toString("utf8", start, end);
    start = end + 1;
  }
}

/** @returns how many bytes it took, from that place on */
function writeWhole(file: number, text: string, at: number): number {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; )
    written += writeSync(file, bytes, written, bytes.length - written, at + written);
  return bytes.length;
}

/** Only then a file that was made or renamed outlives a power failure. */
function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** SQLite's code of a lock that another has. */
const SQLITE_BUSY = 5;

/**
 * Locks a file, which stays empty, for this process. SQLite's exclusive lock is the one lock of the operating system that
 * Node offers: it ends with the process, however that dies.
 * @returns undefined when another process has it
 */
async function lockFile(path: string): Promise<Disposable | undefined> {
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
