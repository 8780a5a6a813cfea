// The thread that owns the files of one data directory: its lock and its LMDB database. It imports no other file of
// ours at run time, so that Node can also start it from its TypeScript source, as tests do.
//
// Why a thread, with synchronous transactions, instead of the asynchronous writes that the package offers: those
// print failed commits on the console, leave a mutex locked when a transaction cannot begin, and by default answer
// before the data is synced. Here `transactionSync` returns after LMDB's own commit: pages written, fdatasync, then
// the meta page through a descriptor that syncs on each write.
import { statfsSync, statSync } from "node:fs";
import { constants } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { asBinary, open, type RootDatabase } from "lmdb";
import type { StorageFault, StorageReply, StorageRequest, StorageWrite, ThreadFiles } from "./messages.js";

/** Address space, not memory or disk: more than any node holds, and little enough for any 64-bit machine. */
const MAP_BYTES = 2 ** 36;
const KEY_BYTES = 40;
const LENGTH_BYTES = 4;
const PAGE_BYTES = 4_096;
/** What a commit writes besides its records: the list of free pages, the root, the meta page. */
const SPARE_BYTES = 262_144;
/** Keys of items begin with 0, being milliseconds; what else is kept sorts behind all of them. */
const MARK_PREFIX = 0xfe;
const POSITION_KEY = Buffer.of(0xff);
const NOTHING = Buffer.alloc(0);
/** One reply of `read` carries so much, give or take a record. */
const READ_BYTES = 1_048_576;
/** After so much it is unmapped: a start must not take memory for all items twice. */
const MAPPED_BYTES_MAX = 67_108_864;
/** Records looked at in one go of a `read`, so that large ones do not pile up. */
const READ_RECORDS = 512;

const files = workerData as ThreadFiles;
const port = parentPort!;
let lock: DatabaseSync | undefined;
let database: RootDatabase<Buffer, Buffer>;
let mappedBytes = 0;

takeLock();
let last = Promise.resolve();
port.on("message", (request: StorageRequest) => {
  last = last.then(() => (request.type === "close" ? close() : carryOut(request).then(reply)));
});

/**
 * SQLite's exclusive lock is the one lock of the operating system that Node offers: it belongs to the process, ends
 * with it however it dies, and cannot be taken twice. The file stays empty.
 */
function takeLock(): void {
  try {
    lock = new DatabaseSync(files.lock);
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    reply({ type: "locked" });
  } catch (error) {
    reply({ type: "failed", fault: faultOf(error) });
    port.close();
  }
}

async function carryOut(request: Exclude<StorageRequest, { type: "close" }>): Promise<StorageReply> {
  try {
    switch (request.type) {
      case "open":
        openDatabase();
        return {
          type: "opened",
          entries: (database.getStats() as { entryCount: number }).entryCount,
          position: database.get(POSITION_KEY)?.toString(),
          marked: markedKeys(),
        };
      case "read":
        if (mappedBytes >= MAPPED_BYTES_MAX) await reopenDatabase();
        return readRecords(request.after);
      case "readEnded":
        await reopenDatabase();
        return { type: "done" };
      case "commit":
        return await commit(request);
    }
  } catch (error) {
    return { type: "failed", fault: faultOf(error) };
  }
}

/** Without this port nothing keeps the thread alive. */
async function close(): Promise<void> {
  try {
    // One that never got as far as `open` has none.
    await (database as typeof database | undefined)?.close();
    lock?.close();
  } finally {
    port.close();
  }
}

function openDatabase(): void {
  database = open({
    path: files.database,
    noSubdir: true,
    mapSize: MAP_BYTES,
    maxDbs: 1,
    encoding: "binary",
    keyEncoding: "binary",
    // A commit that has returned is on disk.
    overlappingSync: false,
  });
}

/** Pages that were read are mapped, and count as memory of this process until they are unmapped. */
async function reopenDatabase(): Promise<void> {
  await database.close();
  openDatabase();
  mappedBytes = 0;
}

