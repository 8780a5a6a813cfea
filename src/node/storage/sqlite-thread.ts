// The thread that owns the files of one data directory: its lock and its SQLite database. It and sqlite-file.ts alone
// import node:sqlite, whose calls block until the disk has answered. It imports other files of ours by name at run time:
// Node starts it from its TypeScript source, too, as tests do, and finds no unbuilt file by `.js`.
import { hash } from "node:crypto";
import { statfsSync, statSync } from "node:fs";
import { dirname, extname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { StorageFiles } from "./data-dir.js";
import type { Keys, StorageReply, StorageRequest } from "./sqlite.js";
import type { StoredRow } from "./sqlite-file.js";

const {
  copyLog,
  createDatabase,
  isWhole,
  LOG_BYTES_MAX,
  openDatabase,
  primaryCode,
  readRows,
  REMOVE_UNREADABLE_ROWS,
  SQLITE_FULL,
} = (await import(
  new URL(`./sqlite-file${extname(import.meta.url)}`, import.meta.url).href
)) as typeof import("./sqlite-file.js");

const PAGE_BYTES = 4_096;
/** A group takes no further change past so many characters: the first of many must not wait for the last. */
const GROUP_LENGTH_MAX = 8_388_608;
/** SQLite's log is copied into the database after so much, behind the answers to the commit that reached it. */
const COPY_LOG_BYTES = 4_194_304;
/** Room on the disk that additions leave: removals of what expired need some before they give room back. */
const RESERVE_BYTES = 262_144;
/** With less room than this the log is copied before each addition: then no removal waits for room in the database. */
const LOW_BYTES = 33_554_432;
/** Bytes that a commit writes besides its items and their pages. */
const SPARE_BYTES = 32_768;
/** One reply of `next` has so many fields, five for each item, or so many characters. */
const CHUNK_FIELDS = 5_000;
const CHUNK_LENGTH = 1_048_576;

type Commit = Extract<StorageRequest, { type: "commit" }>;

const DONE: StorageReply = { type: "done" };
const port = parentPort!;
const files = workerData as StorageFiles;
let lock: DatabaseSync | undefined;
let database: DatabaseSync | undefined;
let statements: Record<"add" | "remove" | "mark" | "count" | "place", StatementSync>;
let macSecret: string;
let rows: Iterator<StoredRow>;
/** Rows that there should be, and rows that were read. */
let rowsDue = 0;
let rowsRead = 0;
/** Numbers of rows that are not what was stored. */
const damagedRows: number[] = [];
const queue: Commit[] = [];
/** Removals that failed: they go with the next commit that succeeds. */
let unremoved: (string | number)[] = [];
/** By how much SQLite's log has grown at least since it was copied. */
let logBytes = 0;

takeLock();
port.on("message", (request: StorageRequest) => {
  // All that this turn of the event loop brings is one group, and all that arrives while it is written the next.
  if (request.type !== "commit") carryOut(request);
  else if (queue.push(request) === 1) setImmediate(commitQueued);
});

/**
 * SQLite's exclusive lock is the one lock of the operating system that Node offers: it belongs to the process, ends
 * with it however it dies, and cannot be taken twice. The file stays empty.
 */
function takeLock(): void {
  try {
    lock = new DatabaseSync(files.lock);
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    reply(DONE);
  } catch (error) {
    reply(failure(error));
    port.close();
  }
}

function carryOut(request: Exclude<StorageRequest, Commit>): void {
  try {
    if (request.type === "close") close();
    else reply(answerTo(request));
  } catch (error) {
    reply(failure(error));
  }
}

function answerTo(request: Exclude<StorageRequest, Commit | { type: "close" }>): StorageReply {
  switch (request.type) {
    case "create":
      createDatabase(files).close();
      return DONE;
    case "open":
      return open(request.secret);
    case "next":
      return nextItems();
  }
}

function close(): void {
  try {
    commitQueued();
    database?.close();
    lock?.close();
  } finally {
    // Without this port nothing keeps the thread alive.
    port.close();
  }
}

function open(secret: string): StorageReply {
  const opened = openDatabase(files);
  database = opened.database;
  macSecret = secret;
  statements = {
    add: database.prepare("INSERT OR IGNORE INTO items VALUES (NULL, ?, ?, ?, ?, ?, ?, 0)"),
    remove: database.prepare("DELETE FROM items WHERE timestamp_ms = ? AND digest = ?"),
    mark: database.prepare("UPDATE items SET unlogged = ? WHERE timestamp_ms = ? AND digest = ?"),
    count: database.prepare("UPDATE state SET value = value + ? WHERE name = 'items'"),
    place: database.prepare("INSERT OR REPLACE INTO state VALUES ('position', ?)"),
  };
  rows = readRows(database);
  const state = new Map(
    database
      .prepare("SELECT name, value FROM state")
      .all()
      .map(({ name, value }) => [name, value]),
  );
  rowsDue = Number(state.get("items") ?? 0);
  return { type: "opened", keptAs: opened.keptAs, position: state.get("position")?.toString() };
}

/** Half of the hash, so that it cannot be continued. 0.7 us an item, where the check of an author takes 200. */
function macOf(digest: string): string {
  return hash("sha256", macSecret + digest).slice(0, 32);
}

/** The next rows, as many as one reply carries. */
function nextItems(): StorageReply {
  const items: (string | number)[] = [];
  const withoutMac: number[] = [];
  const unlogged: string[] = [];
  for (let length = 0; items.length < CHUNK_FIELDS && length < CHUNK_LENGTH; ) {
    const { value, done } = rows.next();
    if (done) return { type: "items", items, withoutMac, unlogged, leftOut: removeDamaged(), isLast: true };
    const [number, id, raw, signature, timestampMs, digest, verified, isUnlogged] = value;
    rowsRead++;
    length += raw.length;
    if (!isWhole(value)) {
      damagedRows.push(number);
      continue;
    }
    if (verified !== macOf(digest)) withoutMac.push(items.length);
    if (isUnlogged) unlogged.push(digest);
    items.push(id, raw, signature, timestampMs, digest);
  }
  return { type: "items", items, withoutMac, unlogged, leftOut: 0, isLast: false };
}

/** Once all rows were read. @returns how many items are missing, or damaged */
function removeDamaged(): number {
  const leftOut = damagedRows.length + Math.max(0, rowsDue - rowsRead);
  if (leftOut === 0) return 0;
  try {
    transaction(() => {
      const remove = database!.prepare("DELETE FROM items WHERE number = ?");
      for (const number of damagedRows) remove.run(number);
      database!.exec(REMOVE_UNREADABLE_ROWS);
      database!.exec("UPDATE state SET value = (SELECT count(*) FROM items) WHERE name = 'items'");
    });
  } catch {
    // Found again at the next start.
  }
  return leftOut;
}

function commitQueued(): void {
  while (queue.length > 0) {
    let length = 0;
    const end = queue.findIndex((change, index) => {
      length += lengthOf(change);
      return length > GROUP_LENGTH_MAX && index > 0;
    });
    const group = queue.splice(0, end === -1 ? queue.length : end);
    reply(...commit(group));
    if (logBytes > COPY_LOG_BYTES || logFileBytes() > LOG_BYTES_MAX) tryToCopyLog();
  }
}

/** Writes a group in one transaction: one sync of the disk serves all of it. @returns a reply for each change */
function commit(group: readonly Commit[]): StorageReply[] {
  try {
    if (group.some(({ add }) => add.length > 0)) requireRoom(group);
    transaction(() => write(group));
    unremoved = [];
    return group.map(() => DONE);
  } catch (error) {
    for (const { remove } of group) unremoved.push(...remove);
    // The rest of the failed commit in the log must not pass for a damaged commit (mendLog).
    tryToCopyLog();
    if (isFull(error)) removeInSteps();
    const isRemoval = ({ add, mark, unmark, position }: Commit) =>
      add.length + mark.length + unmark.length === 0 && position === undefined;
    return group.map((change) => (isRemoval(change) && unremoved.length === 0 ? DONE : failure(error)));
  }
}

function write(group: readonly Commit[]): void {
  let rowsMore = -removeAll(unremoved);
  for (const { add, remove, mark, unmark, position } of group) {
    for (let at = 0; at < add.length; at += 5) {
      const [id, raw, signature, timestampMs, digest] = add.slice(at, at + 5) as string[];
      rowsMore += Number(
        statements.add.run(id!, raw!, signature!, timestampMs!, digest!, macOf(digest!)).changes,
      );
    }
    rowsMore -= removeAll(remove);
    for (let at = 0; at < mark.length; at += 2) statements.mark.run(1, mark[at]!, mark[at + 1]!);
    for (let at = 0; at < unmark.length; at += 2) statements.mark.run(0, unmark[at]!, unmark[at + 1]!);
    if (position !== undefined) statements.place.run(position);
    logBytes += lengthOf({ add }) + 2 * PAGE_BYTES;
  }
  if (rowsMore !== 0) statements.count.run(rowsMore);
}

/** @returns how many there were */
function removeAll(keys: Keys): number {
  let removed = 0;
  for (let at = 0; at < keys.length; at += 2)
    removed += Number(statements.remove.run(keys[at]!, keys[at + 1]!).changes);
  return removed;
}

/** On a full disk a few removals may fit into the log where many do not. */
function removeInSteps(): void {
  for (let step = unremoved.length; unremoved.length > 0 && step >= 2; ) {
    try {
      transaction(() => statements.count.run(-removeAll(unremoved.slice(0, step))));
      unremoved = unremoved.slice(step);
    } catch {
      // Keys are pairs.
      step = 2 * Math.floor(step / 4);
    }
    tryToCopyLog();
  }
}

/** @throws SQLITE_FULL when the disk would keep less room than removals need */
function requireRoom(group: readonly Commit[]): void {
  const { bavail, bsize } = statfsSync(dirname(files.database));
  const freeBytes = bavail * bsize;
  let costBytes = SPARE_BYTES;
  let records = 0;
  for (const { add, remove } of group) {
    costBytes += roomFor(add);
    records += add.length / 5 + remove.length / 2;
  }
  // Each record changes two more pages at most, its own and one of the index, and no more than there are.
  costBytes += Math.min(2 * records * PAGE_BYTES, statSync(files.database).size);
  if (freeBytes > LOW_BYTES + 2 * costBytes) return;
  // A copied log starts over in its own room. Pages of items that are gone are used again, too.
  const logRoom = tryToCopyLog() ? logFileBytes() : 0;
  const { freelist_count } = database!.prepare("PRAGMA freelist_count").get() as { freelist_count: number };
  const growthBytes = Math.max(0, costBytes - freelist_count * PAGE_BYTES);
  if (freeBytes >= growthBytes && freeBytes + logRoom >= growthBytes + Math.max(costBytes, RESERVE_BYTES))
    return;
  throw Object.assign(
    new Error(`${Math.floor(freeBytes / 1_024)} KiB are free, which the node keeps to remove what expires`),
    { errcode: SQLITE_FULL },
  );
}

/** Bytes in pages: one small item may fill half of a page, of a large one the last page stays empty. */
function roomFor(add: Commit["add"]): number {
  let room = 0;
  for (let at = 0; at < add.length; at += 5) {
    let bytes = 0;
    for (const field of add.slice(at, at + 5))
      bytes += typeof field === "string" ? Buffer.byteLength(field) : 8;
    room += Math.min(2 * bytes, bytes + 2 * PAGE_BYTES);
  }
  return room;
}

/** Characters, which costs less than bytes. */
function lengthOf({ add }: Pick<Commit, "add">): number {
  let length = 0;
  for (const field of add) length += typeof field === "string" ? field.length : 8;
  return length;
}

/** A log that starts over keeps its file, up to LOG_BYTES_MAX. */
function logFileBytes(): number {
  return statSync(`${files.database}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}

function tryToCopyLog(): boolean {
  logBytes = 0;
  try {
    return copyLog(database!);
  } catch {
    // The log is whole as it is, and copied another time.
    return false;
  }
}

function transaction(work: () => void): void {
  database!.exec("BEGIN IMMEDIATE");
  try {
    work();
    database!.exec("COMMIT");
  } catch (error) {
    if (database!.isTransaction) database!.exec("ROLLBACK");
    throw error;
  }
}

function isFull(error: unknown): boolean {
  return primaryCode(error) === SQLITE_FULL;
}

function failure(error: unknown): StorageReply {
  return { type: "failed", fault: { message: (error as Error).message, code: primaryCode(error) } };
}

/** One message with a reply for each request, in their order. */
function reply(...replies: readonly StorageReply[]): void {
  port.postMessage(replies);
}
