import { decodeBatch } from "../node/protocol/batch.js";
import { type Item, ItemDecodeError } from "../node/protocol/item.js";
import { verifySignature } from "../node/protocol/signature.js";

/** What the world knows of one item that was ever seen in it. */
export interface ItemRecord {
  readonly item: Item;
  /** Its signature is good. */
  readonly valid: boolean;
  /** When the first node accepted it from a client; absent: none did. */
  acceptedAtMs?: number;
  /** When the last of the nodes that were up at that instant came to hold it. */
  heldAtMs: number;
  /** Hosts whose storage keeps it. 0 after an acceptance: the last one was lost, and nobody can be blamed. */
  keepers: number;
  /** No longer asked about: expired, or lost with the last host that kept it. */
  excused: boolean;
}

/**
 * Reads batches as a node does, through the real decoder and the real check of signatures; but each batch and each
 * digest once per world, not once per node, and all nodes share one object per item. That is what lets 10,000 nodes
 * fit into one process.
 */
export class KnownItems {
  readonly #records = new Map<string, ItemRecord>();
  readonly #batches = new WeakMap<Uint8Array, readonly Item[] | undefined>();

  all(): IterableIterator<ItemRecord> {
    return this.#records.values();
  }

  record(item: Item): ItemRecord {
    let record = this.#records.get(item.digest);
    if (!record) {
      record = { item, valid: verifySignature(item), heldAtMs: 0, keepers: 0, excused: false };
      this.#records.set(item.digest, record);
    }
    return record;
  }

  byDigest(digest: string): ItemRecord | undefined {
    return this.#records.get(digest);
  }

  isValid(item: Item): boolean {
    return this.record(item).valid;
  }

  /** @returns undefined when the bytes are no batch */
  read(batch: Uint8Array): readonly Item[] | undefined {
    if (!this.#batches.has(batch)) this.#batches.set(batch, this.#decode(batch));
    return this.#batches.get(batch);
  }

  #decode(batch: Uint8Array): readonly Item[] | undefined {
    try {
      return decodeBatch(batch).map((item) => this.record(item).item);
    } catch (error) {
      if (error instanceof ItemDecodeError) return undefined;
      throw error;
    }
  }
}
