import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { type LmdbStorage, openLmdbStorage } from "../../../src/node/storage/lmdb/index.js";
import type { Storage } from "../../../src/node/storage/port.js";
import { storageContract } from "./contract.js";

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const root = await mkdtemp(join(tmpdir(), "hubcast-lmdb-"));
const places = new Map<Storage, string>();
let last = 0;

afterAll(() => rm(root, { recursive: true, force: true }));

storageContract("lmdb", {
  open: () => openAt(join(root, `contract-${++last}`)),
  reopen: (closed) => openAt(places.get(closed)!),
});

async function openAt(dir: string): Promise<LmdbStorage> {
  const storage = await openLmdbStorage(dir, { cluster: "default", logger: SILENT });
  places.set(storage, dir);
  return storage;
}
