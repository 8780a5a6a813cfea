import type { Socket } from "node:net";
import { HubcastError } from "../../core/errors.js";
import { isLoopbackHost, networkOf } from "../../core/hosts.js";
import type { Limits } from "../../core/limits.js";
import { TokenBuckets } from "../../core/rates.js";
import type { BulkLine, PostResult } from "../broadcast.js";
import type { ItemDraft } from "../replica/item.js";
import { signerOf } from "../replica/signature.js";

/**
 * How many items each caller may post: so many a second, and a burst of ten seconds' worth. Callers are told apart by
 * token and by address, and neither may be over its share. Callers on this machine have no limit unless one was asked
 * for: whoever runs programs here can do worse.
 */
export class PostRate {
  readonly #limits: RateLimits;

  /** @param perSecond as the user asked for; absent: the default of `limits` */
  constructor(perSecond: number | undefined, limits: Limits, now?: () => number) {
    this.#limits = new RateLimits(perSecond, limits, now);
  }

  /** Takes `wanted` items from the caller's share. @returns how many of them it may post */
  grant({ socket, token }: Caller, wanted: number): number {
    if (this.#limits.spare(socket)) return wanted;
    const names = [`address ${networkOf(socket.remoteAddress)}`];
    if (token !== undefined) names.push(`token ${token}`);
    const granted = Math.min(wanted, ...names.map((name) => this.#limits.left(name)));
    for (const name of names) this.#limits.take(name, granted);
    return granted;
  }

  /** For one item. @throws rateLimited */
  takeOne(caller: Caller): void {
    if (this.grant(caller, 1) === 1) return;
    const { perSecond } = this.#limits;
    throw new HubcastError("rateLimited", `more than ${perSecond} items a second from one caller`, {
      suggestions: [
        "Wait a second, then go on.",
        "The operator of the node can raise the limit: --post-rate.",
      ],
    });
  }
}

/**
 * How many items each signing key may post here, whoever brings them: so many a second, and a burst of ten seconds'
 * worth. A key pays when an item of its own was accepted, so that nobody can use up a share with signatures that are not
 * that key's, nor by posting again what is held. Unsigned items are not counted. Callers on this machine are not limited
 * unless a rate was asked for.
 */
export class KeyRate {
  readonly #limits: RateLimits;

  /** @param perSecond as the user asked for; absent: the default of `limits` */
  constructor(perSecond: number | undefined, limits: Limits, now?: () => number) {
    this.#limits = new RateLimits(perSecond, limits, now);
  }

  /** For one item, before it is looked at. @throws keyRateLimited */
  check(request: Pick<Caller, "socket">, draft: ItemDraft): void {
    const key = this.#counted(request, draft);
    if (key === undefined || this.#limits.left(key) > 0) return;
    const { perSecond } = this.#limits;
    throw new HubcastError("keyRateLimited", `more than ${perSecond} items a second signed by one key`, {
      suggestions: [
        "Wait a second, then go on.",
        "The operator of the node can raise the limit: --key-rate.",
      ],
    });
  }

  /** For many. @returns those whose keys have used up their share */
  excess(request: Pick<Caller, "socket">, drafts: readonly ItemDraft[]): ReadonlySet<ItemDraft> {
    const wanted = new Map<string, number>();
    const excess = new Set<ItemDraft>();
    for (const draft of drafts) {
      const key = this.#counted(request, draft);
      if (key === undefined) continue;
      const left = wanted.get(key) ?? this.#limits.left(key);
      wanted.set(key, left - 1);
      if (left <= 0) excess.add(draft);
    }
    return excess;
  }

  /** After the node has decided. */
  charge(
    request: Pick<Caller, "socket">,
    draft: ItemDraft,
    status: PostResult["status"] | BulkLine["status"],
  ): void {
    const key = status === "accepted" ? this.#counted(request, draft) : undefined;
    if (key !== undefined) this.#limits.take(key, 1);
  }

  #counted({ socket }: Pick<Caller, "socket">, { signature }: ItemDraft): string | undefined {
    if (signature === undefined || this.#limits.spare(socket)) return undefined;
    return signerOf(signature.toLowerCase());
  }
}

/** Seconds' worth that may be taken at once. */
const BURST_SECONDS = 10;

/**
 * Limits the items that each name may post in a second, with a burst of ten seconds' worth. The names remembered are bounded;
 * the one used longest ago is forgotten, and has its whole share again.
 */
class RateLimits {
  readonly perSecond: number;
  readonly #buckets: TokenBuckets;
  readonly #sparesLoopback: boolean;

  constructor(
    perSecond: number | undefined,
    limits: Limits,
    private readonly now: () => number = Date.now,
  ) {
    this.perSecond = perSecond ?? limits.postItemsPerSecond;
    this.#sparesLoopback = perSecond === undefined;
    this.#buckets = new TokenBuckets({
      perSecond: this.perSecond,
      burst: BURST_SECONDS * this.perSecond,
      namesMax: limits.postCallersMax,
    });
  }

  /** Whether that caller has no limit: a program on this machine, unless a rate was asked for. */
  spare({ remoteAddress = "" }: Caller["socket"]): boolean {
    // Nearly all are, by this address, and they post the most.
    return this.#sparesLoopback && (remoteAddress === "127.0.0.1" || isLoopbackHost(remoteAddress));
  }

  /** Whole items that this name may take now; 0 too when it took more than it had. */
  left(name: string): number {
    return Math.max(0, Math.floor(this.#buckets.of(name, this.now()).tokens));
  }

  /** Takes items, also more than there are: what is owed is made up for first. */
  take(name: string, items: number): void {
    this.#buckets.of(name, this.now()).tokens -= items;
  }
}

/** The sender of a request. */
export interface Caller {
  readonly socket: Pick<Socket, "remoteAddress">;
  /** Names the token that it showed and that is one of the node's (see TokenTable). */
  readonly token?: string | undefined;
}
