// @ts-expect-error the package exports neither the file nor its types
import * as untyped from "../../../node_modules/nostr-tools/lib/esm/nip77.js";
import type * as nip77 from "../../../node_modules/nostr-tools/lib/types/nip77.js";
import type { Item } from "../../../src/node/replica/item.js";

const { Negentropy, NegentropyStorageVector } = untyped as typeof nip77;

/**
 * Negentropy V1 by other hands, behind our kind of messages. It is written for initiators: as a responder it does not
 * answer an id list, it keeps what it learns. Its numbers have 32 bits: timestamps must be small.
 */
export class OtherNegentropy {
  readonly have = new Set<string>();
  readonly need = new Set<string>();
  private readonly negentropy: nip77.Negentropy;

  constructor(items: Iterable<Item>, frameBytesMax = Number.MAX_SAFE_INTEGER) {
    const storage = new NegentropyStorageVector();
    for (const { timestampMs, digest } of items) storage.insert(timestampMs, digest);
    storage.seal();
    this.negentropy = new Negentropy(storage, frameBytesMax);
  }

  open(): Uint8Array {
    return Buffer.from(this.negentropy.initiate(), "hex");
  }

  /** @returns undefined when it has nothing to say */
  take(message: Uint8Array): Uint8Array | undefined {
    const have = (digest: string) => this.have.add(digest);
    const need = (digest: string) => this.need.add(digest);
    const reply = this.negentropy.reconcile(Buffer.from(message).toString("hex"), have, need);
    return reply === null ? undefined : Buffer.from(reply, "hex");
  }
}
