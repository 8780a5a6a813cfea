import type { IncomingMessage } from "node:http";
import { HubcastError } from "../../core/errors.js";
import type { PostResult } from "../broadcast.js";
import type { ItemDraft } from "../protocol/item.js";
import { signerOf } from "../protocol/signature.js";
import type { BulkLine } from "../service.js";
import { isFromThisMachine } from "./caller.js";
import type { HttpLimits } from "./options.js";
import { Shares } from "./shares.js";

/**
 * How many items each signing key may post here, whoever brings them: so many a second, and a burst of ten seconds'
 * worth. A key pays when an item of its own was accepted, so that nobody can use up a share with signatures that are not
 * that key's, nor by posting again what is held. Unsigned items are not counted. Callers on this machine are not limited
 * unless a rate was asked for.
 */
export class KeyRate {
  readonly #shares: Shares;
  readonly #sparesLoopback: boolean;

  /** @param perSecond as the user asked for; absent: the default of `limits` */
  constructor(perSecond: number | undefined, limits: HttpLimits, now: () => number = Date.now) {
    this.#shares = new Shares(perSecond ?? limits.postItemsPerSecond, limits.postCallersMax, now);
    this.#sparesLoopback = perSecond === undefined;
  }

  /** For one item, before it is looked at. @throws keyRateLimited */
  check(request: Pick<IncomingMessage, "socket">, draft: ItemDraft): void {
    const key = this.#counted(request, draft);
    if (key === undefined || this.#shares.left(key) > 0) return;
    const { perSecond } = this.#shares;
    throw new HubcastError("keyRateLimited", `more than ${perSecond} items a second signed by one key`, {
      suggestions: ["Wait a second, then go on.", "Whoever runs the node can raise the limit: --key-rate."],
    });
  }

  /** For many. @returns those whose keys have used up their share */
  excess(request: Pick<IncomingMessage, "socket">, drafts: readonly ItemDraft[]): ReadonlySet<ItemDraft> {
    const wanted = new Map<string, number>();
    const excess = new Set<ItemDraft>();
    for (const draft of drafts) {
      const key = this.#counted(request, draft);
      if (key === undefined) continue;
      const left = wanted.get(key) ?? this.#shares.left(key);
      wanted.set(key, left - 1);
      if (left <= 0) excess.add(draft);
    }
    return excess;
  }

  /** After the node has decided. */
  charge(
    request: Pick<IncomingMessage, "socket">,
    draft: ItemDraft,
    status: PostResult["status"] | BulkLine["status"],
  ): void {
    const key = status === "accepted" ? this.#counted(request, draft) : undefined;
    if (key !== undefined) this.#shares.take(key, 1);
  }

  #counted({ socket }: Pick<IncomingMessage, "socket">, { signature }: ItemDraft): string | undefined {
    if (signature === undefined || (this.#sparesLoopback && isFromThisMachine(socket))) return undefined;
    return signerOf(signature.toLowerCase());
  }
}