async function commit({ put, remove, mark, unmark, position }: StorageWrite): Promise<StorageReply> {
  try {
    requireSpace(put, remove);
    database.transactionSync(() => {
      for (const { key, value } of recordsIn(put)) database.putSync(key, asBinary(value) as never);
      for (const key of keysIn(remove)) database.removeSync(key);
      for (const key of keysIn(mark)) database.putSync(markOf(key), asBinary(NOTHING) as never);
      for (const key of keysIn(unmark)) database.removeSync(markOf(key));
      if (position !== undefined) database.putSync(POSITION_KEY, asBinary(Buffer.from(position)) as never);
    });
    return { type: "done" };
  } catch (error) {
    // After some faults LMDB takes no transaction any more until it is opened anew.
    await reopenDatabase();
    return { type: "failed", fault: faultOf(error) };
  }
}

/**
 * Refuses a commit for which the disk may have no room, before LMDB begins it: a write that fails half-way corrupts
 * the heap of lmdb 3.5 (`malloc(): invalid next size`), and the whole process dies of it now and then. Each record
 * copies two pages at most, the leaf and its share of the branches, and no more pages than there are.
 */
function requireSpace(put: Uint8Array, remove: Uint8Array): void {
  let records = remove.length / KEY_BYTES;
  for (const _ of recordsIn(put)) records++;
  const copiedBytes = Math.min(records * 2 * PAGE_BYTES, statSync(files.database).size);
  const { bavail, bsize } = statfsSync(files.database);
  if (bavail * bsize >= 2 * put.length + copiedBytes + SPARE_BYTES) return;
  throw Object.assign(new Error("no space left on device"), { code: constants.errno.ENOSPC });
}

function readRecords(after: Uint8Array | undefined): StorageReply {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  let lastKey: Buffer | undefined = after && Buffer.from(after);
  while (bytes < READ_BYTES) {
    const end = Buffer.of(MARK_PREFIX);
    const range = lastKey ? { start: lastKey, exclusiveStart: true, end } : { end };
    let count = 0;
    for (const { key, value } of database.getRange({ ...range, limit: READ_RECORDS, snapshot: false })) {
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32BE(value.length);
      pieces.push(length, key, value);
      bytes += LENGTH_BYTES + key.length + value.length;
      lastKey = key;
      count++;
      if (bytes >= READ_BYTES) break;
    }
    if (count === 0) break;
  }
  mappedBytes += bytes;
  return { type: "records", records: Buffer.concat(pieces), last: bytes > 0 ? lastKey : undefined };
}

function* recordsIn(bytes: Uint8Array): Generator<{ key: Buffer; value: Buffer<ArrayBuffer> }> {
  const view = buffer(bytes, 0, bytes.length);
  for (let at = 0; at < view.length; ) {
    const keyAt = at + LENGTH_BYTES;
    const valueAt = keyAt + KEY_BYTES;
    const end = valueAt + view.readUInt32BE(at);
    yield { key: view.subarray(keyAt, valueAt), value: view.subarray(valueAt, end) };
    at = end;
  }
}

function* keysIn(bytes: Uint8Array): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += KEY_BYTES) yield buffer(bytes, at, at + KEY_BYTES);
}

function markOf(key: Buffer): Buffer {
  return Buffer.concat([Buffer.of(MARK_PREFIX), key]);
}

function markedKeys(): Uint8Array {
  const range = { start: Buffer.of(MARK_PREFIX), end: POSITION_KEY, snapshot: false };
  return Buffer.concat([...database.getKeys(range)].map((key) => Buffer.from(key).subarray(1)));
}

function buffer(bytes: Uint8Array, start: number, end: number): Buffer<ArrayBuffer> {
  return Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset + start, end - start);
}

function reply(message: StorageReply): void {
  port.postMessage(message);
}

function faultOf(error: unknown): StorageFault {
  const { message, code, errcode } = error as Error & { code?: unknown; errcode?: number };
  return { message, code: errcode ?? (typeof code === "number" ? code : 0) };
}
