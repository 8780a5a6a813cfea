import { type FileHandle, open } from "node:fs/promises";

// LMDB maps its file and trusts it: a page that is missing kills the process (SIGBUS), one that is garbage may do
// anything. So the file is walked before LMDB gets it: every page that can be reached from its roots must lie in the
// file, name itself, be of the kind that belongs there, and have its nodes inside. Layout: `MDB_meta`, `MDB_db`,
// `MDB_page` and `MDB_node` in mdb.c of the lmdb package, on little-endian 64-bit machines.

const MAGIC = 0xbeefc0de;
const VERSION = 2;
const META = {
  magic: 24,
  version: 28,
  pageSize: 48,
  freeTree: 48,
  mainTree: 96,
  transaction: 152,
  bytes: 160,
};
const TREE = { depth: 6, root: 40 };
const PAGE = { flags: 18, lower: 20, upper: 22, header: 24 };
const NODE = { flags: 4, keySize: 6, header: 8 };
const BRANCH = 1;
const LEAF = 2;
const OVERFLOW = 4;
const BIG_VALUE = 1;
const NO_ROOT = 0xffff_ffff_ffff_ffffn;

/** What a file of pages is not; `what` completes "items.mdb ...". */
class PageFault extends Error {
  override readonly name = "PageFault";
}

/**
 * Reads all pages in use, some 100,000 a second.
 * @returns what is wrong with the file, for people; `undefined` when LMDB can be trusted with it
 */
export async function databaseFault(path: string): Promise<string | undefined> {
  const file = await open(path, "r");
  try {
    const meta = await latestMeta(file);
    const pages = new PageReader(file, meta.readUInt32LE(META.pageSize), (await file.stat()).size);
    for (const tree of [META.freeTree, META.mainTree]) {
      const root = meta.readBigUInt64LE(tree + TREE.root);
      const keys = tree === META.mainTree ? new KeyOrder() : undefined;
      if (root !== NO_ROOT) await checkTree(pages, Number(root), meta.readUInt16LE(tree + TREE.depth), keys);
    }
    return undefined;
  } catch (error) {
    if (error instanceof PageFault) return error.message;
    throw error;
  } finally {
    await file.close();
  }
}

/** Of the two meta pages, the one of the last transaction. */
async function latestMeta(file: FileHandle): Promise<Buffer> {
  const first = await readMeta(file, 0);
  const second = await readMeta(file, first.readUInt32LE(META.pageSize));
  const isFirst = first.readBigUInt64LE(META.transaction) > second.readBigUInt64LE(META.transaction);
  return isFirst ? first : second;
}

async function readMeta(file: FileHandle, offset: number): Promise<Buffer> {
  const meta = Buffer.alloc(META.bytes);
  const { bytesRead } = await file.read(meta, 0, META.bytes, offset);
  if (bytesRead < META.bytes) throw new PageFault("is cut short");
  if (meta.readUInt32LE(META.magic) !== MAGIC) throw new PageFault("is no LMDB database");
  const version = meta.readUInt16LE(META.version);
  if (version !== VERSION) throw new PageFault(`is an LMDB database of version ${version}, not ${VERSION}`);
  const pageSize = meta.readUInt32LE(META.pageSize);
  if (pageSize < 256 || pageSize > 65_536 || pageSize % 256 !== 0) {
    throw new PageFault(`has pages of ${pageSize} bytes`);
  }
  return meta;
}

/** @param keys of the tree so far; absent where they do not sort as bytes do */
async function checkTree(pages: PageReader, root: number, depth: number, keys?: KeyOrder): Promise<void> {
  const open: { number: number; height: number; from?: Buffer }[] = [{ number: root, height: depth }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { number, height, from } = next;
    if (from) keys?.take(from, number);
    const page = await pages.read(number, height > 1 ? BRANCH : LEAF);
    const nodes = nodesOf(page, number);
    if (height > 1) {
      // The last is opened first, so the first comes out of the stack first: forwards through keys and file.
      for (const [index, at] of [...nodes.entries()].reverse()) {
        const child = page.readUInt32LE(at) + page.readUInt16LE(at + NODE.flags) * 2 ** 32;
        // A search never looks at the first separator of a page, and LMDB may leave an old one there.
        const from = index > 0 && Buffer.from(keyAt(page, at));
        open.push({ number: child, height: height - 1, ...(from && { from }) });
      }
    } else {
      for (const at of nodes) {
        keys?.take(keyAt(page, at), number);
        checkValue(pages, page, number, at);
      }
    }
  }
}

