// The database file of a data directory, as the storage thread sees it: what is in it, how it is opened, and what is kept
// of a damaged one. Imports no other file of ours at run time (see sqlite-thread.ts).
import { hash } from "node:crypto";
import {
  closeSync,
  existsSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { StorageFiles } from "./data-dir.js";

/** Read by people, too: `sqlite3 items.sqlite .schema` prints it with its comments. */
const SCHEMA = `
CREATE TABLE items (
  number       INTEGER PRIMARY KEY, -- in the order of arrival
  id           TEXT    NOT NULL,
  raw          TEXT    NOT NULL,
  signature    TEXT    NOT NULL,
  timestamp_ms INTEGER NOT NULL,    -- since 1970
  digest       TEXT    NOT NULL,    -- SHA-256 of the canonical encoding of the four above, 64 hex digits
  verified     TEXT    NOT NULL,    -- MAC of the node that verified the signature, 32 hex digits
  unlogged     INTEGER NOT NULL     -- 1: the cluster's log in NATS still lacks the item
) STRICT;
CREATE UNIQUE INDEX items_in_order ON items (timestamp_ms, digest);
CREATE TABLE state (                -- items: number of rows above; position: place reached in the cluster's log
  name         TEXT PRIMARY KEY,
  value        ANY
) STRICT, WITHOUT ROWID;
INSERT INTO state VALUES ('items', 0);
`;

/** One row of `items`, its columns in their order. */
export type StoredRow = readonly [
  number: number,
  id: string,
  raw: string,
  signature: string,
  timestampMs: number,
  digest: string,
  verified: string,
  unlogged: number,
];

/** Rows that JavaScript can read: a whole number past these bounds is damage. */
const READABLE = `timestamp_ms BETWEEN 0 AND ${Number.MAX_SAFE_INTEGER} AND unlogged BETWEEN 0 AND 1`;
export const REMOVE_UNREADABLE_ROWS = `DELETE FROM items WHERE number <= 0 OR number >= ${Number.MAX_SAFE_INTEGER} OR NOT (${READABLE})`;

/** Primary result codes of SQLite. */
export const SQLITE_BUSY = 5;
export const SQLITE_CORRUPT = 11;
export const SQLITE_FULL = 13;

/** A log that grew past this is cut when it starts over. */
export const LOG_BYTES_MAX = 8_388_608;
/** Another program that reads or changes the database may lock it for a moment. */
const BUSY_TIMEOUT_MS = 5_000;
const HEADER_BYTES = 100;
/** Searches for readable rows between two damaged places. */
const SEARCHES_MAX = 4_096;

/** Writes a database without items under its temporary name. */
export function createDatabase({ newDatabase }: StorageFiles): DatabaseSync {
  removeDatabase(newDatabase);
  const database = new DatabaseSync(newDatabase);
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN; ${SCHEMA}; COMMIT`);
  return database;
}

function removeDatabase(path: string): void {
  for (const end of ["", "-wal", "-shm", "-journal"]) rmSync(path + end, { force: true });
}

/**
 * Opens the database. One whose structure is damaged is replaced by a new one with the rows that can be read.
 * @throws SQLITE_CORRUPT when it is no database or was cut short, SQLITE_BUSY when another program has a damaged one open;
 *   nothing is changed then
 * @returns `keptAs` where the damaged one is now
 */
export function openDatabase(files: StorageFiles): { database: DatabaseSync; keptAs?: string } {
  // Written by a start that was killed before it gave the file its name.
  if (!existsSync(files.database)) renameSync(files.newDatabase, files.database);
  requireWholeFile(files.database);
  mendLog(`${files.database}-wal`);
  const database = connect(files.database);
  try {
    if (passesCheck(database)) return { database };
    const keptAs = rescue(database, files);
    return { database: connect(files.database), keptAs };
  } catch (error) {
    if (database.isOpen) database.close();
    throw error;
  }
}

/**
 * Rows between two numbers, exclusive.
 * @throws SQLITE_CORRUPT where a page is damaged
 */
export function* readRows(
  database: DatabaseSync,
  low = 0,
  high: number = Number.MAX_SAFE_INTEGER,
  direction: "ASC" | "DESC" = "ASC",
): Generator<StoredRow> {
  // Node 22 ends a text at a zero character, so such a text is read as bytes.
  const statement = database.prepare(`SELECT number, id, iif(instr(raw, char(0)), CAST(raw AS BLOB), raw),
    signature, timestamp_ms, digest, verified, unlogged
    FROM items NOT INDEXED WHERE number > ? AND number < ? AND ${READABLE} ORDER BY number ${direction}`);
  statement.setReturnArrays(true);
  for (const row of statement.iterate(low, high) as Iterable<unknown> as Iterable<unknown[]>) {
    if (row[2] instanceof Uint8Array) row[2] = Buffer.from(row[2]).toString();
    yield row as unknown as StoredRow;
  }
}

/** Whether it is what was stored. Its digest is computed anew, over the canonical encoding (encodeItem in item.ts). */
export function isWhole([, id, raw, signature, timestampMs, digest]: StoredRow): boolean {
  const idBytes = Buffer.byteLength(id);
  const signatureBytes = Buffer.byteLength(signature);
  const rawBytes = Buffer.byteLength(raw);
  const bytes = Buffer.allocUnsafe(16 + idBytes + signatureBytes + rawBytes);
  let end = bytes.writeUInt16BE(idBytes & 0xffff);
  end += bytes.write(id, end);
  end = bytes.writeUInt16BE(signatureBytes & 0xffff, end);
  end += bytes.write(signature, end);
  end = bytes.writeUInt32BE(Math.floor(timestampMs / 0x1_0000_0000), end);
  end = bytes.writeUInt32BE(timestampMs >>> 0, end);
  end = bytes.writeUInt32BE(rawBytes, end);
  bytes.write(raw, end);
  return hash("sha256", bytes) === digest;
}

/** Copies SQLite's log into the database. @returns whether all of it was copied, so that it starts over */
export function copyLog(database: DatabaseSync): boolean {
  const { log, checkpointed } = database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as Record<
    "log" | "checkpointed",
    number
  >;
  return log === checkpointed;
}

/** SQLite's result code without its details. 0: the error is not one of SQLite's */
export function primaryCode(error: unknown): number {
  return ((error as { errcode?: number }).errcode ?? 0) & 0xff;
}

/** SQLite takes what is missing at the end of a file for zeros. The header says how long the file should be. */
function requireWholeFile(path: string): void {
  const header = Buffer.alloc(HEADER_BYTES);
  const file = openSync(path, "r");
  try {
    readSync(file, header);
  } finally {
    closeSync(file);
  }
  if (header.toString("latin1", 0, 16) !== "SQLite format 3\0") throw corrupt("is no SQLite database");
  // Pages that are in the log need not be in the file yet.
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) return;
  const bytes = header.readUInt32BE(28) * header.readUInt16BE(16);
  const { size } = statSync(path);
  if (size < bytes)
    throw corrupt(
      `is cut short: it has ${size} of ${bytes} bytes (to keep what can be read: truncate -s ${bytes} ${path}, and start again)`,
    );
}

/** Layout of SQLite's log (sqlite.org/fileformat2.html#walformat); integers are big-endian. */
const LOG = { headerBytes: 32, saltsAt: 16, saltsBytes: 8, sumsAt: 24, checkedBytes: 24 };
const FRAME = { headerBytes: 24, commitAt: 4, saltsAt: 8, sumsAt: 16, checkedBytes: 8 };
const LOG_MAGIC = 0x377f0682;
const LOG_VERSION = 3_007_000;

/**
 * SQLite ends its log where a checksum is wrong, as a crash in the middle of a commit leaves it. It would drop all commits
 * behind a flipped bit, too, and say nothing. A commit that another one follows was synced, so what is wrong in it is damage:
 * its checksums are made anew, and the check of the database and the digests of items find what the damage has hit.
 */
function mendLog(path: string): void {
  if (!existsSync(path)) return;
  const log = readFileSync(path);
  const pageBytes = 4_096;
  const frameBytes = FRAME.headerBytes + pageBytes;
  const frameCount = Math.floor((log.length - LOG.headerBytes) / frameBytes);
  if (frameCount < 1) return;
  // Checksums of the log end in those of its last frame: of each the one before goes in.
  const isBigEndian = log.readUInt32BE(0) === LOG_MAGIC + 1;
  const sumOf = (before: Sums, ...parts: readonly Buffer[]) => checksum(before, parts, isBigEndian);
  const header = log.subarray(0, LOG.checkedBytes);
  const isHeaderWhole = sameSums(sumOf([0, 0], header), sumsAt(log, LOG.sumsAt));
  const starts = Array.from({ length: frameCount }, (_, index) => LOG.headerBytes + index * frameBytes);
  const saltsStart = isHeaderWhole ? LOG.saltsAt : LOG.headerBytes + FRAME.saltsAt;
  const salts = Buffer.from(log.subarray(saltsStart, saltsStart + LOG.saltsBytes));
  const partsOf = (at: number) => [
    log.subarray(at, at + FRAME.checkedBytes),
    log.subarray(at + FRAME.headerBytes, at + frameBytes),
  ];
  const isOurs = (at: number) =>
    log.compare(salts, 0, LOG.saltsBytes, at + FRAME.saltsAt, at + FRAME.sumsAt) === 0;
  const isWholeFrame = (at: number) => {
    const before = at === LOG.headerBytes ? LOG.sumsAt : at - frameBytes + FRAME.sumsAt;
    return isOurs(at) && sameSums(sumOf(sumsAt(log, before), ...partsOf(at)), sumsAt(log, at + FRAME.sumsAt));
  };
  const wrong = isHeaderWhole ? starts.findIndex((at) => !isWholeFrame(at)) : 0;
  if (wrong < 0) return;
  const commits = [...starts.keys()].filter(
    (index) => isOurs(starts[index]!) && log.readUInt32BE(starts[index]! + FRAME.commitAt) > 0,
  );
  // The last commit may never have been synced.
  const isLastWhole = starts
    .slice((commits.at(-2) ?? -1) + 1, (commits.at(-1) ?? -1) + 1)
    .every(isWholeFrame);
  const end = commits.at(isLastWhole ? -1 : -2) ?? -1;
  if (wrong > end) return;

  const pages = log.readUInt32BE(starts[end]! + FRAME.commitAt);
  const mended = Buffer.from(log);
  mended.writeUInt32BE(isBigEndian ? LOG_MAGIC + 1 : LOG_MAGIC);
  mended.writeUInt32BE(LOG_VERSION, 4);
  mended.writeUInt32BE(pageBytes, 8);
  salts.copy(mended, LOG.saltsAt);
  let sums = sumOf([0, 0], mended.subarray(0, LOG.checkedBytes));
  writeSums(mended, LOG.sumsAt, sums);
  let to = LOG.headerBytes;
  for (const at of starts.slice(0, end + 1)) {
    const page = log.readUInt32BE(at);
    // Its number is what was hit: nobody knows which page it was.
    if (page === 0 || page > pages) continue;
    log.copy(mended, to, at, at + frameBytes);
    salts.copy(mended, to + FRAME.saltsAt);
    sums = sumOf(sums, ...partsOf(at));
    writeSums(mended, to + FRAME.sumsAt, sums);
    to += frameBytes;
  }
  writeFileSync(path, mended, { flush: true });
}

type Sums = readonly [number, number];

function checksum(before: Sums, parts: readonly Buffer[], isBigEndian: boolean): Sums {
  let [first, second] = before;
  for (const part of parts)
    for (let at = 0; at < part.length; at += 8) {
      first = (first + (isBigEndian ? part.readUInt32BE(at) : part.readUInt32LE(at)) + second) >>> 0;
      second = (second + (isBigEndian ? part.readUInt32BE(at + 4) : part.readUInt32LE(at + 4)) + first) >>> 0;
    }
  return [first, second];
}

function sumsAt(log: Buffer, at: number): Sums {
  return [log.readUInt32BE(at), log.readUInt32BE(at + 4)];
}

function sameSums(a: Sums, b: Sums): boolean {
  return a[0] === b[0] && a[1] === b[1];
}

function writeSums(log: Buffer, at: number, [first, second]: Sums): void {
  log.writeUInt32BE(first, at);
  log.writeUInt32BE(second, at + 4);
}

function corrupt(what: string): Error {
  return Object.assign(new Error(what), { errcode: SQLITE_CORRUPT });
}

/** Other programs may read while a node runs. That takes shared memory in a file, for which a full disk has no room. */
function connect(path: string): DatabaseSync {
  try {
    return connectIn(path, "NORMAL");
  } catch (error) {
    if (primaryCode(error) === SQLITE_CORRUPT) throw error;
    return connectIn(path, "EXCLUSIVE");
  }
}

function connectIn(path: string, lockingMode: "NORMAL" | "EXCLUSIVE"): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    // The storage thread copies the log itself, behind its answers.
    database.exec(`PRAGMA locking_mode = ${lockingMode}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = ${LOG_BYTES_MAX}; PRAGMA cell_size_check = ON`);
    const { journal_mode } = database.prepare("PRAGMA journal_mode").get() as { journal_mode: string };
    const { synchronous } = database.prepare("PRAGMA synchronous").get() as { synchronous: number };
    if (journal_mode === "wal" && synchronous === 2) return database;
    throw new Error(
      `SQLite runs with journal_mode ${journal_mode} and synchronous ${synchronous}, not wal and 2`,
    );
  } catch (error) {
    database.close();
    throw error;
  }
}

function passesCheck(database: DatabaseSync): boolean {
  try {
    return Object.values(database.prepare("PRAGMA integrity_check(1)").get() ?? {})[0] === "ok";
  } catch (error) {
    if (primaryCode(error) === SQLITE_CORRUPT) return false;
    throw error;
  }
}

/** Takes what is readable over into a new database, and keeps the old one beside it. Closes the old one. @returns its new name */
function rescue(damaged: DatabaseSync, files: StorageFiles): string {
  if (!copyLog(damaged)) throw heldOpen();
  const target = createDatabase(files);
  try {
    target.exec("BEGIN");
    copyRows(damaged, target);
    copyState(damaged, target);
    target.exec("COMMIT");
    target.close();
  } catch (error) {
    target.close();
    removeDatabase(files.newDatabase);
    throw error;
  }
  damaged.close();
  // The last connection that closes removes the log. One that outlived its database would be read into the new one.
  if (existsSync(`${files.database}-wal`)) {
    removeDatabase(files.newDatabase);
    throw heldOpen();
  }
  let keptAs = files.damagedDatabase;
  for (let count = 2; existsSync(keptAs); count++) keptAs = `${files.damagedDatabase}-${count}`;
  renameSync(files.database, keptAs);
  renameSync(files.newDatabase, files.database);
  return keptAs;
}

function heldOpen(): Error {
  const message = "is damaged, and another program that has it open keeps it from being repaired";
  return Object.assign(new Error(message), { errcode: SQLITE_BUSY });
}

/**
 * A damaged page ends a scan. So rows are read from both ends of the table up to the damage, then from both ends of each
 * half of what lies between, as often as it is worth it.
 */
function copyRows(source: DatabaseSync, target: DatabaseSync): void {
  const insert = target.prepare("INSERT OR IGNORE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  /** @returns the last row before the damage, `from` when there was none; `undefined` when there was no damage */
  const copy = (direction: "ASC" | "DESC", from: number, low: number, high: number): number | undefined => {
    let last = from;
    try {
      for (const row of readRows(source, low, high, direction)) {
        if (!isWhole(row)) continue;
        insert.run(...row);
        last = row[0];
      }
      return undefined;
    } catch (error) {
      if (primaryCode(error) !== SQLITE_CORRUPT) throw error;
      return last;
    }
  };
  const last = lastNumber(source);
  copy("ASC", last, last, Number.MAX_SAFE_INTEGER);
  const gaps: [number, number][] = [[0, last + 1]];
  for (let searches = 0; searches < SEARCHES_MAX && gaps.length > 0; searches++) {
    const [low, high] = gaps.shift()!;
    const start = copy("ASC", low, low, high);
    const end = start !== undefined && copy("DESC", high, start, high);
    if (start === undefined || typeof end !== "number" || end - start < 2) continue;
    // Bounds are not looked at again, so the middle belongs to both halves.
    const middle = Math.floor((start + end) / 2);
    gaps.push([start, middle + 1], [middle, end]);
  }
}

/** The table may be damaged at its end. @returns the last number that the index knows, which lists them in another order */
function lastNumber(source: DatabaseSync): number {
  let last = 0;
  for (const direction of ["ASC", "DESC"]) {
    try {
      const numbers = source.prepare(`SELECT number FROM items INDEXED BY items_in_order
        WHERE timestamp_ms > 0 AND number <= ${Number.MAX_SAFE_INTEGER} ORDER BY timestamp_ms ${direction}`);
      for (const { number } of numbers.iterate()) last = Math.max(last, number as number);
    } catch (error) {
      if (primaryCode(error) !== SQLITE_CORRUPT) throw error;
    }
  }
  return last;
}

/** How many rows there should be tells how many are lost. */
function copyState(source: DatabaseSync, target: DatabaseSync): void {
  target.exec("UPDATE state SET value = (SELECT count(*) FROM items) WHERE name = 'items'");
  try {
    const put = target.prepare("INSERT OR REPLACE INTO state VALUES (?, ?)");
    for (const { name, value } of source.prepare("SELECT name, value FROM state").all())
      put.run(name!, value!);
  } catch (error) {
    if (primaryCode(error) !== SQLITE_CORRUPT) throw error;
  }
}
