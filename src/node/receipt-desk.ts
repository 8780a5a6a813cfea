import type { Receipt } from "./broadcast.js";

interface Holder {
  readonly id: string;
  readonly name: string;
}

interface OpenReceipt {
  readonly askedAtMs: number;
  readonly wanted: number;
  readonly missing: Map<string, Holder>;
  readonly holders: Receipt["holders"][number][];
  finish(): void;
}

/** Collects who says that it holds an item, until enough do or the deadline passes. */
export class ReceiptDesk {
  readonly #open = new Map<string, OpenReceipt[]>();

  /**
   * @param peers those connected now
   * @param wait how many of them are waited for
   */
  open(
    digest: string,
    peers: readonly Holder[],
    wait: number | "all",
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Receipt> {
    return new Promise((resolve) => {
      const wanted = wait === "all" ? peers.length : wait;
      const receipt: OpenReceipt = {
        askedAtMs: performance.now(),
        wanted,
        missing: new Map(peers.map((peer) => [peer.id, { id: peer.id, name: peer.name }])),
        holders: [],
        finish: () => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", receipt.finish);
          this.#drop(digest, receipt);
          const complete = receipt.holders.length >= wanted;
          resolve({ complete, holders: receipt.holders, missing: [...receipt.missing.values()] });
        },
      };
      const timer = setTimeout(receipt.finish, timeoutMs);
      signal?.addEventListener("abort", receipt.finish, { once: true });
      this.#open.set(digest, [...(this.#open.get(digest) ?? []), receipt]);
      if (wanted === 0 || signal?.aborted) receipt.finish();
    });
  }

  confirmed(digest: string, peer: string): void {
    for (const receipt of this.#open.get(digest) ?? []) {
      const holder = receipt.missing.get(peer);
      if (!holder) continue;
      receipt.missing.delete(peer);
      const afterMs = Number((performance.now() - receipt.askedAtMs).toFixed(1));
      receipt.holders.push({ ...holder, afterMs });
      if (receipt.holders.length >= receipt.wanted) receipt.finish();
    }
  }

  /** Ends all that are open, incomplete as they are. */
  close(): void {
    for (const receipt of [...this.#open.values()].flat()) receipt.finish();
  }

  #drop(digest: string, receipt: OpenReceipt): void {
    const left = (this.#open.get(digest) ?? []).filter((other) => other !== receipt);
    if (left.length > 0) this.#open.set(digest, left);
    else this.#open.delete(digest);
  }
}