/** Where the nodes of a page begin; each has its header and its key inside the page. */
function nodesOf(page: Buffer, number: number): number[] {
  const lower = page.readUInt16LE(PAGE.lower);
  const upper = page.readUInt16LE(PAGE.upper);
  const inside = page.length - PAGE.header;
  if (lower > upper || upper > inside || lower % 2 !== 0) throw new PageFault(`has a broken page ${number}`);
  return Array.from({ length: lower / 2 }, (_, index) => {
    const at = PAGE.header + page.readUInt16LE(PAGE.header + 2 * index);
    const isInside = at >= PAGE.header + upper && at + NODE.header <= page.length;
    if (isInside && at + NODE.header + page.readUInt16LE(at + NODE.keySize) <= page.length) return at;
    throw new PageFault(`has a broken node in page ${number}`);
  });
}

function keyAt(page: Buffer, at: number): Buffer {
  const start = at + NODE.header;
  return page.subarray(start, start + page.readUInt16LE(at + NODE.keySize));
}

function checkValue(pages: PageReader, page: Buffer, number: number, at: number): void {
  const valueBytes = page.readUInt32LE(at);
  const valueAt = at + NODE.header + page.readUInt16LE(at + NODE.keySize);
  const isBig = (page.readUInt16LE(at + NODE.flags) & BIG_VALUE) !== 0;
  if (valueAt + (isBig ? 8 : valueBytes) > page.length) {
    throw new PageFault(`has a broken value in page ${number}`);
  }
  if (isBig) pages.claimOverflow(Number(page.readBigUInt64LE(valueAt)), valueBytes);
}

/** Keys and the separators above them never descend; a search in a tree where they do goes astray. */
class KeyOrder {
  #last = Buffer.alloc(0);

  take(key: Buffer, page: number): void {
    if (key.compare(this.#last) < 0) throw new PageFault(`has keys out of order in page ${page}`);
    // The page may be gone when the next key comes.
    this.#last = Buffer.from(key);
  }
}

/** Reads pages that must exist, each at most once. */
class PageReader {
  readonly #count: number;
  readonly #seen: Uint8Array;
  /** Neighbours are read together: what was written in one transaction lies side by side. */
  readonly #window: Buffer;
  #windowStart = 0;
  #windowBytes = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly pageSize: number,
    bytes: number,
  ) {
    this.#count = Math.floor(bytes / pageSize);
    this.#seen = new Uint8Array(this.#count);
    this.#window = Buffer.allocUnsafeSlow(64 * pageSize);
  }

  /** @returns the page, until the next one is read */
  async read(number: number, kind: number): Promise<Buffer> {
    this.#claim(number, 1);
    const offset = number * this.pageSize;
    const isHere =
      offset >= this.#windowStart && offset + this.pageSize <= this.#windowStart + this.#windowBytes;
    if (!isHere) {
      const { bytesRead } = await this.file.read(this.#window, 0, this.#window.length, offset);
      this.#windowStart = offset;
      this.#windowBytes = bytesRead;
    }
    const at = offset - this.#windowStart;
    const page = this.#window.subarray(at, at + this.pageSize);
    const isNamed = page.readBigUInt64LE(0) === BigInt(number);
    if (isNamed && (page.readUInt16LE(PAGE.flags) & (BRANCH | LEAF | OVERFLOW)) === kind) return page;
    throw new PageFault(`has something else where page ${number} should be`);
  }

  /** A large value lies in pages of its own; its bytes are covered by the item's digest. */
  claimOverflow(first: number, valueBytes: number): void {
    this.#claim(first, Math.ceil((PAGE.header + valueBytes) / this.pageSize));
  }

  #claim(first: number, count: number): void {
    if (!(first >= 2 && first + count <= this.#count)) {
      throw new PageFault(`is cut short: it has ${this.#count} pages, page ${first} is not among them`);
    }
    for (let number = first; number < first + count; number++) {
      if (this.#seen[number]) throw new PageFault(`uses page ${number} twice`);
      this.#seen[number] = 1;
    }
  }
}
